// The duty matrix: whose what is where. To read for everybody; to check, take out, change and import by role.
import { get, query, request } from "./api.js";
import { select } from "./case_fields.js";
import { ask, labelled, loaded, nothing, older, table } from "./desk_parts.js";
import { changesTable, importFile, problemsTable } from "./duty_import.js";
import { h, icon, toast, working } from "./dom.js";
import { oneOf } from "./filters.js";
import { timeText } from "./format.js";
import { named, pick, t } from "./i18n.js";
import { categories, categoryName } from "./new_case.js";
import { mayDo } from "./roles.js";
import { state } from "./state.js";

const filter = { category: "", area: "", unit: "" };

export const duties = {
  title: "duties",
  who: "duties",
  show(home, id, bar) {
    const place = h("div", { class: "column" });
    const answer = h("div", { class: "column", id: "duty-answer" });
    const read = () => list(place, read);
    home.replaceChildren(filters(read), answer, place);
    bar.replaceChildren(...tools(answer, read).filter(Boolean));
    read();
  },
};

function filters(read) {
  const set = (name) => (value) => {
    filter[name] = value;
    read();
  };
  const all = (words, things) => [["", words], ...things];
  return h(
    "div",
    { class: "filters", id: "duty-filters" },
    oneOf(t("case.kind"), all(t("duty.any_kind"), [["*", t("duty.every_kind")], ...kinds()]), filter.category, set("category")),
    oneOf(t("area"), all(t("alerts.any_area"), state.site.areas.map((a) => [a.code, named(a)])), filter.area, set("area")),
    oneOf(t("case.unit"), all(t("cases.any_unit"), state.site.units.map((u) => [u.code, named(u)])), filter.unit, set("unit")),
  );
}

const kinds = () => categories().map((code) => [code, categoryName(code)]);

function tools(answer, read) {
  const link = (format, words) =>
    h("a", { class: "button small", href: `/api/v1/duties/export${query({ format })}`, download: "" }, icon("download"), words);
  return [
    mayDo("duty_check")
      ? working(h("button", { class: "small", id: "duty-check" }, icon("check"), t("duty.check")), () => check(answer))
      : null,
    mayDo("duty_check")
      ? working(h("button", { class: "small" }, icon("clock"), t("duty.changes")), () => changes(answer))
      : null,
    mayDo("duty_check") ? [link("csv", "CSV"), link("xlsx", "XLSX")] : null,
    mayDo("duty_change") && state.me.area === null ? importFile(answer, read) : null,
    mayDo("duty_change")
      ? h("button", { class: "small", onclick: () => changeRow(null, read) }, icon("plus"), t("duty.add"))
      : null,
  ].flat();
}

function list(place, again, before = null, above = []) {
  return loaded(
    place,
    () => get(`/duties${query({ ...filter, before })}`),
    ({ items, next }) => {
      const rows = [...above, ...items];
      if (!rows.length) return nothing(t("duty.none"));
      return [
        table(columns(again), rows, { id: "duty-table", caption: t("duties") }),
        older(next, () => list(place, again, next, rows)),
      ];
    },
  );
}

const columns = (again) => [
  [t("case.kind"), (row) => (row.category === "*" ? t("duty.every_kind") : pick(row.category_name))],
  [t("area"), (row) => [pick(row.area_name), " ", h("span", { class: "quiet" }, row.area)]],
  [t("case.unit"), (row) => pick(row.unit_name)],
  ...(mayDo("duty_change")
    ? [["", (row) => h("button", { class: "small", onclick: () => changeRow(row, again) }, t("duty.change"))]]
    : []),
];

const shutable = (answer, title, ...content) =>
  answer.replaceChildren(
    h(
      "section",
      { class: "card pad" },
      h(
        "div",
        { class: "row" },
        h("h3", { class: "grow" }, title),
        h("button", { class: "bare small", "aria-label": t("close"), onclick: () => answer.replaceChildren() }, icon("close")),
      ),
      ...content,
    ),
  );

async function check(answer) {
  const found = await get("/duties/check");
  const well = found.errors + found.notes === 0;
  shutable(
    answer,
    t("duty.check"),
    h("p", { class: `note ${found.errors ? "bad" : ""}` }, well ? t("duty.well") : t("duty.found", { errors: found.errors, notes: found.notes })),
    well ? "" : problemsTable(found.problems),
  );
}

async function changes(answer) {
  const { items } = await get(`/duties/changes${query({ limit: 50 })}`);
  shutable(
    answer,
    t("duty.changes"),
    items.length
      ? changesTable(items, [
          [t("notice.when"), (row) => timeText(row.at)],
          [t("silence.who"), (row) => row.actor],
          [t("duty.how"), (row) => t(`duty.how.${row.how}`)],
        ])
      : nothing(t("duty.no_changes")),
  );
}

/** Change, add or take away one row. */
function changeRow(row, again) {
  const kind = select("category", [["*", t("duty.every_kind")], ...kinds()], true);
  const area = select("area", state.site.areas.map((one) => [one.code, named(one)]), true);
  const units = state.site.units.map((one) => [one.code, named(one)]);
  const unit = row ? select("unit", units, false, t("duty.nobody")) : select("unit", units, true);
  if (row) {
    [kind.value, area.value, unit.value] = [row.category, row.area, row.unit];
    kind.disabled = area.disabled = true;
  }
  ask(
    t(row ? "duty.change" : "duty.add"),
    [labelled(t("case.kind"), kind), labelled(t("area"), area), labelled(t("case.unit"), unit)],
    t("duty.save"),
    async () => {
      const made = await request("PUT", "/duties", { category: kind.value, area: area.value, unit: unit.value || null });
      toast(t("duty.saved", { n: made.added + made.changed + made.removed }));
      again();
      return true;
    },
  );
}
