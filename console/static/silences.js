// Silences and planned maintenance: who keeps which alerts from being told, why, until when; and ending that early.
import { get, post, query } from "./api.js";
import { loaded, nothing, older, table } from "./desk_parts.js";
import { deviceName } from "./devices.js";
import { h, toast, working } from "./dom.js";
import { timeText } from "./format.js";
import { comma, named, t } from "./i18n.js";
import { newWindow } from "./maintenance_form.js";
import { mayDo } from "./roles.js";
import { newSilence } from "./silence_form.js";
import { areaOf, emit, on, ruleOf, zoneOf } from "./state.js";

let home = null;
let current = true;

on("silences_changed", () => {
  if (home?.isConnected) show();
});

export const silences = {
  title: "silences",
  who: "silences",
  show(place, id, bar) {
    home = place;
    if (mayDo("silence")) {
      bar.replaceChildren(
        h("button", { class: "small", id: "new-silence", onclick: () => newSilence() }, t("silence.make")),
        h("button", { class: "small", id: "new-window", onclick: () => newWindow() }, t("maintenance.make")),
      );
    }
    show();
  },
};

function show() {
  const which = h(
    "div",
    { class: "row", role: "group", "aria-label": t("silence.which") },
    [true, false].map((now) =>
      h(
        "button",
        {
          class: "small",
          "aria-pressed": String(current === now),
          onclick: () => {
            current = now;
            show();
          },
        },
        t(now ? "silence.current" : "silence.past"),
      ),
    ),
  );
  const silencesHere = h("div", { class: "column" });
  const windowsHere = h("div", { class: "column" });
  home.replaceChildren(
    which,
    h("section", { id: "silence-list" }, h("h3", {}, t("silences.of_alerts")), silencesHere),
    h("section", { id: "window-list" }, h("h3", {}, t("maintenance")), windowsHere),
  );
  list(silencesHere, "silences", SILENCE);
  list(windowsHere, "maintenance", WINDOW);
}

function list(place, kind, columns, before = null, above = []) {
  return loaded(
    place,
    () => get(`/${kind}${query({ current, before })}`),
    ({ items, next }) => {
      const rows = [...above, ...items];
      if (!rows.length) return nothing(t("silence.none"));
      return [
        table([...columns(), ...common(kind)], rows, { mark: (row) => (row.on ? "" : "off"), caption: t(kind) }),
        older(next, () => list(place, kind, columns, next, rows)),
      ];
    },
  );
}

const names = (codes, name) => codes.map(name).join(comma());
const zoneName = (code) => named(zoneOf(code)) || code;
const areaName = (code) => named(areaOf(code)) || code;

const SILENCE = () => [
  [
    t("silence.what"),
    (row) =>
      [
        row.rule ? named(ruleOf(row.rule)) || row.rule : null,
        row.kind ? named(ruleOf(row.kind)) || row.kind : null,
        row.subject ? deviceName(row.subject) : null,
        row.zone ? zoneName(row.zone) : null,
        row.area ? areaName(row.area) : null,
      ]
        .filter(Boolean)
        .join(" · "),
  ],
];

const WINDOW = () => [
  [
    t("maintenance.what"),
    (row) =>
      [names(row.devices, deviceName), names(row.zones, zoneName), names(row.areas, areaName)].filter(Boolean).join(" · "),
  ],
  [
    t("maintenance.weekly"),
    (row) =>
      row.weekly
        ? row.repeats_until
          ? t("maintenance.weekly_until", { at: timeText(row.repeats_until, false) })
          : t("yes")
        : t("no"),
  ],
];

const common = (kind) => [
  [t("silence.why"), (row) => row.reason],
  [t("silence.who"), (row) => row.created_by],
  [t("silence.from"), (row) => timeText(row.starts, false)],
  [t("silence.until"), (row) => timeText(row.ends, false)],
  [
    t("case.status"),
    (row) =>
      row.ended_at
        ? t("silence.ended_by", { who: row.ended_by, at: timeText(row.ended_at, false) })
        : h("span", { class: `chip ${row.on ? "good" : ""}` }, t(row.on ? "silence.on" : "silence.off")),
  ],
  [
    "",
    (row) =>
      mayDo("silence") && current && !row.ended_at
        ? working(h("button", { class: "small" }, t("silence.end")), async () => {
            await post(`/${kind}/${row.id}/end`);
            toast(t("silence.ended"));
            emit("silences_changed");
          })
        : "",
  ],
];
