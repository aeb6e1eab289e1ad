// Making a silence: of what (from an alert, or chosen), why, until when.
import { post } from "./api.js";
import { ask, grouped, labelled, localMoment, momentOf } from "./desk_parts.js";
import { h, toast } from "./dom.js";
import { deviceName } from "./devices.js";
import { now } from "./format.js";
import { named, t } from "./i18n.js";
import { emit, ruleOf, state, zoneOf } from "./state.js";

const HOUR = 3_600_000;
const SPANS = [1, 4, 12, 24, 72, 168]; // hours

/** A field for the end: a stretch from now, or a moment. {element, read() → ISO 8601} */
export function endField(chosen = 4) {
  const span = h(
    "select",
    { name: "ends", "aria-label": t("silence.until") },
    SPANS.map((hours) => h("option", { value: hours }, hoursWords(hours))),
    h("option", { value: "at" }, t("until.at")),
  );
  span.value = String(chosen);
  const moment = h("input", { type: "datetime-local", "aria-label": t("until.moment"), hidden: true });
  moment.value = localMoment(now() + chosen * HOUR);
  span.addEventListener("change", () => {
    moment.hidden = span.value !== "at";
    moment.required = !moment.hidden;
  });
  return {
    element: h("div", { class: "row" }, span, moment),
    read: () => (span.value === "at" ? momentOf(moment) : new Date(now() + Number(span.value) * HOUR).toISOString()),
  };
}

const hoursWords = (hours) => (hours < 24 ? t("span.h", { h: hours }) : t("span.d", { d: hours / 24 }));

/** Keep alerts like this one silent: which of its features count is ticked. */
export function silenceForm(alert) {
  const features = [
    ["rule", alert.rule, t("silence.rule", { what: named(ruleOf(alert.rule)) || alert.rule })],
    ["subject", alert.subject, t("silence.subject", { what: deviceName(alert.subject) })],
    alert.zone ? ["zone", alert.zone, t("silence.zone", { what: named(zoneOf(alert.zone)) || alert.zone })] : null,
  ].filter(Boolean);
  const boxes = features.map(([name, value, words]) => {
    const box = h("input", { type: "checkbox", name, checked: name !== "zone" });
    return { name, value, box, row: h("li", {}, h("label", { class: "check" }, box, words)) };
  });
  const given = () => Object.fromEntries(boxes.filter(({ box }) => box.checked).map(({ name, value }) => [name, value]));
  const check = () => {
    boxes[0].box.setCustomValidity(Object.keys(given()).length ? "" : t("silence.something"));
    return boxes[0].box.reportValidity();
  };
  sendSilence(h("ul", { class: "choices" }, boxes.map(({ row }) => row)), given, check);
}

/** A silence that is chosen freely: of a rule, a zone, an area or a device, all of which must fit. */
export function newSilence(done) {
  const choose = (name, words, options) => {
    const element = h(
      "select",
      { name },
      h("option", { value: "" }, t("filter.any")),
      options.map((one) => h("option", { value: one.code }, named(one))),
    );
    return { name, element, row: labelled(words, element) };
  };
  const fields = [
    choose("rule", t("alerts.rule"), state.site.rules),
    choose("subject", t("silence.device"), [...state.devices.values()]),
    choose("zone", t("silence.of_zone"), state.site.zones.features.map((feature) => feature.properties)),
    choose("area", t("area"), state.site.areas),
  ];
  const given = () =>
    Object.fromEntries(fields.filter(({ element }) => element.value).map(({ name, element }) => [name, element.value]));
  const check = () => {
    fields[0].element.setCustomValidity(Object.keys(given()).length ? "" : t("silence.something"));
    return fields[0].element.reportValidity();
  };
  sendSilence(h("div", { class: "two" }, fields.map(({ row }) => row)), given, check, done);
}

function sendSilence(what, given, check, done = () => {}) {
  const reason = h("textarea", { required: true, maxlength: 2000, placeholder: t("silence.why_hint"), name: "reason" });
  const ends = endField();
  what.addEventListener("change", () => {
    for (const input of what.querySelectorAll("input, select")) input.setCustomValidity("");
  });
  ask(
    t("silence.make"),
    [
      grouped(t("silence.what"), what),
      labelled(t("silence.why"), reason),
      grouped(t("silence.until"), ends.element),
      h("p", { class: "note" }, t("silence.limits")),
    ],
    t("silence.send"),
    async () => {
      if (!check()) return false;
      await post("/silences", { ...given(), reason: reason.value.trim(), ends: ends.read() });
      toast(t("silence.made"));
      emit("silences_changed");
      done();
      return true;
    },
  );
}
