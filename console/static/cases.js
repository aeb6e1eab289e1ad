// The list of cases: filters, what is due when, one click to the case. The server filters; live events keep it true.
import { get, query } from "./api.js";
import { unitName } from "./devices.js";
import { failure, h, icon, keyed, steady, working } from "./dom.js";
import { now, timeText } from "./format.js";
import { dueText } from "./due.js";
import { language, named, pick, t } from "./i18n.js";
import { showCases } from "./map_marks.js";
import { mayReport, newCase } from "./new_case.js";
import { severityChip } from "./severity.js";
import { emit, on, state } from "./state.js";

const PAGE = 50;
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
const ENDED = new Set(["closed", "void", "merged"]);

const filter = { status: "open", unit: "", overdue: false, mine: false };
let cases = new Map();
let next = null; // status asked for → where its older ones begin; null: nothing was read yet
let list, more, controls;
let trouble = null; // why the list could not be read: an empty one would claim that there is nothing
let turn = 0; // the latest asking; an older answer that comes later is not shown

export function startCases(panel) {
  list = h("ol", { class: "cards", id: "case-list" });
  more = working(h("button", { class: "small" }), () => load(true));
  controls = h("div", {});
  panel.replaceChildren(controls, list, h("div", { class: "more" }, more));
  const words = () => {
    controls.replaceChildren(head(), filters());
    more.textContent = t("older");
    render();
  };
  for (const event of ["language", "site"]) on(event, words);
  on("case", take);
  on("reloaded", () => load());
  on("minute", renderSoon); // a case becomes overdue by the clock alone
  words();
  load();
}

/** Show the overdue ones, whatever was chosen before. */
export function showOverdue() {
  Object.assign(filter, { status: "open", unit: "", overdue: true, mine: false });
  controls.querySelector(".filters")?.replaceWith(filters());
  load();
}

function head() {
  return h(
    "div",
    { class: "panel-head" },
    h("h2", {}, t("cases")),
    h("span", { class: "grow" }),
    mayReport()
      ? h("button", { class: "small", id: "new-case", onclick: () => newCase() }, icon("plus"), t("case.new"))
      : null,
  );
}

function filters() {
  const status = h(
    "select",
    { "aria-label": t("case.status") },
    h("option", { value: "open" }, t("cases.open")),
    STATUSES.map((s) => h("option", { value: s }, t(`case.status.${s}`))),
    h("option", { value: "" }, t("cases.all")),
  );
  const unit = h(
    "select",
    { "aria-label": t("case.unit") },
    h("option", { value: "" }, t("cases.any_unit")),
    h("option", { value: "-" }, t("unit.none")),
    state.site.units.map((u) => h("option", { value: u.code }, named(u))),
  );
  const tick = (name) =>
    h(
      "label",
      { class: "check" },
      h("input", {
        type: "checkbox",
        checked: filter[name],
        onchange: (event) => {
          filter[name] = event.target.checked;
          load();
        },
      }),
      t(`cases.${name}`),
    );
  status.value = filter.status;
  unit.value = filter.unit;
  status.addEventListener("change", () => {
    filter.status = status.value;
    load();
  });
  unit.addEventListener("change", () => {
    filter.unit = unit.value;
    load();
  });
  return h("div", { class: "filters" }, status, unit, tick("overdue"), tick("mine"));
}

/** The server filters by one status at a time; those not finished are six, and a page of each is read at once. */
const statusesAsked = () => (filter.status === "open" ? STATUSES.filter((s) => !ENDED.has(s)) : [filter.status]);

async function load(older = false) {
  const mine = ++turn;
  const asked = older ? [...next.keys()] : statusesAsked();
  list.setAttribute("aria-busy", "true");
  try {
    const pages = await Promise.all(
      asked.map((status) =>
        get(
          `/cases${query({
            status,
            unit: filter.unit,
            overdue: filter.overdue ? true : "",
            limit: PAGE,
            before: older ? next.get(status) : null,
          })}`,
        ),
      ),
    );
    if (mine !== turn) return;
    if (!older) cases = new Map();
    next = new Map(pages.map((page, n) => [asked[n], page.next]).filter(([, before]) => before !== null));
    for (const found of pages.flatMap((page) => page.items)) remember(found);
    trouble = null;
    emit("numbers");
    render();
  } catch (error) {
    if (error.zh === undefined) throw error;
    if (mine !== turn) return;
    trouble = error;
    render();
  } finally {
    if (mine === turn) list.removeAttribute("aria-busy");
  }
}

function fits(found) {
  return (
    (filter.status === "" || (filter.status === "open" ? !ENDED.has(found.status) : found.status === filter.status)) &&
    (!filter.unit || (found.unit ?? "-") === filter.unit) &&
    (!filter.overdue || isOverdue(found)) &&
    (!filter.mine || isMine(found))
  );
}

export const isOverdue = (found) => (ENDED.has(found.status) ? found.overdue : Date.parse(found.due_at) < now());
const isMine = (found) => found.owner === state.me.name || (state.me.unit !== null && found.unit === state.me.unit);

/** A case as it now is, told live or answered to an action. */
export function take(found) {
  remember(found);
  emit("numbers");
  renderSoon();
}

const renderSoon = steady(render);

function remember(found) {
  cases.set(found.id, found);
  state.numbers.set(found.id, found.number);
  state.categories.add(found.category);
}

function render() {
  const shown = [...cases.values()].filter(fits).sort((a, b) => b.id - a.id);
  if (trouble) {
    list.replaceChildren(
      h(
        "li",
        {},
        failure(trouble, () => load()),
      ),
    );
  } else if (shown.length === 0) {
    list.replaceChildren(
      h("li", { class: "empty" }, icon("list"), h("p", {}, t(next === null ? "loading" : "cases.none"))),
    );
  } else {
    for (const stray of list.querySelectorAll(":scope > :not([data-key])")) stray.remove();
    keyed(
      list,
      shown,
      (c) => c.id,
      (c) => JSON.stringify([c, language(), isOverdue(c)]),
      card,
    );
  }
  more.hidden = !next?.size;
  showCases([...cases.values()]);
}

function card(found) {
  return h(
    "li",
    { class: `case-card ${found.severity}${ENDED.has(found.status) ? " over" : ""}` },
    h(
      "a",
      { href: `#/case/${found.id}`, class: "card-link", dataset: { focus: "open" } },
      h(
        "div",
        { class: "row" },
        h("span", { class: "quiet number-text" }, found.number),
        h("span", { class: "grow" }),
        severityChip(found.severity),
      ),
      h("p", { class: "title" }, pick(found.title)),
      h(
        "div",
        { class: "row" },
        h("span", { class: "chip" }, t(`case.status.${found.status}`)),
        h("span", { class: "quiet cut grow" }, unitName(found.unit)),
        ENDED.has(found.status)
          ? h("span", { class: "quiet" }, found.closed_at ? timeText(found.closed_at, false) : "")
          : h("span", { dataset: { due: found.due_at }, class: dueText(found.due_at).cls }, dueText(found.due_at).text),
      ),
    ),
  );
}
