// The action bar of a case: one button for each step that the server offers, and a form with exactly what it needs.
import { post } from "./api.js";
import { freshness, terminals } from "./devices.js";
import { h, toast, working } from "./dom.js";
import { ageOf, distanceText, duration, metres } from "./format.js";
import { named, pick, t } from "./i18n.js";
import { state } from "./state.js";

const FORWARD = ["open", "dispatch", "accept", "feedback", "verify", "close"]; // the way to the end: offered first
const SEVERE = new Set(["void"]);
const KNOWN = new Set(["note", "unit", "terminal", "outcome"]); // what this form can ask for
const known = (need) => KNOWN.has(need.replace("?", ""));

// What somebody has begun to write stays when the case changes under it, and goes with the case or once it is done.
let draft = { case: null, action: null, fields: {} };

/** The bar for `detail`; `done(detail)` gets the answer, `reload()` is called after a refusal because of a change. */
export function actionBar(detail, done, reload) {
  const { case: found } = detail;
  const actions = detail.actions.filter(({ needs }) => needs.every((need) => need.endsWith("?") || known(need)));
  if (draft.case !== found.id || !actions.some((offer) => offer.action === draft.action)) {
    draft = { case: found.id, action: null, fields: {} };
  }
  const bar = h("section", { class: "actions card pad", "aria-label": t("case.actions") });
  if (!actions.length) {
    bar.append(h("p", { class: "quiet" }, t("case.no_actions")));
    return bar;
  }
  const order = (offer) => (FORWARD.includes(offer.action) ? 0 : SEVERE.has(offer.action) ? 2 : 1);
  const offers = [...actions].sort((a, b) => order(a) - order(b));
  const place = h("div", {});
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
  const send = (offer, fields) => submit(found, offer, fields, done, reload);
  function choose(offer, button) {
    for (const other of buttons) other.setAttribute("aria-expanded", String(other === button));
    draft = { case: found.id, action: offer.action, fields: {} };
    place.replaceChildren(form(found, offer, send));
    place.querySelector("select, textarea, input, button")?.focus();
  }
  const begun = offers.find((offer) => offer.action === draft.action);
  if (begun) place.append(form(found, begun, send));
  bar.append(h("div", { class: "row wrap" }, buttons), place);
  return bar;
}

const words = (offer) => {
  const said = pick(offer);
  return said.charAt(0).toUpperCase() + said.slice(1);
};

async function submit(found, offer, fields, done, reload) {
  try {
    const answer = await post(`/cases/${found.id}/actions`, {
      action: offer.action,
      version: found.version,
      ...fields,
    });
    draft = { case: found.id, action: null, fields: {} };
    done(answer);
    toast(t("action.done", { what: words(offer) }));
  } catch (error) {
    if (error.status === 409) reload(); // somebody was faster, or it is not allowed any more: show how it is now
    throw error; // the button shows the reason
  }
}

function form(found, offer, send) {
  const inputs = new Map(offer.needs.filter(known).map((need) => [need.replace("?", ""), input(found, need, offer)]));
  const go = working(
    h(
      "button",
      { class: SEVERE.has(offer.action) ? "danger" : "primary", type: "button", id: "action-send" },
      t("action.send", { what: words(offer) }),
    ),
    async () => {
      for (const { element } of inputs.values()) if (!element.reportValidity()) return;
      await send(
        offer,
        Object.fromEntries([...inputs].map(([name, { element }]) => [name, element.value.trim() || null])),
      );
    },
  );
  for (const [name, { element }] of inputs) {
    if (draft.fields[name] !== undefined) element.value = draft.fields[name];
    element.addEventListener("input", () => {
      draft.fields[name] = element.value;
    });
  }
  return h(
    "div",
    { class: "column action-form" },
    [...inputs.values()].map(({ label, element }) => h("label", { class: "field" }, label, element)),
    h("div", { class: "row" }, h("span", { class: "grow" }), go),
  );
}

function input(found, need, offer) {
  if (need === "unit") {
    return {
      label: t("case.unit"),
      element: h(
        "select",
        { name: "unit", required: true },
        h("option", { value: "" }, t("choose")),
        state.site.units
          .filter((unit) => unit.code !== found.unit)
          .map((unit) => h("option", { value: unit.code }, named(unit))),
      ),
    };
  }
  if (need.startsWith("terminal"))
    return { label: t("case.terminal"), element: terminalSelect(found, need.endsWith("?")) };
  if (need === "outcome") {
    return {
      label: t("case.outcome"),
      element: h("textarea", { name: "outcome", required: true, maxlength: 200, placeholder: t("outcome.hint") }),
    };
  }
  const hint = offer.action === "verify" ? t("verify.hint") : offer.action === "void" ? t("void.hint") : "";
  return {
    label: t("note"),
    element: h("textarea", { name: "note", required: !need.endsWith("?"), maxlength: 2000, placeholder: hint }),
  };
}

/** Terminals with a place, nearest first, each with its distance and the age of its fix; silent ones come last. */
export function rankedTerminals(lon, lat) {
  return terminals()
    .filter((device) => state.positions.get(device.code)?.lon != null)
    .map((device) => {
      const p = state.positions.get(device.code);
      return {
        device,
        live: freshness(device) === "live",
        age: ageOf(p.at),
        far: lon === null ? null : metres(lon, lat, p.lon, p.lat),
      };
    })
    .sort((a, b) => b.live - a.live || (a.far ?? 0) - (b.far ?? 0) || a.device.code.localeCompare(b.device.code));
}

function terminalSelect(found, optional) {
  const options = rankedTerminals(found.lon, found.lat).map(({ device, live, age, far }) =>
    h(
      "option",
      { value: device.code },
      [
        named(device),
        t(`role.${["patrol", "police", "boat"].includes(device.role) ? device.role : "other"}`),
        far === null ? null : distanceText(far),
        t(live ? "ago" : "silent_for", { span: duration(age) }),
      ]
        .filter(Boolean)
        .join(" · "),
    ),
  );
  return h(
    "select",
    { name: "terminal", required: !optional },
    h("option", { value: "" }, t(optional ? "dispatch.no_terminal" : "choose")),
    options,
  );
}
