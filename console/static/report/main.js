// The page of reports, made for a phone: it opens without a line, keeps what is reported, and sends it when it can.
import { ApiError } from "../api.js";
import { h, icon, toast } from "../dom.js";
import { language, named, setLanguage, t } from "../i18n.js";
import { followSystemTheme, pref, setPref, setTheme, theme } from "../prefs.js";
import { on, state } from "../state.js";
import { formView } from "./form.js";
import { ask, isLinked } from "./line.js";
import { countWaiting, drawWaiting, ownView, readOwn } from "./own.js";
import { search } from "./place.js";
import { sendAll, startSending } from "./send.js";

const top = document.getElementById("top");
const work = document.getElementById("work");
let tab = "new";
let count = 0; // still to be sent
let loggedOut = false;

/** Who this is and what the form offers: as last known on this phone, until the server says it anew. */
function remembered() {
  state.me = JSON.parse(pref("report.me", "null"));
  state.form = JSON.parse(pref("report.form", "null"));
}

async function learn() {
  try {
    state.me = await ask("GET", "/me");
    loggedOut = false;
    if (state.me.role !== "viewer") state.form = await ask("GET", "/reports/form");
    setPref("report.me", JSON.stringify(state.me));
    setPref("report.form", JSON.stringify(state.form));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401 || error.status === 403) loggedOut = true;
    else if (error.status !== 0) toast(error[language()], true);
  }
}

// ── The frame ────────────────────────────────────────────────────────────────────────────────────────────────────────
function drawTop() {
  const tool = (id, label, content, act) =>
    h("button", { class: "bare square", id, "aria-label": label, title: label, onclick: act }, content);
  const dark = theme() === "dark";
  document.title = `${t("report.title")} · ${t("product")}`;
  document.documentElement.lang = language() === "zh" ? "zh-CN" : "en";
  top.replaceChildren(
    h(
      "div",
      { class: "row" },
      h("img", { src: "/static/favicon.svg", alt: "", width: 30, height: 30 }),
      h(
        "div",
        { class: "grow" },
        h("h1", { class: "cut" }, t("report.title")),
        h("div", { class: "quiet cut" }, whose()),
      ),
      h(
        "span",
        { id: "line", class: `chip ${isLinked() ? "good" : "medium"}`, role: "status" },
        t(isLinked() ? "report.online" : "report.offline"),
      ),
      tool("theme", t(dark ? "theme.light" : "theme.dark"), icon(dark ? "sun" : "moon"), () =>
        setTheme(dark ? "light" : "dark"),
      ),
      tool("language", language() === "zh" ? "English" : "中文", language() === "zh" ? "EN" : "中", () =>
        setLanguage(language() === "zh" ? "en" : "zh"),
      ),
    ),
    h("nav", { "aria-label": t("tabs") }, tabButton("new", t("report.new")), tabButton("own", t("report.own"), count)),
  );
}

const whose = () => [state.form && named(state.form), state.me?.display].filter(Boolean).join(" · ");

const tabButton = (name, text, number = 0) =>
  h(
    "button",
    { id: `tab-${name}`, "aria-pressed": String(tab === name), onclick: () => show(name) },
    text,
    number ? h("span", { class: "badge", id: "waiting-count" }, String(number)) : null,
  );

function show(name) {
  tab = name;
  draw();
  scrollTo(0, 0);
}

function draw() {
  drawTop();
  const body = !state.me || !state.form ? stranger() : tab === "new" ? formView() : ownView();
  work.replaceChildren(loggedOut && state.form ? logInAgain() : "", body);
  work.removeAttribute("aria-busy");
}

/** Nobody has used this phone yet, or who did may not report. */
function stranger() {
  const may = !state.me || state.me.role !== "viewer";
  const text = !may ? "report.not_viewer" : isLinked() ? "report.log_in_first" : "report.first_needs_line";
  return h(
    "div",
    { class: "empty" },
    icon("person"),
    h("p", {}, t(text)),
    may ? h("a", { class: "button", href: "/login" }, t("log_in")) : null,
  );
}

const logInAgain = () =>
  h(
    "div",
    { class: "note warn row", role: "alert" },
    h("span", { class: "grow" }, t("report.log_in_again")),
    h("a", { class: "button", href: "/login" }, t("log_in")),
  );

async function recount() {
  count = await countWaiting();
  drawTop();
  await drawWaiting();
}

// ── The life of the page ─────────────────────────────────────────────────────────────────────────────────────────────
for (const event of ["language", "theme"]) on(event, draw);
on("link", drawTop);
on("queue", recount);
on("logged-out", () => {
  if (!loggedOut) {
    loggedOut = true;
    draw();
  }
});
on("queued", async () => {
  await recount();
  show("own");
  if (!isLinked()) toast(t("report.kept"));
});
on("sent", async ({ answer }) => {
  await recount();
  const { report, joined, notes } = answer;
  toast(t(notes ? "report.added" : joined ? "report.joined" : "report.done", { number: report.number }));
  if (tab === "own") readOwn();
});

async function start() {
  followSystemTheme();
  remembered();
  if (state.form) draw(); // at once, also without a line
  await learn();
  draw();
  count = await countWaiting();
  drawTop();
  if (state.me && state.form) search();
  startSending();
  sendAll(true);
  navigator.storage?.persist?.(); // asks the browser not to clear the queue when room gets scarce
  if ("serviceWorker" in navigator) await navigator.serviceWorker.register("/report-worker.js", { scope: "/report" });
  setInterval(() => tab === "own" && document.visibilityState === "visible" && readOwn(), 60_000);
}

setLanguage(language(), false);
start();
