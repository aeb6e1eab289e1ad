// The live stream: one EventSource, opened again by us (so that the wait can be shown), and an honest account of it.
import { ApiError, get } from "./api.js";
import { now } from "./format.js";
import { emit } from "./state.js";

const WAITS = [1, 2, 4, 8, 15]; // seconds before each further attempt
const SILENCE = 30; // seconds without any event after which we ask whether the stream still carries

export const link = {
  state: "connecting", // connecting | live | waiting
  retryAt: 0, // page time (ms) of the next attempt while waiting
  lastData: 0, // server time (ms) of the last positions
  since: now(), // server time (ms) from which it is as it is: live, or not
};

let source = null;
let attempts = 0;
let timer = null;
let everOpen = false;
let lastEvent = 0; // page time (ms)
let asking = false;

/** Connect, and stay connected. Events are emitted as `positions`, `alert`, `case`, `reject` and `resync`. */
export function connect() {
  open();
  setInterval(checkSilence, 5_000);
  addEventListener("online", () => {
    if (link.state !== "live") open();
  });
  addEventListener("pagehide", () => source?.close()); // free the server's stream at once, not at its next beat
  addEventListener("pageshow", (event) => {
    if (event.persisted) open();
  });
}

function open() {
  clearTimeout(timer);
  source?.close();
  setState("connecting");
  const mine = new EventSource("/api/v1/live");
  source = mine;
  mine.onopen = () => {
    attempts = 0;
    lastEvent = performance.now();
    setState("live");
    if (everOpen) emit("resync"); // whatever happened while we were away was not told to us
    everOpen = true;
  };
  mine.onerror = () => {
    if (mine === source) failed();
  };
  for (const name of ["positions", "alert", "case", "reject"]) {
    mine.addEventListener(name, (event) => {
      heard();
      if (name === "positions") link.lastData = now();
      emit(`live.${name}`, JSON.parse(event.data));
    });
  }
  mine.addEventListener("resync", () => {
    heard();
    emit("resync");
  });
}

function heard() {
  lastEvent = performance.now();
}

async function failed() {
  source.close();
  const wait = WAITS[Math.min(attempts, WAITS.length - 1)];
  attempts += 1;
  link.retryAt = performance.now() + wait * 1_000;
  setState("waiting");
  clearTimeout(timer);
  timer = setTimeout(open, wait * 1_000);
  try {
    await get("/me"); // an ended log-in also ends the stream: api.js then goes to the log-in page
  } catch (error) {
    if (!(error instanceof ApiError)) throw error; // the strip already says that we are cut off
  }
}

/**
 * A stream can be dead without an error (a proxy, a sleeping laptop). After a silence we ask for the positions: if the
 * server holds newer ones than the stream brought, the stream is broken and is opened again.
 */
async function checkSilence() {
  if (link.state !== "live" || asking || performance.now() - lastEvent < SILENCE * 1_000) return;
  asking = true;
  try {
    const positions = await get("/positions");
    const newest = positions.reduce((most, p) => Math.max(most, Date.parse(p.received)), 0);
    lastEvent = performance.now();
    if (newest > link.lastData + 5_000) open();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    failed();
  } finally {
    asking = false;
  }
}

function setState(state) {
  if ((link.state === "live") !== (state === "live")) link.since = now(); // attempts do not shorten how long it is lost
  link.state = state;
  emit("link", link);
}
