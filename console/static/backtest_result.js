// What a backtest showed: how many alerts more, fewer and the same, each with its sentence, and all on the map.
import { drawEvidence, evidencePlaces, numbersOf } from "./evidence.js";
import { nothing } from "./desk_parts.js";
import { h } from "./dom.js";
import { timeText } from "./format.js";
import { named, pick, t } from "./i18n.js";
import { collection, draw, flyToAll, point } from "./map.js";
import { areaOf, on, select, state, zoneOf } from "./state.js";

const SIDES = ["added", "gone", "kept"];
const SIGNS = { added: "+", gone: "−", kept: "=" };
const FIRST = 200; // rows of a side that are shown at once

let shown = null; // id of the backtest; shown again, in another language say, it looks as it did
let result = null;
let labels = null; // threshold → {label, unit}
let chosen = null; // "added 3"
let side = "added";
let home = null;

// A sign on the map was clicked: it stands for one alert or for several, which are then chosen in turn.
on("backtest", (keys) => {
  const all = keys.split(",");
  const key = all[(all.indexOf(chosen) + 1) % all.length];
  [side] = key.split(" ");
  choose(key);
  home?.querySelector(".chosen")?.scrollIntoView({ block: "center" });
});
on("selection", () => {
  if (chosen) choose(null);
});

/** Its counts, thresholds and lists; all of its alerts on the map, and the map where they are. */
export function backtestResult(id, found, names) {
  const again = id === shown;
  shown = id;
  result = found;
  labels = names;
  home = h("div", { class: "column", id: "backtest-result" });
  if (!again) {
    chosen = null;
    side = SIDES.find((name) => found[name].length) ?? "added";
    const places = SIDES.flatMap((name) => found[name].filter(placed).map((alert) => [alert.lon, alert.lat]));
    flyToAll(places, 14);
  }
  show();
  return home;
}

/** Off the map; `again` when the same one is about to be shown anew. */
export function leaveResult(again) {
  if (!again) shown = null;
  if (!result) return;
  result = null;
  home = null;
  draw("backtest");
  drawEvidence(null);
}

const placed = (alert) => alert.lon !== null && alert.lat !== null;
const alertOf = (key) => result[key.split(" ")[0]][Number(key.split(" ")[1])];

/** One sign for all alerts of a side at one place, and those of the other sides beside it: none hides another. */
function signs() {
  const spots = new Map();
  for (const name of SIDES) {
    for (const [n, alert] of result[name].entries()) {
      if (!placed(alert)) continue;
      const place = `${alert.lon.toFixed(4)} ${alert.lat.toFixed(4)}`;
      const here = spots.get(place) ?? { lon: alert.lon, lat: alert.lat, sides: {} };
      (here.sides[name] ??= []).push(`${name} ${n}`);
      spots.set(place, here);
    }
  }
  return [...spots.values()].flatMap(({ lon, lat, sides }) =>
    Object.entries(sides).map(([name, keys], slot) =>
      point(lon, lat, {
        side: name,
        slot,
        keys: keys.join(),
        count: keys.length > 1 ? `×${keys.length}` : "",
        chosen: keys.includes(chosen),
      }),
    ),
  );
}

/** The rows, the signs and the evidence, as they are now. */
function show() {
  draw("backtest", collection(signs()));
  drawEvidence(chosen ? alertOf(chosen).evidence : null);
  render();
}

function render() {
  const { counts, present, proposed } = result;
  const tabs = SIDES.map((name) =>
    h(
      "button",
      {
        class: `tab ${name}`,
        "aria-pressed": String(side === name),
        dataset: { side: name },
        onclick: () => {
          side = name;
          choose(null);
        },
      },
      h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[name]),
      h("b", {}, String(counts[name])),
      t(`backtest.${name}`),
    ),
  );
  const hidden = counts[side] - result[side].length;
  const first = Math.max(FIRST, chosen ? Number(chosen.split(" ")[1]) + 1 : 0);
  home.replaceChildren(
    h(
      "p",
      {},
      t("backtest.counts", { present: counts.present, proposed: counts.proposed, readings: result.readings }),
    ),
    settings(present, proposed),
    h("div", { class: "row wrap", role: "group", "aria-label": t("backtest.sides") }, tabs),
    hidden > 0 ? h("p", { class: "quiet" }, t("backtest.hidden", { n: hidden })) : "",
    h("ul", { class: "column", id: "backtest-rows" }, result[side].slice(0, first).map(row)),
    counts[side] === 0 ? nothing(t(counts.present + counts.proposed ? "backtest.empty_side" : "backtest.empty")) : "",
    result[side].length > first ? h("p", { class: "quiet" }, t("backtest.first", { n: first })) : "",
  );
}

/** The settings in which the two differ. */
function settings(present, proposed) {
  const flat = (one) => ({ ...one.settings, clear_after: one.clear_after });
  const [was, would] = [flat(present), flat(proposed)];
  const names = [...new Set([...Object.keys(was), ...Object.keys(would)])].filter(
    (name) => JSON.stringify(was[name]) !== JSON.stringify(would[name]),
  );
  const words = (value) => (value === undefined ? t("backtest.default") : String(value));
  const chip = (name) => {
    const { label, unit } = labels.get(name) ?? { label: name, unit: "" };
    return h("span", { class: "chip", title: name }, `${label}: ${words(was[name])} → ${words(would[name])} ${unit}`.trim());
  };
  return names.length ? h("p", { class: "row wrap" }, names.map(chip)) : "";
}

function row(alert, n) {
  const key = `${side} ${n}`;
  const open = key === chosen;
  const place = named(zoneOf(alert.zone)) || named(areaOf(alert.area)) || t("place.none");
  return h(
    "li",
    { class: `card result-row ${side}${open ? " chosen" : ""}` },
    h(
      "button",
      { class: "bare card-open", "aria-expanded": String(open), onclick: () => choose(open ? null : key) },
      h("span", {}, pick(alert.sentence)),
      h("span", { class: "quiet" }, `${timeText(alert.first_seen)} – ${timeText(alert.last_seen)} · ${place}`),
    ),
    open
      ? h(
          "dl",
          { class: "facts pad" },
          [[t("alert.score"), `${Math.round(alert.score * 100)} %`], ...numbersOf(alert.evidence)].map(([name, value]) => [
            h("dt", {}, name),
            h("dd", {}, value),
          ]),
        )
      : null,
  );
}

function choose(key) {
  if (!result) return;
  if (key && state.selection) select(null); // what was selected on the map is no longer looked at
  chosen = key;
  show();
  if (!key) return;
  const alert = alertOf(key);
  flyToAll([...(placed(alert) ? [[alert.lon, alert.lat]] : []), ...evidencePlaces(alert.evidence)], 15);
}
