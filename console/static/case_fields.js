// What an action of a case can ask for: one input for each field that the server names in `needs`.
// A field is {label, element, read()}: `read` gives what is sent, undefined to leave it out.
import { candidateList, similarList } from "./case_choices.js";
import { h } from "./dom.js";
import { named, t } from "./i18n.js";
import { state } from "./state.js";

const NOTE_HINTS = {
  verify: "verify.hint",
  void: "void.hint",
  whistle: "whistle.hint",
  explain_overdue: "overdue.hint",
  ask_extension: "extension.hint",
  part_done: "part.hint",
  decide_owner: "decide.hint",
};
const SPANS = ["4h", "1wd", "2wd", "3wd", "5wd", "10wd"]; // hours, and working days by the calendar

const text = (element) => element.value.trim() || undefined;

export const FIELDS = {
  note: (found, offer, optional) => {
    const hint = NOTE_HINTS[offer.action];
    const element = h("textarea", {
      name: "note",
      required: !optional,
      maxlength: 2000,
      placeholder: hint ? t(hint) : "",
    });
    return { label: t("note"), element, read: () => text(element) };
  },
  outcome: (found, offer, optional) => {
    const element = h("textarea", {
      name: "outcome",
      required: !optional,
      maxlength: 200,
      placeholder: t("outcome.hint"),
    });
    return { label: t("case.outcome"), element, read: () => text(element) };
  },
  unit: (found, offer) => {
    const calledBack = offer.action === "withdraw_part";
    const waiting = new Set(found.parts.filter((part) => part.done_at === null).map((part) => part.unit));
    const units = state.site.units.filter(({ code }) => (calledBack ? waiting.has(code) : code !== found.unit));
    const element = select("unit", units.map((unit) => [unit.code, named(unit)]), true);
    return { label: t("case.unit"), element, read: () => text(element) };
  },
  resolution: (found, offer, optional) => {
    const element = select(
      "resolution",
      ["on_spot", "followed_up"].map((code) => [code, t(`resolution.${code}`)]),
      !optional,
    );
    return { label: t("resolution"), element, read: () => text(element) };
  },
  until: (found, offer, optional) => untilField(offer, optional),
  units: (found) => unitsField(found),
  participants: () => participantsField(),
  terminal: (found, offer, optional) => {
    const { element, read } = candidateList(found, optional);
    return { label: t("case.terminal"), element, read, group: true };
  },
  into: (found) => {
    const { element, read } = similarList(found);
    return { label: t("merge.into"), element, read, group: true };
  },
};

export const knows = (need) => need.replace("?", "") in FIELDS;

/** The field for `need`, such as "note" or "until?". */
export const field = (found, offer, need) => FIELDS[need.replace("?", "")](found, offer, need.endsWith("?"));

export function select(name, options, required = false, first = t("choose")) {
  return h(
    "select",
    { name, required },
    h("option", { value: "" }, first),
    options.map(([value, words]) => h("option", { value }, words)),
  );
}

/** A new deadline: a stretch of working time, or a moment by the site's clock. */
function untilField(offer, optional) {
  const span = select(
    "until_span",
    [...SPANS.map((code) => [code, spanWords(code)]), ["at", t("until.at")]],
    !optional,
    optional ? t(offer.action === "grant_extension" ? "until.as_asked" : "until.usual") : t("choose"),
  );
  const moment = h("input", { type: "datetime-local", name: "until_at", "aria-label": t("until.moment") });
  const follow = () => {
    moment.hidden = span.value !== "at";
    moment.required = !moment.hidden;
  };
  span.addEventListener("change", follow);
  const element = h("div", { class: "row" }, span, moment);
  element.addEventListener("restored", follow);
  follow();
  return {
    label: t("until"),
    element,
    group: true,
    read: () => (span.value === "at" ? `${moment.value}:00+08:00` : span.value || undefined),
  };
}

function spanWords(code) {
  const [, n, unit] = /^(\d+)(\w+)$/.exec(code);
  return t(unit === "wd" ? "until.days" : "until.hours", { n });
}

/** Units to whistle for: each with a tick and, once ticked, what it is to do. */
function unitsField(found) {
  const called = new Set(found.parts.filter((part) => part.done_at === null).map((part) => part.unit));
  const rows = state.site.units
    .filter(({ code }) => code !== found.unit && !called.has(code))
    .map((unit) => {
      const tick = h("input", { type: "checkbox", name: `units.${unit.code}` });
      const task = h("input", {
        name: `task.${unit.code}`,
        maxlength: 2000,
        hidden: true,
        "aria-label": t("whistle.task_of", { who: named(unit) }),
        placeholder: t("whistle.task"),
      });
      const follow = () => {
        task.hidden = !tick.checked;
      };
      tick.addEventListener("change", follow);
      const row = h("li", {}, h("label", { class: "check" }, tick, named(unit)), task);
      row.addEventListener("restored", follow);
      return { code: unit.code, tick, task, row };
    });
  const element = h("ul", { class: "choices" }, rows.map(({ row }) => row));
  return {
    label: t("whistle.units"),
    element,
    group: true,
    check: () => {
      const first = rows[0]?.tick;
      first?.setCustomValidity(rows.some(({ tick }) => tick.checked) ? "" : t("whistle.choose"));
      return first?.reportValidity() ?? false;
    },
    spread: true,
    read: () => {
      const chosen = rows.filter(({ tick }) => tick.checked);
      const tasks = Object.fromEntries(
        chosen.filter(({ task }) => task.value.trim()).map(({ code, task }) => [code, task.value.trim()]),
      );
      return { units: chosen.map(({ code }) => code), ...(Object.keys(tasks).length ? { tasks } : {}) };
    },
  };
}

/** Who decided together: units by a tick, others by name. */
export function participantsField() {
  const ticks = state.site.units.map((unit) => ({
    code: unit.code,
    box: h("input", { type: "checkbox", name: `participants.${unit.code}` }),
    words: named(unit),
  }));
  const others = h("input", { name: "participants_others", maxlength: 800, placeholder: t("decide.others") });
  others.setAttribute("aria-label", t("decide.others"));
  const read = () => [
    ...ticks.filter(({ box }) => box.checked).map(({ code }) => code),
    ...others.value
      .split(/[,，、;；]/)
      .map((name) => name.trim())
      .filter(Boolean),
  ];
  const element = h(
    "div",
    { class: "column" },
    h("ul", { class: "choices" }, ticks.map(({ box, words }) => h("li", {}, h("label", { class: "check" }, box, words)))),
    others,
  );
  const check = () => {
    others.setCustomValidity(read().length < 2 ? t("decide.two") : "");
    return others.reportValidity();
  };
  element.addEventListener("input", () => others.setCustomValidity(""));
  return { label: t("decide.participants"), element, group: true, read, check };
}
