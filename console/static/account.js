// The tools at the right of the strip: sound, theme, language, and the person who is logged in.
import { post, request } from "./api.js";
import { h, icon, toast, working } from "./dom.js";
import { language, setLanguage, t } from "./i18n.js";
import { setTheme, theme } from "./prefs.js";
import { muted, setMuted, soundState } from "./sound.js";
import { unitName } from "./devices.js";
import { on, state } from "./state.js";

/** `extra()` builds what stands first: the login page has these tools without it. */
export function startTools(bar, extra) {
  const sound = tool("bell", "sound", "", () => setMuted(!muted()));
  const showSound = () => {
    // the button stays: the first press anywhere wakes the sound, also a press on this button
    sound.replaceChildren(icon(muted() ? "muted" : "bell"));
    sound.title = { on: t("sound.on"), muted: t("sound.muted"), blocked: t("sound.blocked") }[soundState()];
    sound.setAttribute("aria-label", sound.title);
    sound.dataset.sound = soundState();
  };
  const render = () => {
    showSound();
    bar.replaceChildren(...[extra(), sound, themeButton(), languageButton(), personMenu()].filter(Boolean));
  };
  for (const event of ["language", "theme"]) on(event, render);
  on("sound", showSound);
  render();
}

const tool = (name, id, label, act) =>
  h("button", { class: "bare square", id, "aria-label": label, title: label, onclick: act }, icon(name));

export const themeButton = () =>
  tool(theme() === "dark" ? "sun" : "moon", "theme", t(theme() === "dark" ? "theme.light" : "theme.dark"), () =>
    setTheme(theme() === "dark" ? "light" : "dark"),
  );

/** Named in the language it leads to, so that whoever landed in the wrong one can read it. */
export const languageButton = () =>
  h(
    "button",
    {
      class: "bare",
      id: "language",
      lang: language() === "zh" ? "en" : "zh-CN",
      onclick: () => setLanguage(language() === "zh" ? "en" : "zh"),
    },
    language() === "zh" ? "English" : "中文",
  );

function personMenu() {
  const { me } = state;
  const body = h(
    "div",
    { class: "menu card" },
    h("p", { class: "strong" }, me.display || me.name),
    h(
      "p",
      { class: "quiet" },
      [t(`account.${me.role}`), me.unit ? unitName(me.unit) : null].filter(Boolean).join(" · "),
    ),
    h("button", { class: "bare", onclick: () => askPassword() }, t("password.change")),
    working(h("button", { class: "bare", id: "log-out" }, t("log_out")), async () => {
      await request("DELETE", "/session");
      location.assign("/login");
    }),
  );
  const menu = h(
    "details",
    { class: "person" },
    h(
      "summary",
      { "aria-label": t("account"), id: "account" },
      icon("person"),
      h("span", { class: "name cut" }, me.display || me.name),
    ),
    body,
  );
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      menu.open = false;
      menu.firstChild.focus();
    }
  });
  return menu;
}

/** A new password, because the person wants one; after a one-time log-in the log-in page asks for it. */
function askPassword() {
  const dialog = h(
    "dialog",
    { "aria-labelledby": "password-title" },
    h(
      "div",
      { class: "body" },
      h("h2", { id: "password-title" }, t("password.change")),
      passwordForm(
        () => {
          dialog.close();
          toast(t("password.changed"));
        },
        h("button", { type: "button", onclick: () => dialog.close() }, t("cancel")),
      ),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** Old, new, again; `known` is the password just used to log in, which need not be typed twice. */
export function passwordForm(done, other = null, known = null) {
  const input = (name, label, complete) =>
    h(
      "label",
      { class: "field" },
      label,
      h("input", {
        type: "password",
        name,
        required: true,
        autocomplete: complete,
        maxlength: 1000,
        minlength: name === "old" ? null : 10,
      }),
    );
  const send = h("button", { class: "primary", type: "submit" }, t("password.set"));
  const form = h(
    "form",
    { class: "column plain" },
    h("input", { type: "text", name: "username", autocomplete: "username", hidden: true, value: state.me?.name ?? "" }),
    known === null ? input("old", t("password.old"), "current-password") : null,
    input("new", t("password.new"), "new-password"),
    input("again", t("password.again"), "new-password"),
    h("div", { class: "buttons" }, other, send),
  );
  const { old, new: fresh, again } = form.elements;
  again.addEventListener("input", () =>
    again.setCustomValidity(again.value === fresh.value ? "" : t("password.differ")),
  );
  fresh.addEventListener("input", () =>
    again.setCustomValidity(again.value === fresh.value ? "" : t("password.differ")),
  );
  const go = working(h("button", { type: "button" }), async () => {
    await post("/me/password", { old: known ?? old.value, new: fresh.value });
    done();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go.click();
  });
  return form;
}
