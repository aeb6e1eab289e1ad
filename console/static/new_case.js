// A case that an officer reports: what, how grave, where. The place is pointed out on the map.
import { post } from "./api.js";
import { h, icon, toast, working } from "./dom.js";
import { placeText } from "./format.js";
import { has, pick, t } from "./i18n.js";
import { collection, draw, hasMap, pickPlace, point, stopPicking } from "./map.js";
import { emit, state } from "./state.js";

// Kinds of event that every such centre has. The duty matrix gives each its unit; what it does not name is unclear.
const COMMON = [
  "illegal_fishing",
  "crowd",
  "sos",
  "fire",
  "water_level",
  "intrusion",
  "hazard",
  "dispute",
  "environment",
  "other",
];

let dialog = null;
let kept = {}; // what was written, while the dialog is away to let the map be clicked

const kindOf = (code) => state.kinds.find((kind) => kind.code === code);

/** The site's own kinds, the common ones, and whatever else this site's cases have shown. */
export const categories = () => [
  ...new Set([...state.kinds.map((kind) => kind.code), ...COMMON.slice(0, -1), ...state.categories, "other"]),
];

/** What the site calls it, else the common name; a code that nobody named is shown as it is. */
export function categoryName(code) {
  const kind = kindOf(code);
  if (kind && kind.name.zh !== code) return pick(kind.name);
  return has(`category.${code}`) ? t(`category.${code}`) : code;
}

export const mayReport = () => state.me.role !== "viewer";

/** Ask for a new case; `place` [lon, lat] when it was pointed out already. */
export function newCase(place = null) {
  kept = { place };
  ask();
}

function ask() {
  dialog?.remove();
  const field = (label, element) => h("label", { class: "field" }, label, element);
  const category = h(
    "select",
    { name: "category", required: true },
    h("option", { value: "" }, t("choose")),
    categories().map((code) => h("option", { value: code }, categoryName(code))),
  );
  const severity = h(
    "select",
    { name: "severity" },
    ["low", "medium", "high"].map((s) => h("option", { value: s }, t(`severity.${s}`))),
  );
  const title = h("input", { name: "title", required: true, maxlength: 200, autocomplete: "off" });
  const note = h("textarea", { name: "note", maxlength: 2000 });
  category.addEventListener("change", () => {
    severity.value = kindOf(category.value)?.severity ?? severity.value;
  });
  category.value = kept.category ?? "";
  severity.value = kept.severity ?? "medium";
  title.value = kept.title ?? "";
  note.value = kept.note ?? "";
  const keep = () =>
    Object.assign(kept, { category: category.value, severity: severity.value, title: title.value, note: note.value });
  const place = h(
    "div",
    { class: "row wrap" },
    h(
      "span",
      { class: `grow ${kept.place ? "" : "quiet"}`, id: "new-case-place" },
      kept.place ? placeText(...kept.place) : t("case.no_place"),
    ),
    hasMap()
      ? h(
          "button",
          {
            type: "button",
            class: "small",
            onclick: () => {
              keep();
              pointOut();
            },
          },
          icon("pin"),
          t("case.pick"),
        )
      : null,
  );
  const send = working(
    h("button", { class: "primary", type: "button", id: "new-case-send" }, t("case.report")),
    async () => {
      keep();
      await submit([category, title]);
    },
  );
  dialog = h(
    "dialog",
    { "aria-labelledby": "new-case-title" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "new-case-title" }, t("case.new")),
      field(t("case.kind"), category),
      field(t("severity"), severity),
      field(t("case.title"), title),
      field(t("note"), note),
      h("div", { class: "field-like" }, h("h3", {}, t("place")), place),
      h("div", { class: "buttons" }, h("button", { type: "button", onclick: close }, t("cancel")), send),
    ),
  );
  dialog.addEventListener("submit", (event) => {
    event.preventDefault();
    send.click();
  });
  dialog.addEventListener("close", () => {
    if (!kept.picking) draw("picked");
  });
  document.body.append(dialog);
  draw("picked", kept.place ? collection([point(...kept.place)]) : undefined);
  dialog.showModal();
}

function close() {
  kept.picking = false;
  dialog.close();
  dialog.remove();
}

/** The dialog steps aside until a place was clicked, or the person gave up with Escape. */
async function pointOut() {
  kept.picking = true;
  dialog.close();
  const { tab } = document.body.dataset;
  emit("show", "map");
  const hint = h(
    "div",
    { class: "pick-hint card", role: "status" },
    t("case.pick_hint"),
    h("button", { class: "small", onclick: stopPicking }, t("cancel")),
  );
  const escape = (event) => {
    if (event.key === "Escape") stopPicking();
  };
  document.getElementById("stage").append(hint);
  addEventListener("keydown", escape);
  const place = await pickPlace();
  removeEventListener("keydown", escape);
  hint.remove();
  emit("show", tab);
  kept.picking = false;
  if (place) kept.place = place;
  ask();
}

async function submit(required) {
  for (const element of required) if (!element.reportValidity()) return;
  if (!kept.place) {
    toast(t("case.needs_place"), true);
    return;
  }
  const [lon, lat] = kept.place;
  const found = await post("/cases", {
    category: kept.category,
    severity: kept.severity,
    title: kept.title.trim(),
    note: kept.note.trim(),
    lon,
    lat,
  });
  close();
  emit("case", found);
  location.hash = `#/case/${found.id}`;
}
