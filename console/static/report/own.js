// The own reports: first what is still on the phone, then what the server has, with how it stands.
import { ApiError } from "../api.js";
import { failure, h, icon, sentenceOf, toast, working } from "../dom.js";
import { ago, placeText, timeText } from "../format.js";
import { pick, t } from "../i18n.js";
import { on, state } from "../state.js";
import { photoPicker } from "./form.js";
import { ask } from "./line.js";
import { drop, keep, newItem, queued } from "./queue.js";
import { sendAll, sending } from "./send.js";

let waiting = null; // the element of what is still here
let shown = null; // of what the server has
let page = null; // what it has, as last read
let busy = false;
let again = false; // what is being read may be from before the latest was sent

/** The element of both lists. */
export function ownView() {
  waiting = h("div", { id: "waiting" });
  shown = h("div", { id: "own" });
  drawWaiting();
  drawShown();
  readOwn();
  return h("div", { class: "own" }, waiting, h("h2", {}, t("report.sent_list")), shown);
}

/** How many are still to be sent. */
export async function countWaiting() {
  return state.me ? (await queued(state.me.name)).length : 0;
}

// ── Still on the phone ───────────────────────────────────────────────────────────────────────────────────────────────
export async function drawWaiting() {
  if (!waiting || !state.me) return;
  const items = await queued(state.me.name);
  waiting.replaceChildren(
    ...(items.length ? [h("h2", {}, t("report.waiting_list", { n: items.length })), ...items.map(waitingCard)] : []),
  );
}

function waitingCard(item) {
  const kind = state.form?.kinds.find(({ code }) => code === item.label.category);
  const remove = async () => {
    await drop(item.key);
    await drawWaiting();
  };
  const retry = async () => {
    await keep({ ...item, refused: null, tries: 0, next: 0 });
    await drawWaiting();
    sendAll(true);
  };
  return h(
    "article",
    { class: "card item", dataset: { key: item.key, state: item.refused ? "refused" : "waiting" } },
    h(
      "div",
      { class: "row" },
      h("span", { class: "strong grow" }, kind ? pick(kind.name) : t("note")),
      h("span", { class: "quiet" }, timeText(item.made, false)),
    ),
    item.label.note ? h("p", { class: "cut" }, item.label.note) : null,
    item.refused
      ? h("p", { class: "note bad" }, pick(item.refused))
      : h(
          "div",
          { class: "going" },
          h("progress", { max: 1, value: 0, hidden: true, dataset: { photos: item.photos.length } }),
          h("span", { class: "quiet" }, t("report.waits")),
        ),
    item.refused
      ? h(
          "div",
          { class: "row" },
          working(h("button", {}, t("retry")), retry),
          working(h("button", { class: "danger" }, t("report.remove")), remove),
        )
      : null,
  );
}

/** Only what moves: the bar and the words beside it. */
export function drawProgress() {
  for (const card of waiting?.querySelectorAll("article[data-state=waiting]") ?? []) {
    const mine = card.dataset.key === sending.key;
    const bar = card.querySelector("progress");
    const pictures = Number(bar.dataset.photos ?? 0);
    bar.hidden = !mine;
    bar.value = mine ? Math.min(1, (sending.photo + sending.part) / Math.max(1, pictures)) : 0;
    card.querySelector(".going span").textContent = mine
      ? t("report.sending", { n: Math.round(100 * bar.value) })
      : t("report.waits");
  }
}

// ── What the server has ──────────────────────────────────────────────────────────────────────────────────────────────
export async function readOwn() {
  again = busy;
  if (busy) return;
  busy = true;
  try {
    do {
      again = false;
      page = await ask("GET", "/reports");
      drawShown();
    } while (again);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (!page && error.status !== 401) shown?.replaceChildren(failure(error, readOwn));
  } finally {
    busy = false;
  }
}

async function readMore() {
  const more = await ask("GET", `/reports?before=${page.next}`);
  page = { items: [...page.items, ...more.items], next: more.next };
  drawShown();
}

function drawShown() {
  if (!shown || !page) return;
  shown.replaceChildren(
    ...(page.items.length ? page.items.map(card) : [h("p", { class: "empty" }, t("report.none"))]),
    page.next ? working(h("button", { class: "wide" }, t("older")), readMore) : "",
  );
}

function card(own) {
  return h(
    "button",
    { class: "card item", dataset: { report: own.id, status: own.status }, onclick: () => open(own.id) },
    h("span", { class: "row" }, h("span", { class: "strong grow cut" }, pick(own.category_name)), chip(own)),
    h("span", { class: "row quiet" }, h("span", { class: "grow" }, own.number), h("span", {}, ago(own.at))),
    own.note ? h("span", { class: "cut" }, own.note) : null,
    own.reporters > 1 ? h("span", { class: "quiet" }, t("report.with_others", { n: own.reporters })) : null,
  );
}

const LOOK = { closed: "good", void: "", merged: "" };
const chip = (own) => h("span", { class: `chip ${LOOK[own.status] ?? "low"}` }, t(`case.status.${own.status}`));

// ── One of them ──────────────────────────────────────────────────────────────────────────────────────────────────────
async function open(id) {
  let detail;
  try {
    detail = await ask("GET", `/reports/${id}`);
  } catch (error) {
    toast(sentenceOf(error), true);
    if (!(error instanceof ApiError)) throw error;
    return;
  }
  const dialog = h("dialog", { class: "sheet", "aria-label": t("report.one") });
  dialog.append(...detailView(detail, () => dialog.close()));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function detailView({ report: own, notes }, close) {
  const fact = (label, value) => (value ? [h("dt", {}, t(label)), h("dd", {}, value)] : []);
  const where = own.lon === null ? "" : placeText(own.lon, own.lat);
  return [
    h(
      "div",
      { class: "row head" },
      h("h2", { class: "grow" }, pick(own.category_name)),
      h("button", { class: "square bare", "aria-label": t("close"), onclick: close }, icon("close")),
    ),
    h(
      "div",
      { class: "body" },
      h("div", { class: "row" }, chip(own), h("span", { class: "quiet" }, own.number)),
      own.note ? h("p", {}, own.note) : null,
      pictures(own.attachments),
      h(
        "dl",
        { class: "facts" },
        fact("report.seen_at", timeText(own.at)),
        fact("report.received_at", timeText(own.received)),
        fact("place", where),
        fact("report.on_spot", own.on_spot ? t("yes") : ""),
        fact("case.outcome", own.outcome),
        fact("report.reporters", own.reporters > 1 ? String(own.reporters) : ""),
      ),
      ...notes.map((note) =>
        h(
          "div",
          { class: "added" },
          h("div", { class: "quiet" }, timeText(note.at)),
          h("p", {}, note.note),
          pictures(note.attachments),
        ),
      ),
      own.status === "merged" ? null : adding(own, close),
    ),
  ];
}

const pictures = (attachments) =>
  attachments.length
    ? h(
        "div",
        { class: "photos" },
        attachments.map((a, n) =>
          h(
            "a",
            { class: "thumb", href: `/api/v1/attachments/${a.sha256}`, target: "_blank", rel: "noopener" },
            h("img", {
              src: `/api/v1/attachments/${a.sha256}`,
              alt: t("report.photo.n", { n: n + 1 }),
              loading: "lazy",
            }),
          ),
        ),
      )
    : null;

function adding(own, close) {
  const photos = [];
  const box = h("div", {});
  const draw = () =>
    box.replaceChildren(
      photoPicker(photos, state.form.photos.bytes ? state.form.photos.most - photos.length : 0, draw),
    );
  draw();
  const note = h("textarea", { rows: 2, maxlength: 2000, "aria-label": t("report.add"), placeholder: t("report.add") });
  const send = working(
    h("button", { class: "primary wide", id: "add-note" }, icon("send"), t("report.add")),
    async () => {
      const text = note.value.trim();
      if (!text && !photos.length) {
        toast(t("report.needs_note"), true);
        return;
      }
      const blobs = photos.map((photo) => photo.blob);
      await keep(
        newItem(state.me.name, `/${own.id}/notes`, { note: text }, blobs, { category: own.category, note: text }),
      );
      close();
      await drawWaiting();
      sendAll(true);
    },
  );
  return h("div", { class: "adding" }, box, note, send);
}

on("queue-progress", drawProgress);
on("queue", drawWaiting);
