// One case: its head, its chain, its story, its alerts, and what may be done with it now.
import { ApiError, get } from "./api.js";
import { actionBar } from "./case_actions.js";
import { aroundCase, forgetAround, loadAround } from "./case_around.js";
import { facts, parts, standing } from "./case_facts.js";
import { notices, story } from "./case_story.js";
import { openAlert } from "./alerts.js";
import { take } from "./cases.js";
import { failure, h, icon, renew, steady } from "./dom.js";
import { ago, distanceText, metres, timeText } from "./format.js";
import { pick, t } from "./i18n.js";
import { collection, draw, flyTo, flyToAll, point } from "./map.js";
import { shownPlace } from "./map_terminals.js";
import { mayDo } from "./roles.js";
import { severityChip } from "./severity.js";
import { on, select, state } from "./state.js";

const CHAIN = ["reported", "opened", "dispatched", "handling", "fed_back", "verified", "closed"];

let panel = null;
let number = null; // the id of the case that is shown, null when none is
let detail = null;
let trouble = null; // why it could not be read again: what is shown may be old
let routeText = null;
let routeDrawn = false;
let looked = false; // whether place and terminal were brought into view: its position may come after the case

export function startCasePage(element) {
  panel = element;
  on("case", (found) => {
    if (found.id === number) reload();
  });
  on("reloaded", () => {
    if (number !== null) reload();
  });
  on("language", () => {
    if (detail) render();
  });
  on("tick", drawRoute);
  on("site", () => {
    if (detail) renderSoon();
  });
}

/** Show case `id`, or take the page away with null. */
export function showCase(id) {
  if (id === number) return;
  number = id;
  detail = trouble = null;
  looked = false;
  forgetAround();
  draw("route");
  draw("picked");
  routeDrawn = false;
  if (id === null) {
    panel.replaceChildren();
    return;
  }
  panel.replaceChildren(backLink(), h("p", { class: "empty" }, t("loading")));
  reload(true);
}

async function reload(first = false) {
  const asked = number;
  try {
    const found = await get(`/cases/${asked}`);
    shown(found, first);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (asked !== number) return;
    trouble = error;
    if (detail) renderSoon();
    else panel.replaceChildren(backLink(), troubleNote());
  }
}

/** The answer to an action is the same as a fresh reading. */
function shown(found, first = false) {
  take(found.case);
  if (found.case.id !== number) return; // somebody has gone on to another case
  if (!detail || !overtaken(found, detail)) detail = found;
  trouble = null;
  renderSoon();
  loadAround(detail, renderSoon);
  if (first) lookAt();
}

/** Whether an answer is from before the one that is shown: a case only gains versions and entries. */
const overtaken = (found, known) =>
  found.case.version < known.case.version || found.entries.length < known.entries.length;

function lookAt() {
  const { lon, lat, terminal } = detail.case;
  const from = terminal ? shownPlace(terminal) : null;
  looked = !terminal || from !== null;
  if (lon === null) {
    if (from) flyTo(from[0], from[1]);
  } else if (from) flyToAll([[lon, lat], from], 16);
  else flyTo(lon, lat, 15);
}

const renderSoon = steady(() => {
  if (detail) render();
});

const troubleNote = () => failure(trouble, () => reload(!detail));

const backLink = () => h("a", { href: "#/", class: "back row" }, icon("back"), t("back"));

function render() {
  const { case: found } = detail;
  const scroll = panel.scrollTop;
  routeText = h("dd", {}, t("unknown"));
  renew(
    panel,
    h("div", { class: "row" }, backLink(), h("span", { class: "grow" }), exportLink(found)),
    trouble ? troubleNote() : null,
    h(
      "header",
      { class: "case-head" },
      h(
        "div",
        { class: "row wrap" },
        h("span", { class: "quiet number-text" }, found.number),
        severityChip(found.severity),
        h(
          "span",
          { class: "chip", id: "case-status", dataset: { status: found.status } },
          t(`case.status.${found.status}`),
        ),
      ),
      h("h2", {}, pick(found.title)),
      standing(found),
    ),
    chain(found),
    facts(found, routeText, followTerminal),
    actionBar(detail, shown, () => reload()),
    parts(found),
    ...aroundCase(found),
    h("section", {}, h("h3", {}, t("case.alerts")), alerts()),
    h("section", {}, h("h3", {}, t("case.story")), story(detail)),
    detail.notices.length ? h("section", {}, h("h3", {}, t("case.notices")), notices(detail)) : null,
  );
  panel.scrollTop = scroll;
  draw("picked", found.lon === null ? undefined : collection([point(found.lon, found.lat)]));
  drawRoute();
}

/** The whole case as a signed file; only for those who may take it out of the house. */
const exportLink = (found) =>
  mayDo("export")
    ? h(
        "a",
        { class: "button small", href: `/api/v1/cases/${found.id}/export`, download: "", title: t("case.export_what") },
        icon("download"),
        t("case.export"),
      )
    : null;

/** The steps as a line of dots; void and merged stand beside the line. */
function chain(found) {
  const reached = CHAIN.indexOf(found.status);
  const steps = CHAIN.map((status, n) =>
    h(
      "li",
      { class: n < reached ? "done" : n === reached ? "now" : "", "aria-current": n === reached ? "step" : null },
      h("span", {}, t(`case.status.${status}`)),
    ),
  );
  if (reached < 0) steps.push(h("li", { class: "now off" }, h("span", {}, t(`case.status.${found.status}`))));
  return h("ol", { class: "chain", "aria-label": t("case.chain") }, steps);
}

function followTerminal(code) {
  select("terminal", code);
  const place = shownPlace(code);
  if (place) flyTo(place[0], place[1], 15);
}

/** The line from the dispatched terminal, as it is drawn now, to the place; and how far it still is. */
function drawRoute() {
  const found = detail?.case;
  if (!found?.terminal || found.lon === null || ["closed", "void", "merged"].includes(found.status)) {
    if (routeDrawn) draw("route");
    routeDrawn = false;
    return;
  }
  const from = shownPlace(found.terminal);
  if (!from) return;
  if (!looked) lookAt();
  routeDrawn = true;
  draw(
    "route",
    collection([
      {
        type: "Feature",
        properties: {},
        geometry: { type: "LineString", coordinates: [from, [found.lon, found.lat]] },
      },
    ]),
  );
  const position = state.positions.get(found.terminal);
  routeText.textContent = t("case.way_left", {
    far: distanceText(metres(from[0], from[1], found.lon, found.lat)),
    age: ago(position.at),
  });
}

function alerts() {
  if (!detail.alerts.length) return h("p", { class: "quiet" }, t("case.no_alerts"));
  return h(
    "ul",
    { class: "column" },
    detail.alerts.map((alert) =>
      h(
        "li",
        {},
        h(
          "button",
          { class: "bare card-open", onclick: () => openAlert(alert.id) },
          h(
            "span",
            { class: "row wrap" },
            severityChip(alert.severity),
            h("span", { class: "quiet" }, timeText(alert.raised_at)),
            h("span", { class: "quiet" }, t(`alert.state.${alert.state}`)),
          ),
          pick(alert.sentence),
        ),
      ),
    ),
  );
}
