// What stands on the map beside the terminals: cameras, sensors, alerts, cases, and names of areas.
import { moves } from "./devices.js";
import { named } from "./i18n.js";
import { collection, draw, mapReady, middle, point } from "./map.js";
import { on, state } from "./state.js";

const LIVE = new Set(["open", "acknowledged"]);
let shownCases = []; // what the case list has loaded

export const liveAlerts = () => [...state.alerts.values()].filter((a) => LIVE.has(a.state) && !a.suppressed);

export function startMarks() {
  for (const event of ["alerts", "selection"]) on(event, drawAlerts);
  for (const event of ["alerts", "site"]) on(event, drawDevices);
  on("site", drawAreas);
  mapReady().then(
    () => {
      drawAreas();
      drawDevices();
      drawAlerts();
    },
    () => {},
  ); // no map: said in its place
}

/** Open cases with a place get a flag. */
export function showCases(cases) {
  shownCases = cases;
  const here = shownCases.filter(
    (c) => c.lon !== null && c.lat !== null && !["closed", "void", "merged"].includes(c.status),
  );
  draw("cases", collection(here.map((c) => point(c.lon, c.lat, { id: c.id, severity: c.severity }))));
}

function drawAlerts() {
  const { selection } = state;
  const chosen = selection?.kind === "alert" ? selection.id : null;
  const placed = liveAlerts().filter((a) => !a.historical && a.lon !== null && a.lat !== null);
  // Of several at one place the gravest is drawn, of equals the newest: rings over rings would only hide the map.
  const order = (a) => (a.id === chosen ? 3 : ["low", "medium", "high"].indexOf(a.severity));
  const here = new Map();
  for (const alert of placed.sort((a, b) => order(a) - order(b) || a.id - b.id))
    here.set(`${alert.lon.toFixed(4)} ${alert.lat.toFixed(4)}`, alert);
  draw(
    "alerts",
    collection(
      [...here.values()].map((a) => point(a.lon, a.lat, { id: a.id, severity: a.severity, chosen: a.id === chosen })),
    ),
  );
}

/** A camera or sensor is off when its registry says so, red while an alert about it is open. */
export function lookOf(device) {
  if (!device.active) return "off";
  return liveAlerts().some((alert) => alert.subject === device.code && alert.state === "open") ? "alert" : "fine";
}

function drawDevices() {
  const fixed = [...state.devices.values()].filter((d) => !moves(d) && d.lon !== null && d.lat !== null);
  draw(
    "devices",
    collection(
      fixed.map((d) =>
        point(d.lon, d.lat, {
          code: d.code,
          kind: d.kind === "sensor" ? "sensor" : "camera",
          name: d.name,
          name_en: d.name_en,
          look: lookOf(d),
        }),
      ),
    ),
  );
}

/**
 * Areas have no outline of their own, so a village's name stands amid what is registered in it: the mean of its fixed
 * devices and zones. An area with neither is not on the map rather than at an invented place.
 */
function drawAreas() {
  const places = new Map();
  const note = (area, place) => places.set(area, [...(places.get(area) ?? []), place]);
  for (const d of state.devices.values()) if (d.lon !== null && d.lat !== null) note(d.area, [d.lon, d.lat]);
  for (const zone of state.site.zones.features) {
    if (zone.properties.kind !== "water") note(zone.properties.area, middle(zone.geometry));
  }
  const named_ = state.site.areas.filter((area) => ["community", "grid"].includes(area.level) && places.has(area.code));
  draw(
    "areas",
    collection(
      named_.map((area) => {
        const all = places.get(area.code);
        const mean = [0, 1].map((axis) => all.reduce((sum, place) => sum + place[axis], 0) / all.length);
        return point(mean[0], mean[1], { name: area.name, name_en: area.name_en, label: named(area) });
      }),
    ),
  );
}
