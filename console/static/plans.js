// Patrol plans: what is to be done in a zone, when and by whom, and the whole plan drawn on the map.
import { h, icon } from "./dom.js";
import { distanceText, duration } from "./format.js";
import { comma, named, t } from "./i18n.js";
import { collection, draw, flyToAll, middle } from "./map.js";
import { state } from "./state.js";

const ROLES = ["patrol", "police", "boat"];

export const plansOf = (zone) => state.site.plans.filter((plan) => plan.zones.includes(zone));

/** One plan in words, with a button that shows it on the map. */
export function planCard(plan) {
  const hours = plan.opens === plan.closes ? t("season.all_day") : `${plan.opens}–${plan.closes}`;
  const days = plan.days.length === 7 ? t("plan.every_day") : plan.days.map((day) => t("weekdays").split(" ")[day - 1]).join(" ");
  const who = plan.who.map((one) => (ROLES.includes(one) ? t(`role.${one}`) : one)).join(comma());
  const what =
    plan.kind === "quota"
      ? t("plan.quota", { n: plan.visits, stay: duration(plan.stay) })
      : t(plan.ordered ? "plan.route_ordered" : "plan.route", { n: Math.round(plan.share * 100) });
  return h(
    "div",
    { class: "note column tight" },
    h(
      "div",
      { class: "row" },
      h("span", { class: "strong grow" }, named(plan)),
      h("button", { class: "small", onclick: () => drawPlan(plan) }, icon("track"), t("plan.show")),
    ),
    h("span", {}, what),
    h(
      "span",
      { class: "quiet" },
      [days, hours, who || t("plan.anyone"), plan.corridor ? t("plan.corridor", { far: distanceText(plan.corridor) }) : null]
        .filter(Boolean)
        .join(" · "),
    ),
  );
}

/** Its zones, and for checkpoints in order the way between them with their numbers. Null takes it away. */
export function drawPlan(plan) {
  if (!plan) {
    draw("plan");
    return;
  }
  const zones = plan.zones
    .map((code) => state.site.zones.features.find((feature) => feature.properties.code === code))
    .filter(Boolean);
  const places = zones.map((zone) => middle(zone.geometry));
  const outlines = zones.map((zone) => ({ type: "Feature", properties: {}, geometry: zone.geometry }));
  const way =
    plan.kind === "route" && places.length > 1
      ? [{ type: "Feature", properties: {}, geometry: { type: "LineString", coordinates: places } }]
      : [];
  const order = places.map((place, n) => ({
    type: "Feature",
    properties: places.length > 1 ? { order: String(n + 1) } : {},
    geometry: { type: "Point", coordinates: place },
  }));
  draw("plan", collection([...outlines, ...way, ...order]));
  flyToAll(zones.flatMap((zone) => cornersOf(zone.geometry.coordinates)));
}

const cornersOf = (coordinates) =>
  typeof coordinates[0] === "number" ? [coordinates] : coordinates.flatMap(cornersOf);
