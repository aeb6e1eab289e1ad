// When a log-in ends while somebody works, the next one goes on where they were, with what they had begun to write.
// It is kept in this tab alone, as long as that is open, and given back to nobody else.
import { on, state } from "./state.js";

const NAME = "patrolgrid.begun";

/** `begun()` gives what is to be kept, as plain JSON. */
export function startResume(begun) {
  on("log-in-ended", () => {
    if (state.me) stored((store) => store.setItem(NAME, JSON.stringify({ who: state.me.name, at: location.hash, begun: begun() })));
  });
}

/** What this account had begun when its log-in ended, once; null where there is nothing. */
export function resumed() {
  const kept = read();
  stored((store) => store.removeItem(NAME));
  return kept?.who === state.me.name ? kept.begun : null;
}

/** Where they were: a hash of ours, or nothing. */
export function whereTheyWere(who) {
  const kept = read();
  return kept?.who === who && /^#\/[\w/]*$/.test(kept.at) ? kept.at : "";
}

const read = () => JSON.parse(stored((store) => store.getItem(NAME)) ?? "null");

function stored(use) {
  try {
    return use(sessionStorage);
  } catch (error) {
    if (error instanceof DOMException) return null; // storage is forbidden, or full: then it is lost
    throw error;
  }
}
