// One case: its head, its chain, its story, its alerts, and what may be done with it now.
import { ApiError, get } from "./api.js";
import { actionBar } from "./case_actions.js";
import { notices, story } from "./case_story.js";
import { openAlert } from "./alerts.js";
import { isOverdue, take } from "./cases.js";
import { deviceName, unitName } from "./devices.js";
import { dueText } from "./due.js";
import { failure, h, icon, steady } from "./dom.js";
import { ago, distanceText, metres, placeText, timeText } from "./format.js";
import { named, pick, t } from "./i18n.js";
import { collection, draw, flyTo, flyToAll, point } from "./map.js";
import { shownPlace } from "./map_terminals.js";
import { severityChip } from "./severity.js";
import { areaOf, on, select, state } from "./state.js";

const CHAIN = ["reported", "opened", "dispatched", "handling", "fed_back", "verified", "closed"];

let panel = null;
let number = null; // the id of the case that is shown, null when none is
let detail = null;
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
  detail = null;
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
    if (asked !== number) return; // somebody has gone on to another case
    shown(found, first);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (asked === number)
      panel.replaceChildren(
        backLink(),
        failure(error, () => reload(first)),
      );
  }
}

/** The answer to an action is the same as a fresh reading. */
function shown(found, first = false) {
  detail = found;
  take(found.case);
  renderSoon();
  if (first) lookAt();
}

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

const backLink = () => h("a", { href: "#/", class: "back row" }, icon("back"), t("back"));

function render() {
  const { case: found } = detail;
  const scroll = panel.scrollTop;
  panel.replaceChildren(
    backLink(),
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
    ),
    chain(found),
    facts(found),
    actionBar(detail, shown, () => reload()),
    h("section", {}, h("h3", {}, t("case.alerts")), alerts()),
    h("section", {}, h("h3", {}, t("case.story")), story(detail)),
    detail.notices.length ? h("section", {}, h("h3", {}, t("case.notices")), notices(detail)) : "",
  );
  panel.scrollTop = scroll;
  draw("picked", found.lon === null ? undefined : collection([point(found.lon, found.lat)]));
  drawRoute();
}

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

function facts(found) {
  const due = dueText(found.due_at);
  const ended = found.closed_at !== null;
  routeText = h("dd", {}, t("unknown"));
  const rows = [
    [
      t("case.due"),
      h(
        "dd",
        {},
        timeText(found.due_at, false),
        " · ",
        ended
          ? h(
              "span",
              { class: isOverdue(found) ? "late" : "quiet" },
              t(isOverdue(found) ? "case.was_late" : "case.in_time"),
            )
          : h("span", { class: due.cls, dataset: { due: found.due_at } }, due.text),
      ),
    ],
    [t("case.unit"), h("dd", {}, unitName(found.unit))],
    [
      t("case.terminal"),
      h(
        "dd",
        {},
        found.terminal
          ? h(
              "button",
              { class: "bare small inline", onclick: () => followTerminal(found.terminal) },
              icon("radio"),
              deviceName(found.terminal),
            )
          : t("case.no_terminal"),
      ),
    ],
    found.terminal && found.lon !== null ? [t("case.way"), routeText] : null,
    [t("case.opened"), h("dd", {}, timeText(found.opened_at))],
    ended ? [t("case.closed_at"), h("dd", {}, timeText(found.closed_at))] : null,
    found.outcome ? [t("case.outcome"), h("dd", {}, found.outcome)] : null,
    [
      t("place"),
      h(
        "dd",
        {},
        named(areaOf(found.area)) || t("place.none"),
        found.lon === null ? "" : h("span", { class: "quiet" }, ` · ${placeText(found.lon, found.lat)}`),
      ),
    ],
    found.owner ? [t("case.owner"), h("dd", {}, found.owner)] : null,
  ].filter(Boolean);
  return h(
    "dl",
    { class: "facts card pad" },
    rows.map(([name, value]) => [h("dt", {}, name), value]),
  );
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
