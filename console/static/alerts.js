// The rail of alerts: newest first, arriving ones lit and sounded, one click to the place, the evidence, the case.
import { get, post } from "./api.js";
import { loadAlerts, loadOlderAlerts, takeAlert } from "./data.js";
import { drawEvidence, evidencePlaces, numbersOf } from "./evidence.js";
import { failure, h, icon, keyed, steady, toast, working } from "./dom.js";
import { ago, timeText } from "./format.js";
import { language, named, pick, t } from "./i18n.js";
import { flyTo, flyToAll } from "./map.js";
import { severityChip } from "./severity.js";
import { tone } from "./sound.js";
import { areaOf, emit, on, ruleOf, select, state, zoneOf } from "./state.js";

const LIVE = new Set(["open", "acknowledged"]);
const NEW_FOR = 8_000; // ms for which an arriving alert stays lit

const evidence = new Map(); // id → {detail} or {error}, of the alert that is open in the rail
const arrived = new Map(); // id → page time until which it is lit
let onlyLive = true;
let list = null;
let more = null;
let trouble = null; // why the list could not be read

export const placeName = (alert) => named(zoneOf(alert.zone)) || named(areaOf(alert.area)) || t("place.none");

/** Build the rail inside `panel`. */
export function startAlerts(panel) {
  list = h("ol", { class: "cards", id: "alert-list" });
  more = working(h("button", { class: "small" }), loadOlderAlerts);
  const filter = h("select", {
    class: "narrow",
    id: "alert-filter",
    onchange: () => {
      onlyLive = filter.value === "live";
      render();
    },
  });
  const head = h(
    "div",
    { class: "panel-head" },
    h("h2", { dataset: { t: "alerts" } }),
    h("span", { class: "grow" }),
    filter,
  );
  trouble = h("div", { class: "trouble" });
  panel.replaceChildren(head, trouble, list, h("div", { class: "more" }, more));
  const words = () => {
    head.querySelector("h2").textContent = t("alerts");
    filter.setAttribute("aria-label", t("alerts.which"));
    filter.replaceChildren(
      h("option", { value: "live" }, t("alerts.live")),
      h("option", { value: "all" }, t("alerts.all")),
    );
    filter.value = onlyLive ? "live" : "all";
    more.textContent = t("older");
    render();
  };
  on("language", words);
  on("numbers", renderSoon);
  on("alerts", (fresh) => {
    if (fresh) welcome(fresh);
    renderSoon();
  });
  on("selection", (selection) => {
    if (selection?.kind !== "alert") drawEvidence(null);
    render();
  });
  words();
}

/** An alert that just arrived: lit, sounded when it is grave, and told aside when the rail is out of sight. */
function welcome(alert) {
  if (alert.state !== "open" || alert.historical || alert.suppressed) return;
  arrived.set(alert.id, performance.now() + NEW_FOR);
  setTimeout(() => {
    arrived.delete(alert.id);
    renderSoon();
  }, NEW_FOR);
  const spoken = `${t(`severity.${alert.severity}`)}: ${pick(alert.sentence)}`;
  document.getElementById("announce").textContent = spoken; // for those who do not see it
  if (alert.severity === "high") tone();
  if (list.offsetParent === null) {
    toast(
      pick(alert.sentence),
      alert.severity === "high",
      h("button", { class: "small", onclick: () => openAlert(alert.id) }, t("alert.show")),
    );
  }
}

const renderSoon = steady(render);

function render() {
  trouble.replaceChildren(state.alertsError ? failure(state.alertsError, loadAlerts) : "");
  const shown = [...state.alerts.values()]
    .filter((a) => !onlyLive || (LIVE.has(a.state) && !a.suppressed))
    .sort((a, b) => Date.parse(b.raised_at) - Date.parse(a.raised_at) || b.id - a.id);
  if (!state.alertsKnown) {
    list.replaceChildren(state.alertsError ? "" : h("li", { class: "empty" }, t("loading")));
  } else if (shown.length === 0) {
    list.replaceChildren(
      h("li", { class: "empty" }, icon("check"), h("p", {}, t(onlyLive ? "alerts.none_live" : "alerts.none"))),
    );
  } else {
    list.querySelector(":scope > .empty")?.remove();
    keyed(list, shown, (a) => a.id, signature, card);
  }
  more.hidden = onlyLive || !state.nextAlerts;
}

const signature = (alert) =>
  JSON.stringify([
    alert,
    state.numbers.get(alert.case_id),
    language(),
    arrived.has(alert.id),
    isChosen(alert),
    isChosen(alert) ? (evidence.get(alert.id) ?? null) : null,
  ]);
const isChosen = (alert) => state.selection?.kind === "alert" && state.selection.id === alert.id;

function card(alert) {
  const rule = ruleOf(alert.rule);
  const chosen = isChosen(alert);
  const lit = arrived.has(alert.id);
  const opens = h(
    "button",
    {
      class: "bare card-open",
      "aria-expanded": String(chosen),
      dataset: { focus: "open" },
      onclick: () => (chosen ? select(null) : openAlert(alert.id)),
    },
    pick(alert.sentence),
  );
  return h(
    "li",
    {
      class: ["alert-card", alert.severity, lit && "lit", chosen && "chosen", !LIVE.has(alert.state) && "over"]
        .filter(Boolean)
        .join(" "),
      dataset: { alert: alert.id },
    },
    h(
      "div",
      { class: "row" },
      severityChip(alert.severity),
      h("span", { class: "strong cut grow" }, rule ? named(rule) : alert.rule),
      h(
        "time",
        {
          class: "quiet",
          datetime: alert.raised_at,
          dataset: { age: alert.raised_at },
          title: timeText(alert.raised_at),
        },
        ago(alert.raised_at),
      ),
    ),
    opens,
    h(
      "div",
      { class: "row wrap quiet" },
      h("span", { class: "row tight" }, icon("pin"), placeName(alert)),
      h("span", {}, stateText(alert)),
      alert.historical ? h("span", { class: "chip" }, t("alert.historical")) : null,
    ),
    chosen ? detail(alert) : null,
    h("div", { class: "row" }, caseLink(alert), h("span", { class: "grow" }), acknowledgeButton(alert)),
  );
}

function stateText(alert) {
  const words = t(`alert.state.${alert.state}`);
  return alert.state === "acknowledged" && alert.acked_by ? t("alert.acked_by", { who: alert.acked_by }) : words;
}

function caseLink(alert) {
  if (alert.case_id === null) return h("span", { class: "quiet" }, t("alert.no_case"));
  return h(
    "a",
    { href: `#/case/${alert.case_id}`, class: "case-link", dataset: { focus: "case" } },
    state.numbers.get(alert.case_id) ?? t("case.n", { n: alert.case_id }),
  );
}

function acknowledgeButton(alert) {
  if (alert.state !== "open" || state.me.role === "viewer") return null;
  return working(
    h("button", { class: "small acknowledge", dataset: { focus: "ack" } }, icon("check"), t("acknowledge")),
    async () => {
      takeAlert(await post(`/alerts/${alert.id}/acknowledge`));
    },
  );
}

function detail(alert) {
  const known = evidence.get(alert.id);
  if (!known) return h("p", { class: "quiet" }, t("loading"));
  if (known.error) return failure(known.error, () => openAlert(alert.id));
  const facts = [
    [t("alert.first_seen"), timeText(alert.first_seen)],
    [t("alert.last_seen"), timeText(alert.last_seen)],
    [t("alert.count"), String(alert.count)],
    [t("alert.score"), `${Math.round(alert.score * 100)} %`],
    ...(known.detail.evidence ? numbersOf(known.detail.evidence) : [[t("evidence"), t("evidence.hidden")]]),
  ];
  return h(
    "div",
    { class: "evidence" },
    h(
      "dl",
      { class: "facts" },
      facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    ),
    voidForm(alert),
  );
}

function voidForm(alert) {
  if (!LIVE.has(alert.state) || !["operator", "supervisor", "admin"].includes(state.me.role)) return null;
  const note = h("input", {
    required: true,
    maxlength: 2000,
    "aria-label": t("alert.void_why"),
    placeholder: t("alert.void_why"),
  });
  const send = working(h("button", { class: "small danger" }, t("alert.void")), async () => {
    if (!note.reportValidity()) return;
    takeAlert(await post(`/alerts/${alert.id}/void`, { note: note.value.trim() }));
    toast(t("alert.voided"));
  });
  return h("details", { class: "void" }, h("summary", {}, t("alert.is_false")), h("div", { class: "row" }, note, send));
}

/** Choose an alert: fly to it, read its evidence, draw it. */
export async function openAlert(id) {
  select("alert", id);
  emit("show", "alerts");
  const alert = state.alerts.get(id);
  if (alert && alert.lon !== null) flyTo(alert.lon, alert.lat);
  scrollTo(id);
  try {
    const found = await get(`/alerts/${id}`);
    evidence.set(id, { detail: found });
    if (isChosen(found)) {
      drawEvidence(found.evidence);
      const places = evidencePlaces(found.evidence);
      if (places.length > 1) flyToAll(places, 16);
    }
  } catch (error) {
    if (error.zh === undefined) throw error;
    evidence.set(id, { error });
  }
  render();
}

function scrollTo(id) {
  list.querySelector(`[data-alert="${id}"]`)?.scrollIntoView({ block: "nearest" });
}
