// Parts of filters: a drop-down with several ticks, a search box that waits until the typing stops.
import { h, icon } from "./dom.js";
import { t } from "./i18n.js";

const PAUSE = 350; // ms without a keystroke after which a search is asked

/**
 * A drop-down of `options` [[value, words], …] with a tick each; `chosen` is the Set that is kept. `quick` are
 * [[words, values], …] that choose several at once. `changed()` is called after each change.
 */
export function several(label, options, chosen, changed, quick = []) {
  const summary = h("summary", {});
  const boxes = options.map(([value, words]) => {
    const box = h("input", { type: "checkbox", value, checked: chosen.has(value) });
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(value);
      else chosen.delete(value);
      told();
    });
    return { value, box, row: h("li", {}, h("label", { class: "check" }, box, words)) };
  });
  const told = () => {
    name();
    changed();
  };
  const name = () => {
    const words = options.filter(([value]) => chosen.has(value)).map(([, text]) => text);
    const all = !words.length || words.length === options.length;
    const set = quick.find(([, values]) => values.length === chosen.size && values.every((value) => chosen.has(value)));
    summary.replaceChildren(
      h("span", { class: "quiet" }, label),
      h("span", { class: "cut grow" }, set ? set[0] : all ? t("filter.any") : words.join(", ")),
      icon("more"),
    );
  };
  const shortcuts = quick.map(([words, values]) =>
    h(
      "button",
      {
        class: "small",
        type: "button",
        onclick: () => {
          chosen.clear();
          for (const value of values) chosen.add(value);
          for (const { value, box } of boxes) box.checked = chosen.has(value);
          told();
        },
      },
      words,
    ),
  );
  name();
  const menu = h("div", { class: "menu card" }, h("div", { class: "row wrap" }, shortcuts), h("ul", {}, boxes.map(({ row }) => row)));
  if (!shortcuts.length) menu.firstChild.remove();
  return dropDown(h("details", { class: "several" }, summary, menu));
}

/** A `details` that shuts when somebody clicks beside it or presses Escape. */
export function dropDown(details) {
  const beside = (event) => {
    if (!details.isConnected) document.removeEventListener("click", beside);
    else if (!details.contains(event.target)) details.open = false;
  };
  details.addEventListener("toggle", () => {
    if (details.open) document.addEventListener("click", beside);
    else document.removeEventListener("click", beside);
  });
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !details.open) return;
    event.stopPropagation();
    details.open = false;
    details.querySelector("summary").focus();
  });
  return details;
}

/** A search box; `changed(text)` gets what is typed once it is long enough to be asked for, or "". */
export function searchBox(label, value, changed, least = 2) {
  let timer = null;
  const input = h("input", { type: "search", value, maxlength: 100, placeholder: label, "aria-label": label });
  let told = value;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const text = input.value.trim();
      const asked = text.length >= least ? text : "";
      if (asked === told) return;
      told = asked;
      changed(asked);
    }, PAUSE);
  });
  return input;
}

/** A plain choice of one; `changed(value)`. */
export function oneOf(label, options, value, changed) {
  const element = h(
    "select",
    { "aria-label": label, onchange: () => changed(element.value) },
    options.map(([code, words]) => h("option", { value: code }, words)),
  );
  element.value = value;
  return element;
}

export function tick(words, value, changed) {
  const box = h("input", { type: "checkbox", checked: value, onchange: () => changed(box.checked) });
  return h("label", { class: "check" }, box, words);
}
