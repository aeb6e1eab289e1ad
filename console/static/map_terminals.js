// The moving terminals: one GeoJSON source for all of them, redrawn only when something can be seen to have moved.
import { freshness, isCalling, movers, moves } from "./devices.js";
import { ageOf, duration } from "./format.js";
import { named } from "./i18n.js";
import { collection, draw, hasMap, mapReady, onMapMove, pixelScale, point, viewed } from "./map.js";
import { Motion } from "./motion.js";
import { on, state } from "./state.js";

const SEEN = 0.35; // pixels a marker must have moved before it is worth drawing again
const WALKING = 0.4; // m/s; below it a heading is noise and no arrow is shown
const LEAST_PAUSE = 40; // ms between two drawings: 25 a second is smooth enough for people on foot
const MOST_PAUSE = 1_000; // ms
const SHARE = 3; // a drawing may take a third of the time: an office machine without a graphics card stays usable

const motion = new Motion();
let drawn = new Map(); // code → [lon, lat] as last given to the map
let stale = true; // something besides the places changed: labels, colours, selection
let inFlight = false;
let lastDrawn = 0;
let pause = LEAST_PAUSE;

/** Take positions into the motion; the newest fix of each counts. `at` of the server is compared, not the arrival. */
export function movePositions(positions) {
  const now = performance.now();
  for (const p of positions) {
    const device = state.devices.get(p.device);
    if (!device || !moves(device) || p.lon === null || p.lat === null) continue;
    if (motion.push(p.device, Date.parse(p.at), p.lon, p.lat, device.interval, now)) stale = true;
  }
}

/** Where the terminal is drawn at this moment: [lon, lat], or null. */
export const shownPlace = (code) => motion.at(code, performance.now());

export function startTerminals() {
  if (!hasMap()) return;
  for (const event of ["language", "selection", "site"])
    on(event, () => {
      stale = true;
    });
  // Ages in the labels and fading go on without any message arriving.
  setInterval(() => {
    stale = true;
  }, 5_000);
  onMapMove(() => {
    stale = true;
  });
  mapReady().then(() => requestAnimationFrame(frame));
}

function frame(now) {
  requestAnimationFrame(frame);
  if (inFlight || now - lastDrawn < pause || (!stale && !(motion.busy(now) && visiblyMoved(now)))) return;
  inFlight = true; // never more than one drawing under way: a slow machine draws less often instead of falling behind
  stale = false;
  lastDrawn = now;
  draw("terminals", collection(features(now))).finally(() =>
    requestAnimationFrame(() =>
      requestAnimationFrame((done) => {
        pause = Math.min(MOST_PAUSE, Math.max(LEAST_PAUSE, SHARE * (done - now - 33)));
        inFlight = false;
      }),
    ),
  );
}

function visiblyMoved(now) {
  const scale = pixelScale();
  if (!scale) return false;
  for (const [code, [lon, lat]] of drawn) {
    const place = motion.at(code, now);
    const dx = ((place[0] - lon) / scale.per) * scale.x;
    const dy = ((place[1] - lat) / scale.per) * scale.y;
    if (dx * dx + dy * dy > SEEN * SEEN) return true;
  }
  return false;
}

function features(now) {
  const all = [];
  const near = viewed();
  drawn = new Map();
  for (const device of movers()) {
    const place = motion.at(device.code, now);
    if (!place || !near(place)) continue;
    drawn.set(device.code, place);
    all.push(feature(device, place));
  }
  return all;
}

const ROLES = new Set(["patrol", "police", "boat"]);

function feature(device, place) {
  const position = state.positions.get(device.code);
  const old = freshness(device) !== "live";
  const chosen = state.selection?.kind === "terminal" && state.selection.id === device.code;
  return point(place[0], place[1], {
    code: device.code,
    role: ROLES.has(device.role) ? device.role : "other",
    label: old ? `${named(device)} · ${duration(ageOf(position.at))}` : named(device),
    heading: position.heading ?? 0,
    moving: !old && position.heading !== null && (position.speed ?? 0) > WALKING,
    stale: old,
    chosen,
    calling: isCalling(position),
  });
}
