// The beginning: load the ground, build the parts, follow the address and the live stream.
import { ApiError } from "./api.js";
import { startTools } from "./account.js";
import { startAlerts } from "./alerts.js";
import { begun, goOn } from "./case_actions.js";
import { showCase, startCasePage } from "./case_page.js";
import { showOverdue, startCases } from "./cases.js";
import { followLive, loadAll, loadGround } from "./data.js";
import { deskMenu, showDesk, startDesk } from "./desk.js";
import { startDetail } from "./detail.js";
import { h, icon, sentenceOf, toast, working } from "./dom.js";
import { startClock } from "./due.js";
import { startFind } from "./find.js";
import { language, named, setLanguage, t } from "./i18n.js";
import { startLegend } from "./legend.js";
import { connect, link } from "./live.js";
import { fitSite, hasMap, makeMap, onMapMenu, project, rendered, zoomBy } from "./map.js";
import { startMarks } from "./map_marks.js";
import { shownPlace, startTerminals } from "./map_terminals.js";
import { mayReport, newCase } from "./new_case.js";
import { followSystemTheme } from "./prefs.js";
import { showRejects, startRejects } from "./rejects.js";
import { resumed, startResume } from "./resume.js";
import { startSound } from "./sound.js";
import { startStatus } from "./status.js";
import { on, state } from "./state.js";

const byId = (id) => document.getElementById(id);

// A failure that nobody caught still reaches the person in words (and, not being handled, the console as well).
addEventListener("unhandledrejection", (event) => toast(sentenceOf(event.reason), true));
addEventListener("error", (event) => {
  if (event.error) toast(sentenceOf(event.error), true);
});

async function start() {
  setLanguage(language(), false);
  await loadGround();
  const kept = resumed();
  if (kept) goOn(kept);
  startResume(begun);
  makeMap(byId("map"));
  startTools(byId("tools"), deskMenu);
  startStatus(byId("strip"));
  startAlerts(byId("alerts-panel"));
  startCases(byId("cases-panel"));
  startCasePage(byId("case-panel"));
  startRejects(byId("rejects-panel"));
  startDesk(byId("desk-panel"));
  startDetail(byId("detail"));
  startLegend(byId("legend"));
  startFind(byId("find"));
  if (mayReport()) onMapMenu(newCase);
  startMarks();
  startTerminals();
  startSound();
  startClock();
  followSystemTheme();
  for (const event of ["language", "site"]) on(event, words);
  on("show", showTab);
  words();
  route();
  addEventListener("hashchange", route);
  followLive();
  connect();
  await loadAll();
}

/** The texts of the frame itself. */
function words() {
  document.documentElement.lang = language() === "zh" ? "zh-CN" : "en";
  byId("site-name").textContent = named(state.site) || t("product");
  byId("skip").textContent = t("skip");
  byId("skip").onclick = (event) => {
    event.preventDefault();
    showTab("alerts");
    byId("alerts-panel").focus();
  };
  for (const [id, key] of [
    ["cases-panel", "cases"],
    ["alerts-panel", "alerts"],
    ["case-panel", "case"],
    ["rejects-panel", "rejects"],
    ["stage", "map"],
    ["detail", "detail"],
    ["legend", "legend"],
    ["strip", "status"],
    ["tabs", "tabs"],
  ]) {
    byId(id).setAttribute("aria-label", t(key));
  }
  const button = (name, key, act) =>
    h("button", { class: "square", "aria-label": t(key), title: t(key), onclick: act }, icon(name));
  byId("map-buttons").replaceChildren(
    ...(hasMap()
      ? [
          button("plus", "zoom.in", () => zoomBy(1)),
          button("minus", "zoom.out", () => zoomBy(-1)),
          button("fit", "zoom.site", fitSite),
        ]
      : []),
  );
  byId("attribution").hidden = !(state.site.tile_url && state.site.tile_attribution);
  byId("attribution").textContent = state.site.tile_attribution;
  byId("tabs").replaceChildren(
    ...[
      ["map", "map"],
      ["alerts", "alert"],
      ["cases", "list"],
    ].map(([tab, pictogram]) =>
      h(
        "a",
        {
          href: tab === "map" ? "#/" : `#/${tab}`,
          dataset: { tab },
          "aria-current": document.body.dataset.tab === tab ? "page" : null,
        },
        icon(pictogram),
        t(tab),
      ),
    ),
  );
}

/** "#/", "#/alerts", "#/cases", "#/overdue", "#/case/ID", "#/rejects", "#/PAGE" of the desk: what is shown can be linked and gone back to. */
function route() {
  const [, page = "", id = ""] = location.hash.split("/");
  const caseId = page === "case" && /^\d+$/.test(id) ? Number(id) : null;
  const desk = showDesk(page, id);
  document.body.dataset.route = caseId !== null ? "case" : page === "rejects" ? "rejects" : (desk ?? "map");
  showCase(caseId);
  showRejects(page === "rejects");
  if (page === "overdue") showOverdue();
  showTab(
    { alerts: "alerts", cases: "cases", overdue: "cases" }[page] ?? (page === "" ? "map" : document.body.dataset.tab),
  );
  const panel = { case: "case-panel", rejects: "rejects-panel", desk: "desk-panel", beside: "desk-panel" }[
    document.body.dataset.route
  ];
  if (panel) byId(panel).focus({ preventScroll: true });
}

/** Which list a middle screen's rail shows, and which page a phone shows. The map is out of sight on a phone only. */
function showTab(tab) {
  if (tab === "map" && document.body.dataset.tab !== "map" && !matchMedia("(max-width: 699px)").matches) return;
  document.body.dataset.tab = tab;
  for (const other of byId("tabs").children) {
    if (other.dataset.tab === tab) other.setAttribute("aria-current", "page");
    else other.removeAttribute("aria-current");
  }
}

/** For tests and for those who look under the bonnet: read only. */
window.patrolgrid = Object.freeze({
  terminal: (code) => {
    const shown = shownPlace(code);
    const fix = state.positions.get(code);
    return (
      shown && {
        lon: shown[0],
        lat: shown[1],
        at: fix.at,
        fix: [fix.lon, fix.lat],
        pixel: { ...project(shown[0], shown[1]) },
      }
    );
  },
  rendered,
  link: () => ({ ...link }),
});

start().catch((error) => {
  if (error.status === 401) return; // on the way to the log-in page
  document.querySelector("main").replaceChildren(
    h(
      "div",
      { class: "empty stop" },
      icon("alert"),
      h("p", {}, sentenceOf(error)),
      working(h("button", { class: "primary" }, t("retry")), async () => location.reload()),
    ),
  );
  if (!(error instanceof ApiError)) throw error;
});
