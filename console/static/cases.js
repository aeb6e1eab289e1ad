// The list of cases: filters, what is due when, one click to the case. The server filters; live events keep it true.
import { get, query } from "./api.js";
import { asked, ENDED, filterBar, fits, isOverdue, onlyOverdue } from "./case_filter.js";
import { SUPERVISION } from "./case_facts.js";
import { unitName } from "./devices.js";
import { failure, h, icon, keyed, steady, working } from "./dom.js";
import { timeText } from "./format.js";
import { dueText } from "./due.js";
import { language, pick, t } from "./i18n.js";
import { showCases } from "./map_marks.js";
import { mayReport, newCase } from "./new_case.js";
import { mayDo } from "./roles.js";
import { severityChip } from "./severity.js";
import { emit, on, state } from "./state.js";

const PAGE = 50;
let cases = new Map();
let next = null; // where older ones begin; null: there are none
let known = false; // until it was read once, nothing is said of how many there are
let list, more, controls;
let trouble = null; // why the list could not be read: an empty one would claim that there is nothing
let turn = 0; // the latest asking; an older answer that comes later is not shown

export function startCases(panel) {
  list = h("ol", { class: "cards", id: "case-list" });
  more = working(h("button", { class: "small" }), () => load(true));
  controls = h("div", {});
  panel.replaceChildren(controls, list, h("div", { class: "more" }, more));
  const words = () => {
    controls.replaceChildren(head(), filterBar(load));
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
  onlyOverdue();
  controls.querySelector(".filters")?.replaceWith(filterBar(load));
  load();
}

function head() {
  return h(
    "div",
    { class: "panel-head" },
    h("h2", {}, t("cases")),
    h("span", { class: "grow" }),
    mayDo("ownership") ? h("a", { class: "button small", href: "#/ownership" }, t("unit.none")) : null,
    mayReport()
      ? h("button", { class: "small", id: "new-case", onclick: () => newCase() }, icon("plus"), t("case.new"))
      : null,
  );
}

async function load(older = false) {
  const mine = ++turn;
  list.setAttribute("aria-busy", "true");
  try {
    const page = await get(`/cases${query({ ...asked(), limit: PAGE, before: older === true ? next : null })}`);
    if (mine !== turn) return;
    const before = cases;
    if (older !== true) cases = new Map();
    next = page.next;
    known = true;
    for (const found of page.items) {
      const told = before.get(found.id); // live, while the page was on its way
      remember(told && told.version > found.version ? told : found);
    }
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

/** A case as it now is, told live or answered to an action. */
export function take(found) {
  remember(found);
  emit("numbers");
  renderSoon();
}

const renderSoon = steady(render);

function remember(found) {
  if (found.version < cases.get(found.id)?.version) return; // an answer that was overtaken
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
      h("li", { class: "empty" }, icon("list"), h("p", {}, t(known ? "cases.none" : "loading"))),
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
  more.hidden = next === null;
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
        found.supervision ? h("span", { class: "chip high" }, t(`supervision.${SUPERVISION[found.supervision]}`)) : null,
        h("span", { class: "quiet cut grow" }, unitName(found.unit)),
        ENDED.has(found.status)
          ? h("span", { class: "quiet" }, found.closed_at ? timeText(found.closed_at, false) : "")
          : h("span", { dataset: { due: found.due_at }, class: dueText(found.due_at).cls }, dueText(found.due_at).text),
      ),
    ),
  );
}
