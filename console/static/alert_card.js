// One alert in the rail, and what is shown of it once it is opened: evidence in numbers, what happened to it.
import { post } from "./api.js";
import { LIVE, members } from "./alert_view.js";
import { takeAlert } from "./data.js";
import { numbersOf } from "./evidence.js";
import { failure, h, icon, toast, working } from "./dom.js";
import { ago, timeText } from "./format.js";
import { has, named, pick, t } from "./i18n.js";
import { mayDo } from "./roles.js";
import { severityChip } from "./severity.js";
import { silenceForm } from "./silence_form.js";
import { areaOf, ruleOf, state, zoneOf } from "./state.js";

export const placeName = (alert) => named(zoneOf(alert.zone)) || named(areaOf(alert.area)) || t("place.none");

/**
 * `how` says how it stands in the rail: {chosen, lit, known (its evidence), picked (null: nothing is being picked),
 * grouped}; `acts` what its buttons do: {open, pick, group}.
 */
export function alertCard(alert, how, acts) {
  const rule = ruleOf(alert.rule);
  const looks = ["alert-card", alert.severity, how.lit && "lit", how.chosen && "chosen", !LIVE.has(alert.state) && "over"];
  return h(
    "li",
    { class: looks.filter(Boolean).join(" "), dataset: { alert: alert.id } },
    h(
      "div",
      { class: "row" },
      how.picked === null ? null : pickBox(alert, how.picked, acts.pick),
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
    h(
      "button",
      {
        class: "bare card-open",
        "aria-expanded": String(how.chosen),
        dataset: { focus: "open" },
        onclick: acts.open,
      },
      pick(alert.sentence),
    ),
    h(
      "div",
      { class: "row wrap quiet" },
      h("span", { class: "row tight" }, icon("pin"), placeName(alert)),
      h("span", {}, stateText(alert)),
      alert.historical ? h("span", { class: "chip" }, t("alert.historical")) : null,
      alert.escalated_at ? h("span", { class: "chip medium" }, t("alert.escalated")) : null,
    ),
    alert.suppressed ? suppressedNote(alert) : null,
    how.chosen ? detail(alert, how.known, acts.open) : null,
    h(
      "div",
      { class: "row" },
      caseLink(alert),
      h("span", { class: "grow" }),
      how.grouped === null ? null : groupButton(alert, how.grouped, acts.group),
      how.picked === null ? acknowledgeButton(alert) : null,
    ),
  );
}

const pickBox = (alert, picked, act) =>
  alert.state === "open"
    ? h("input", {
        type: "checkbox",
        checked: picked,
        "aria-label": t("alerts.pick_one"),
        dataset: { focus: "pick" },
        onchange: (event) => act(event.target.checked),
      })
    : h("span", { class: "no-box" });

const groupButton = (alert, open, act) =>
  h(
    "button",
    { class: "small", "aria-expanded": String(open), dataset: { focus: "group" }, onclick: act },
    t(open ? "alerts.group_shut" : "alerts.group_n", { n: members.get(alert.group_id) ?? "" }),
  );

/** Why it is recorded and not told: the server says who arranged that and until when. */
const suppressedNote = (alert) =>
  h(
    "p",
    { class: "note row wrap" },
    icon("muted"),
    h("span", { class: "strong" }, t(`suppressed.${alert.suppressed.by}`)),
    h("span", {}, pick(alert.suppressed.reason)),
  );

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
  if (alert.state !== "open" || !mayDo("acknowledge")) return null;
  return working(
    h("button", { class: "small acknowledge", dataset: { focus: "ack" } }, icon("check"), t("acknowledge")),
    async () => {
      takeAlert(await post(`/alerts/${alert.id}/acknowledge`));
    },
  );
}

function detail(alert, known, again) {
  if (!known) return h("p", { class: "quiet" }, t("loading"));
  if (known.error) return failure(known.error, again);
  const facts = [
    [t("alert.first_seen"), timeText(alert.first_seen)],
    [t("alert.last_seen"), timeText(alert.last_seen)],
    [t("alert.count"), String(alert.count)],
    [t("alert.score"), `${Math.round(alert.score * 100)} %`],
    ...numbersOf(known.detail.evidence),
  ];
  return h(
    "div",
    { class: "evidence" },
    h(
      "dl",
      { class: "facts" },
      facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    ),
    alert.ending ? h("p", {}, pick(alert.ending)) : null,
    events(known.detail.events),
    LIVE.has(alert.state) && !alert.suppressed && mayDo("silence")
      ? h("div", { class: "row" }, h("button", { class: "small", onclick: () => silenceForm(alert) }, icon("muted"), t("silence.make")))
      : null,
    voidForm(alert),
  );
}

function events(all) {
  if (!all.length) return null;
  return h(
    "ul",
    { class: "column tight alert-events" },
    all.map((one) =>
      h(
        "li",
        {},
        h("span", { class: "quiet" }, `${timeText(one.at)} `),
        h("span", { class: "strong" }, has(`action.alert_${one.what}`) ? t(`action.alert_${one.what}`) : one.what),
        ` ${[one.actor === "system" ? "" : one.actor, pick(one.told), one.note].filter(Boolean).join(" · ")}`,
      ),
    ),
  );
}

function voidForm(alert) {
  if (!LIVE.has(alert.state) || !mayDo("void")) return null;
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
