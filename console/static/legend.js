// The legend is the switchboard of the map: each line names a kind, shows how it looks, and shows or hides it.
import { h, icon } from "./dom.js";
import { t } from "./i18n.js";
import { isHidden, showGroup } from "./map.js";
import { palette, pictures } from "./map_icons.js";
import { GROUPS, ZONE_KINDS } from "./map_style.js";
import { pref, setPref } from "./prefs.js";
import { on, state } from "./state.js";

const PICTURE = {
  camera: "camera-fine",
  sensor: "sensor-fine",
  patrol_role: "terminal-patrol",
  police_role: "terminal-police",
  boat_role: "terminal-boat",
  other_role: "terminal-other",
  cases: "case-medium",
};

export function startLegend(home) {
  const wide = matchMedia("(min-width: 700px)").matches;
  let open = pref("legend", wide ? "open" : "shut") === "open";
  const render = () => {
    const button = h(
      "button",
      {
        class: "small",
        "aria-expanded": String(open),
        "aria-controls": "legend-lines",
        onclick: () => {
          open = !open;
          setPref("legend", open ? "open" : "shut");
          render();
          home.querySelector("button").focus();
        },
      },
      icon("layers"),
      t("legend"),
    );
    home.replaceChildren(button, open ? h("ul", { id: "legend-lines" }, groupsHere().map(line)) : "");
  };
  for (const event of ["language", "theme", "site"]) on(event, render);
  render();
}

/** Only what this site has: no line for a kind that cannot appear. */
function groupsHere() {
  const kinds = new Set(state.site.zones.features.map((feature) => feature.properties.kind));
  const devices = [...state.devices.values()];
  const roles = new Set(devices.filter((d) => d.kind === "terminal").map((d) => `${d.role}_role`));
  const known = ["patrol_role", "police_role", "boat_role"];
  const others = [...roles].some((role) => !known.includes(role)) || devices.some((d) => d.kind === "vessel");
  return Object.keys(GROUPS).filter((group) =>
    group in ZONE_KINDS
      ? kinds.has(group)
      : known.includes(group)
        ? roles.has(group)
        : group === "other_role"
          ? others
          : group === "camera" || group === "sensor"
            ? devices.some((d) => d.kind === group)
            : true,
  );
}

function line(group) {
  const box = h("input", {
    type: "checkbox",
    checked: !isHidden(group),
    dataset: { layer: group },
    onchange: () => showGroup(group, box.checked),
  });
  return h("li", {}, h("label", { class: "check" }, box, sample(group), h("span", {}, t(`layer.${group}`))));
}

/** The same look as on the map, painted small. */
function sample(group) {
  const canvas = h("canvas", { width: 44, height: 32, class: "sample", "aria-hidden": "true" });
  const pen = canvas.getContext("2d");
  if (group in PICTURE) {
    const [, data] = pictures().find(([name]) => name === PICTURE[group]);
    const under = h("canvas", { width: data.width, height: data.height });
    under.getContext("2d").putImageData(data, 0, 0);
    pen.drawImage(under, 22 - data.width / 2.6, 16 - data.height / 2.6, data.width / 1.3, data.height / 1.3);
  } else if (group in ZONE_KINDS) {
    const look = ZONE_KINDS[group];
    pen.fillStyle = palette(look.colour);
    pen.globalAlpha = Math.max(look.fill, 0.15);
    pen.fillRect(4, 6, 36, 20);
    pen.globalAlpha = 1;
    pen.strokeStyle = palette(look.line);
    pen.lineWidth = 3;
    pen.setLineDash((look.dash ?? []).map((part) => part * 2));
    pen.strokeRect(4, 6, 36, 20);
  } else if (group === "alerts") {
    pen.strokeStyle = palette("--high");
    pen.lineWidth = 4;
    pen.beginPath();
    pen.arc(22, 16, 10, 0, 7);
    pen.stroke();
  } else {
    pen.fillStyle = palette("--map-text");
    pen.font = "600 22px sans-serif";
    pen.textAlign = "center";
    pen.fillText(t("layer.areas").charAt(0), 22, 24);
  }
  return canvas;
}
