// Where each terminal is drawn between two of its fixes. Pure: no map, no clock of its own.
//
// The map must not lie, so a marker only ever lies between the place where it was last drawn and the newest fix; it
// never runs ahead of it. It jumps, rather than glides along a way nobody walked, after a gap or an impossible step.
import { metres } from "./format.js";

const FASTEST = 45; // m/s; no patrol car or boat glides faster than this
const SLOWEST_GLIDE = 8_000; // ms; with long intervals the marker rests at the fix instead of trailing far behind
const GAPS = 3; // intervals without a fix after which the way between is unknown
const NO_PROMISE = 60; // seconds, the interval assumed for a device that promises none

export class Motion {
  #moving = new Map(); // code → {at, from: [lon, lat], to: [lon, lat], begun, lasts}

  /** Take the newest fix of `code` (`at` in ms, site clock) at page time `now` (ms). Older ones are ignored. */
  push(code, at, lon, lat, interval, now) {
    const present = this.#moving.get(code);
    if (present && at <= present.at) return false;
    const to = [lon, lat];
    const from = present ? this.#where(present, now) : to;
    const gap = present ? at - present.at : Infinity;
    const far = metres(from[0], from[1], lon, lat);
    const known = gap <= GAPS * (interval || NO_PROMISE) * 1_000 && far <= (FASTEST * gap) / 1_000;
    const lasts = known ? Math.min(gap, SLOWEST_GLIDE) : 0;
    this.#moving.set(code, { at, from: known ? from : to, to, begun: now, lasts });
    return true;
  }

  /** The drawn place of `code` at page time `now`: [lon, lat], or null when it never had a fix. */
  at(code, now) {
    const present = this.#moving.get(code);
    return present ? this.#where(present, now) : null;
  }

  /** Whether any marker is still on its way. */
  busy(now) {
    for (const { begun, lasts } of this.#moving.values()) if (now < begun + lasts) return true;
    return false;
  }

  clear() {
    this.#moving.clear();
  }

  #where({ from, to, begun, lasts }, now) {
    const part = lasts > 0 ? Math.min(1, Math.max(0, (now - begun) / lasts)) : 1;
    return part === 1 ? to : [from[0] + (to[0] - from[0]) * part, from[1] + (to[1] - from[1]) * part];
  }
}
