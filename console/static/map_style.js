// The map's style as data: sources, layers, colours of the present theme, labels in the present language.
// There is no "glyphs" and no "sprite" address: MapLibre then draws every letter from the machine's own fonts.
import { backtestLayer } from "./map_desk_layers.js";
import { palette } from "./map_icons.js";
import {
  alertGlow,
  deviceLayers,
  happeningLayers,
  inspectionLayers,
  nameField,
  terminalLayers,
  text,
} from "./map_layers.js";
import { theme } from "./prefs.js";

export const NOTHING = { type: "FeatureCollection", features: [] };
export const SOURCES = [
  "areas",
  "devices",
  "cases",
  "alerts",
  "accuracy",
  "track",
  "evidence",
  "route",
  "picked",
  "plan",
  "backtest",
  "terminals",
];

// Fill opacity, line width and dash of each kind of zone, and the zoom from which it is named; the colours are custom
// properties of the style sheet.
export const ZONE_KINDS = {
  water: { colour: "--map-water", line: "--map-water-line", fill: 1, width: 1.2, labels: 0 },
  no_fishing: {
    colour: "--map-no-fishing",
    line: "--map-no-fishing",
    fill: 0.1,
    width: 1.8,
    dash: [4, 2],
    labels: 10.5,
  },
  restricted: { colour: "--map-restricted", line: "--map-restricted", fill: 0.2, width: 2, labels: 12.3 },
  crowd_watch: { colour: "--map-crowd", line: "--map-crowd", fill: 0.16, width: 1.6, dash: [1.5, 1.5], labels: 11.5 },
  patrol: { colour: "--map-patrol", line: "--map-patrol", fill: 0.06, width: 2, dash: [6, 3], labels: 12.3 },
  checkpoint: { colour: "--map-checkpoint", line: "--map-checkpoint", fill: 0.22, width: 1.8, labels: 12.3 },
};

/** What the legend can show and hide: name → the layers it stands for. */
export const GROUPS = {
  ...Object.fromEntries(
    Object.keys(ZONE_KINDS).map((kind) => [
      kind,
      [`${kind}-fill`, `${kind}-line`, `${kind}-label`, ...(kind === "no_fishing" ? ["no_fishing-hatch"] : [])],
    ]),
  ),
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

function zoneLayers() {
  const fills = [];
  const lines = [];
  const labels = [];
  for (const [kind, look] of Object.entries(ZONE_KINDS)) {
    const here = ["==", ["get", "kind"], kind];
    const areal = ["all", here, ["==", ["geometry-type"], "Polygon"]];
    // A zone out of its season is still there, but in the background: half as strong.
    const strength = (full) => ["case", ["get", "in_force"], full, full * 0.45];
    fills.push({
      id: `${kind}-fill`,
      type: "fill",
      source: "zones",
      filter: areal,
      paint: { "fill-color": palette(look.colour), "fill-opacity": strength(look.fill) },
    });
    if (kind === "no_fishing") {
      fills.push({
        id: "no_fishing-hatch",
        type: "fill",
        source: "zones",
        filter: areal,
        paint: { "fill-pattern": "hatch", "fill-opacity": strength(0.7) },
      });
    }
    lines.push({
      id: `${kind}-line`,
      type: "line",
      source: "zones",
      filter: here,
      layout: { "line-join": "round", "line-cap": look.dash ? "butt" : "round" },
      paint: {
        "line-color": palette(look.line),
        "line-width": look.width,
        "line-opacity": strength(0.95),
        ...(look.dash ? { "line-dasharray": look.dash } : {}),
      },
    });
    const label = text(kind === "water" ? 15 : 12, look.line);
    labels.push({
      id: `${kind}-label`,
      type: "symbol",
      source: "zone-labels",
      filter: here,
      minzoom: look.labels,
      layout: {
        ...label.layout,
        "text-field": nameField(),
        "text-max-width": 9,
        "text-letter-spacing": kind === "water" ? 0.2 : 0,
      },
      paint: { ...label.paint, "text-opacity": ["case", ["get", "in_force"], 1, 0.7] },
    });
  }
  return { fills, lines, labels };
}

/** The whole style for `site`, as MapLibre takes it; `zones` and `labels` are prepared by map.js. */
export function mapStyle(site, zones, labels) {
  const sources = { zones: { type: "geojson", data: zones }, "zone-labels": { type: "geojson", data: labels } };
  for (const name of SOURCES) sources[name] = { type: "geojson", data: NOTHING };
  const tiles = [];
  if (site.tile_url) {
    sources.tiles = { type: "raster", tiles: [site.tile_url], tileSize: 256, maxzoom: 18 };
    // Tiles are made for daylight; at night they are dimmed so that the site's own marks stay the brightest.
    const paint =
      theme() === "dark"
        ? { "raster-brightness-max": 0.55, "raster-saturation": -0.5 }
        : { "raster-brightness-max": 1, "raster-saturation": -0.25 };
    tiles.push({ id: "tiles", type: "raster", source: "tiles", paint });
  }
  const zone = zoneLayers();
  const area = text(13);
  const [water, ...otherFills] = zone.fills;
  return {
    version: 8,
    sources,
    layers: [
      { id: "background", type: "background", paint: { "background-color": palette("--map-bg") } },
      water,
      ...tiles,
      ...otherFills,
      ...zone.lines,
      ...zone.labels,
      ...deviceLayers(),
      alertGlow(),
      ...inspectionLayers(),
      ...terminalLayers(),
      ...happeningLayers(),
      {
        id: "areas",
        type: "symbol",
        source: "areas",
        layout: { ...area.layout, "text-field": nameField(), "text-anchor": "bottom", "text-offset": [0, -0.5] },
        paint: area.paint,
      },
      backtestLayer(),
    ],
  };
}
