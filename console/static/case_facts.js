// What is known of a case at a glance: its facts, how it stands with supervision and deadline, and its units' parts.
import { isOverdue } from "./case_filter.js";
import { deviceName, unitName } from "./devices.js";
import { dueText } from "./due.js";
import { h, icon } from "./dom.js";
import { placeText, timeText } from "./format.js";
import { named, t } from "./i18n.js";
import { categoryName } from "./new_case.js";
import { areaOf, state } from "./state.js";

export const SUPERVISION = ["none", "urged", "letter", "second"]; // by the number that the server gives

/** Chips that must be seen before anything is decided. */
export function standing(found) {
  const chips = [
    found.supervision ? h("span", { class: "chip high" }, t(`supervision.${SUPERVISION[found.supervision]}`)) : null,
    found.extension_asked
      ? h("span", { class: "chip medium" }, t("case.extension_until", { at: timeText(found.extension_asked, false) }))
      : null,
    found.reopened ? h("span", { class: "chip medium" }, t("case.reopened_n", { n: found.reopened })) : null,
    found.unit === null ? h("span", { class: "chip medium" }, t("unit.none")) : null,
    found.merged_into === null
      ? null
      : h(
          "a",
          { href: `#/case/${found.merged_into}` },
          t("case.merged_into", { n: state.numbers.get(found.merged_into) ?? `#${found.merged_into}` }),
        ),
  ].filter(Boolean);
  return chips.length ? h("div", { class: "row wrap", id: "case-standing" }, chips) : null;
}

/** `way` is the node that is kept true with the distance still to go; `follow(code)` shows a terminal. */
export function facts(found, way, follow) {
  const ended = found.closed_at !== null;
  const rows = [
    [t("case.due"), dueFact(found, ended)],
    found.overdue_reason ? [t("case.overdue_reason"), found.overdue_reason] : null,
    [t("case.unit"), unitName(found.unit)],
    [t("case.terminal"), terminalFact(found, follow)],
    found.terminal && found.lon !== null ? [t("case.way"), way] : null,
    [t("case.kind"), categoryName(found.category)],
    [t("case.origin"), t(`origin.${found.origin}`)],
    [t("case.opened"), timeText(found.opened_at)],
    ended ? [t("case.closed_at"), timeText(found.closed_at)] : null,
    found.resolution ? [t("resolution"), t(`resolution.${found.resolution}`)] : null,
    found.outcome ? [t("case.outcome"), found.outcome] : null,
    [t("place"), placeFact(found)],
    found.owner ? [t("case.owner"), found.owner] : null,
  ].filter(Boolean);
  return h(
    "dl",
    { class: "facts card pad" },
    rows.map(([name, value]) => [h("dt", {}, name), value instanceof Element && value.matches("dd") ? value : h("dd", {}, value)]),
  );
}

function dueFact(found, ended) {
  const late = isOverdue(found);
  const due = dueText(found.due_at);
  return [
    timeText(found.due_at, false),
    " · ",
    ended
      ? h("span", { class: late ? "late" : "quiet" }, t(late ? "case.was_late" : "case.in_time"))
      : h("span", { class: due.cls, dataset: { due: found.due_at } }, due.text),
  ];
}

const terminalFact = (found, follow) =>
  found.terminal
    ? h(
        "button",
        { class: "bare small inline", onclick: () => follow(found.terminal) },
        icon("radio"),
        deviceName(found.terminal),
      )
    : t("case.no_terminal");

const placeFact = (found) => [
  named(areaOf(found.area)) || t("place.none"),
  found.lon === null ? "" : h("span", { class: "quiet" }, ` · ${placeText(found.lon, found.lat)}`),
];

/** The units that were whistled for: what each is to do and how far it is. Null where none was. */
export function parts(found) {
  if (!found.parts.length) return null;
  return h(
    "section",
    { id: "case-parts" },
    h("h3", {}, t("case.parts")),
    h("ul", { class: "column" }, found.parts.map(partRow)),
  );
}

function partRow(part) {
  const stage = part.withdrawn ? "withdrawn" : part.done_at ? "done" : part.checked_in_at ? "there" : "called";
  const at = part.done_at ?? part.checked_in_at ?? part.called_at;
  return h(
    "li",
    { class: "note", dataset: { unit: part.unit, stage } },
    h(
      "div",
      { class: "row wrap" },
      h("span", { class: "strong" }, unitName(part.unit)),
      h("span", { class: `chip ${{ done: "good", called: "medium" }[stage] ?? ""}` }, t(`part.${stage}`)),
      h("span", { class: "grow" }),
      h("time", { class: "quiet", datetime: at }, timeText(at)),
    ),
    part.task ? h("p", {}, part.task) : null,
    part.done_note ? h("p", { class: "quiet" }, part.done_note) : null,
  );
}
