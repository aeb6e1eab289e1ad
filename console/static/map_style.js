// The map's style as data: sources, layers, colours of the present theme, labels in the present language.
// There is no "glyphs" and no "sprite" address: MapLibre then draws every letter from the machine's own fonts.
import { language } from "./i18n.js";
import { palette } from "./map_icons.js";
import { theme } from "./prefs.js";

const FONT = ["PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "WenQuanYi Micro Hei"];
export const NOTHING = { type: "FeatureCollection", features: [] };
export const SOURCES = ["areas", "devices", "cases", "alerts", "accuracy", "track", "evidence", "route", "picked", "terminals"];

// Fill opacity, line width and dash of each kind of zone, and the zoom from which it is named; the colour is a custom property of the style sheet.
export const ZONE_KINDS = {
  water: { colour: "--map-water", line: "--map-water-line", fill: 1, width: 1.2, labels: 0 },
  no_fishing: { colour: "--map-no-fishing", line: "--map-no-fishing", fill: 0.1, width: 1.8, dash: [4, 2], labels: 10.5 },
  restricted: { colour: "--map-restricted", line: "--map-restricted", fill: 0.2, width: 2, labels: 12.3 },
  crowd_watch: { colour: "--map-crowd", line: "--map-crowd", fill: 0.16, width: 1.6, dash: [1.5, 1.5], labels: 11.5 },
  patrol: { colour: "--map-patrol", line: "--map-patrol", fill: 0.06, width: 2, dash: [6, 3], labels: 12.3 },
  checkpoint: { colour: "--map-checkpoint", line: "--map-checkpoint", fill: 0.22, width: 1.8, labels: 12.3 },
};

/** What the legend can show and hide: name → the layers it stands for. */
export const GROUPS = {
  ...Object.fromEntries(Object.keys(ZONE_KINDS).map((kind) => [kind, [`${kind}-fill`, `${kind}-line`, `${kind}-label`,
    ...(kind === "no_fishing" ? ["no_fishing-hatch"] : [])]])),
  areas: ["areas"],
  camera: ["camera"],
  sensor: ["sensor"],
  patrol_role: ["terminal-patrol", "arrow-patrol", "label-patrol"],
  police_role: ["terminal-police", "arrow-police", "label-police"],
  boat_role: ["terminal-boat", "arrow-boat", "label-boat"],
  other_role: ["terminal-other", "arrow-other", "label-other"],
  cases: ["cases"],
  alerts: ["alert-glow", "alert-ring"],
};

const ALWAYS_SHOWN = { "icon-allow-overlap": true, "icon-ignore-placement": true };
const nameField = () => ["get", language() === "zh" ? "name" : "name_en"];
const text = (size, colour = "--map-text") => ({
  layout: { "text-font": FONT, "text-size": size },
  paint: { "text-color": palette(colour), "text-halo-color": palette("--map-halo"), "text-halo-width": 1.6 },
});

function zoneLayers() {
  const fills = [];
  const lines = [];
  const labels = [];
  for (const [kind, look] of Object.entries(ZONE_KINDS)) {
    const here = ["==", ["get", "kind"], kind];
    const areal = ["all", here, ["==", ["geometry-type"], "Polygon"]];
    // A zone out of its season is still there, but in the background: half as strong.
    const strength = (full) => ["case", ["get", "in_force"], full, full * 0.45];
    fills.push({ id: `${kind}-fill`, type: "fill", source: "zones", filter: areal,
      paint: { "fill-color": palette(look.colour), "fill-opacity": strength(look.fill) } });
    if (kind === "no_fishing") {
      fills.push({ id: "no_fishing-hatch", type: "fill", source: "zones", filter: areal,
        paint: { "fill-pattern": "hatch", "fill-opacity": strength(0.7) } });
    }
    lines.push({ id: `${kind}-line`, type: "line", source: "zones", filter: here,
      layout: { "line-join": "round", "line-cap": look.dash ? "butt" : "round" },
      paint: { "line-color": palette(look.line), "line-width": look.width, "line-opacity": strength(0.95),
        ...(look.dash ? { "line-dasharray": look.dash } : {}) } });
    const label = text(kind === "water" ? 15 : 12, look.line);
    labels.push({ id: `${kind}-label`, type: "symbol", source: "zone-labels", filter: here, minzoom: look.labels,
      layout: { ...label.layout, "text-field": nameField(), "text-max-width": 9, "text-letter-spacing": kind === "water" ? 0.2 : 0 },
      paint: { ...label.paint, "text-opacity": ["case", ["get", "in_force"], 1, 0.7] } });
  }
  return { fills, lines, labels };
}

function deviceLayers() {
  return ["camera", "sensor"].map((kind) => {
    const label = text(11);
    return { id: kind, type: "symbol", source: "devices", filter: ["==", ["get", "kind"], kind],
      layout: { ...label.layout, "icon-image": ["concat", kind, "-", ["get", "look"]], ...ALWAYS_SHOWN,
        "icon-size": ["interpolate", ["linear"], ["zoom"], 9, 0.6, 13, 1],
        "text-field": ["step", ["zoom"], "", 14, nameField()], "text-offset": [0, 1.1], "text-anchor": "top", "text-optional": true },
      paint: label.paint };
  });
}

function terminalLayers() {
  const layers = [];
  for (const role of ["patrol", "police", "boat", "other"]) {
    const here = ["==", ["get", "role"], role];
    const fade = { "icon-opacity": ["case", ["get", "stale"], 0.42, 1] };
    const size = ["interpolate", ["linear"], ["zoom"], 9, 0.5, 12, 0.8, 14, 1];
    layers.push({ id: `arrow-${role}`, type: "symbol", source: "terminals", filter: ["all", here, ["get", "moving"]], minzoom: 11.5,
      layout: { "icon-image": `arrow-${role}`, ...ALWAYS_SHOWN, "icon-rotate": ["get", "heading"], "icon-size": size,
        "icon-rotation-alignment": "map" }, paint: fade });
    layers.push({ id: `terminal-${role}`, type: "symbol", source: "terminals", filter: here,
      layout: { "icon-image": `terminal-${role}`, ...ALWAYS_SHOWN, "icon-size": size }, paint: fade });
    const label = text(11.5);
    layers.push({ id: `label-${role}`, type: "symbol", source: "terminals", filter: here, minzoom: 13.2,
      layout: { ...label.layout, "text-field": ["get", "label"], "text-offset": [0, 1.1], "text-anchor": "top", "text-max-width": 14 },
      paint: { ...label.paint, "text-opacity": ["case", ["get", "stale"], 0.75, 1] } });
  }
  return layers;
}

const bySeverity = () => ["match", ["get", "severity"], "high", palette("--high"), "medium", palette("--medium"), palette("--low")];

const alertGlow = () => ({ id: "alert-glow", type: "circle", source: "alerts", filter: ["any", ["get", "chosen"], ["==", ["get", "severity"], "high"]], paint: { "circle-color": bySeverity(),
  "circle-opacity": 0.2, "circle-radius": ["match", ["get", "severity"], "high", 24, 17] } });

/** What must be seen over any number of terminals. */
function happeningLayers() {
  return [
    { id: "cases", type: "symbol", source: "cases", layout: { "icon-image": ["concat", "case-", ["get", "severity"]], ...ALWAYS_SHOWN } },
    { id: "alert-ring", type: "circle", source: "alerts", paint: { "circle-color": "transparent", "circle-stroke-color": bySeverity(),
      "circle-stroke-width": ["case", ["get", "chosen"], 4, 2.2], "circle-radius": ["match", ["get", "severity"], "high", 15, 11] } },
    { id: "calling", type: "circle", source: "terminals", filter: ["get", "calling"], paint: { "circle-color": "transparent",
      "circle-radius": 12, "circle-stroke-color": palette("--high"), "circle-stroke-width": 3 } },
    { id: "chosen", type: "circle", source: "terminals", filter: ["get", "chosen"], paint: { "circle-color": "transparent",
      "circle-radius": 15, "circle-stroke-color": palette("--accent"), "circle-stroke-width": 2.5 } },
  ];
}

function inspectionLayers() {
  const accent = palette("--accent");
  const track = palette("--track");
  return [
    { id: "route", type: "line", source: "route", paint: { "line-color": accent, "line-width": 2.4, "line-dasharray": [2, 1.6] } },
    { id: "accuracy-fill", type: "fill", source: "accuracy", paint: { "fill-color": accent, "fill-opacity": 0.16 } },
    { id: "accuracy-line", type: "line", source: "accuracy", paint: { "line-color": accent, "line-width": 1.4 } },
    { id: "track-line", type: "line", source: "track", filter: ["==", ["geometry-type"], "LineString"],
      layout: { "line-join": "round", "line-cap": "round" }, paint: { "line-color": track, "line-width": 2.6, "line-opacity": 0.9 } },
    { id: "track-points", type: "circle", source: "track", filter: ["==", ["geometry-type"], "Point"], minzoom: 13,
      paint: { "circle-color": track, "circle-radius": 2.4 } },
    { id: "evidence-fill", type: "fill", source: "evidence", filter: ["==", ["geometry-type"], "Polygon"],
      paint: { "fill-color": accent, "fill-opacity": 0.14 } },
    { id: "evidence-line", type: "line", source: "evidence", paint: { "line-color": accent, "line-width": 2 } },
    { id: "evidence-points", type: "circle", source: "evidence", filter: ["==", ["geometry-type"], "Point"],
      paint: { "circle-color": accent, "circle-radius": 4.5, "circle-stroke-color": palette("--map-halo"), "circle-stroke-width": 1.5 } },
    { id: "picked", type: "circle", source: "picked", paint: { "circle-color": accent, "circle-radius": 7,
      "circle-stroke-color": palette("--map-halo"), "circle-stroke-width": 2.5 } },
  ];
}

/** The whole style for `site`, as MapLibre takes it; `zones` and `labels` are prepared by map.js. */
export function mapStyle(site, zones, labels) {
  const sources = { zones: { type: "geojson", data: zones }, "zone-labels": { type: "geojson", data: labels } };
  for (const name of SOURCES) sources[name] = { type: "geojson", data: NOTHING };
  const tiles = [];
  if (site.tile_url) {
    sources.tiles = { type: "raster", tiles: [site.tile_url], tileSize: 256, maxzoom: 18 };
    // Tiles are made for daylight; at night they are dimmed so that the site's own marks stay the brightest.
    const paint = theme() === "dark" ? { "raster-brightness-max": 0.55, "raster-saturation": -0.5 }
      : { "raster-brightness-max": 1, "raster-saturation": -0.25 };
    tiles.push({ id: "tiles", type: "raster", source: "tiles", paint });
  }
  const zone = zoneLayers();
  const area = text(13);
  const [water, ...otherFills] = zone.fills;
  return { version: 8, sources, layers: [
    { id: "background", type: "background", paint: { "background-color": palette("--map-bg") } },
    water, ...tiles, ...otherFills, ...zone.lines, ...zone.labels,
    ...deviceLayers(), alertGlow(), ...inspectionLayers(), ...terminalLayers(), ...happeningLayers(),
    { id: "areas", type: "symbol", source: "areas", layout: { ...area.layout, "text-field": nameField(),
      "text-anchor": "bottom", "text-offset": [0, -0.5] }, paint: area.paint },
  ] };
}
