// Cases that are nobody's: why, how long, whose they could be, and the joint decision.
import { get, post, query } from "./api.js";
import { participantsField, select } from "./case_fields.js";
import { ask, grouped, labelled, loaded, nothing, older } from "./desk_parts.js";
import { dueText } from "./due.js";
import { h, toast } from "./dom.js";
import { timeText } from "./format.js";
import { comma, named, pick, t } from "./i18n.js";
import { categoryName } from "./new_case.js";
import { mayDo } from "./roles.js";
import { severityChip } from "./severity.js";
import { areaOf, emit, on, state } from "./state.js";

let items = [];
let next = null;
let home = null;

on("live.case", () => {
  if (home?.isConnected) read();
});

export const ownership = {
  title: "ownership",
  who: "ownership",
  show(place) {
    home = place;
    items = [];
    read();
  },
};

const read = (before = null) =>
  loaded(
    home,
    () => get(`/ownership${query({ before })}`),
    (page) => {
      items = before === null ? page.items : [...items, ...page.items];
      next = page.next;
      return [
        h("p", { class: "note" }, t("ownership.what")),
        items.length ? h("ul", { class: "column", id: "ownership-list" }, items.map(card)) : nothing(t("ownership.none")),
        older(next, () => read(next)),
      ];
    },
  );

function card(item) {
  const { case: found } = item;
  const due = dueText(item.until);
  return h(
    "li",
    { class: "card pad column", dataset: { case: found.id } },
    h(
      "div",
      { class: "row wrap" },
      h("a", { href: `#/case/${found.id}`, class: "strong" }, found.number),
      severityChip(found.severity),
      h("span", { class: "chip" }, t(`case.status.${found.status}`)),
      h("span", { class: "grow strong" }, pick(found.title)),
      h("span", { class: "quiet" }, t("ownership.since", { at: timeText(item.since, false) })),
      h("span", { class: due.cls, dataset: { due: item.until } }, due.text),
    ),
    h(
      "p",
      { class: "quiet" },
      [categoryName(found.category), named(areaOf(found.area)) || t("place.none")].join(" · "),
    ),
    item.declined.map((one) =>
      h("p", { class: "note" }, t("ownership.declined", { who: pick(one.unit_name), at: timeText(one.at, false), why: one.why })),
    ),
    item.suggestions.length ? suggestions(item) : h("p", { class: "quiet" }, t("ownership.no_suggestion")),
    mayDo("decide")
      ? h(
          "div",
          { class: "row" },
          h("span", { class: "grow" }),
          h("button", { class: "primary", onclick: () => decide(item) }, t("ownership.decide")),
        )
      : null,
  );
}

const suggestions = (item) =>
  h(
    "ol",
    { class: "column tight" },
    item.suggestions.map((one) =>
      h(
        "li",
        { class: "row wrap" },
        mayDo("decide")
          ? h("button", { class: "small", onclick: () => decide(item, one.unit) }, pick(one.unit_name))
          : h("span", { class: "strong" }, pick(one.unit_name)),
        h("span", { class: "quiet" }, one.why.map(pick).join(comma())),
      ),
    ),
  );

/** Whose it is, who decided it, on what ground, and whether the duty matrix is to say so from now on. */
function decide(item, unit = "") {
  const { case: found } = item;
  const whose = select("unit", state.site.units.map((one) => [one.code, named(one)]), true);
  whose.value = unit;
  const together = participantsField();
  const reason = h("textarea", { required: true, maxlength: 2000, placeholder: t("decide.hint") });
  const remember = select(
    "remember",
    item.remember.map((code) => [code, named(areaOf(code)) || code]),
    false,
    t("ownership.once"),
  );
  ask(
    `${t("ownership.decide")} ${found.number}`,
    [
      h("p", {}, pick(found.title)),
      labelled(t("case.unit"), whose),
      grouped(together.label, together.element),
      labelled(t("note"), reason),
      labelled(t("ownership.remember"), remember),
    ],
    t("ownership.decide"),
    async () => {
      if (!together.check()) return false;
      const decided = await post(`/ownership/${found.id}`, {
        unit: whose.value,
        participants: together.read(),
        reason: reason.value.trim(),
        remember: remember.value || null,
        version: found.version,
      });
      emit("case", decided);
      toast(t("ownership.decided", { n: found.number }));
      await read();
      return true;
    },
  );
}
