// A short tone for an alert of high severity. Browsers allow sound only after the person has touched the page.
import { pref, setPref } from "./prefs.js";
import { emit } from "./state.js";

let context = null;

export const muted = () => pref("muted", "no") === "yes";

export function setMuted(mute) {
  setPref("muted", mute ? "yes" : "no");
  if (!mute) wake();
  emit("sound");
}

/** Whether a tone would be heard now: "on", "muted", or "blocked" until the person touches the page. */
export const soundState = () => (muted() ? "muted" : context?.state === "running" ? "on" : "blocked");

export function startSound() {
  for (const event of ["pointerdown", "keydown"]) addEventListener(event, wake, { passive: true });
}

async function wake() {
  if (muted() || typeof AudioContext === "undefined") return;
  context ??= new AudioContext();
  if (context.state === "suspended") await context.resume();
  emit("sound");
}

/** Two rising notes, 0.4 s. */
export function tone() {
  if (soundState() !== "on") return;
  const begin = context.currentTime;
  for (const [note, after] of [
    [660, 0],
    [880, 0.18],
  ]) {
    const oscillator = context.createOscillator();
    const volume = context.createGain();
    oscillator.frequency.value = note;
    volume.gain.setValueAtTime(0, begin + after);
    volume.gain.linearRampToValueAtTime(0.25, begin + after + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.001, begin + after + 0.22);
    oscillator.connect(volume).connect(context.destination);
    oscillator.start(begin + after);
    oscillator.stop(begin + after + 0.25);
  }
}
