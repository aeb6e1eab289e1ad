// What an alert rests on: its places drawn on the map, its numbers in words.
import { distanceText, duration, timeText } from "./format.js";
import { has, t } from "./i18n.js";
import { draw } from "./map.js";

/** Draw evidence `{geojson, numbers}`, or take the last away with null. */
export function drawEvidence(evidence) {
  const placed = evidence?.geojson?.features.filter((feature) => feature.geometry) ?? [];
  draw("evidence", { type: "FeatureCollection", features: placed });
}

/** All places in the evidence, for bringing them into view. */
export function evidencePlaces(evidence) {
  const places = [];
  const walk = (coordinates) => {
    if (typeof coordinates[0] === "number") places.push(coordinates);
    else for (const part of coordinates) walk(part);
  };
  for (const feature of evidence?.geojson?.features ?? []) {
    if (feature.geometry?.coordinates?.length) walk(feature.geometry.coordinates);
  }
  return places;
}

/**
 * [[name, value], …] of the numbers. An unknown name is shown as it is: better strange than missing. Of evidence that is
 * not for this account (null): that it is not.
 */
export function numbersOf(evidence) {
  if (!evidence) return [[t("evidence"), t("evidence.hidden")]];
  return flatten(evidence.numbers ?? {}).map(([name, value]) => [labelOf(name), valueText(name, value)]);
}

function flatten(numbers, before = "") {
  return Object.entries(numbers).flatMap(([name, value]) => {
    if (value !== null && typeof value === "object" && !Array.isArray(value))
      return flatten(value, `${before}${name}.`);
    return [[before + name, value]];
  });
}

function labelOf(name) {
  const last = name.split(".").at(-1);
  if (has(`evidence.${name}`)) return t(`evidence.${name}`);
  if (has(`evidence.${last}`)) return t(`evidence.${last}`);
  return name.replaceAll("_", " ").replaceAll(".", " · ");
}

const ISO = /^\d{4}-\d\d-\d\dT/;

function valueText(name, value) {
  if (value === null) return t("unknown");
  if (Array.isArray(value))
    return value.map((part) => (typeof part === "object" ? JSON.stringify(part) : String(part))).join(", ");
  if (typeof value === "string") return ISO.test(value) ? timeText(value) : value;
  if (typeof value === "boolean") return t(value ? "yes" : "no");
  if (/(^|_)(s|seconds|dwell|interval|since_s)$/.test(name)) return duration(value);
  if (/(^|_)(m|metres|distance|radius)$/.test(name)) return distanceText(value);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(3)));
}
