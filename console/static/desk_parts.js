// What the desk's pages are made of: tables, a body that is read from the server, small forms in a dialog.
import { failure, h, working } from "./dom.js";
import { t } from "./i18n.js";

/** `columns` are [title, row → cell]; a cell is text, a node or a list of them. `mark(row)` gives a class. */
export function table(columns, rows, { id = null, mark = () => "", caption = null } = {}) {
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "group", "aria-label": caption },
    h(
      "table",
      { id },
      h("thead", {}, h("tr", {}, columns.map(([title]) => h("th", { scope: "col" }, title)))),
      h(
        "tbody",
        {},
        rows.map((row) => h("tr", { class: mark(row) }, columns.map(([, cell]) => h("td", {}, cell(row))))),
      ),
    ),
  );
}

/** Fill `home` with what `read` gives and `build` makes of it; a failure is said there, with a way to try again. */
export async function loaded(home, read, build) {
  const token = {};
  home.reading = token; // a later asking wins
  if (!home.childNodes.length) home.replaceChildren(h("p", { class: "empty" }, t("loading")));
  home.setAttribute("aria-busy", "true");
  try {
    const found = await read();
    if (home.reading === token) home.replaceChildren(...[build(found)].flat().filter(Boolean));
  } catch (error) {
    if (error.zh === undefined) throw error;
    if (home.reading === token) home.replaceChildren(failure(error, () => loaded(home, read, build)));
  } finally {
    if (home.reading === token) home.removeAttribute("aria-busy");
  }
}

/** "Older", where there is more; `more()` reads on. */
export const older = (next, more) =>
  next === null ? null : h("div", { class: "more" }, working(h("button", { class: "small" }, t("older")), more));

export const nothing = (words) => h("p", { class: "empty" }, words);

/** A dialog with a form: `fields` are nodes, `send` the button that does it; `close()` takes it away. */
export function ask(title, fields, words, send, danger = false) {
  const go = working(h("button", { class: danger ? "danger" : "primary", type: "button", id: "ask-send" }, words), async () => {
    for (const input of form.querySelectorAll("input, select, textarea")) if (!input.reportValidity()) return;
    if ((await send()) !== false) close();
  });
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: "ask-title" }, title),
    fields,
    h("div", { class: "buttons" }, h("button", { type: "button", onclick: () => close() }, t("cancel")), go),
  );
  const dialog = h("dialog", { "aria-labelledby": "ask-title" }, form);
  const close = () => dialog.close();
  dialog.addEventListener("close", () => dialog.remove());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go.click();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

export const labelled = (label, element) => h("label", { class: "field" }, label, element);
export const grouped = (label, element) =>
  h("div", { class: "field-like", role: "group", "aria-label": label }, h("h3", {}, label), element);

/** A moment by the site's clock, for a datetime-local input; and what it says, with its zone. */
export const localMoment = (ms) => new Date(ms + 8 * 3_600_000).toISOString().slice(0, 16);
export const momentOf = (input) => (input.value ? `${input.value}:00+08:00` : null);
