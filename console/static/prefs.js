// What a person chose on this machine: theme, language, sound, shown layers. Nothing else is kept in the browser.
import { emit } from "./state.js";

const PREFIX = "patrolgrid.";

/** The stored choice, or `otherwise` where there is none (or storage is forbidden). */
export function pref(name, otherwise) {
  try {
    const stored = localStorage.getItem(PREFIX + name);
    return stored === null ? otherwise : stored;
  } catch (error) {
    if (error instanceof DOMException) return otherwise; // private mode: choices last as long as the page
    throw error;
  }
}

/** Store a choice; where storage is forbidden it simply does not outlive the page. */
export function setPref(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}

export const theme = () => document.documentElement.dataset.theme;

export function setTheme(next) {
  document.documentElement.dataset.theme = next;
  setPref("theme", next);
  emit("theme", next);
}

/** Follow the system while nobody has chosen. */
export function followSystemTheme() {
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", (event) => {
    if (pref("theme", null)) return;
    document.documentElement.dataset.theme = event.matches ? "light" : "dark";
    emit("theme", theme());
  });
}
