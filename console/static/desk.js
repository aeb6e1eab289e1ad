// The desk: a menu of the pages beside map and lists, and the one place in which they are shown.
import { backtests } from "./backtests.js";
import { duties } from "./duties.js";
import { h, icon } from "./dom.js";
import { dropDown } from "./filters.js";
import { language, t } from "./i18n.js";
import { noticesPage } from "./notices.js";
import { ownership } from "./ownership.js";
import { mayDo } from "./roles.js";
import { silences } from "./silences.js";
import { on, state } from "./state.js";

// A page is {title, who, beside, show(home, id), leave()}: `who` a key of roles.js, `beside` whether the map stays.
const PAGES = { ownership, silences, backtests, duties, notices: noticesPage };
const LINKS = [
  ["assessment", () => `/assessment?lang=${language()}`],
  ["report", () => "/report"],
]; // pages of their own

let panel = null;
let shown = null; // {name, id}

export function startDesk(element) {
  panel = element;
  on("language", () => {
    if (shown) render();
  });
  on("reloaded", () => {
    if (shown) render();
  });
}

/** "desk" or "beside" for a page that this account may see, which is then shown; null for none. */
export function showDesk(name, id) {
  const page = Object.hasOwn(PAGES, name) && mayDo(PAGES[name].who) ? PAGES[name] : null;
  if (shown && (!page || shown.name !== name)) PAGES[shown.name].leave?.();
  if (!page) {
    shown = null;
    panel.replaceChildren();
    return null;
  }
  if (shown?.name !== name || shown.id !== id) {
    shown = { name, id };
    panel.scrollTop = 0;
    render();
  }
  return page.beside ? "beside" : "desk";
}

function render() {
  const page = PAGES[shown.name];
  const home = h("div", { class: "desk-body" });
  const bar = h("div", { class: "row wrap", id: "desk-tools" });
  panel.setAttribute("aria-label", t(page.title));
  panel.replaceChildren(
    h(
      "div",
      { class: "panel-head" },
      h("a", { href: "#/", class: "back row" }, icon("back"), t("back")),
      h("h2", {}, t(page.title)),
      h("span", { class: "grow" }),
      bar,
    ),
    home,
  );
  page.show(home, shown.id, bar);
}

/** The menu among the tools; null for who may open none of it. */
export function deskMenu() {
  const pages = Object.entries(PAGES)
    .filter(([, page]) => mayDo(page.who))
    .map(([name, page]) => h("a", { href: `#/${name}` }, t(page.title)));
  const links = LINKS.filter(([name]) => mayDo(name)).map(([name, href]) => h("a", { href: href() }, t(`desk.${name}`)));
  if (!state.me || !(pages.length + links.length)) return null;
  const menu = h(
    "details",
    { class: "person desk-menu" },
    h("summary", { id: "desk", "aria-label": t("desk") }, icon("desk"), h("span", { class: "name" }, t("desk"))),
    h("nav", { class: "menu card", "aria-label": t("desk") }, pages, links),
  );
  menu.addEventListener("click", (event) => {
    if (event.target.closest("a")) menu.open = false;
  });
  return dropDown(menu);
}
