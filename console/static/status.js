// The strip that says how things stand: the stream, the terminals, what is open, overdue, refused. It never flatters.
import { liveAlerts } from "./map_marks.js";
import { countTerminals, freshness, terminals } from "./devices.js";
import { h, icon } from "./dom.js";
import { duration, now } from "./format.js";
import { named, t } from "./i18n.js";
import { link } from "./live.js";
import { on, state } from "./state.js";

const QUIET = 10; // seconds without any position after which the picture is called old

const chips = {};

export function startStatus(strip) {
  const chip = (name, pictogram, href = null) => {
    chips[name] = h("span", { class: "value" });
    const inside = [pictogram ? icon(pictogram) : h("span", { class: "dot" }), chips[name]];
    return href
      ? h("a", { class: "status", id: `status-${name}`, href }, inside)
      : h("span", { class: "status", id: `status-${name}` }, inside);
  };
  strip.replaceChildren(
    chip("link", null),
    chip("terminals", "radio"),
    chip("alerts", "alert", "#/alerts"),
    chip("overdue", "clock", "#/overdue"),
    chip("refused", "refuse", "#/rejects"),
  );
  document.getElementById("status-link").setAttribute("role", "status");
  for (const event of ["tick", "link", "alerts", "counts", "language", "site"]) on(event, render);
  render();
}

/** Seconds for which no position came although live terminals promise them; 0 while all is well. */
function quietFor() {
  const promised = terminals()
    .filter((d) => d.interval > 0 && freshness(d) !== "never")
    .map((d) => d.interval);
  if (!promised.length || !link.lastData) return 0;
  const quiet = (now() - link.lastData) / 1_000;
  return quiet > Math.max(QUIET, 2 * Math.min(...promised)) ? quiet : 0;
}

function linkWords() {
  if (link.state === "waiting") {
    return [
      "bad",
      t("link.waiting", {
        span: duration(Math.max(0, link.retryAt - performance.now()) / 1_000 + 1),
        old: duration((now() - link.since) / 1_000),
      }),
    ];
  }
  if (link.state === "connecting")
    return ["warn", t("link.connecting", { span: duration((now() - link.since) / 1_000) })];
  const quiet = quietFor();
  return quiet ? ["warn", t("link.quiet", { span: duration(quiet) })] : ["good", t("link.live")];
}

function write(name, look, ...parts) {
  const home = document.getElementById(`status-${name}`);
  if (home.dataset.look !== look) home.dataset.look = look;
  const sign = JSON.stringify(parts);
  if (chips[name].dataset.sign === sign) return;
  chips[name].dataset.sign = sign;
  chips[name].replaceChildren(
    ...parts.flatMap(([count, words, rest]) => [
      count === "" ? "" : h("b", {}, count),
      h("span", { class: "words" }, words),
      rest ? h("span", { class: "rest" }, rest) : "",
    ]),
  );
}

/** A number that is not known is a dash, never a nought. */
const counted = (known) => (known ? `${known.count}${known.more ? "+" : ""}` : "–");

function render() {
  const [look, words] = linkWords();
  write("link", look, ["", words]);
  document.body.dataset.link = look;
  const { live, silent, never } = countTerminals();
  write(
    "terminals",
    silent + never ? "warn" : "good",
    [String(live), t("terminals.live")],
    [String(silent + never), t("terminals.silent")],
  );
  const open = liveAlerts().filter((alert) => alert.state === "open");
  const high = open.some((alert) => alert.severity === "high");
  document.title = `${open.length ? `(${open.length}) ` : ""}${named(state.site)} · ${t("product")}`;
  const known = state.alertsKnown ? { count: open.length, more: state.moreAlerts } : null;
  write("alerts", high ? "bad" : open.length ? "warn" : "good", [counted(known), t("alerts.open")]);
  write("overdue", state.overdue?.count ? "bad" : "good", [counted(state.overdue), t("cases.overdue_n")]);
  document.getElementById("status-refused").hidden = !state.mayRefused;
  write("refused", state.refused?.count ? "warn" : "good", [counted(state.refused), t("refused"), t("refused.span")]);
}
