// The layers of what the desk looks into: a patrol plan, and what a backtest would add, lose and keep.
import { palette } from "./map_icons.js";
import { text } from "./map_layers.js";

const SLOT = 26; // pixels from one sign to the next at the same place

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

/** A colour and a sign, never the colour alone; above all else, as what was alerted stands at the same places. */
export function backtestLayer() {
  const label = text(12);
  const beside = (step, below) => [
    "match",
    ["get", "slot"],
    1,
    ["literal", [step, below]],
    2,
    ["literal", [2 * step, below]],
    ["literal", [0, below]],
  ];
  return {
    id: "backtest-sign",
    type: "symbol",
    source: "backtest",
    layout: {
      ...label.layout,
      "icon-image": ["concat", "sign-", ["get", "side"], ["case", ["get", "chosen"], "-chosen", ""]],
      "icon-allow-overlap": true,
      "icon-ignore-placement": true,
      "icon-padding": 0, // a click on one is none on its neighbour
      "icon-offset": beside(SLOT, 0),
      "text-field": ["get", "count"],
      "text-allow-overlap": true,
      "text-ignore-placement": true,
      "text-anchor": "top",
      "text-offset": beside(SLOT / 12, 0.9),
      // What is new lies over what goes, and that over what stays; the one that is chosen over all.
      "symbol-sort-key": ["case", ["get", "chosen"], 3, ["match", ["get", "side"], "added", 2, "gone", 1, 0]],
    },
    paint: label.paint,
  };
}
