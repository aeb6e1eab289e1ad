// The layers of what stands and moves on the zones: devices, terminals, alerts, cases, and what is being looked at.
import { language } from "./i18n.js";
import { planLayers } from "./map_desk_layers.js";
import { palette } from "./map_icons.js";

const FONT = ["PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "WenQuanYi Micro Hei"];
const ALWAYS_SHOWN = { "icon-allow-overlap": true, "icon-ignore-placement": true };
export const nameField = () => ["get", language() === "zh" ? "name" : "name_en"];
export const text = (size, colour = "--map-text") => ({
  layout: { "text-font": FONT, "text-size": size },
  paint: { "text-color": palette(colour), "text-halo-color": palette("--map-halo"), "text-halo-width": 1.6 },
});

export function deviceLayers() {
  return ["camera", "sensor"].map((kind) => {
    const label = text(11);
    return {
      id: kind,
      type: "symbol",
      source: "devices",
      filter: ["==", ["get", "kind"], kind],
      layout: {
        ...label.layout,
        "icon-image": ["concat", kind, "-", ["get", "look"]],
        ...ALWAYS_SHOWN,
        "icon-size": ["interpolate", ["linear"], ["zoom"], 9, 0.6, 13, 1],
        "text-field": ["step", ["zoom"], "", 14, nameField()],
        "text-offset": [0, 1.1],
        "text-anchor": "top",
        "text-optional": true,
      },
      paint: label.paint,
    };
  });
}

export function terminalLayers() {
  const layers = [];
  for (const role of ["patrol", "police", "boat", "other"]) {
    const here = ["==", ["get", "role"], role];
    const fade = { "icon-opacity": ["case", ["get", "stale"], 0.42, 1] };
    const size = ["interpolate", ["linear"], ["zoom"], 9, 0.5, 12, 0.8, 14, 1];
    layers.push({
      id: `arrow-${role}`,
      type: "symbol",
      source: "terminals",
      filter: ["all", here, ["get", "moving"]],
      minzoom: 11.5,
      layout: {
        "icon-image": `arrow-${role}`,
        ...ALWAYS_SHOWN,
        "icon-rotate": ["get", "heading"],
        "icon-size": size,
        "icon-rotation-alignment": "map",
      },
      paint: fade,
    });
    layers.push({
      id: `terminal-${role}`,
      type: "symbol",
      source: "terminals",
      filter: here,
      layout: { "icon-image": `terminal-${role}`, ...ALWAYS_SHOWN, "icon-size": size },
      paint: fade,
    });
    const label = text(11.5);
    layers.push({
      id: `label-${role}`,
      type: "symbol",
      source: "terminals",
      filter: here,
      minzoom: 13.2,
      layout: {
        ...label.layout,
        "text-field": ["get", "label"],
        "text-offset": [0, 1.1],
        "text-anchor": "top",
        "text-max-width": 14,
      },
      paint: { ...label.paint, "text-opacity": ["case", ["get", "stale"], 0.75, 1] },
    });
  }
  return layers;
}

const bySeverity = () => [
  "match",
  ["get", "severity"],
  "high",
  palette("--high"),
  "medium",
  palette("--medium"),
  palette("--low"),
];

export const alertGlow = () => ({
  id: "alert-glow",
  type: "circle",
  source: "alerts",
  filter: ["any", ["get", "chosen"], ["==", ["get", "severity"], "high"]],
  paint: {
    "circle-color": bySeverity(),
    "circle-opacity": 0.2,
    "circle-radius": ["match", ["get", "severity"], "high", 24, 17],
  },
});

/** What must be seen over any number of terminals. */
export function happeningLayers() {
  return [
    {
      id: "cases",
      type: "symbol",
      source: "cases",
      layout: { "icon-image": ["concat", "case-", ["get", "severity"]], ...ALWAYS_SHOWN },
    },
    {
      id: "alert-ring",
      type: "circle",
      source: "alerts",
      paint: {
        "circle-color": "transparent",
        "circle-stroke-color": bySeverity(),
        "circle-stroke-width": ["case", ["get", "chosen"], 4, 2.2],
        "circle-radius": ["match", ["get", "severity"], "high", 15, 11],
      },
    },
    {
      id: "calling",
      type: "circle",
      source: "terminals",
      filter: ["get", "calling"],
      paint: {
        "circle-color": "transparent",
        "circle-radius": 12,
        "circle-stroke-color": palette("--high"),
        "circle-stroke-width": 3,
      },
    },
    {
      id: "chosen",
      type: "circle",
      source: "terminals",
      filter: ["get", "chosen"],
      paint: {
        "circle-color": "transparent",
        "circle-radius": 15,
        "circle-stroke-color": palette("--accent"),
        "circle-stroke-width": 2.5,
      },
    },
  ];
}

export function inspectionLayers() {
  const accent = palette("--accent");
  const track = palette("--track");
  return [
    {
      id: "route",
      type: "line",
      source: "route",
      paint: { "line-color": palette("--map-case"), "line-width": 2.6, "line-dasharray": [1.2, 1.2] },
    },
    { id: "accuracy-fill", type: "fill", source: "accuracy", paint: { "fill-color": accent, "fill-opacity": 0.16 } },
    { id: "accuracy-line", type: "line", source: "accuracy", paint: { "line-color": accent, "line-width": 1.4 } },
    {
      id: "track-line",
      type: "line",
      source: "track",
      filter: ["==", ["geometry-type"], "LineString"],
      layout: { "line-join": "round", "line-cap": "round" },
      paint: { "line-color": track, "line-width": 2.6, "line-opacity": 0.9 },
    },
    {
      id: "track-points",
      type: "circle",
      source: "track",
      filter: ["==", ["geometry-type"], "Point"],
      minzoom: 13,
      paint: { "circle-color": track, "circle-radius": 2.4 },
    },
    {
      id: "track-suspect",
      type: "circle",
      source: "track",
      filter: ["==", ["get", "suspect"], true],
      paint: {
        "circle-color": "transparent",
        "circle-radius": 6,
        "circle-stroke-color": palette("--high"),
        "circle-stroke-width": 2,
      },
    },
    ...planLayers(),
    ...evidenceLayers(),
    {
      id: "picked",
      type: "circle",
      source: "picked",
      paint: {
        "circle-color": accent,
        "circle-radius": 7,
        "circle-stroke-color": palette("--map-halo"),
        "circle-stroke-width": 2.5,
      },
    },
  ];
}

/** What an alert rests on, whatever it is: areas, ways and places; what was planned looks other than what was. */
function evidenceLayers() {
  const colour = ["match", ["get", "part"], "planned", palette("--map-checkpoint"), palette("--accent")];
  const is = (kind) => ["in", ["geometry-type"], ["literal", [kind, `Multi${kind}`]]];
  return [
    {
      id: "evidence-fill",
      type: "fill",
      source: "evidence",
      filter: is("Polygon"),
      paint: { "fill-color": colour, "fill-opacity": 0.14 },
    },
    {
      id: "evidence-line",
      type: "line",
      source: "evidence",
      filter: ["!", is("Point")],
      layout: { "line-join": "round", "line-cap": "round" },
      paint: { "line-color": colour, "line-width": 2.4 },
    },
    {
      id: "evidence-points",
      type: "circle",
      source: "evidence",
      filter: is("Point"),
      paint: {
        "circle-color": colour,
        "circle-radius": ["match", ["get", "part"], "newest", 7, 4.5],
        "circle-stroke-color": palette("--map-halo"),
        "circle-stroke-width": 1.5,
      },
    },
  ];
}
