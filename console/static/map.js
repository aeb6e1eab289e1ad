// The one map of the screen: made once, told what to draw. Everything that moves on it is in map_terminals.js.
import { Map as GlMap, ScaleControl } from "./vendor/maplibre-gl/maplibre-gl.mjs";
import { toast } from "./dom.js";
import { inSeason } from "./format.js";
import { t } from "./i18n.js";
import { PIXEL_RATIO, pictures } from "./map_icons.js";
import { GROUPS, mapStyle, NOTHING, ZONE_KINDS } from "./map_style.js";
import { pref, setPref } from "./prefs.js";
import { on, state } from "./state.js";

let map = null;
let ready = null; // resolves once the style is there
let drawable = false; // it is there
let inForce = ""; // which zones' seasons are on, as last drawn
let picking = null; // resolves the promise of a place that is being pointed out
let tilesFailed = false;
let view = null; // where to look once the map is ready, when somebody asked before
const wanted = new Map(); // source → data set before the map was ready
const hidden = new Set(JSON.parse(pref("hidden", "[]")));

export const mapReady = () => ready;
export const hasMap = () => map !== null;

/** Make the map in `container`. Without WebGL2 the rest of the screen still works: the reason is shown instead. */
export function makeMap(container) {
  const { zones, labels } = zoneData();
  try {
    map = new GlMap({
      container,
      style: mapStyle(state.site, zones, labels),
      bounds: siteBounds(),
      fitBoundsOptions: { padding: 32 },
      attributionControl: false,
      fadeDuration: 0,
      maxPitch: 0,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      maxZoom: 19,
      minZoom: 4,
      locale: { "Map.Title": t("map") },
    });
  } catch (error) {
    map = null;
    container.replaceChildren(
      Object.assign(document.createElement("p"), { className: "empty", textContent: t("map.none") }),
    );
    ready = Promise.reject(error);
    ready.catch(() => {}); // told above, in words
    return;
  }
  container.setAttribute("aria-busy", "true");
  map.touchZoomRotate.disableRotation();
  map.addControl(new ScaleControl({ maxWidth: 110, unit: "metric" }), "bottom-left");
  map.on("error", ({ error, sourceId }) => mapError(error, sourceId));
  map.on("click", (event) => picking?.([event.lngLat.lng, event.lngLat.lat]));
  // The pictures must be known before the first layer asks for them, else MapLibre warns of missing ones.
  map.once("style.load", () => {
    for (const [name, data] of pictures()) map.addImage(name, data, { pixelRatio: PIXEL_RATIO });
  });
  ready = new Promise((resolve) => map.once("load", resolve)).then(() => {
    for (const group of Object.keys(GROUPS)) applyVisibility(group);
    (view ?? (() => map.fitBounds(siteBounds(), { padding: clearance(32), duration: 0 })))();
    drawable = true;
    container.setAttribute("aria-busy", "false");
    for (const [source, data] of wanted) map.getSource(source).setData(data);
  });
  on("minute", followSeasons);
  on("theme", restyle);
  on("language", restyle);
  new ResizeObserver(() => map.resize()).observe(container);
}

function mapError(error, sourceId) {
  if (sourceId !== "tiles") {
    toast(t("fault", { what: error?.message ?? String(error) }), true);
    console.error(error);
  } else if (!tilesFailed) {
    tilesFailed = true; // once is enough: every tile would say it again
    toast(t("map.tiles_failed"), true);
  }
}

/** Zones with whether they are in force now, and one label point for each. */
function zoneData() {
  const features = state.site.zones.features.map((feature) => ({
    ...feature,
    properties: { ...feature.properties, in_force: inSeason(feature.properties.season) },
  }));
  const labels = features
    .filter((f) => ZONE_KINDS[f.properties.kind])
    .map((f) => ({
      type: "Feature",
      properties: f.properties,
      geometry: { type: "Point", coordinates: middle(f.geometry) },
    }));
  return { zones: { type: "FeatureCollection", features }, labels: { type: "FeatureCollection", features: labels } };
}

/** Where a label goes: the middle vertex of a line; of a polygon, the mean of its outer ring's vertices. */
export function middle(geometry) {
  const { type, coordinates } = geometry;
  if (type === "Point") return coordinates;
  if (type === "LineString") return coordinates[Math.floor(coordinates.length / 2)];
  if (type === "MultiLineString") return middle({ type: "LineString", coordinates: coordinates[0] });
  const ring = (type === "MultiPolygon" ? coordinates[0] : coordinates)[0].slice(0, -1);
  return [0, 1].map((axis) => ring.reduce((sum, point) => sum + point[axis], 0) / ring.length);
}

function siteBounds() {
  const [west, south, east, north] = state.site.bounds;
  return [
    [west, south],
    [east, north],
  ];
}

/** Colours and texts of the present theme and language onto the standing map: its place and data stay. */
function restyle() {
  if (!drawable) return;
  const { zones, labels } = zoneData();
  const style = mapStyle(state.site, zones, labels);
  for (const [name, data] of pictures()) if (map.hasImage(name)) map.updateImage(name, data);
  for (const layer of style.layers) {
    if (!map.getLayer(layer.id)) continue;
    for (const [name, value] of Object.entries(layer.paint ?? {})) map.setPaintProperty(layer.id, name, value);
    for (const [name, value] of Object.entries(layer.layout ?? {})) map.setLayoutProperty(layer.id, name, value);
  }
  map.getSource("zones")?.setData(zones);
  map.getSource("zone-labels")?.setData(labels);
  map.getCanvas().setAttribute("aria-label", t("map"));
}

/** A season begins or ends while the screen is watched: the zone is drawn as it is now. */
function followSeasons() {
  const { zones, labels } = zoneData();
  const force = JSON.stringify(zones.features.map((feature) => feature.properties.in_force));
  if (!drawable || force === inForce) return;
  inForce = force;
  map.getSource("zones").setData(zones);
  map.getSource("zone-labels").setData(labels);
}

/** A site that was loaded anew: its zones are drawn, the rest of the map stays. */
export function redrawSite() {
  if (map) ready.then(restyle, () => {});
}

export const isHidden = (group) => hidden.has(group);

export function showGroup(group, shown) {
  if (shown) hidden.delete(group);
  else hidden.add(group);
  setPref("hidden", JSON.stringify([...hidden]));
  applyVisibility(group);
}

function applyVisibility(group) {
  for (const layer of GROUPS[group]) {
    if (map?.getLayer(layer)) map.setLayoutProperty(layer, "visibility", hidden.has(group) ? "none" : "visible");
  }
}

/** Draw `data` (a FeatureCollection) in one of map_style's SOURCES; resolves when it has been taken in. */
export function draw(source, data = NOTHING) {
  wanted.set(source, data);
  return drawable ? map.getSource(source).setData(data) : Promise.resolve();
}

export const collection = (features) => ({ type: "FeatureCollection", features });
export const point = (lon, lat, properties = {}) => ({
  type: "Feature",
  properties,
  geometry: { type: "Point", coordinates: [lon, lat] },
});

/** A circle of `radius` metres as a polygon. */
export function circle(lon, lat, radius) {
  const metre = 1 / 111_320;
  const ring = Array.from({ length: 65 }, (_, i) => {
    const angle = (i / 32) * Math.PI;
    return [
      lon + (radius * metre * Math.cos(angle)) / Math.cos((lat * Math.PI) / 180),
      lat + radius * metre * Math.sin(angle),
    ];
  });
  return { type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: [ring] } };
}

/** What may lie under the legend is not in view: room is left for it where there is enough. */
function clearance(around) {
  const stage = map.getContainer().getBoundingClientRect();
  const legend = document.querySelector("#legend ul")?.parentElement.getBoundingClientRect();
  return {
    top: around,
    right: around,
    bottom: around,
    left: legend && stage.width > 620 ? legend.width + 24 + around : around,
  };
}

/** Bring a place into view, not further out than it already is. */
export function flyTo(lon, lat, zoom = 14.5) {
  look(() => map.easeTo({ center: [lon, lat], zoom: Math.max(zoom, map.getZoom()), duration: pace(700) }));
}

/** Bring several places into view: [[lon, lat], …]. */
export function flyToAll(places, maxZoom = 15.5) {
  if (!places.length) return;
  const lons = places.map((p) => p[0]);
  const lats = places.map((p) => p[1]);
  look(() =>
    map.fitBounds(
      [
        [Math.min(...lons), Math.min(...lats)],
        [Math.max(...lons), Math.max(...lats)],
      ],
      { padding: clearance(60), maxZoom, duration: pace(700) },
    ),
  );
}

export const fitSite = () => map?.fitBounds(siteBounds(), { padding: clearance(32), duration: pace(500) });
export const zoomBy = (step) => map?.easeTo({ zoom: map.getZoom() + step, duration: pace(200) });

function look(move) {
  if (drawable) move();
  else view = move;
}

/** A camera's journey in ms; none for those who asked the system for less motion, nor before the map is there. */
const pace = (ms) => (drawable && !matchMedia("(prefers-reduced-motion: reduce)").matches ? ms : 0);

/** Pixels per degree of longitude and latitude at the map's centre: how far a step is seen. Null without a map. */
export function pixelScale() {
  if (!map) return null;
  const { lng, lat } = map.getCenter();
  const here = map.project([lng, lat]);
  return { x: map.project([lng + 0.01, lat]).x - here.x, y: here.y - map.project([lng, lat + 0.01]).y, per: 0.01 };
}

/** A test for places in view or close to it: close up, two thousand others need not be drawn. */
export function viewed() {
  const bounds = map.getBounds();
  const [west, south, east, north] = [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()];
  const [wide, high] = [(east - west) / 2, (north - south) / 2];
  return ([lon, lat]) => lon > west - wide && lon < east + wide && lat > south - high && lat < north + high;
}

export const onMapMove = (listener) => map?.on("move", listener);

/** Where a place is on the page, in CSS pixels of the map. */
export const project = (lon, lat) => map?.project([lon, lat]);

/** What is rendered of a layer: [{properties, x, y}], the place in CSS pixels of the map. */
export function rendered(layer) {
  if (!map?.getLayer(layer)) return [];
  return map.queryRenderedFeatures({ layers: [layer] }).map(({ properties, geometry }) => {
    const { x, y } = map.project(geometry.coordinates);
    return { properties, x, y };
  });
}

/** What was clicked: the features of `layers` within 7 pixels, topmost first. */
export function onMapClick(layers, listener) {
  map?.on("click", ({ point: { x, y } }) => {
    if (picking) return;
    const present = layers.filter((layer) => map.getLayer(layer));
    listener(
      map.queryRenderedFeatures(
        [
          [x - 7, y - 7],
          [x + 7, y + 7],
        ],
        { layers: present },
      ),
    );
  });
  map?.on("mousemove", ({ point: { x, y } }) => {
    const present = layers.filter((layer) => map.getLayer(layer));
    const over =
      !picking &&
      map.queryRenderedFeatures(
        [
          [x - 4, y - 4],
          [x + 4, y + 4],
        ],
        { layers: present },
      ).length > 0;
    map.getCanvas().style.cursor = picking ? "crosshair" : over ? "pointer" : "";
  });
}

/** A right click (or a long touch) on a place. */
export function onMapMenu(listener) {
  map?.on("contextmenu", (event) => {
    if (!picking) listener([event.lngLat.lng, event.lngLat.lat]);
  });
}

/** Ask the person to point out a place; resolves to [lon, lat], or null when given up. */
export function pickPlace() {
  if (!map) return Promise.resolve(null);
  picking?.(null);
  return new Promise((resolve) => {
    picking = (place) => {
      picking = null;
      map.getCanvas().style.cursor = "";
      resolve(place);
    };
    map.getCanvas().style.cursor = "crosshair";
  });
}

export const stopPicking = () => picking?.(null);
