// The form: kind, place, pictures, words. It is kept while the page is open, whatever is drawn anew around it.
import { h, icon, report, toast, working } from "../dom.js";
import { ago, distanceText, placeText } from "../format.js";
import { pick, t } from "../i18n.js";
import { pref, setPref } from "../prefs.js";
import { emit, on, state } from "../state.js";
import { ask, isLinked } from "./line.js";
import { smaller } from "./photo.js";
import { forgetPlace, place, search, setPlace } from "./place.js";
import { keep, newItem } from "./queue.js";
import { sendAll } from "./send.js";

const SHOWN = 8; // kinds; the others are a touch away
const LATEST = 3; // kinds of this phone that come first

const blank = () => ({ category: "", note: "", onSpot: false, photos: [], same: undefined, known: null });
let draft = blank(); // same: undefined not asked, null another thing, an id the same thing
let all = false; // all kinds are shown
let asked = 0; // the last question about the place
let parts = null; // the elements that are drawn again by themselves

const latest = () => JSON.parse(pref("report.kinds", "[]"));

/** The form's element, with what was filled in so far. */
export function formView() {
  parts = Object.fromEntries(["kinds", "place", "photos", "known", "send"].map((name) => [name, h("div", {})]));
  const note = h("textarea", {
    id: "note",
    maxlength: 2000,
    rows: 3,
    placeholder: t("report.note_hint"),
    "aria-label": t("note"),
    value: draft.note,
    oninput: () => {
      draft.note = note.value;
    },
  });
  const view = h(
    "form",
    { id: "report-form", onsubmit: (event) => event.preventDefault() },
    section("report.what", parts.kinds),
    section("place", parts.place),
    parts.known,
    section("report.photos", parts.photos),
    section("note", note, state.me.role === "grid" ? spot() : null),
    parts.send,
  );
  parts.send.className = "send";
  for (const draw of [drawKinds, drawPlace, drawPhotos, drawKnown, drawSend]) draw();
  return view;
}

const section = (title, ...content) => h("section", {}, h("h2", {}, t(title)), ...content);

// ── Kind ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
function drawKinds() {
  const first = latest();
  const rank = (kind) => (first.includes(kind.code) ? first.indexOf(kind.code) : LATEST);
  const kinds = [...state.form.kinds].sort((a, b) => rank(a) - rank(b));
  const few = kinds.length <= SHOWN + 1 ? kinds : withOther(kinds, SHOWN);
  const hidden = draft.category && !few.some((kind) => kind.code === draft.category);
  const shown = all || hidden ? kinds : few;
  const choose = (code) => {
    draft.category = code;
    drawKinds();
    askPlace();
  };
  parts.kinds.className = "kinds";
  parts.kinds.replaceChildren(
    ...shown.map((kind) =>
      h(
        "button",
        {
          type: "button",
          "aria-pressed": String(kind.code === draft.category),
          dataset: { kind: kind.code },
          onclick: () => choose(kind.code),
        },
        pick(kind.name),
      ),
    ),
    shown.length < kinds.length
      ? h("button", { type: "button", class: "more", onclick: showAll }, t("report.more"))
      : "",
  );
}

/** The first few, among them always the one for whatever is none of the others. */
function withOther(kinds, most) {
  const first = kinds.slice(0, most);
  const other = kinds.find((kind) => kind.code === "other");
  return !other || first.includes(other) ? first : [...first.slice(0, -1), other];
}

function showAll() {
  all = true;
  drawKinds();
}

// ── Place ────────────────────────────────────────────────────────────────────────────────────────────────────────────
function drawPlace() {
  const { now, searching, problem } = place;
  const where = h(
    "div",
    { class: "where", id: "where", dataset: { how: now?.how ?? (searching ? "searching" : "none") } },
    icon("pin"),
    h(
      "div",
      { class: "grow" },
      h(
        "div",
        { class: "strong" },
        now ? placeText(now.lon, now.lat) : t(searching ? "report.place.searching" : "report.place.none"),
      ),
      h("div", { class: problem && !now ? "late" : "quiet" }, placeState(now, searching, problem)),
    ),
  );
  const button = (name, text, act, id) =>
    working(h("button", { type: "button", id }, icon(name), h("span", {}, t(text))), act);
  parts.place.replaceChildren(
    where,
    h(
      "div",
      { class: "ways" },
      button(
        "centre",
        "report.place.gps",
        async () => {
          if (place.now?.how !== "gps") forgetPlace();
          search();
        },
        "place-gps",
      ),
      button("map", "report.place.on_map", onMap, "place-on-map"),
      button("edit", "report.place.type", async () => typed(), "place-type"),
    ),
  );
}

function placeState(now, searching, problem) {
  if (now?.how === "gps") {
    const off = t("report.place.off_by", { far: distanceText(now.accuracy) });
    return searching ? `${off} · ${t("report.place.better")}` : off;
  }
  if (now) return t(`report.place.by_${now.how}`);
  return problem ? t(`report.${problem}`) : t("report.place.hint");
}

async function onMap() {
  const { pointOut } = await import("./place_map.js");
  try {
    const found = await pointOut(state.form, place.now && [place.now.lon, place.now.lat]);
    if (found) setPlace(...found, "map");
  } catch (error) {
    if (isLinked() && !(error instanceof TypeError)) console.warn(error);
    toast(t("report.place.no_map"), true); // not kept on the phone yet, or a browser that cannot draw it
  }
}

function typed() {
  const input = (name, label, most, now) =>
    h(
      "label",
      { class: "field" },
      label,
      h("input", {
        name,
        inputmode: "decimal",
        required: true,
        pattern: `-?[0-9]{1,${most}}([.,][0-9]+)?`,
        value: now === undefined ? "" : now.toFixed(5),
      }),
    );
  const form = h(
    "form",
    { onsubmit: take },
    h("h2", {}, t("report.place.type")),
    input("lat", t("report.place.lat"), 2, place.now?.lat),
    input("lon", t("report.place.lon"), 3, place.now?.lon),
    h(
      "div",
      { class: "buttons" },
      h("button", { type: "button", onclick: () => dialog.remove() }, t("cancel")),
      h("button", { class: "primary", type: "submit" }, t("report.place.here")),
    ),
  );
  const dialog = h("dialog", {}, form);
  function take(event) {
    event.preventDefault();
    const [lat, lon] = ["lat", "lon"].map((name) => Number(form.elements[name].value.replace(",", ".")));
    if (Math.abs(lat) > 90 || Math.abs(lon) > 180) {
      toast(t("report.place.impossible"), true);
      return;
    }
    dialog.remove();
    setPlace(lon, lat, "typed");
  }
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
}

// ── What is known of the place ───────────────────────────────────────────────────────────────────────────────────────
/** Ask whether it was reported already; without a line nobody asks, and the desk will see it. */
async function askPlace() {
  const { now } = place;
  const mine = ++asked;
  draft.same = undefined;
  draft.known = null;
  drawKnown();
  if (!now || !draft.category || !state.me) return;
  try {
    const found = await ask("POST", "/reports/similar", spotOf(now));
    if (mine === asked) draft.known = found;
  } catch (error) {
    if (error.zh === undefined) throw error; // else: not known, which is no reason not to report
  }
  if (mine === asked) drawKnown();
}

const spotOf = ({ lon, lat, accuracy }) => ({
  category: draft.category,
  lon,
  lat,
  accuracy: accuracy === null ? null : Math.min(100_000, accuracy),
});

function drawKnown() {
  const { known } = draft;
  const similar = known?.similar ?? [];
  parts.known.id = "known";
  parts.known.replaceChildren(
    similar.length ? offered(similar.slice(0, 3)) : "",
    known?.kinds.length ? h("p", { class: "history" }, icon("clock"), h("span", {}, historyText(known))) : "",
  );
}

function offered(similar) {
  const choose = (id) => () => {
    draft.same = id;
    drawKnown();
  };
  const answer = (id, text) =>
    h("button", { type: "button", "aria-pressed": String(draft.same === id), onclick: choose(id) }, t(text));
  return h(
    "section",
    { class: "same" },
    h("h2", {}, t("report.same.question")),
    ...similar.map((one) =>
      h(
        "div",
        { class: "one", dataset: { case: one.case_id } },
        h(
          "div",
          { class: "grow" },
          h("div", { class: "strong" }, titleOf(one)),
          h("div", { class: "quiet" }, factsOf(one)),
        ),
        answer(one.case_id, "report.same.yes"),
      ),
    ),
    answer(null, "report.same.no"),
  );
}

const titleOf = (one) => {
  const kind = state.form.kinds.find(({ code }) => code === one.category);
  return one.title ? pick(one.title) : kind ? pick(kind.name) : one.category;
};

const factsOf = (one) =>
  [
    t("report.same.away", { far: distanceText(one.distance) }),
    ago(one.last),
    one.reporters ? t("report.same.reporters", { n: one.reporters }) : t("report.same.found"),
    one.number,
  ].join(" · ");

const historyText = (known) =>
  t("report.history", {
    far: distanceText(known.metres),
    what: known.kinds
      .slice(0, 4)
      .map((kind) => `${pick(kind.name)} ${kind.total}`)
      .join(" · "),
  });

// ── Pictures ─────────────────────────────────────────────────────────────────────────────────────────────────────────
function drawPhotos() {
  const room = state.form.photos.bytes ? state.form.photos.most - draft.photos.length : 0;
  parts.photos.replaceChildren(photoPicker(draft.photos, room, drawPhotos));
}

/** Thumbnails of `photos` ([{blob, url}]), and ways to add more while there is `room`. Changes the list in place. */
export function photoPicker(photos, room, redraw) {
  const take = (capture) =>
    h(
      "label",
      { class: "button add" },
      icon(capture ? "camera" : "picture"),
      h("span", {}, t(capture ? "report.photo.take" : "report.photo.choose")),
      h("input", {
        type: "file",
        accept: "image/*",
        class: "unseen",
        multiple: !capture,
        capture: capture ? "environment" : null,
        dataset: { add: capture ? "camera" : "files" },
        onchange: (event) => add(event.target),
      }),
    );
  async function add(input) {
    for (const file of [...input.files].slice(0, room)) {
      try {
        const blob = await smaller(file);
        photos.push({ blob, url: URL.createObjectURL(blob) });
      } catch (error) {
        if (!(error instanceof DOMException)) throw error;
        toast(t("report.photo.unreadable", { name: file.name }), true);
      }
    }
    redraw();
  }
  const thumbs = photos.map((photo, n) =>
    h(
      "div",
      { class: "thumb" },
      h("img", { src: photo.url, alt: t("report.photo.n", { n: n + 1 }) }),
      h(
        "button",
        {
          type: "button",
          class: "square",
          "aria-label": t("report.photo.remove", { n: n + 1 }),
          onclick: () => {
            URL.revokeObjectURL(photo.url);
            photos.splice(n, 1);
            redraw();
          },
        },
        icon("close"),
      ),
    ),
  );
  return h("div", { class: "photos" }, ...thumbs, room > 0 ? [take(true), take(false)] : null);
}

// ── Words, and off it goes ───────────────────────────────────────────────────────────────────────────────────────────
function spot() {
  const box = h("input", { type: "checkbox", id: "on-spot", onchange: () => (draft.onSpot = box.checked) });
  box.checked = draft.onSpot;
  return h(
    "label",
    { class: "check spot" },
    box,
    h(
      "span",
      { class: "grow" },
      h("span", { class: "strong" }, t("report.on_spot")),
      h("small", { class: "quiet" }, t("report.on_spot_hint")),
    ),
  );
}

function drawSend() {
  const button = h("button", { type: "button", class: "primary", id: "send" }, icon("send"), t("report.send"));
  parts.send.replaceChildren(working(button, submit));
}

async function submit() {
  const missing = !draft.category ? "report.needs_kind" : !place.now ? "report.needs_place" : null;
  if (missing) {
    toast(t(missing), true);
    return;
  }
  const body = {
    ...spotOf(place.now),
    note: draft.note.trim(),
    seen: new Date().toISOString(),
    origin: "phone",
    on_spot: draft.onSpot,
    same_as: draft.same ?? null,
  };
  const photos = draft.photos.map((photo) => photo.blob);
  const item = newItem(state.me.name, "", body, photos, { category: draft.category, note: body.note });
  try {
    await keep(item);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    report(Object.assign(error, { zh: TEXT_FULL.zh, en: TEXT_FULL.en })); // the form stays as it is
    return;
  }
  setPref("report.kinds", JSON.stringify([...new Set([draft.category, ...latest()])].slice(0, LATEST)));
  for (const photo of draft.photos) URL.revokeObjectURL(photo.url);
  draft = blank();
  asked += 1;
  if (place.now?.how !== "gps") forgetPlace();
  emit("queued", item);
  sendAll(true);
}

const TEXT_FULL = {
  zh: "手机存储空间不足，上报没有保存。请清理空间后再试。",
  en: "The phone has no room left: the report was not kept. Make room and try again.",
};

on("place", () => {
  if (!parts?.place.isConnected) return;
  drawPlace();
  settled();
});

let settling = 0;
/** Positioning gets better by the second: ask about the place once it rests. */
function settled() {
  clearTimeout(settling);
  settling = setTimeout(askPlace, place.searching ? 1_500 : 0);
}
