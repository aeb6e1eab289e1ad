// The layers of what the desk looks into: a patrol plan, and what a backtest would add, lose and keep.
import { palette } from "./map_icons.js";
import { text } from "./map_layers.js";

/** A plan that is looked at: the zones it names, and its checkpoints in their order. */
export function planLayers() {
  const colour = palette("--map-checkpoint");
  const label = text(13, "--map-checkpoint");
  return [
    {
      id: "plan-line",
      type: "line",
      source: "plan",
      layout: { "line-join": "round", "line-cap": "round" },
      paint: { "line-color": colour, "line-width": 4, "line-opacity": 0.75 },
    },
    {
      id: "plan-order",
      type: "symbol",
      source: "plan",
      filter: ["has", "order"],
      layout: { ...label.layout, "text-field": ["get", "order"], "text-allow-overlap": true },
      paint: label.paint,
    },
  ];
}

/** A colour and a sign, never the colour alone. */
export function backtestLayers() {
  const bySide = ["match", ["get", "side"], "added", palette("--good"), "gone", palette("--high"), palette("--text-3")];
  const sign = text(17);
  return [
    {
      id: "backtest-point",
      type: "circle",
      source: "backtest",
      paint: {
        "circle-color": bySide,
        "circle-radius": 9,
        "circle-stroke-color": palette("--map-halo"),
        "circle-stroke-width": 1.5,
      },
    },
    {
      id: "backtest-sign",
      type: "symbol",
      source: "backtest",
      layout: {
        ...sign.layout,
        "text-field": ["get", "sign"],
        "text-allow-overlap": true,
        "text-ignore-placement": true,
      },
      paint: { "text-color": palette("--map-halo") },
    },
  ];
}
