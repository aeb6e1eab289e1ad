// Which cases the list shows: what is asked of the server, and whether one told live belongs to it.
import { h } from "./dom.js";
import { several, oneOf, searchBox, tick } from "./filters.js";
import { now } from "./format.js";
import { named, t } from "./i18n.js";
import { categories, categoryName } from "./new_case.js";
import { state } from "./state.js";

export const STATUSES = [
  "reported",
  "opened",
  "dispatched",
  "handling",
  "fed_back",
  "verified",
  "closed",
  "void",
  "merged",
];
export const ENDED = new Set(["closed", "void", "merged"]);
const OPEN = STATUSES.filter((status) => !ENDED.has(status));
const SEVERITIES = ["high", "medium", "low"];

const fresh = () => ({
  status: new Set(OPEN),
  category: new Set(),
  severity: new Set(),
  unit: "",
  supervision: "",
  overdue: false,
  mine: false,
  q: "",
});
const filter = fresh();

/** The overdue ones, whatever was chosen before. */
export const onlyOverdue = () => Object.assign(filter, fresh(), { overdue: true });

/** What the server is asked; `mine` is sorted out here, as it knows no such filter. */
export const asked = () => ({
  status: [...filter.status],
  category: [...filter.category],
  severity: [...filter.severity],
  unit: filter.unit,
  supervision: filter.supervision,
  overdue: filter.overdue ? true : "",
  q: filter.q,
});

export function fits(found) {
  const among = (set, value) => !set.size || set.has(value);
  return (
    among(filter.status, found.status) &&
    among(filter.category, found.category) &&
    among(filter.severity, found.severity) &&
    (!filter.unit || takesPart(found, filter.unit)) &&
    found.supervision >= Number(filter.supervision) &&
    (!filter.overdue || isOverdue(found)) &&
    (!filter.mine || isMine(found)) &&
    says(found, filter.q.toLowerCase())
  );
}

const takesPart = (found, unit) => (found.unit ?? "-") === unit;

function says(found, text) {
  if (!text) return true;
  const number = found.number.toLowerCase();
  const titles = [found.title.zh, found.title.en].map((title) => title.toLowerCase());
  return number.startsWith(text) || number.endsWith(text) || titles.some((title) => title.includes(text));
}

export const isOverdue = (found) => (ENDED.has(found.status) ? found.overdue : Date.parse(found.due_at) < now());

const isMine = (found) =>
  found.owner === state.me.name ||
  (state.me.unit !== null && (found.unit === state.me.unit || found.parts.some(({ unit }) => unit === state.me.unit)));

/** The controls; `load()` is called after each change. */
export function filterBar(load) {
  const set = (name) => (value) => {
    filter[name] = value;
    load();
  };
  const units = [
    ["", t("cases.any_unit")],
    ["-", t("unit.none")],
    ...state.site.units.map((unit) => [unit.code, named(unit)]),
  ];
  const supervision = [
    ["", t("supervision.any")],
    ["1", t("supervision.urged")],
    ["2", t("supervision.letter")],
    ["3", t("supervision.second")],
  ];
  return h(
    "div",
    { class: "filters" },
    h("div", { class: "wide" }, searchBox(t("cases.find"), filter.q, set("q"))),
    several(
      t("case.status"),
      STATUSES.map((status) => [status, t(`case.status.${status}`)]),
      filter.status,
      load,
      [
        [t("cases.open"), OPEN],
        [t("cases.all"), []],
      ],
    ),
    several(t("case.kind"), categories().map((code) => [code, categoryName(code)]), filter.category, load),
    several(t("severity"), SEVERITIES.map((code) => [code, t(`severity.${code}`)]), filter.severity, load),
    oneOf(t("supervision"), supervision, filter.supervision, set("supervision")),
    oneOf(t("case.unit"), units, filter.unit, set("unit")),
    h(
      "div",
      { class: "row wrap" },
      tick(t("cases.overdue"), filter.overdue, set("overdue")),
      tick(t("cases.mine"), filter.mine, set("mine")),
    ),
  );
}
