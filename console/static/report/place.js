// Where it is: by the phone's own positioning, by pointing it out on the map, or typed in.
import { emit } from "../state.js";

const GOOD = 15; // metres; better than this is not waited for
const PATIENCE = 45_000; // ms

let watching = null;
let timer = 0;

/** {lon, lat, accuracy (metres or null), how: "gps"|"map"|"typed"}, or null while it is not known. */
export const place = { now: null, searching: false, problem: null };

function changed() {
  emit("place", place.now);
}

export function setPlace(lon, lat, how) {
  stopSearching();
  Object.assign(place, { now: { lon, lat, accuracy: null, how }, problem: null });
  changed();
}

export function forgetPlace() {
  Object.assign(place, { now: null, problem: null });
}

/** Ask the phone, and take ever better answers until one is good. */
export function search() {
  stopSearching();
  if (!navigator.geolocation || !isSecureContext) {
    place.problem = "place.no_gps";
    changed();
    return;
  }
  Object.assign(place, { searching: true, problem: null });
  watching = navigator.geolocation.watchPosition(found, missed, { enableHighAccuracy: true, maximumAge: 10_000 });
  timer = setTimeout(() => {
    if (!place.now) place.problem = "place.timeout";
    stopSearching();
    changed();
  }, PATIENCE);
  changed();
}

export function stopSearching() {
  if (watching !== null) navigator.geolocation.clearWatch(watching);
  clearTimeout(timer);
  watching = null;
  place.searching = false;
}

function found({ coords }) {
  const { longitude: lon, latitude: lat, accuracy } = coords;
  if (place.now?.how !== "gps" || accuracy <= place.now.accuracy) {
    Object.assign(place, { now: { lon, lat, accuracy, how: "gps" }, problem: null });
  }
  if (accuracy <= GOOD) stopSearching();
  changed();
}

function missed(error) {
  place.problem = error.code === error.PERMISSION_DENIED ? "place.denied" : "place.timeout";
  if (error.code === error.PERMISSION_DENIED) stopSearching();
  changed();
}
