// Choices that the server helps with: whom to send to a case, and which case it is the same as.
import { get, query } from "./api.js";
import { failure, h, working } from "./dom.js";
import { distanceText, duration, percentText, timeText } from "./format.js";
import { pick, t } from "./i18n.js";

/** The terminals around the case, the fit ones first: {element, read}. Without a place nobody can be offered. */
export function candidateList(found, optional) {
  const element = h("ul", { class: "choices tall", id: "candidates" });
  const none = optional ? [choice("terminal", "", h("span", {}, t("dispatch.no_terminal")), true)] : [];
  const fill = async () => {
    element.replaceChildren(...none, h("li", { class: "quiet" }, t("loading")));
    try {
      const { items } = await get(`/cases/${found.id}/candidates`);
      const rows = items.map((one) => choice("terminal", one.terminal, candidateWords(one), false, one.fit));
      element.replaceChildren(
        ...none,
        ...rows,
        ...(items.length ? [] : [h("li", { class: "quiet" }, t("dispatch.nobody"))]),
      );
      element.dispatchEvent(new Event("filled", { bubbles: true }));
    } catch (error) {
      if (error.zh === undefined) throw error;
      element.replaceChildren(...none, h("li", {}, failure(error, fill)));
    }
  };
  if (found.lon === null) element.replaceChildren(...none, h("li", { class: "quiet" }, t("dispatch.no_place")));
  else fill();
  return { element, read: () => chosen(element) || undefined };
}

function candidateWords(one) {
  const facts = [
    t(`role.${["patrol", "police", "boat"].includes(one.role) ? one.role : "other"}`),
    one.distance === null ? null : distanceText(one.distance),
    t("ago", { span: duration(one.age) }),
    one.battery === null ? null : t("dispatch.battery", { n: percentText(one.battery) }),
  ];
  return h(
    "span",
    { class: "grow column tight" },
    h(
      "span",
      { class: "row wrap" },
      h("span", { class: "strong" }, pick(one.name)),
      one.fit ? h("span", { class: "chip good" }, t("dispatch.fit")) : null,
      one.unfit.map((why) => h("span", { class: "chip medium" }, pick(why))),
    ),
    h(
      "span",
      { class: "quiet" },
      facts.filter(Boolean).join(" · "),
      one.busy ? ` · ${t("dispatch.busy", { n: one.busy })}` : "",
    ),
  );
}

/** Open cases that may be the same, and a way to find any other: {element, read}. */
export function similarList(found) {
  const list = h("ul", { class: "choices tall", id: "similar-choices" });
  const input = h("input", { type: "search", minlength: 2, maxlength: 100, placeholder: t("merge.find") });
  input.setAttribute("aria-label", t("merge.find"));
  const show = (rows) => {
    const known = new Set([...list.querySelectorAll("input")].map((box) => box.value));
    list.querySelector(".quiet:only-child")?.remove();
    list.append(...rows.filter(({ id }) => !known.has(String(id))).map(({ id, words }) => choice("into", id, words, false, true, true)));
    if (!list.children.length) list.replaceChildren(h("li", { class: "quiet" }, t("merge.none")));
    list.dispatchEvent(new Event("filled", { bubbles: true }));
  };
  const fill = async () => {
    try {
      const { items } = await get(`/cases/${found.id}/similar`);
      show(items.map((one) => ({ id: one.case.id, words: similarWords(one) })));
    } catch (error) {
      if (error.zh === undefined) throw error;
      list.replaceChildren(h("li", {}, failure(error, fill)));
    }
  };
  const seek = working(h("button", { type: "button", class: "small" }, t("search")), async () => {
    if (!input.reportValidity() || !input.value.trim()) return;
    const { items } = await get(`/cases${query({ q: input.value.trim(), limit: 20 })}`);
    show(
      items
        .filter(({ id, status }) => id !== found.id && !["closed", "void", "merged"].includes(status))
        .map((other) => ({ id: other.id, words: caseWords(other) })),
    );
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    seek.click();
  });
  fill();
  const element = h("div", { class: "column" }, list, h("div", { class: "row" }, input, seek));
  return { element, read: () => Number(chosen(list)) || undefined };
}

export function similarWords(one) {
  return caseWords(
    one.case,
    t("merge.likeness", { n: Math.round(one.likeness * 100) }),
    distanceText(one.distance),
    one.reporters ? t("merge.reporters", { n: one.reporters }) : null,
  );
}

function caseWords(other, ...facts) {
  const words = [t(`case.status.${other.status}`), timeText(other.opened_at, false), ...facts];
  return h(
    "span",
    { class: "grow column tight" },
    h("span", {}, h("span", { class: "quiet number-text" }, other.number), " ", pick(other.title)),
    h("span", { class: "quiet" }, words.filter(Boolean).join(" · ")),
  );
}

function choice(name, value, words, checked = false, fit = true, required = false) {
  const box = h("input", { type: "radio", name, value: String(value), checked, required });
  return h("li", { class: fit ? "" : "unfit" }, h("label", { class: "check choice" }, box, words));
}

const chosen = (list) => list.querySelector("input:checked")?.value ?? "";
