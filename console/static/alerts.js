// The rail of alerts: newest first, arriving ones lit and sounded, one click to the place, the evidence, the case.
import { alertCard } from "./alert_card.js";
import { fits, folded, isPlain, readGroup, readView, viewBar, viewed } from "./alert_view.js";
import { get, post } from "./api.js";
import { loadAlerts, takeAlert } from "./data.js";
import { drawEvidence, evidencePlaces } from "./evidence.js";
import { failure, h, icon, keyed, steady, toast, working } from "./dom.js";
import { language, pick, t } from "./i18n.js";
import { flyTo, flyToAll } from "./map.js";
import { mayDo } from "./roles.js";
import { tone } from "./sound.js";
import { emit, on, select, state } from "./state.js";

const NEW_FOR = 8_000; // ms for which an arriving alert stays lit

const evidence = new Map(); // id → {detail} or {error}, of the alert that is open in the rail
const arrived = new Map(); // id → page time until which it is lit
const openGroups = new Set(); // shown whole in a view by groups
let picked = null; // ids that are ticked; null: nothing is being picked
let next = null; // where older ones of this view begin
let viewError = null;
let list = null;
let more = null;
let controls = null;
let trouble = null; // why the list could not be read

/** Build the rail inside `panel`. */
export function startAlerts(panel) {
  list = h("ol", { class: "cards", id: "alert-list" });
  more = working(h("button", { class: "small" }), async () => {
    next = (await readView(next)) ?? next;
    render();
  });
  controls = h("div", {});
  trouble = h("div", { class: "trouble" });
  panel.replaceChildren(controls, trouble, list, h("div", { class: "more" }, more));
  const words = () => {
    controls.replaceChildren(head(), viewBar(look));
    more.textContent = t("older");
    render();
  };
  for (const event of ["language", "site"]) on(event, words);
  on("numbers", renderSoon);
  on("reloaded", () => {
    if (!isPlain()) look();
  });
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

function head() {
  return h(
    "div",
    { class: "panel-head" },
    h("h2", {}, t("alerts")),
    h("span", { class: "grow" }),
    mayDo("silences") ? h("a", { class: "button small", href: "#/silences" }, t("silences.of_alerts")) : null,
    mayDo("acknowledge")
      ? h(
          "button",
          { class: "small", id: "alert-pick", "aria-pressed": String(picked !== null), onclick: togglePicking },
          icon("check"),
          t("alerts.pick"),
        )
      : null,
  );
}

function togglePicking() {
  picked = picked === null ? new Set() : null;
  controls.querySelector("#alert-pick").setAttribute("aria-pressed", String(picked !== null));
  render();
}

/** The view has changed: ask for it. */
async function look() {
  next = null;
  viewError = null;
  list.setAttribute("aria-busy", "true");
  render();
  try {
    const found = await readView();
    if (found !== undefined) next = found;
  } catch (error) {
    if (error.zh === undefined) throw error;
    viewError = error;
  }
  list.removeAttribute("aria-busy");
  render();
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

const shownAlerts = () =>
  folded(
    [...state.alerts.values()]
      .filter(fits)
      .sort((a, b) => Date.parse(b.raised_at) - Date.parse(a.raised_at) || b.id - a.id),
    openGroups,
  );

function render() {
  const error = state.alertsError ?? viewError;
  const shown = shownAlerts();
  trouble.replaceChildren(
    error ? failure(error, state.alertsError ? loadAlerts : look) : picked === null ? "" : pickBar(shown),
  );
  if (!state.alertsKnown) {
    list.replaceChildren(state.alertsError ? "" : h("li", { class: "empty" }, t("loading")));
  } else if (shown.length === 0) {
    const { which, narrowed } = viewed();
    const words = narrowed ? "alerts.none_such" : { live: "alerts.none_live", silenced: "alerts.none_silenced" }[which];
    list.replaceChildren(h("li", { class: "empty" }, icon("check"), h("p", {}, t(words ?? "alerts.none"))));
  } else {
    list.querySelector(":scope > .empty")?.remove();
    keyed(list, shown, (a) => a.id, signature, card);
  }
  more.hidden = isPlain() || next === null;
}

/** How many are ticked, all at once, and taking them over. */
function pickBar(shown) {
  const open = shown.filter((alert) => alert.state === "open");
  return h(
    "div",
    { class: "note row wrap", id: "pick-bar" },
    h("span", { class: "grow" }, t("alerts.picked", { n: picked.size })),
    h(
      "button",
      {
        class: "small",
        onclick: () => {
          for (const alert of open) picked.add(alert.id);
          render();
        },
      },
      t("alerts.pick_all", { n: open.length }),
    ),
    working(h("button", { class: "small primary", id: "pick-send" }, icon("check"), t("acknowledge")), acknowledgePicked),
  );
}

async function acknowledgePicked() {
  const ids = [...picked].slice(0, 500); // as many as the server takes at once
  if (!ids.length) return;
  const { done, refused } = await post("/alerts/acknowledge", { ids });
  for (const alert of done) takeAlert(alert);
  for (const id of ids) picked.delete(id);
  toast(t("alerts.acknowledged_n", { n: done.length }));
  if (refused.length) toast(t("alerts.refused_n", { n: refused.length, why: pick(refused[0].error) }), true);
  if (!picked.size) togglePicking();
  render();
}

const signature = (alert) =>
  JSON.stringify([
    alert,
    state.numbers.get(alert.case_id),
    language(),
    arrived.has(alert.id),
    isChosen(alert),
    isChosen(alert) ? (evidence.get(alert.id) ?? null) : null,
    picked && [picked.has(alert.id)],
    groupOf(alert),
  ]);
const isChosen = (alert) => state.selection?.kind === "alert" && state.selection.id === alert.id;

/** Whether its group is open; null where there is no group to open. */
const groupOf = (alert) =>
  viewed().grouped && alert.group_id !== null && (alert.members ?? 0) > 1 ? openGroups.has(alert.group_id) : null;

const card = (alert) =>
  alertCard(
    alert,
    {
      chosen: isChosen(alert),
      lit: arrived.has(alert.id),
      known: evidence.get(alert.id),
      picked: picked === null ? null : picked.has(alert.id),
      grouped: groupOf(alert),
    },
    {
      open: () => (isChosen(alert) && !evidence.get(alert.id)?.error ? select(null) : openAlert(alert.id)),
      pick: (ticked) => {
        if (ticked) picked.add(alert.id);
        else picked.delete(alert.id);
        render();
      },
      group: () => toggleGroup(alert),
    },
  );

async function toggleGroup(alert) {
  if (openGroups.delete(alert.group_id)) {
    render();
    return;
  }
  openGroups.add(alert.group_id);
  await readGroup(alert);
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
