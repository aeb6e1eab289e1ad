// Deadlines in words, and the one clock by which every age and countdown on the page is kept true.
import { ago, duration, now, timeText } from "./format.js";
import { t } from "./i18n.js";
import { emit } from "./state.js";

const SOON = 30 * 60_000; // ms before the deadline from which it is marked

/** The countdown to a deadline: {text, cls}. */
export function dueText(iso) {
  const left = Date.parse(iso) - now();
  if (left < 0) return { text: t("due.over", { span: duration(left / 1_000) }), cls: "late" };
  return { text: t("due.in", { span: duration(left / 1_000) }), cls: left < SOON ? "soon" : "quiet" };
}

/** Once a second: every element with data-age or data-due gets its new text; `tick` and `minute` are told. */
export function startClock() {
  let minute = Math.floor(now() / 60_000);
  setInterval(() => {
    for (const node of document.querySelectorAll("[data-age]")) write(node, ago(node.dataset.age));
    for (const node of document.querySelectorAll("[data-due]")) {
      const { text, cls } = dueText(node.dataset.due);
      write(node, text);
      if (node.className !== cls) node.className = cls;
    }
    for (const node of document.querySelectorAll("[data-clock]")) write(node, `${timeText(now())} +08:00`);
    emit("tick");
    if (Math.floor(now() / 60_000) !== minute) {
      minute = Math.floor(now() / 60_000);
      emit("minute");
    }
  }, 1_000);
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
