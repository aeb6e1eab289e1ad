// The one picture of the site that all parts of the screen share, and the events by which they hear of changes.

export const state = {
  me: null,
  site: null,
  devices: new Map(), // code → device
  positions: new Map(), // code → newest position known
  alerts: new Map(), // id → alert, the live ones and those the rail has loaded
  moreAlerts: false, // the server holds more open alerts than were loaded
  numbers: new Map(), // case id → the number that people say, of the cases seen so far
  kinds: [], // the site's kinds of event, with their names and usual severity
  categories: new Set(), // kinds of event, of the cases seen so far
  nextAlerts: null, // where older ones begin
  alertsKnown: false, // until they have been read once, nothing is said of their number
  alertsError: null,
  overdue: null, // {count, more}; null: unknown
  refused: null,
  mayRefused: false, // whether this account may see the refused messages
  selection: null, // {kind: "terminal"|"device"|"alert"|"case", id}
};

const bus = new EventTarget();

/**
 * Events: site, positions, alerts, case, numbers, reject, counts, link, resync, reloaded, live.*, selection, show,
 * language, theme, sound, tick, minute, silences_changed, log-in-ended, backtest (one of its alerts was clicked on the map).
 */
export function on(name, listener) {
  const handler = (event) => listener(event.detail);
  bus.addEventListener(name, handler);
  return () => bus.removeEventListener(name, handler);
}

export function emit(name, detail) {
  bus.dispatchEvent(new CustomEvent(name, { detail }));
}

export function select(kind, id) {
  state.selection = kind ? { kind, id } : null;
  emit("selection", state.selection);
}

export const unitOf = (code) => state.site?.units.find((unit) => unit.code === code);
export const areaOf = (code) => state.site?.areas.find((area) => area.code === code);
export const ruleOf = (code) => state.site?.rules.find((rule) => rule.code === code);
export const zoneOf = (code) => state.site?.zones.features.find((zone) => zone.properties.code === code)?.properties;
