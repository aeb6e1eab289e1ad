// What can be said of a device from its last fix: whether it is fresh, silent or was never heard.
import { ageOf } from "./format.js";
import { named, t } from "./i18n.js";
import { state, unitOf } from "./state.js";

const MISSED = 3; // intervals without a fix: the marker fades and the terminal counts as silent
const NO_PROMISE = 900; // seconds after which a device without an interval of its own fades

/** Seconds after which the last fix of this device is old. */
export const patience = (device) => (device.interval > 0 ? MISSED * device.interval : NO_PROMISE);

/** "live", "silent", or "never" heard. */
export function freshness(device) {
  const position = state.positions.get(device.code);
  if (!position) return "never";
  return ageOf(position.at) <= patience(device) ? "live" : "silent";
}

/** What moves: patrols' terminals, and vessels that report where they are. */
export const moves = (device) => device.kind === "terminal" || device.kind === "vessel";
export const movers = () => [...state.devices.values()].filter((d) => moves(d) && d.active);
export const terminals = () => [...state.devices.values()].filter((d) => d.kind === "terminal" && d.active);

/** How many terminals are live, silent and never heard. */
export function countTerminals() {
  const counts = { live: 0, silent: 0, never: 0 };
  for (const device of terminals()) counts[freshness(device)] += 1;
  return counts;
}

export const deviceName = (code) => {
  const device = state.devices.get(code);
  return device ? named(device) : code;
};

export const unitName = (code) => (unitOf(code) ? named(unitOf(code)) : code || t("unit.none"));

/** "sos" before everything: a terminal that called for help must be seen at any zoom. */
const SOS = 1;
export const isCalling = (position) => Boolean(position && position.flags & SOS);
