// Finding a terminal or device by name or code: the way to it without a mouse, and the quick one with two thousand.
import { moves } from "./devices.js";
import { h, toast } from "./dom.js";
import { language, t } from "./i18n.js";
import { flyTo } from "./map.js";
import { shownPlace } from "./map_terminals.js";
import { emit, on, select, state } from "./state.js";

export function startFind(form) {
  const input = h("input", { type: "search", list: "find-list", autocomplete: "off", spellcheck: "false" });
  const list = h("datalist", { id: "find-list" });
  form.replaceChildren(input, list);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go(input);
  });
  // A choice from the list comes as an input that is no typing.
  input.addEventListener("input", (event) => {
    if (!(event instanceof InputEvent) || event.inputType === "insertReplacementText") go(input);
  });
  const words = () => {
    input.placeholder = t("find");
    input.setAttribute("aria-label", t("find"));
    list.replaceChildren(...[...state.devices.values()].map((d) => h("option", { value: nameOf(d) }, d.code)));
  };
  for (const event of ["language", "site"]) on(event, words);
  words();
}

const nameOf = (device) => (language() === "zh" ? device.name : device.name_en) || device.code;

/** The device of this code or name, else the first whose name contains it. */
function match(text) {
  const wanted = text.trim().toLowerCase();
  const all = [...state.devices.values()];
  const names = (d) => [d.code, d.name, d.name_en].map((name) => name.toLowerCase());
  return all.find((d) => names(d).includes(wanted)) ?? all.find((d) => names(d).some((name) => name.includes(wanted)));
}

function go(input) {
  if (!input.value.trim()) return;
  const device = match(input.value);
  if (!device) {
    toast(t("find.none", { what: input.value }), true);
    return;
  }
  input.value = "";
  emit("show", "map");
  const place = shownPlace(device.code) ?? (device.lon === null ? null : [device.lon, device.lat]);
  select(moves(device) ? "terminal" : "device", device.code);
  if (place) flyTo(place[0], place[1], 15);
  else toast(t("find.nowhere", { what: nameOf(device) }));
}
