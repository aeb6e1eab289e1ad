// What lies around one case: who reported it, letters about it, cases like it, what happened at its place.
import { get } from "./api.js";
import { similarWords } from "./case_choices.js";
import { failure, h } from "./dom.js";
import { distanceText, timeText } from "./format.js";
import { language, pick, t } from "./i18n.js";
import { pictureRow } from "./pictures.js";
import { mayDo } from "./roles.js";

const PARTS = ["reporters", "letters", "similar", "history"];
const ENDED = ["closed", "void", "merged"];

let around = null; // {id, state, reporters, letters, similar, history, error} of the case that is shown
let open = new Set(); // which of the folded sections somebody has opened

export function forgetAround() {
  around = null;
  open = new Set();
}

/** Read it for this state of the case, and call `changed` when it is there. */
export async function loadAround(detail, changed) {
  const { id, version } = detail.case;
  const state = `${version}/${detail.entries.length}`; // a further report or a merged case is an entry without a version
  if (around?.id === id && around.state === state) return;
  const asked = { ...(around?.id === id ? around : {}), id, state };
  around = asked;
  try {
    const answers = await Promise.all(PARTS.map((part) => get(`/cases/${id}/${part}`)));
    PARTS.forEach((part, n) => {
      asked[part] = answers[n];
    });
    asked.error = null;
  } catch (error) {
    if (error.zh === undefined) throw error;
    asked.error = error;
    asked.again = async () => {
      asked.state = null;
      await loadAround(detail, changed);
    };
  }
  if (around === asked) changed();
}

/** The sections that have something to show. */
export function aroundCase(found) {
  if (around?.id !== found.id) return [];
  if (around.error) return [failure(around.error, around.again)];
  if (!around.history) return [];
  return [reporters(), letters(found), similar(found), history()].filter(Boolean);
}

const section = (id, title, ...content) => h("section", { id }, h("h3", {}, title), ...content);

function folded(id, title, ...content) {
  const details = h("details", { open: open.has(id), class: "folded" }, h("summary", {}, h("h3", {}, title)), ...content);
  details.addEventListener("toggle", () => (details.open ? open.add(id) : open.delete(id)));
  return h("section", { id }, details);
}

function reporters() {
  const { items, merged } = around.reporters;
  if (!items.length && !merged.length) return null;
  return section(
    "case-reporters",
    t("case.reporters_n", { n: items.length }),
    h("ul", { class: "column" }, items.map(reporter)),
    merged.length
      ? h(
          "p",
          { class: "row wrap quiet" },
          t("case.merged_here"),
          merged.map((one) => h("a", { href: `#/case/${one.id}` }, one.number)),
        )
      : null,
  );
}

function reporter(one) {
  const caller = [one.name, one.contact].filter(Boolean).join(" ");
  return h(
    "li",
    { class: "note" },
    h(
      "div",
      { class: "row wrap" },
      h("span", { class: "strong" }, one.display || one.by),
      h("span", { class: "chip" }, t(`origin.${one.origin}`)),
      one.on_spot ? h("span", { class: "chip good" }, t("resolution.on_spot")) : null,
      caller ? h("span", { class: "quiet" }, t("case.caller", { who: caller })) : null,
      one.home === around.id ? null : h("a", { href: `#/case/${one.home}` }, one.home_number),
      h("span", { class: "grow" }),
      h("time", { class: "quiet", datetime: one.at }, timeText(one.at)),
    ),
    one.note ? h("p", {}, one.note) : null,
    pictureRow(one.attachments),
  );
}

function letters(found) {
  if (!around.letters.length) return null;
  return section(
    "case-letters",
    t("case.letters"),
    h(
      "ul",
      { class: "column" },
      around.letters.map((one) =>
        h(
          "li",
          { class: "note row wrap" },
          h(
            "a",
            {
              href: `/api/v1/cases/${found.id}/letters/${one.seq}/print?lang=${language()}`,
              target: "_blank",
              rel: "noopener",
            },
            `${pick(one.title)} ${one.number}`,
          ),
          h("span", { class: "quiet" }, t("letter.to", { who: pick(one.to) })),
          one.answer_by ? h("span", { class: "quiet" }, t("letter.by", { at: timeText(one.answer_by, false) })) : null,
          h("span", { class: "grow" }),
          h("time", { class: "quiet", datetime: one.at }, timeText(one.at)),
        ),
      ),
    ),
  );
}

function similar(found) {
  const { items } = around.similar;
  if (!items.length || ENDED.includes(found.status)) return null;
  return section(
    "case-similar",
    t("case.similar"),
    mayDo("merge") ? h("p", { class: "quiet" }, t("case.similar_what")) : null,
    h("ul", { class: "column" }, items.map((one) => h("li", {}, caseLink(one.case.id, similarWords(one))))),
  );
}

function history() {
  const { kinds, cases, metres, since } = around.history;
  if (!kinds.length) return null;
  const total = kinds.reduce((sum, kind) => sum + kind.total, 0);
  return folded(
    "case-history",
    t("case.history_n", { n: total, far: distanceText(metres), since: timeText(since, false) }),
    h(
      "ul",
      { class: "row wrap" },
      kinds.map((kind) => h("li", { class: "chip" }, t("case.history_kind", { what: pick(kind.name), n: kind.total }))),
    ),
    h(
      "ul",
      { class: "column" },
      cases.map(({ case: other, distance }) =>
        h(
          "li",
          {},
          caseLink(
            other.id,
            h(
              "span",
              { class: "grow column tight" },
              h("span", {}, h("span", { class: "quiet number-text" }, other.number), " ", pick(other.title)),
              h(
                "span",
                { class: "quiet" },
                [t(`case.status.${other.status}`), timeText(other.opened_at, false), distanceText(distance)].join(" · "),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

const caseLink = (id, words) => h("a", { class: "note row plain-link", href: `#/case/${id}` }, words);
