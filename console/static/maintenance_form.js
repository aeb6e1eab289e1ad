// Planning maintenance: on which devices, in which zones and areas, why, when, and whether every week.
import { post } from "./api.js";
import { ask, grouped, labelled, localMoment, momentOf } from "./desk_parts.js";
import { h, toast } from "./dom.js";
import { now } from "./format.js";
import { named, t } from "./i18n.js";
import { emit, state } from "./state.js";

const HOUR = 3_600_000;

export function newWindow() {
  const lists = {
    devices: [...state.devices.values()],
    zones: state.site.zones.features.map((feature) => feature.properties),
    areas: state.site.areas,
  };
  const chosen = { devices: new Set(), zones: new Set(), areas: new Set() };
  const shown = h("ul", { class: "row wrap", id: "window-chosen" });
  const input = h("input", { type: "search", list: "window-list-all", autocomplete: "off", name: "what" });
  input.setAttribute("aria-label", t("maintenance.add"));
  input.placeholder = t("maintenance.add");
  const all = Object.entries(lists).flatMap(([kind, things]) => things.map((one) => ({ kind, code: one.code, name: named(one) })));
  const options = h("datalist", { id: "window-list-all" }, all.map((one) => h("option", { value: one.name }, one.code)));
  const add = () => {
    const text = input.value.trim();
    const found = all.find((one) => one.name === text || one.code === text);
    if (!found) return;
    chosen[found.kind].add(found.code);
    input.value = "";
    input.setCustomValidity("");
    render();
  };
  const render = () =>
    shown.replaceChildren(
      ...all
        .filter(({ kind, code }) => chosen[kind].has(code))
        .map(({ kind, code, name }) =>
          h(
            "li",
            { class: "chip" },
            name,
            h(
              "button",
              {
                type: "button",
                class: "bare chip-off",
                "aria-label": t("maintenance.remove", { what: name }),
                onclick: () => {
                  chosen[kind].delete(code);
                  render();
                },
              },
              "×",
            ),
          ),
        ),
    );
  input.addEventListener("input", add);
  send(chosen, input, h("div", { class: "column" }, input, options, shown));
}

function send(chosen, input, what) {
  const reason = h("textarea", { required: true, maxlength: 2000, placeholder: t("maintenance.why_hint"), name: "reason" });
  const moment = (name, hours) =>
    h("input", { type: "datetime-local", name, required: true, value: localMoment(now() + hours * HOUR) });
  const starts = moment("starts", 1);
  const ends = moment("ends", 3);
  const weekly = h("input", { type: "checkbox", name: "weekly" });
  const until = h("input", { type: "datetime-local", name: "repeats_until", disabled: true });
  weekly.addEventListener("change", () => {
    until.disabled = !weekly.checked;
  });
  ask(
    t("maintenance.make"),
    [
      grouped(t("maintenance.what"), what),
      labelled(t("silence.why"), reason),
      h("div", { class: "two" }, labelled(t("silence.from"), starts), labelled(t("silence.until"), ends)),
      h("label", { class: "check" }, weekly, t("maintenance.every_week")),
      labelled(t("maintenance.repeats_until"), until),
    ],
    t("maintenance.send"),
    async () => {
      const some = Object.values(chosen).some((codes) => codes.size);
      input.setCustomValidity(some ? "" : t("silence.something"));
      if (!input.reportValidity()) return false;
      await post("/maintenance", {
        ...Object.fromEntries(Object.entries(chosen).map(([kind, codes]) => [kind, [...codes]])),
        reason: reason.value.trim(),
        starts: momentOf(starts),
        ends: momentOf(ends),
        weekly: weekly.checked,
        repeats_until: weekly.checked ? momentOf(until) : null,
      });
      toast(t("maintenance.made"));
      emit("silences_changed");
      return true;
    },
  );
}
