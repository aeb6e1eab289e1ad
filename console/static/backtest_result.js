// What a backtest showed: how many alerts more, fewer and the same, each with its sentence, and all on the map.
import { drawEvidence, evidencePlaces, numbersOf } from "./evidence.js";
import { h } from "./dom.js";
import { timeText } from "./format.js";
import { named, pick, t } from "./i18n.js";
import { collection, draw, flyToAll, point } from "./map.js";
import { areaOf, on, zoneOf } from "./state.js";

const SIDES = ["added", "gone", "kept"];
export const SIGNS = { added: "+", gone: "−", kept: "=" };
const FIRST = 200; // rows of a side that are shown at once

let result = null;
let chosen = null; // "added 3"
let side = "added";
let home = null;

on("backtest", (key) => {
  [side] = key.split(" ");
  choose(key);
  home?.querySelector(".chosen")?.scrollIntoView({ block: "center" });
});
on("selection", (selection) => {
  if (result && selection === null) choose(null);
});

/** Its counts, thresholds and lists. */
export function backtestResult(found) {
  result = found;
  chosen = null;
  side = SIDES.find((name) => found[name].length) ?? "added";
  home = h("div", { class: "column", id: "backtest-result" });
  render();
  return home;
}

/** All of them on the map, and the map where they are. */
export function showResult(found) {
  const features = SIDES.flatMap((name) =>
    found[name].flatMap((alert, n) =>
      alert.lon === null ? [] : [point(alert.lon, alert.lat, { key: `${name} ${n}`, side: name, sign: SIGNS[name] })],
    ),
  );
  draw("backtest", collection(features));
  if (features.length) flyToAll(features.map((feature) => feature.geometry.coordinates), 14);
}

export function leaveResult() {
  if (!result) return;
  result = null;
  home = null;
  draw("backtest");
  drawEvidence(null);
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
  home.replaceChildren(
    h(
      "p",
      {},
      t("backtest.counts", { present: counts.present, proposed: counts.proposed, readings: result.readings }),
    ),
    settings(present, proposed),
    h("div", { class: "row wrap", role: "group", "aria-label": t("backtest.sides") }, tabs),
    hidden > 0 ? h("p", { class: "quiet" }, t("backtest.hidden", { n: hidden })) : "",
    h("ul", { class: "column", id: "backtest-rows" }, result[side].slice(0, FIRST).map(row)),
    result[side].length > FIRST ? h("p", { class: "quiet" }, t("backtest.first", { n: FIRST })) : "",
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
  return names.length
    ? h("p", {}, names.map((name) => h("code", { class: "chip" }, `${name}: ${words(was[name])} → ${words(would[name])}`)))
    : "";
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
  chosen = key;
  const alert = key && result[key.split(" ")[0]][Number(key.split(" ")[1])];
  drawEvidence(alert?.evidence ?? null);
  if (alert) {
    const own = alert.lon === null ? [] : [[alert.lon, alert.lat]];
    flyToAll([...own, ...evidencePlaces(alert.evidence)], 15);
  }
  render();
}
