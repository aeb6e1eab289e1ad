// Loading the lists, and keeping them true by the live events that follow.
import { get, query } from "./api.js";
import { report } from "./dom.js";
import { ageOf } from "./format.js";
import { link } from "./live.js";
import { redrawSite } from "./map.js";
import { movePositions } from "./map_terminals.js";
import { emit, on, state } from "./state.js";

const PAGE = 100; // rows in one request
const DAY = 86_400; // seconds; refused messages are counted over the last day

let loading = 0;
const waiting = []; // alerts that arrive while a list is under way: the list may be older than they are

/** What must be there before the screen can be built. */
export async function loadGround() {
  [state.me, state.site, state.devices, state.kinds] = await Promise.all([
    get("/me"),
    get("/site"),
    loadDevices(),
    get("/categories"),
  ]);
  // A refused message belongs to no certain area, so the server shows them only to those without a limit.
  state.mayRefused = ["operator", "supervisor", "admin"].includes(state.me.role) && state.me.area === null;
}

async function loadDevices() {
  return new Map((await get("/devices")).map((device) => [device.code, device]));
}

/** Everything again: at the start, after a lost stream, and when the server says that events were lost. */
export async function loadAll() {
  const results = await Promise.allSettled([loadPositions(), loadAlerts(), countOverdue(), countRefused()]);
  for (const { status, reason } of results) if (status === "rejected") report(reason);
}

async function loadPositions() {
  takePositions(await get("/positions"));
}

function takePositions(positions) {
  for (const position of positions) {
    const known = state.positions.get(position.device);
    if (known && Date.parse(known.at) > Date.parse(position.at)) continue; // late: the newest fix counts
    // An SOS without a place still shows that the terminal lives; it keeps the last place it had.
    state.positions.set(
      position.device,
      position.lon === null && known ? { ...position, lon: known.lon, lat: known.lat } : position,
    );
    link.lastData = Math.max(link.lastData, Date.parse(position.received));
  }
  movePositions(positions);
  emit("positions", positions);
}

export async function loadAlerts() {
  loading += 1;
  try {
    const [open, acknowledged, latest] = await Promise.all([
      get(`/alerts${query({ state: "open", suppressed: false, limit: PAGE })}`),
      get(`/alerts${query({ state: "acknowledged", suppressed: false, limit: PAGE })}`),
      get(`/alerts${query({ limit: PAGE })}`),
    ]);
    state.alerts = new Map([...latest.items, ...acknowledged.items, ...open.items].map((alert) => [alert.id, alert]));
    state.alertsKnown = true;
    state.alertsError = null;
    state.moreAlerts = open.next !== null;
    state.nextAlerts = latest.next;
  } catch (error) {
    state.alertsError = error; // the rail shows it: an empty list would claim that all is quiet
  } finally {
    loading -= 1;
    for (const alert of waiting.splice(0)) state.alerts.set(alert.id, alert);
  }
  emit("alerts", null);
}

/** Older alerts than those loaded. */
export async function loadOlderAlerts() {
  const { items, next } = await get(`/alerts${query({ limit: PAGE, before: state.nextAlerts })}`);
  for (const alert of items) if (!state.alerts.has(alert.id)) state.alerts.set(alert.id, alert);
  state.nextAlerts = next;
  emit("alerts", null);
}

export function takeAlert(alert) {
  if (loading) waiting.push(alert);
  const known = state.alerts.get(alert.id);
  // Told again: one that was kept silent until now, and one that has grown more severe.
  const fresh = !known || (known.suppressed && !alert.suppressed) || known.severity !== alert.severity;
  state.alerts.set(alert.id, alert);
  emit("alerts", fresh ? alert : null);
}

async function countOverdue() {
  state.overdue = null; // unknown until it is known again
  try {
    const { items, next } = await get(`/cases${query({ overdue: true, limit: PAGE })}`);
    state.overdue = { count: items.length, more: next !== null };
  } finally {
    emit("counts");
  }
}

async function countRefused() {
  if (!state.mayRefused) return;
  state.refused = null;
  try {
    const { items, next } = await get(`/rejects${query({ limit: PAGE })}`);
    const recent = items.filter((reject) => ageOf(reject.last_seen) < DAY);
    state.refused = {
      count: recent.reduce((sum, r) => sum + r.times, 0),
      more: next !== null && recent.length === items.length,
    };
  } finally {
    emit("counts");
  }
}

/** Call `work` at most once in `pause` ms however often it is asked for; the last asking is never lost. */
function calmly(work, pause) {
  let timer = null;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      work().catch(report);
    }, pause);
  };
}

async function reloadSite() {
  const [site, devices, kinds] = await Promise.all([get("/site"), loadDevices(), get("/categories")]);
  const same =
    JSON.stringify([site, kinds, ...devices]) === JSON.stringify([state.site, state.kinds, ...state.devices]);
  if (same) return;
  Object.assign(state, { site, devices, kinds });
  redrawSite();
  emit("site");
}

/** Keep the picture true from now on. */
export function followLive() {
  const overdueSoon = calmly(countOverdue, 1_500);
  const refusedSoon = calmly(countRefused, 2_000);
  on("live.positions", takePositions);
  on("live.alert", takeAlert);
  on("live.case", (found) => {
    emit("case", found);
    overdueSoon();
  });
  on("live.reject", (reject) => {
    emit("reject", reject);
    if (state.mayRefused) refusedSoon();
  });
  on(
    "resync",
    calmly(async () => {
      await reloadSite();
      await loadAll();
      emit("reloaded");
    }, 300),
  );
  setInterval(overdueSoon, 60_000); // a case becomes overdue by the clock alone
}
