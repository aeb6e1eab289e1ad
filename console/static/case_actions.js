// The action bar of a case: one button for each step that the server offers, and a form with exactly what it needs.
import { post } from "./api.js";
import { field, knows } from "./case_fields.js";
import { h, inUse, renew, toast, working } from "./dom.js";
import { pick, t } from "./i18n.js";
import { photoField } from "./pictures.js";

const FORWARD = ["open", "dispatch", "accept", "check_in", "part_done", "feedback", "verify", "close", "split"];
const SEVERE = new Set(["void"]);
const PICTURED = new Set(["note", "feedback", "part_done", "verify"]); // steps that pictures speak for

// What somebody has begun to write stays when the case changes under it, and goes with the case or once it is done.
let draft = { case: null, action: null, fields: {}, photos: [] };
const fresh = (id, action = null) => ({ case: id, action, fields: {}, photos: [] });

export const begun = () => draft;
export const goOn = (kept) => (draft = kept);

// The bar and its form stay the same elements while the page is drawn anew around them.
const bar = h("section", { class: "actions card pad" });
const place = h("div", {});
let form = null; // what is open in `place`: {found, offer, box}

/** The bar for `detail`; `done(detail)` gets the answer, `reload()` is called after a refusal because of a change. */
export function actionBar(detail, done, reload) {
  const { case: found } = detail;
  const actions = detail.actions.filter(({ needs }) => needs.every((need) => need.endsWith("?") || knows(need)));
  if (draft.case !== found.id || !actions.some((offer) => offer.action === draft.action)) draft = fresh(found.id);
  const order = (offer) => (FORWARD.includes(offer.action) ? 0 : SEVERE.has(offer.action) ? 2 : 1);
  const offers = [...actions].sort((a, b) => order(a) - order(b));
  const buttons = offers.map((offer) =>
    h(
      "button",
      {
        class: order(offer) === 0 ? "primary" : SEVERE.has(offer.action) ? "danger" : "",
        dataset: { action: offer.action },
        "aria-expanded": String(draft.action === offer.action),
        onclick: (event) => choose(offer, event.currentTarget),
      },
      words(offer),
    ),
  );
  function show(offer) {
    const send = (fields) => submit(form.found, offer, fields, done, reload);
    form = offer ? { found, offer, box: formOf(found, offer, send) } : null;
    place.replaceChildren(form?.box ?? "");
  }
  function choose(offer, button) {
    for (const other of buttons) other.setAttribute("aria-expanded", String(other === button));
    draft = fresh(found.id, offer.action);
    show(offer);
    place.querySelector("select, textarea, input, button")?.focus({ preventScroll: true });
    bar.scrollIntoView({ block: bar.offsetHeight > bar.parentElement.clientHeight ? "start" : "nearest" });
  }
  const chosen = offers.find((offer) => offer.action === draft.action);
  if (form?.found.id === found.id && form.offer.action === chosen?.action && inUse(place)) form.found = found;
  else show(chosen);
  bar.setAttribute("aria-label", t("case.actions"));
  if (offers.length) renew(bar, h("div", { class: "row wrap" }, buttons), place);
  else renew(bar, h("p", { class: "quiet" }, t("case.no_actions")));
  return bar;
}

const words = (offer) => {
  const said = pick(offer);
  return said.charAt(0).toUpperCase() + said.slice(1);
};

async function submit(found, offer, fields, done, reload) {
  const sent = draft;
  try {
    const answer = await post(`/cases/${found.id}/actions`, {
      action: offer.action,
      version: found.version,
      ...fields,
    });
    if (draft === sent) draft = fresh(found.id); // else something else was begun meanwhile
    done(answer);
    toast(t("action.done", { what: words(offer) }));
  } catch (error) {
    if (error.status === 409) reload(); // somebody was faster, or it is not allowed any more: show how it is now
    throw error; // the button shows the reason
  }
}

function formOf(found, offer, send) {
  const fields = offer.needs.filter(knows).map((need) => [need.replace("?", ""), field(found, offer, need)]);
  if (PICTURED.has(offer.action)) fields.push(["attachments", photoField(draft)]);
  const go = working(
    h(
      "button",
      { class: SEVERE.has(offer.action) ? "danger" : "primary", type: "button", id: "action-send" },
      t("action.send", { what: words(offer) }),
    ),
    async () => {
      if (fields.some(([, { check }]) => check && !check())) return;
      const inputs = box.querySelectorAll("input:not([hidden]), select, textarea");
      for (const input of inputs) if (!input.reportValidity()) return;
      const given = fields.map(([name, { read, spread }]) => (spread ? read() : { [name]: read() }));
      await send(Object.assign({}, ...given));
    },
  );
  const box = h(
    "div",
    { class: "column action-form", id: "action-form" },
    fields.map(([, { label, element, group }]) =>
      group
        ? h("div", { class: "field-like", role: "group", "aria-label": label }, h("h3", {}, label), element)
        : h("label", { class: "field" }, label, element),
    ),
    h("div", { class: "row" }, h("span", { class: "grow" }), go),
  );
  keepDraft(box);
  return box;
}

/** Every keystroke is kept in the draft; what was kept is put back, also into lists that come later. */
function keepDraft(box) {
  const ticks = (input) => ["checkbox", "radio"].includes(input.type);
  const key = (input) => (input.type === "radio" ? `${input.name}=${input.value}` : input.name);
  const inputs = () => [...box.querySelectorAll("[name]")];
  const restore = () => {
    for (const input of inputs()) {
      const kept = draft.fields[key(input)];
      if (kept === undefined) continue;
      if (ticks(input)) input.checked = kept;
      else input.value = kept;
    }
    for (const element of box.querySelectorAll("*")) element.dispatchEvent(new Event("restored"));
  };
  const keep = () => {
    for (const input of inputs()) draft.fields[key(input)] = ticks(input) ? input.checked : input.value;
  };
  restore();
  box.addEventListener("filled", restore);
  for (const event of ["input", "change"]) box.addEventListener(event, keep);
}
