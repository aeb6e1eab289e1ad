// Sends what is queued, one after the other, whenever there is a line. A picture that has arrived is not sent again; the
// rest is safe to repeat, as the server knows the key.
import { ApiError } from "../api.js";
import { emit, on, state } from "../state.js";
import { ask, upload } from "./line.js";
import { drop, keep, queued } from "./queue.js";

const FIRST_PAUSE = 3_000; // ms, doubled with each failure
const LONGEST_PAUSE = 120_000;
const LATER = new Set([429, 500, 502, 503, 504]);

let running = null;
let again = false;
let timer = 0;

export const sending = { key: null, photo: 0, part: 0 };

/** Send what is due; `now` also what waits for its next try. Called while it runs, it goes round once more. */
export function sendAll(now = false) {
  if (running) again = true;
  else {
    running = only(() => work(now)).finally(() => {
      running = null;
      if (again) {
        again = false;
        sendAll();
      }
    });
  }
  return running;
}

/** Not in two pages at once, where the browser can see to that; where not, the key does. */
const only = (task) =>
  navigator.locks
    ? navigator.locks.request("patrolgrid-report", { ifAvailable: true }, (lock) =>
        lock ? task() : later(FIRST_PAUSE),
      )
    : task();

async function work(now) {
  clearTimeout(timer);
  if (!state.me) return;
  let soonest = Infinity;
  for (const item of await queued(state.me.name)) {
    if (item.refused) continue;
    if (!now && item.next > Date.now()) {
      soonest = Math.min(soonest, item.next);
      continue;
    }
    try {
      await sendOne(item);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      soonest = Math.min(soonest, await failed(item, error));
      if (error.status === 0 || error.status === 401) break; // the others would fare no better
    } finally {
      progress(null, 0, 0);
    }
  }
  if (soonest < Infinity) later(soonest - Date.now());
}

function later(pause) {
  clearTimeout(timer);
  timer = setTimeout(() => sendAll(), Math.max(500, pause));
}

async function sendOne(item) {
  for (const [n, photo] of item.photos.entries()) {
    progress(item.key, n, 0);
    if (photo.sha256) continue;
    photo.sha256 = (await upload(photo.blob, (part) => progress(item.key, n, part))).sha256;
    await keep(item);
  }
  progress(item.key, item.photos.length, 0);
  const body = { ...item.body, attachments: item.photos.map((photo) => photo.sha256) };
  const answer = await ask("POST", `/reports${item.path}`, body, item.key);
  await drop(item.key);
  emit("sent", { item, answer });
}

/** Keep it for later, or as refused where trying again would not help; when to try again. */
async function failed(item, error) {
  if (error.status === 401) emit("logged-out");
  if (error.code === "no_picture" && item.photos.some((photo) => photo.sha256)) {
    for (const photo of item.photos) photo.sha256 = null; // cleared away in the meantime: they are sent once more
  } else if (error.status !== 0 && error.status !== 401 && !LATER.has(error.status)) {
    item.refused = { zh: error.zh, en: error.en };
  }
  item.tries += 1;
  item.next = Date.now() + Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(item.tries - 1, 10));
  await keep(item);
  emit("queue");
  return item.refused ? Infinity : item.next;
}

function progress(key, photo, part) {
  Object.assign(sending, { key, photo, part });
  emit("queue-progress");
}

/** Try again by itself when the line, the page or the person comes back. */
export function startSending() {
  addEventListener("online", () => sendAll(true));
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") sendAll(true);
  });
  on("link", (answered) => {
    if (answered) sendAll(true);
  });
}
