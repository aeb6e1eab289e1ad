// Messages that could not be taken in: why, what they said, and a way to try them again once the cause is mended.
import { get, post, query } from "./api.js";
import { failure, h, icon, steady, toast, working } from "./dom.js";
import { timeText } from "./format.js";
import { has, t } from "./i18n.js";
import { on } from "./state.js";

const PAGE = 100;

let panel = null;
let shown = false;
let items = [];
let next = null;
let reason = "";
let fresh = 0; // arrived since the list was read
const openRows = new Set();

export function startRejects(element) {
  panel = element;
  on("reject", arrived);
  on("reloaded", () => {
    if (shown) load();
  });
  on("language", () => {
    if (shown) render();
  });
}

/**
 * One that is on the page came again (perhaps just replayed): it is shown as it is now. Others only count, so that
 * nothing moves under the eyes of who reads. */
function arrived({ id }) {
  if (shown && items.some((item) => item.id === id)) {
    load();
    return;
  }
  fresh += 1;
  renderSoon();
}

export function showRejects(show) {
  shown = show;
  if (!show) return;
  render();
  load();
}

async function load(before = null) {
  try {
    const page = await get(`/rejects${query({ limit: PAGE, before })}`);
    items = before === null ? page.items : [...items, ...page.items];
    next = page.next;
    if (before === null) fresh = 0;
    render();
  } catch (error) {
    if (error.zh === undefined) throw error;
    if (shown)
      panel.replaceChildren(
        head(),
        failure(error, () => load(before)),
      );
  }
}

export const reasonName = (code) => (has(`reason.${code}`) ? t(`reason.${code}`) : code);

function head() {
  const reasons = [...new Set(items.map((item) => item.reason))].sort();
  const filter = h(
    "select",
    {
      class: "narrow",
      "aria-label": t("rejects.reason"),
      id: "reject-filter",
      onchange: () => {
        reason = filter.value;
        render();
      },
    },
    h("option", { value: "" }, t("rejects.all")),
    reasons.map((code) => h("option", { value: code }, reasonName(code))),
  );
  filter.value = reasons.includes(reason) ? reason : "";
  reason = filter.value;
  return h(
    "div",
    { class: "panel-head" },
    h("a", { href: "#/", class: "back row" }, icon("back"), t("back")),
    h("h2", {}, t("rejects")),
    h("span", { class: "grow" }),
    fresh
      ? working(h("button", { class: "small", id: "reject-fresh" }, t("rejects.fresh", { n: fresh })), () => load())
      : null,
    filter,
  );
}

const renderSoon = steady(() => {
  if (shown) render();
});

function render() {
  const rows = items.filter((item) => !reason || item.reason === reason);
  const more =
    next === null
      ? ""
      : h(
          "div",
          { class: "more" },
          working(h("button", { class: "small" }, t("older")), () => load(next)),
        );
  const body = rows.length
    ? h("ul", { class: "rejects", id: "reject-list" }, rows.map(row))
    : h("div", { class: "empty" }, icon("check"), h("p", {}, t("rejects.none")));
  panel.replaceChildren(head(), h("p", { class: "note" }, t("rejects.what")), body, more);
}

function row(item) {
  const details = h(
    "details",
    { open: openRows.has(item.id), dataset: { reject: item.id } },
    h(
      "summary",
      {},
      h("span", { class: "chip medium" }, reasonName(item.reason)),
      h("code", { class: "cut grow" }, item.topic),
      h("span", { class: "quiet" }, item.times > 1 ? t("rejects.times", { n: item.times }) : ""),
      item.replayed_at ? h("span", { class: "chip good" }, t("rejects.replayed")) : null,
      h("time", { class: "quiet", datetime: item.last_seen }, timeText(item.last_seen)),
    ),
    h(
      "div",
      { class: "reject-body" },
      h("p", {}, item.detail),
      h("pre", { tabindex: 0, "aria-label": t("rejects.payload") }, payloadText(item.payload)),
      h(
        "dl",
        { class: "facts" },
        h("dt", {}, t("rejects.first")),
        h("dd", {}, timeText(item.received)),
        h("dt", {}, t("rejects.last")),
        h("dd", {}, timeText(item.last_seen)),
        item.replayed_at ? [h("dt", {}, t("rejects.replayed")), h("dd", {}, timeText(item.replayed_at))] : null,
      ),
      h("div", { class: "row" }, h("span", { class: "quiet grow" }, t("rejects.replay_hint")), replayButton(item)),
    ),
  );
  details.addEventListener("toggle", () => {
    if (details.open) openRows.add(item.id);
    else openRows.delete(item.id);
  });
  return h("li", { class: "card" }, details);
}

function replayButton(item) {
  return working(h("button", { class: "small replay" }, icon("replay"), t("rejects.replay")), async () => {
    await post(`/rejects/${item.id}/replay`);
    toast(t("rejects.sent"));
    await load();
  });
}

/** JSON is laid out in lines for reading; anything else stays byte for byte as it came. */
function payloadText(payload) {
  try {
    const value = JSON.parse(payload);
    return typeof value === "object" && value !== null ? JSON.stringify(value, null, 2) : payload;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return payload;
  }
}
