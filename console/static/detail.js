// The card about what was clicked on the map: a terminal with its last fix, a camera, a sensor.
import { get, query } from "./api.js";
import { freshness, unitName } from "./devices.js";
import { h, icon, steady, toast, working } from "./dom.js";
import { ago, duration, inSeason, now, percentText, placeText, speedText, timeText } from "./format.js";
import { named, t } from "./i18n.js";
import { circle, collection, draw, flyTo, flyToAll, onMapClick } from "./map.js";
import { liveAlerts, lookOf } from "./map_marks.js";
import { shownPlace } from "./map_terminals.js";
import { drawPlan, planCard, plansOf } from "./plans.js";
import { openAlert } from "./alerts.js";
import { areaOf, emit, on, select, state, zoneOf } from "./state.js";

const HOUR = 3_600_000;
// Zones that can be asked about; the water would swallow every click that means to let go.
const ZONES = [
  "no_fishing-fill",
  "restricted-fill",
  "crowd_watch-fill",
  "checkpoint-fill",
  "patrol-line",
  "checkpoint-line",
];
const GAP = 3; // intervals: a longer pause in a track is drawn as a gap, not as a way

let card = null;
let tracked = null; // {code, points, suspect, from, to} of the track that is drawn

export function startDetail(element) {
  card = element;
  const layers = [
    "backtest-sign",
    "terminal-patrol",
    "terminal-police",
    "terminal-boat",
    "terminal-other",
    "alert-ring",
    "cases",
    "camera",
    "sensor",
    ...ZONES,
  ];
  onMapClick(layers, (found) =>
    choose(found.sort((a, b) => layers.indexOf(a.layer.id) - layers.indexOf(b.layer.id))[0]),
  );
  on("selection", () => {
    forgetTrack();
    drawPlan(null);
    render();
  });
  for (const event of ["language", "site"]) on(event, render);
  on("positions", (positions) => {
    if (positions.some((p) => p.device === state.selection?.id)) renderSoon();
  });
  addEventListener("keydown", (event) => {
    const busy =
      document.querySelector("dialog[open], .pick-hint") || event.target.matches?.("input, textarea, select");
    if (event.key === "Escape" && state.selection && !busy) select(null);
  });
}

function choose(feature) {
  if (!feature) select(null);
  else if (feature.source === "backtest") emit("backtest", feature.properties.keys);
  else if (feature.source === "terminals") select("terminal", feature.properties.code);
  else if (feature.source === "alerts") openAlert(feature.properties.id);
  else if (feature.source === "cases") location.hash = `#/case/${feature.properties.id}`;
  else if (feature.source === "zones") select("zone", feature.properties.code);
  else select("device", feature.properties.code);
}

const renderSoon = steady(render);

function render() {
  const { selection } = state;
  const device = ["terminal", "device"].includes(selection?.kind) ? state.devices.get(selection.id) : null;
  const zone = selection?.kind === "zone" ? zoneOf(selection.id) : null;
  card.hidden = !(device || zone);
  document.body.classList.toggle("with-detail", !card.hidden);
  const position = device ? state.positions.get(device.code) : null;
  drawAccuracy(device, position);
  if (card.hidden) return;
  const focused = card.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  const facts = zone
    ? zoneFacts(zone)
    : selection.kind === "terminal"
      ? terminalFacts(device, position)
      : deviceFacts(device);
  const about = zone
    ? [zone.code, t(`layer.${zone.kind}`)]
    : [device.code, kindName(device), device.unit ? unitName(device.unit) : ""];
  card.replaceChildren(
    h(
      "div",
      { class: "row" },
      h(
        "div",
        { class: "grow" },
        h("h2", { class: "cut" }, named(zone ?? device)),
        h("p", { class: "quiet cut" }, about.filter(Boolean).join(" · ")),
      ),
      h(
        "button",
        { class: "bare square", "aria-label": t("close"), dataset: { focus: "close" }, onclick: () => select(null) },
        icon("close"),
      ),
    ),
    h(
      "dl",
      { class: "facts" },
      facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    ),
    ...(selection.kind === "terminal" ? trackPart(device) : []),
    ...(zone ? plansOf(zone.code).map(planCard) : []),
  );
  if (focused) card.querySelector(`[data-focus="${focused}"]`)?.focus({ preventScroll: true });
}

const kindName = (device) =>
  device.kind === "terminal"
    ? t(`role.${["patrol", "police", "boat"].includes(device.role) ? device.role : "other"}`)
    : t(`kind.${device.kind}`);

function terminalFacts(device, position) {
  if (!position) return [[t("fix.last"), t("fix.never")], ...areaFact(device)];
  const fresh = freshness(device) === "live";
  return [
    [
      t("fix.last"),
      [
        h("span", { class: fresh ? "" : "late", dataset: { age: position.at } }, ago(position.at)),
        h("span", { class: "quiet" }, ` · ${timeText(position.at)}`),
      ],
    ],
    ...(fresh
      ? []
      : [[t("fix.state"), h("span", { class: "late" }, t("fix.silent", { span: duration(device.interval) }))]]),
    [t("fix.speed"), fresh ? speedText(position.speed) : t("fix.then", { what: speedText(position.speed) })],
    [
      t("fix.heading"),
      position.heading === null ? t("unknown") : `${Math.round(position.heading)}° ${compass(position.heading)}`,
    ],
    [t("fix.accuracy"), position.accuracy === null ? t("unknown") : t("unit.pm", { n: Math.round(position.accuracy) })],
    [
      t("fix.battery"),
      h(
        "span",
        { class: position.battery !== null && position.battery < 20 ? "late" : "" },
        percentText(position.battery),
      ),
    ],
    ...(position.lon === null ? [] : [[t("place"), placeText(position.lon, position.lat)]]),
    ...areaFact(device),
    ...flagsFact(position.flags),
  ];
}

const areaFact = (device) => (areaOf(device.area) ? [[t("area"), named(areaOf(device.area))]] : []);

function flagsFact(flags) {
  const words = [
    [1, "flag.sos"],
    [32, "flag.man_down"],
    [2, "flag.backfill"],
    [4, "flag.gcj02"],
    [8, "flag.bd09"],
    [64, "flag.suspect"],
    [16, "flag.no_position"],
  ]
    .filter(([bit]) => flags & bit)
    .map(([bit, key]) => h("span", { class: bit === 1 || bit === 32 ? "late" : "" }, t(key)));
  return words.length ? [[t("fix.flags"), words.flatMap((word, n) => (n ? [" · ", word] : [word]))]] : [];
}

const compass = (degrees) => t("compass").split(" ")[Math.round(degrees / 45) % 8];

function deviceFacts(device) {
  const alerts = liveAlerts().filter((alert) => alert.subject === device.code);
  return [
    [t("fix.state"), h("span", { class: lookOf(device) === "fine" ? "" : "late" }, t(`device.${lookOf(device)}`))],
    ...areaFact(device),
    [t("place"), placeText(device.lon, device.lat)],
    ...alerts.map((alert) => [
      t("alert"),
      h("button", { class: "bare small inline", onclick: () => openAlert(alert.id) }, ago(alert.raised_at)),
    ]),
  ];
}

function zoneFacts(zone) {
  const { season } = zone;
  const hours = season && (season.opens === season.closes ? t("season.all_day") : `${season.opens}–${season.closes}`);
  return [
    [t("season"), season ? `${season.first} – ${season.last}, ${hours}` : t("season.always")],
    [t("fix.state"), t(inSeason(season) ? "season.on" : "season.off")],
    ...(zone.capacity ? [[t("evidence.capacity"), String(zone.capacity)]] : []),
    ...areaFact({ area: zone.area }),
  ];
}

/** The circle stands around the newest fix, where the terminal said it was, not around the gliding marker. */
function drawAccuracy(device, position) {
  const known =
    state.selection?.kind === "terminal" && device && position && position.lon !== null && position.accuracy !== null;
  draw("accuracy", known ? collection([circle(position.lon, position.lat, position.accuracy)]) : undefined);
}

function trackPart(device) {
  if (state.me.role === "viewer") return [];
  const button = working(
    h("button", { class: "small", dataset: { focus: "track" }, id: "track" }, icon("track"), t("track.show")),
    () => showTrack(device),
  );
  const shown =
    tracked?.code === device.code
      ? h(
          "p",
          { class: "quiet" },
          tracked.points.length
            ? t("track.shown", {
                n: tracked.points.length,
                from: timeText(tracked.from, false),
                to: timeText(tracked.to, false),
              })
            : t("track.empty"),
          tracked.suspect.size
            ? h("span", { class: "late" }, ` ${t("track.suspect", { n: tracked.suspect.size })}`)
            : null,
        )
      : null;
  const place = shownPlace(device.code);
  return [
    h(
      "div",
      { class: "row wrap" },
      button,
      place
        ? h(
            "button",
            { class: "small", dataset: { focus: "centre" }, onclick: () => flyTo(...shownPlace(device.code), 16) },
            icon("fit"),
            t("centre"),
          )
        : null,
    ),
    shown,
    h("p", { class: "quiet small-print" }, t("track.recorded")),
  ].filter(Boolean);
}

const isoText = (at) => new Date(at).toISOString();

async function showTrack(device) {
  const to = now();
  const from = to - HOUR;
  const { points, suspect } = await get(
    `/devices/${encodeURIComponent(device.code)}/track${query({ since: isoText(from), until: isoText(to) })}`,
  );
  if (state.selection?.id !== device.code) return; // the person has gone on
  tracked = { code: device.code, points, suspect: new Set(suspect), from, to };
  draw("track", collection(trackFeatures(tracked, device)));
  if (points.length > 1)
    flyToAll(
      points.map(([lon, lat]) => [lon, lat]),
      16,
    );
  if (!points.length) toast(t("track.empty"));
  render();
}

/** Lines where the terminal reported steadily; nothing is drawn across a gap, as nobody knows the way. */
function trackFeatures({ points, suspect }, device) {
  const longest = GAP * (device.interval || 60);
  const lines = [];
  let line = [];
  points.forEach(([lon, lat, at], n) => {
    if (n && at - points[n - 1][2] > longest) {
      lines.push(line);
      line = [];
    }
    line.push([lon, lat]);
  });
  lines.push(line);
  return [
    ...lines
      .filter((part) => part.length > 1)
      .map((part) => ({ type: "Feature", properties: {}, geometry: { type: "LineString", coordinates: part } })),
    ...points.map(([lon, lat], n) => ({
      type: "Feature",
      properties: { suspect: suspect.has(n) },
      geometry: { type: "Point", coordinates: [lon, lat] },
    })),
  ];
}

function forgetTrack() {
  if (!tracked) return;
  tracked = null;
  draw("track");
}
