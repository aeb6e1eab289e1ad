// Backtests: a rule with other thresholds over a stretch of history, beside the rule as it is.
import { get, post, query } from "./api.js";
import { backtestResult, leaveResult } from "./backtest_result.js";
import { labelled, loaded, localMoment, momentOf, nothing, older } from "./desk_parts.js";
import { failure, h, toast, working } from "./dom.js";
import { now, timeText } from "./format.js";
import { named, pick, t } from "./i18n.js";
import { ruleOf } from "./state.js";

const POLL = 1_500; // ms between two looks at one that runs
const HOUR = 3_600_000;
const STRETCHES = [24, 168, 720]; // hours

let timer = null;
let shownId = null; // of the one that is looked at
let last = null; // what was read of it, to know when there is something new

export const backtests = {
  title: "backtests",
  who: "backtests",
  beside: true,
  show(home, id) {
    const wanted = /^\d+$/.test(id) ? Number(id) : null;
    stop(wanted !== null && wanted === shownId);
    shownId = wanted;
    if (shownId === null) showForm(home);
    else follow(home, shownId);
  },
  leave() {
    stop(false);
    shownId = null;
  },
};

function stop(again) {
  clearTimeout(timer);
  last = null;
  leaveResult(again);
}

// ── Asking ──
function showForm(home) {
  const form = h("section", { class: "card pad", id: "backtest-form" });
  const list = h("section", { id: "backtest-list" });
  home.replaceChildren(form, h("h3", {}, t("backtest.earlier")), list);
  loaded(form, () => get("/backtests/thresholds"), formOf);
  readList(list);
}

function formOf(rules) {
  const rule = h(
    "select",
    { name: "rule" },
    rules.map((one) => h("option", { value: one.rule }, named(ruleOf(one.rule)) || one.rule)),
  );
  const stretch = stretchField();
  const thresholds = h("div", { class: "thresholds", id: "thresholds" });
  const show = () => {
    const one = rules.find(({ rule: code }) => code === rule.value);
    thresholds.replaceChildren(...one.thresholds.map(thresholdRow));
  };
  rule.addEventListener("change", show);
  show();
  const send = working(h("button", { class: "primary", id: "backtest-send" }, t("backtest.send")), async () => {
    for (const input of stretch.element.querySelectorAll("input:not([hidden])")) if (!input.reportValidity()) return;
    const set = Object.fromEntries(
      [...thresholds.querySelectorAll("input")]
        .filter((input) => input.value.trim())
        .map((input) => [input.name, input.value.trim()]),
    );
    const made = await post("/backtests", { rule: rule.value, set, ...stretch.read() });
    toast(t("backtest.asked"));
    location.hash = `#/backtests/${made.id}`;
  });
  return [
    h("p", { class: "quiet" }, t("backtest.what")),
    h("div", { class: "two" }, labelled(t("alerts.rule"), rule), labelled(t("backtest.stretch"), stretch.element)),
    h("h3", {}, t("backtest.thresholds")),
    thresholds,
    h("p", { class: "quiet" }, t("backtest.values")),
    h("div", { class: "row" }, h("span", { class: "grow" }), send),
  ];
}

const thresholdRow = (one) =>
  h(
    "label",
    {},
    h("span", { title: one.name }, pick(one.label), one.unit ? h("span", { class: "quiet" }, ` ${one.unit}`) : null),
    h("input", { name: one.name, maxlength: 100, placeholder: String(one.value), autocomplete: "off" }),
  );

function stretchField() {
  const span = h(
    "select",
    { name: "stretch" },
    STRETCHES.map((hours) => h("option", { value: hours }, t("backtest.last", { n: hours / 24 }))),
    h("option", { value: "at" }, t("backtest.from_to")),
  );
  span.value = "168";
  const moment = (words, ms) => {
    const input = h("input", { type: "datetime-local", required: true, value: localMoment(ms), hidden: true });
    input.setAttribute("aria-label", words);
    return input;
  };
  const since = moment(t("silence.from"), now() - 168 * HOUR);
  const until = moment(t("silence.until"), now());
  span.addEventListener("change", () => {
    since.hidden = until.hidden = span.value !== "at";
  });
  const read = () =>
    span.value === "at"
      ? { since: momentOf(since), until: momentOf(until) }
      : { since: new Date(now() - Number(span.value) * HOUR).toISOString(), until: new Date(now()).toISOString() };
  return { element: h("div", { class: "column" }, span, since, until), read };
}

function readList(place, before = null, above = []) {
  return loaded(
    place,
    () => get(`/backtests${query({ limit: 20, before })}`),
    ({ items, next }) => {
      const rows = [...above, ...items];
      if (!rows.length) return nothing(t("backtest.none"));
      return [h("ul", { class: "column" }, rows.map(listRow)), older(next, () => readList(place, next, rows))];
    },
  );
}

const listRow = (one) =>
  h(
    "li",
    {},
    h(
      "a",
      { class: "note row wrap plain-link", href: `#/backtests/${one.id}` },
      h("span", { class: "strong" }, named(ruleOf(one.rule)) || one.rule),
      h("code", {}, wishes(one)),
      h("span", { class: "grow" }),
      stateChip(one),
      h("span", { class: "quiet" }, `${one.asked_by} · ${timeText(one.asked_at, false)}`),
    ),
  );

const wishes = (one) =>
  Object.entries(one.set)
    .map(([name, value]) => `${name} = ${value}`)
    .join(", ") || t("backtest.as_it_is");

/** A stretch of seven days ends at the clock time at which it began: today is named. */
const dated = (iso) => {
  const text = timeText(iso, false);
  return text.length > 5 ? text : t("backtest.today", { at: text });
};

const stateChip = (one) =>
  h(
    "span",
    { class: `chip ${{ done: "good", failed: "high", running: "medium" }[one.state] ?? ""}`, dataset: { state: one.state } },
    one.state === "running" ? `${t("backtest.running")} ${Math.round(one.progress * 100)} %` : t(`backtest.${one.state}`),
  );

// ── Looking at one ──
async function follow(home, id) {
  let found;
  let rules;
  try {
    found = await get(`/backtests/${id}`);
    rules = found.result ? await get("/backtests/thresholds") : [];
  } catch (error) {
    if (error.zh === undefined) throw error;
    if (shownId === id) home.replaceChildren(failure(error, () => follow(home, id)));
    return;
  }
  if (shownId !== id || !home.isConnected) return;
  const sign = JSON.stringify([found.state, found.progress]);
  if (sign !== last) {
    last = sign;
    home.replaceChildren(
      h("a", { href: "#/backtests", class: "back row" }, t("backtest.new")),
      headOf(found),
      found.result ? backtestResult(id, found.result, labelsOf(rules, found.rule)) : "",
    );
  }
  if (["waiting", "running"].includes(found.state)) timer = setTimeout(() => follow(home, id), POLL);
}

/** threshold → {label, unit} */
function labelsOf(rules, rule) {
  const thresholds = rules.find((one) => one.rule === rule)?.thresholds ?? []; // a rule that is no more has none
  return new Map(thresholds.map((one) => [one.name, { label: pick(one.label), unit: one.unit ?? "" }]));
}

const headOf = (found) =>
  h(
    "section",
    { class: "card pad", id: "backtest-head" },
    h(
      "div",
      { class: "row wrap" },
      h("h3", { class: "grow" }, named(ruleOf(found.rule)) || found.rule),
      stateChip(found),
    ),
    h("p", {}, h("code", {}, wishes(found))),
    h(
      "p",
      { class: "quiet" },
      t("backtest.history", { since: dated(found.since), until: dated(found.until) }),
    ),
    h("p", { class: "quiet" }, t("backtest.asked_by", { who: found.asked_by, at: dated(found.asked_at) })),
    ["waiting", "running"].includes(found.state)
      ? h("progress", { max: 1, value: found.progress, "aria-label": t("backtest.running") })
      : null,
    found.error ? h("p", { class: "note bad" }, found.error) : null,
  );
