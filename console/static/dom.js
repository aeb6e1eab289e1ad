// Building pages without a framework: elements, icons, lists that keep their nodes, messages.
import { pick, t } from "./i18n.js";

const SVG = "http://www.w3.org/2000/svg";

/** h("button", {class: "primary", onclick: f}, "text", node, null): text is never read as HTML. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name === "class" ? "class" : name, value === true ? "" : value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

const ICONS = {
  alert: "M12 3 2.5 20h19L12 3zM12 10v4.5M12 17.5v.2",
  sos: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7.5v5.5M12 16v.2",
  bell: "M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15zM10 20.5h4",
  muted: "M6 16V11a6 6 0 0 1 9-5.2M18 11v5l1.5 2H8M10 20.5h4M3.5 3.5l17 17",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 3v1M12 20v1M3 12h1M20 12h1M5.6 5.6l.8.8M17.6 17.6l.8.8M18.4 5.6l-.8.8M6.4 17.6l-.8.8",
  globe: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18",
  person: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4.5 20.5c.8-4 4-5.5 7.5-5.5s6.7 1.5 7.5 5.5",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  close: "M6 6l12 12M18 6 6 18",
  layers: "M12 3 3 8l9 5 9-5-9-5zM3 12.500l9 5 9-5M3 17l9 5 9-5",
  list: "M8 6h12M8 12h12M8 18h12M4 6v.1M4 12v.1M4 18v.1",
  map: "M3 6l6-2 6 2 6-2v14l-6 2-6-2-6 2zM9 4v14M15 6v14",
  refuse: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM5.7 5.700l12.6 12.6",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7.500V12l3 2",
  radio: "M8 9h8v12H8zM10 9V3M10.5 13h3",
  back: "M14.5 5 8 12l6.5 7",
  pin: "M12 21s7-6.2 7-11.500a7 7 0 0 0-14 0C5 14.8 12 21 12 21zM12 7.500a2 2 0 1 0 0 4 2 2 0 0 0 0-4z",
  check: "M5 12.500l4.5 4.500L19 7.5",
  track: "M5 19c6 0 3-7 8-7s3-7 6-7M5 17a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM19 3a2 2 0 1 0 0 4 2 2 0 0 0 0-4z",
  camera: "M4 8h3.500l1.500-2.500h6L16.500 8H20v11H4zM12 10a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7z",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 2.500-2.500L20 17M15.500 8a1.300 1.300 0 1 0 0 2.600 1.300 1.300 0 0 0 0-2.600z",
  send: "M4 12 20 4l-5 16-3.500-6.500zM11.500 13.500 20 4",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  centre: "M12 6a6 6 0 1 0 0 12 6 6 0 0 0 0-12zM12 2v4M12 18v4M2 12h4M18 12h4M12 11.500v1",
  more: "M7 10l5 5 5-5",
  download: "M12 4v11M7.5 11l4.500 4.500 4.500-4.500M5 19.500h14",
  upload: "M12 16V5M7.500 9l4.500-4.500L16.500 9M5 19.500h14",
  filter: "M4 6h16M7 12h10M10 18h4",
  desk: "M4 5h7v6H4zM13 5h7v6h-7zM4 13h7v6H4zM13 13h7v6h-7z",
  people: "M9 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM3 19c.5-3.500 3-5 6-5s5.500 1.500 6 5M16 6a3 3 0 0 1 0 5.500M17 14.200c2.200.5 3.600 2 4 4.800",
  letter: "M3.500 6h17v12h-17zM3.500 6.500l8.500 7 8.500-7",
  replay: "M4 12a8 8 0 1 0 2.5-5.800M4 4v4.500h4.5",
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

const CLICK_AFTER = 50; // ms: a finger's click comes a while after it was lifted
let pressed = false;
let release;
const postponed = new Set();
function lift() {
  clearTimeout(release);
  release = setTimeout(() => {
    pressed = false;
    for (const render of [...postponed]) {
      postponed.delete(render);
      render();
    }
  }, CLICK_AFTER);
}
addEventListener(
  "pointerdown",
  () => {
    clearTimeout(release);
    pressed = true;
  },
  { capture: true },
);
// A menu of the browser's own takes the rest of the press.
for (const event of ["pointerup", "pointercancel", "contextmenu"]) addEventListener(event, lift, { capture: true });
addEventListener("blur", lift); // the window's own: a field loses its focus to the very button that is being pressed

/** `render`, but put off while a finger or button is down: what is pressed must not be exchanged before the click. */
export function steady(render) {
  return () => {
    if (pressed) postponed.add(render);
    else render();
  };
}

/** A button that is busy (and cannot be pressed twice) while its work runs; a failure is shown in words. */
export function working(button, work) {
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    try {
      await work(event);
    } catch (error) {
      report(error);
    } finally {
      button.disabled = false;
      button.removeAttribute("aria-busy");
    }
  });
  return button;
}

/** Whether somebody is filling in a field of `node`: it is renewed the next time round, not under their hands. */
export const inUse = (node) =>
  node.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");

/** As `replaceChildren`, but what was there and stays is not moved: a field in it keeps its caret and what an IME holds. */
export function renew(parent, ...children) {
  const wanted = children.flat(Infinity).filter(Boolean);
  for (const node of [...parent.childNodes]) if (!wanted.includes(node)) node.remove();
  let place = parent.firstChild;
  for (const node of wanted) {
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
  }
}

/** Make the children of `parent` be `items`, keeping the nodes whose `signature` is unchanged (focus, animation). */
export function keyed(parent, items, key, signature, build) {
  const present = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const focusKey = focused?.closest("[data-key]")?.dataset.key;
  const focusName = focused?.dataset.focus;
  let before = parent.firstElementChild;
  for (const item of items) {
    const id = String(key(item));
    const sign = signature(item);
    let node = present.get(id);
    present.delete(id);
    if (!node || (node.dataset.sign !== sign && !inUse(node))) {
      const fresh = build(item);
      Object.assign(fresh.dataset, { key: id, sign });
      if (node === before) before = before?.nextElementSibling ?? null;
      if (node) node.remove();
      node = fresh;
    }
    if (node === before) before = before.nextElementSibling;
    else parent.insertBefore(node, before);
  }
  for (const node of present.values()) node.remove();
  if (focusKey && !parent.contains(document.activeElement)) {
    const home = parent.querySelector(`[data-key="${CSS.escape(focusKey)}"]`);
    (home?.querySelector(`[data-focus="${focusName}"]`) ?? home)?.focus({ preventScroll: true });
  }
}

/** Say something in passing. Bad news stays longer and is read out at once. */
export function toast(text, bad = false, act = null) {
  const box = h(
    "div",
    { class: `toast${bad ? " bad" : ""}`, role: bad ? "alert" : "status" },
    icon(bad || act ? "alert" : "check"),
    h("div", { class: "grow column" }, h("span", {}, text), act ? h("div", {}, act) : null),
  );
  const close = h(
    "button",
    { class: "bare small", "aria-label": t("close"), onclick: () => box.remove() },
    icon("close"),
  );
  box.append(close);
  const all = document.getElementById("toasts");
  for (const other of all.children) if (other.querySelector(".grow > span").textContent === text) other.remove();
  all.append(box);
  setTimeout(() => box.remove(), bad ? 15_000 : 5_000);
}

/** Show a failure in words. What is no ApiError is a fault of the page: shown too, and thrown on to the console. */
export function report(error) {
  toast(sentenceOf(error), true);
  if (error.zh === undefined) throw error;
}

export const sentenceOf = (error) => (error.zh === undefined ? t("fault", { what: error.message }) : pick(error));

/** The inline message of a list that could not be loaded, with a way to try again. */
export function failure(error, retry) {
  return h(
    "div",
    { class: "note bad row", role: "alert" },
    h("span", { class: "grow" }, sentenceOf(error)),
    working(h("button", { class: "small" }, t("retry")), retry),
  );
}
