// Taking a file over as the duty matrix: first what it would change and what is wrong with it, then the whole or nothing.
import { query, upload } from "./api.js";
import { table } from "./desk_parts.js";
import { unitName } from "./devices.js";
import { h, icon, report, toast, working } from "./dom.js";
import { named, pick, t } from "./i18n.js";
import { categoryName } from "./new_case.js";
import { areaOf } from "./state.js";

/** The button that asks for a file; its preview goes into `answer`, `done()` is called once it was taken over. */
export function importFile(answer, done) {
  const input = h("input", { type: "file", accept: ".csv,.xlsx", id: "duty-file" });
  input.addEventListener("change", async () => {
    const [file] = input.files;
    input.value = "";
    if (!file) return;
    try {
      await preview(answer, file, false, done);
    } catch (error) {
      report(error);
    }
  });
  return h("label", { class: "button small file" }, icon("upload"), t("duty.import"), input);
}

const send = (file, fields) => upload(`/duties/import${query({ name: file.name.slice(0, 100), ...fields })}`, file);

async function preview(answer, file, merge, done) {
  const found = await send(file, { merge, dry_run: true });
  const total = found.added + found.changed + found.removed;
  const box = h("input", { type: "checkbox", checked: merge });
  box.addEventListener("change", () => preview(answer, file, box.checked, done).catch(report));
  const go = working(h("button", { class: "primary", id: "duty-import-send" }, t("duty.import_send")), async () => {
    const made = await send(file, { merge, dry_run: false });
    toast(t("duty.saved", { n: made.added + made.changed + made.removed }));
    answer.replaceChildren();
    done();
  });
  go.disabled = found.refused || total === 0;
  answer.replaceChildren(
    h(
      "section",
      { class: "card pad", id: "duty-preview" },
      h("h3", {}, t("duty.preview", { name: file.name })),
      h(
        "p",
        { class: `note ${found.refused ? "bad" : ""}` },
        found.refused ? t("duty.refused") : t("duty.would", { added: found.added, changed: found.changed, removed: found.removed }),
      ),
      found.problems.length ? problemsTable(found.problems) : "",
      found.changes.length ? changesTable(found.changes) : "",
      h(
        "div",
        { class: "row wrap" },
        h("label", { class: "check grow" }, box, t("duty.merge")),
        h("button", { onclick: () => answer.replaceChildren() }, t("cancel")),
        go,
      ),
    ),
  );
}

export const problemsTable = (problems) =>
  table(
    [
      ["", (one) => h("span", { class: `chip ${one.note ? "low" : "high"}` }, t(one.note ? "duty.note" : "duty.error"))],
      [t("duty.what"), (one) => pick(one.text)],
      [t("duty.where"), (one) => (one.file ? t("duty.at_row", { file: one.file, row: one.row }) : "")],
    ],
    problems,
    { caption: t("duty.check") },
  );

const unitOrNobody = (code) => (code ? unitName(code) : "");

/** A line of the matrix in words; of the other tables, which have no names of their own here, its key. */
function lineName({ table: name, key }) {
  if (name !== "duty") return key.join(" · ");
  const [kind, area] = key;
  return `${kind === "*" ? t("duty.every_kind") : categoryName(kind)} · ${areaOf(area) ? named(areaOf(area)) : area}`;
}

/** Line by line what is or would be other; `first` are columns that stand before. */
export const changesTable = (changes, first = []) =>
  table(
    [
      ...first,
      [t("duty.what"), (one) => h("span", { class: `chip ${{ added: "good", removed: "high" }[one.what] ?? "medium"}` }, t(`duty.${one.what}`))],
      [t("duty.line"), lineName],
      [t("duty.before"), (one) => (one.table === "duty" ? unitOrNobody(one.before) : one.before)],
      [t("duty.after"), (one) => (one.table === "duty" ? unitOrNobody(one.after) : one.after)],
    ],
    changes,
    { caption: t("duty.changes") },
  );
