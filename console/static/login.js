// The log-in page, and the new password that a one-time log-in asks for when the server insists on it.
import { ApiError, post } from "./api.js";
import { languageButton, passwordForm, themeButton } from "./account.js";
import { h, sentenceOf } from "./dom.js";
import { setLanguage, t, language } from "./i18n.js";
import { followSystemTheme } from "./prefs.js";
import { whereTheyWere } from "./resume.js";
import { on } from "./state.js";

const BEGUN = "patrolgrid.one-time"; // a one-time log-in was begun in this tab
const door = document.getElementById("door");
let me = null; // logged in, but the one-time password is still to be changed
let typed = null; // the password just used, so that it need not be typed again

function render(problem = null) {
  document.title = `${t("log_in")} · ${t("product")}`;
  document.getElementById("tools").replaceChildren(themeButton(), languageButton());
  door.replaceChildren(
    h(
      "div",
      { class: "brand" },
      h("img", { src: "/static/favicon.svg", alt: "", width: 36, height: 36 }),
      h("h1", {}, t("product")),
    ),
    h("p", { class: "what" }, t("product.what")),
    problem ? h("div", { class: "note bad", role: "alert", id: "problem" }, problem) : "",
    ...(me ? newPassword() : [logIn()]),
  );
  door.querySelector("input")?.focus();
}

function logIn() {
  const button = h("button", { class: "primary", type: "submit" }, t("log_in"));
  const form = h(
    "form",
    {},
    h(
      "label",
      { class: "field" },
      t("name"),
      h("input", {
        name: "name",
        required: true,
        maxlength: 100,
        autocomplete: "username",
        autocapitalize: "none",
        spellcheck: "false",
      }),
    ),
    h(
      "label",
      { class: "field" },
      t("password"),
      h("input", {
        name: "password",
        type: "password",
        required: true,
        maxlength: 1000,
        autocomplete: "current-password",
      }),
    ),
    h("div", { class: "buttons" }, button),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      typed = form.elements.password.value;
      const found = await post("/session", { name: form.elements.name.value.trim(), password: typed });
      await enter(found);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const name = form.elements.name.value;
      render(sentenceOf(error));
      door.querySelector("[name=name]").value = name;
      door.querySelector("[name=password]").focus();
    }
  });
  return form;
}

/** In, or on to the new password where the server lets nobody in with a one-time one. */
async function enter(found) {
  if (!found.one_time) {
    location.replace(`/${whereTheyWere(found.name)}`);
    return;
  }
  const answer = await fetch("/", { redirect: "manual" }); // a redirect means: change it first
  if (answer.type !== "opaqueredirect") {
    location.replace("/");
    return;
  }
  me = found;
  sessionStorage.setItem(BEGUN, "yes");
  render();
}

function done() {
  sessionStorage.removeItem(BEGUN);
  location.replace("/");
}

function newPassword() {
  return [
    h("h2", {}, t("password.one_time")),
    h("p", { class: "note" }, t("password.why")),
    passwordForm(done, null, typed),
  ];
}

/**
 * Who comes here logged in goes on where they were: in, or (after a reload before the change) to the new password. The
 * one-time password would not let them in a second time. The server is asked only where a log-in was begun here, as
 * its 401 would stand in the console as an error.
 */
async function start() {
  document.documentElement.lang = language() === "zh" ? "zh-CN" : "en";
  for (const event of ["language", "theme"]) on(event, () => render());
  followSystemTheme();
  render();
  if (!sessionStorage.getItem(BEGUN)) return;
  const answer = await fetch("/api/v1/me"); // not through api.js: here a 401 is no reason to go anywhere
  if (answer.ok) await enter(await answer.json());
  else sessionStorage.removeItem(BEGUN);
}

setLanguage(language(), false);
start();
