// Pointing a place out: the map moves beneath a cross, or a tap brings the cross there. The library is fetched only now.
import { h, icon } from "../dom.js";
import { language, t } from "../i18n.js";

const LIBRARY = "/static/vendor/maplibre-gl/maplibre-gl";

/** Ask for a place; `form` has the shores and tiles, `from` [lon, lat] is where to begin. Resolves to it, or null. */
export async function pointOut(form, from) {
  const { Map: GlMap } = await import(`${LIBRARY}.mjs`);
  await styled();
  const box = h("div", { id: "place-map", "aria-busy": "true" });
  const dialog = h("dialog", { class: "place-map", "aria-label": t("report.place.on_map") });
  return new Promise((resolve, reject) => {
    const leave = (answer) => {
      map?.remove();
      dialog.remove();
      resolve(answer);
    };
    const confirm = h(
      "button",
      { class: "primary", id: "place-here", onclick: () => leave(map.getCenter().toArray()) },
      icon("check"),
      t("report.place.here"),
    );
    const close = h(
      "button",
      { class: "square", "aria-label": t("cancel"), onclick: () => leave(null) },
      icon("close"),
    );
    dialog.append(box, h("div", { class: "cross", "aria-hidden": "true" }), close);
    dialog.append(h("div", { class: "foot" }, h("p", {}, t("report.place.map_hint")), confirm, credit(form)));
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      leave(null);
    });
    document.body.append(dialog);
    dialog.showModal();
    let map = null;
    try {
      map = new GlMap({ container: box, ...view(form, from), attributionControl: false, fadeDuration: 0, ...FLAT });
    } catch (error) {
      dialog.remove();
      reject(error); // no WebGL2
      return;
    }
    map.touchZoomRotate.disableRotation();
    map.on("click", ({ lngLat }) => map.easeTo({ center: lngLat, duration: calm() ? 0 : 250 }));
    map.once("load", () => box.setAttribute("aria-busy", "false"));
  });
}

/** What the tiles' licence asks for. */
const credit = (form) => (form.tile_url && form.tile_attribution ? h("small", {}, form.tile_attribution) : null);

const FLAT = { maxPitch: 0, dragRotate: false, pitchWithRotate: false, touchPitch: false, maxZoom: 19 };
const palette = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

function styled() {
  if (document.querySelector(`link[href="${LIBRARY}.css"]`)) return null;
  return new Promise((resolve) => {
    const link = h("link", { rel: "stylesheet", href: `${LIBRARY}.css`, onload: resolve, onerror: resolve });
    document.head.append(link);
  });
}

function view(form, from) {
  const bounds = form.bounds && [form.bounds.slice(0, 2), form.bounds.slice(2)];
  const begin = from ? { center: from, zoom: 14.5 } : bounds ? { bounds, fitBoundsOptions: { padding: 24 } } : {};
  return { ...begin, style: style(form) };
}

function style(form) {
  const sources = { shores: { type: "geojson", data: form.shores } };
  const tiles = [];
  if (form.tile_url) {
    sources.tiles = { type: "raster", tiles: [form.tile_url], tileSize: 256, maxzoom: 18 };
    tiles.push({ id: "tiles", type: "raster", source: "tiles" });
  }
  const fonts = getComputedStyle(document.body)
    .fontFamily.split(",")
    .map((name) => name.trim().replaceAll('"', ""));
  const named = {
    layout: { "text-font": fonts, "text-size": 13, "text-field": ["get", language() === "zh" ? "name" : "name_en"] },
    paint: { "text-color": palette("--map-text"), "text-halo-color": palette("--map-halo"), "text-halo-width": 1.6 },
  };
  const of = (kind) => ["==", ["get", "kind"], kind];
  return {
    version: 8,
    sources,
    layers: [
      { id: "ground", type: "background", paint: { "background-color": palette("--map-bg") } },
      {
        id: "water",
        type: "fill",
        source: "shores",
        filter: of("water"),
        paint: { "fill-color": palette("--map-water") },
      },
      ...tiles,
      {
        id: "ban",
        type: "fill",
        source: "shores",
        filter: of("no_fishing"),
        paint: { "fill-color": palette("--map-no-fishing"), "fill-opacity": 0.12 },
      },
      {
        id: "shore",
        type: "line",
        source: "shores",
        paint: {
          "line-width": 1.6,
          "line-color": ["match", ["get", "kind"], "water", palette("--map-water-line"), palette("--map-no-fishing")],
        },
      },
      { id: "names", type: "symbol", source: "shores", ...named },
    ],
  };
}
