// Notices: what was sent to whom and why, what is held or gathered, and which contacts do not work.
import { get, query } from "./api.js";
import { loaded, nothing, older, table } from "./desk_parts.js";
import { deviceName, unitName } from "./devices.js";
import { h } from "./dom.js";
import { oneOf, several } from "./filters.js";
import { duration, timeText } from "./format.js";
import { comma, named, pick, t } from "./i18n.js";
import { categoryName } from "./new_case.js";
import { mayDo } from "./roles.js";
import { state } from "./state.js";

const STATES = ["waiting", "held", "gathered", "sent", "failed"];
const LOOKS = { failed: "high", held: "medium", sent: "good" };
const filter = { unit: "", channel: "", state: new Set() };

export const noticesPage = {
  title: "notices",
  who: "notices",
  show(home, id) {
    const digest = /^\d+$/.test(id) ? Number(id) : null; // what went in one digest
    const place = h("div", { class: "column" });
    const read = () => list(place, digest);
    const contacts = h("div", { class: "column" });
    home.replaceChildren(
      ...[
        mayDo("duty_check") ? h("section", { id: "contact-list" }, h("h3", {}, t("contacts")), contacts) : null,
        h("h3", {}, t("notices.sent")),
        digest === null
          ? filters(read)
          : h("p", { class: "note row" }, t("notices.of_digest"), h("a", { href: "#/notices" }, t("notices.all"))),
        place,
      ].filter(Boolean),
    );
    read();
    if (mayDo("duty_check")) loaded(contacts, () => get("/contacts"), contactTable);
  },
};

function filters(read) {
  const set = (name) => (value) => {
    filter[name] = value;
    read();
  };
  const units = [["", t("cases.any_unit")], ["@desk", t("notice.desk")], ...state.site.units.map((u) => [u.code, named(u)])];
  const channels = [
    ["", t("notices.any_channel")],
    ["apprise", t("notice.other")],
    ["terminal", t("notice.terminal")],
  ];
  return h(
    "div",
    { class: "filters" },
    several(t("case.status"), STATES.map((code) => [code, t(`notice.state.${code}`)]), filter.state, read),
    oneOf(t("case.unit"), units, filter.unit, set("unit")),
    oneOf(t("notices.channel"), channels, filter.channel, set("channel")),
  );
}

function list(place, digest, before = null, above = []) {
  const asked = digest === null ? { unit: filter.unit, channel: filter.channel, state: [...filter.state] } : { digest };
  return loaded(
    place,
    () => get(`/notices${query({ ...asked, before })}`),
    ({ items, next }) => {
      const rows = [...above, ...items];
      if (!rows.length) return nothing(t("notices.none"));
      return [
        table(COLUMNS(), rows, { id: "notice-table", caption: t("notices") }),
        older(next, () => list(place, digest, next, rows)),
      ];
    },
  );
}

const COLUMNS = () => [
  [t("notice.when"), (row) => timeText(row.created)],
  [
    t("notice.to"),
    (row) => [h("div", {}, targetName(row)), h("div", { class: "quiet" }, row.channel === "terminal" ? t("notice.terminal") : row.via)],
  ],
  [t("case"), (row) => (row.case_id === null ? "" : h("a", { href: `#/case/${row.case_id}` }, row.number))],
  [t("notice.why"), (row) => [row.title ? h("div", {}, pick(row.title)) : null, h("div", { class: "quiet" }, reason(row))]],
  [
    t("case.status"),
    (row) => [
      h("span", { class: `chip ${LOOKS[row.state] ?? ""}` }, t(`notice.state.${row.state}`)),
      h("div", { class: "quiet" }, stateFacts(row)),
      row.error ? h("div", { class: "late" }, row.error) : null,
    ],
  ],
  [t("notice.attempts"), (row) => String(row.attempts)],
];

/** The reason stands there in both languages, with a stroke between. */
function reason(row) {
  const both = row.reason.split(" / ");
  return both.length === 2 ? pick({ zh: both[0], en: both[1] }) : row.reason;
}

function targetName({ channel, target }) {
  if (channel === "terminal") return deviceName(target);
  if (target === "@desk") return t("notice.desk");
  return target.startsWith("@") ? target.slice(1) : unitName(target);
}

function stateFacts(row) {
  const words = [
    row.state === "held" && row.held_until ? t("notice.held_until", { at: timeText(row.held_until, false) }) : null,
    row.sent_at ? timeText(row.sent_at) : null,
    row.state === "waiting" && row.attempts && row.next_try ? t("notice.next_try", { at: timeText(row.next_try) }) : null,
    row.acked_at ? t(row.accepted ? "notice.accepted" : "notice.declined", { at: timeText(row.acked_at) }) : null,
  ].filter(Boolean);
  const digest = row.gathers
    ? h("a", { href: `#/notices/${row.id}` }, t("notice.digest_n", { n: row.gathered }))
    : row.digest
      ? h("a", { href: `#/notices/${row.digest}` }, t("notice.in_digest"))
      : null;
  return [words.join(" · "), digest ? " " : "", digest ?? ""];
}

function contactTable(contacts) {
  if (!contacts.length) return [unheard(contacts), nothing(t("contacts.none"))];
  const sick = contacts.filter((one) => one.failure);
  const rows = (some) => table(CONTACTS(), some, { caption: t("contacts"), mark: (one) => (one.failure ? "" : "") });
  return [
    unheard(contacts),
    sick.length
      ? [h("p", { class: "note bad" }, t("contacts.sick", { n: sick.length })), rows(sick)]
      : h("p", { class: "note" }, t("contacts.well", { n: contacts.length })),
    h("details", { class: "folded" }, h("summary", {}, t("contacts.all", { n: contacts.length })), rows(contacts)),
  ];
}

/** The units of which nobody is ever told anything. Who is limited to an area sees only the contacts there. */
function unheard(contacts) {
  const told = new Set(contacts.map((one) => one.to));
  const units = state.me.area ? [] : state.site.units.filter((unit) => !told.has(unit.code));
  if (!units.length) return null;
  return h(
    "details",
    { class: "folded", id: "unheard" },
    h("summary", { class: "late" }, t("contacts.unheard", { n: units.length })),
    h("p", {}, units.map(named).join(comma())),
  );
}

const CONTACTS = () => [
  [t("notice.to"), (one) => targetName({ channel: "", target: one.to })],
  [t("contacts.via"), (one) => one.via],
  [t("contacts.least"), (one) => t(`severity.${one.severity}`)],
  [t("case.kind"), (one) => one.kinds.map(categoryName).join(comma()) || t("filter.any")],
  [t("contacts.quiet"), (one) => one.quiet.replace("..", "–") || t("no")],
  [
    t("contacts.digest"),
    (one) => (one.most === null ? t("no") : t("contacts.most", { n: one.most, span: duration(one.within) })),
  ],
  [
    t("contacts.failure"),
    (one) =>
      one.failure
        ? h("span", { class: "late" }, t("contacts.fails", { at: timeText(one.failure.since, false), n: one.failure.times, why: one.failure.error }))
        : t("contacts.works"),
  ],
];
