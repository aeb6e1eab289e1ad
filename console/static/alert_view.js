// Which alerts the rail shows. The server is asked by every filter, so that thirteen thousand are sought, not a page.
import { get, query } from "./api.js";
import { oneOf, several, tick } from "./filters.js";
import { h } from "./dom.js";
import { named, t } from "./i18n.js";
import { emit, state } from "./state.js";

const PAGE = 100;
export const LIVE = new Set(["open", "acknowledged"]);

const view = { which: "live", rules: new Set(), severities: new Set(), area: "", grouped: false };
let turn = 0; // the latest asking; an older answer that comes later counts no more
export const members = new Map(); // group → how many the server counted in it

export const viewed = () => ({
  ...view,
  narrowed: Boolean(view.rules.size || view.severities.size || view.area),
});
export const isPlain = () => view.which === "live" && !view.grouped && !viewed().narrowed;

/** What is asked of the server for this view. */
const asked = () => ({
  state: view.which === "all" ? [] : [...LIVE],
  suppressed: { live: false, silenced: true, all: null }[view.which],
  rule: [...view.rules],
  severity: [...view.severities],
  area: view.area,
  grouped: view.grouped || null,
  limit: PAGE,
});

/** Read the view, or more of it; the answer's `next`, undefined when somebody has asked anew meanwhile. */
export async function readView(before = null) {
  const mine = ++turn;
  const page = await get(`/alerts${query({ ...asked(), before })}`);
  if (mine !== turn) return undefined;
  keep(page.items);
  return page.next;
}

/** The others of a group, which a view by groups has left out. */
export async function readGroup(alert) {
  const page = await get(`/alerts${query({ ...asked(), rule: [alert.rule], grouped: null, limit: 200 })}`);
  keep(page.items);
}

function keep(items) {
  for (const alert of items) {
    if (alert.members) members.set(alert.group_id, alert.members);
    state.alerts.set(alert.id, alert);
  }
  emit("alerts", null);
}

export function fits(alert) {
  if (view.which !== "all" && !LIVE.has(alert.state)) return false;
  if (view.which !== "all" && (alert.suppressed !== null) !== (view.which === "silenced")) return false;
  if (alert.merged_into !== null) return false;
  if (view.rules.size && !view.rules.has(alert.rule)) return false;
  if (view.severities.size && !view.severities.has(alert.severity)) return false;
  return !view.area || lineage(alert.area).includes(view.area);
}

function lineage(code) {
  const codes = [];
  for (let at = code; at; at = state.site.areas.find((area) => area.code === at)?.parent) codes.push(at);
  return codes;
}

/** Of each group the newest, where the view is by groups; `open` are the groups that are shown whole. */
export function folded(alerts, open) {
  if (!view.grouped) return alerts;
  const seen = new Set();
  return alerts.filter(({ group_id: group }) => {
    if (group === null || open.has(group)) return true;
    if (seen.has(group)) return false;
    seen.add(group);
    return true;
  });
}

/** The controls; `changed()` after each change. */
export function viewBar(changed) {
  const set = (name) => (value) => {
    view[name] = value;
    changed();
  };
  const which = oneOf(
    t("alerts.which"),
    ["live", "silenced", "all"].map((code) => [code, t(`alerts.${code}`)]),
    view.which,
    set("which"),
  );
  which.id = "alert-filter";
  const areas = [
    ["", t("alerts.any_area")],
    ...state.site.areas.filter((area) => area.level !== "grid").map((area) => [area.code, named(area)]),
  ];
  return h(
    "div",
    { class: "filters" },
    which,
    several(t("alerts.rule"), state.site.rules.map((rule) => [rule.code, named(rule)]), view.rules, changed),
    several(
      t("severity"),
      ["high", "medium", "low"].map((code) => [code, t(`severity.${code}`)]),
      view.severities,
      changed,
    ),
    oneOf(t("area"), areas, view.area, set("area")),
    tick(t("alerts.grouped"), view.grouped, set("grouped")),
  );
}
