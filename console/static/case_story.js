// What happened in a case: the entries of its chain, and the notices that were sent because of it.
import { deviceName, unitName } from "./devices.js";
import { h } from "./dom.js";
import { distanceText, timeText } from "./format.js";
import { has, pick, t } from "./i18n.js";
import { pictureRow } from "./pictures.js";

/** Every entry, newest first. */
export function story(detail) {
  return h(
    "ol",
    { class: "story" },
    [...detail.entries]
      .reverse()
      .map((entry) =>
        h(
          "li",
          { dataset: { action: entry.action } },
          h(
            "div",
            { class: "row wrap" },
            h("span", { class: "strong" }, actionName(entry.action)),
            h("span", { class: "quiet" }, actorName(entry.actor)),
            h("span", { class: "grow" }),
            h("time", { class: "quiet", datetime: entry.at }, timeText(entry.at)),
          ),
          noteOf(entry) ? h("p", {}, noteOf(entry)) : null,
          changes(entry.data),
          pictureRow(entry.data.attachments),
        ),
      ),
  );
}

/** "system", "terminal:CODE" for a terminal that answered by itself, or an account's name. */
function actorName(actor) {
  if (actor === "system") return t("actor.system");
  return actor.startsWith("terminal:") ? deviceName(actor.slice("terminal:".length)) : actor;
}

/** What the system tells is there in both languages; what a person wrote is in theirs. */
const noteOf = ({ note, data }) => (data.zh && data.en ? pick(data) : note);

const actionName = (action) => (has(`action.${action}`) ? t(`action.${action}`) : action);

/** What a step changed, of the things a person cares for: unit, terminal, outcome, deadline. */
function changes(data) {
  const set = { ...data, ...data.set };
  const words = [
    set.unit ? `${t("case.unit")}: ${unitName(set.unit)}` : null,
    set.terminal ? `${t("case.terminal")}: ${deviceName(set.terminal)}` : null,
    typeof set.distance === "number" ? t("case.was_away", { far: distanceText(set.distance) }) : null,
    set.due_at ? `${t("case.due")}: ${timeText(set.due_at, false)}` : null,
    data.guessed_years?.length ? t("case.guessed", { years: data.guessed_years.join(", ") }) : null,
    set.extension_asked ? `${t("case.extension_asked")}: ${timeText(set.extension_asked, false)}` : null,
    set.units?.length ? `${t("whistle.units")}: ${set.units.map(unitName).join(", ")}` : null,
    set.participants?.length ? `${t("decide.participants")}: ${set.participants.map(unitName).join(", ")}` : null,
    set.resolution ? `${t("resolution")}: ${t(`resolution.${set.resolution}`)}` : null,
    set.outcome ? `${t("case.outcome")}: ${set.outcome}` : null,
  ].filter(Boolean);
  return words.length ? h("p", { class: "quiet" }, words.join(" · ")) : null;
}

/** What was sent because of the case, and what became of it. */
export function notices(detail) {
  return h(
    "ul",
    { class: "column" },
    detail.notices.map((notice) =>
      h(
        "li",
        { class: "note" },
        h(
          "div",
          { class: "row wrap" },
          h("span", { class: "strong" }, t(notice.channel === "terminal" ? "notice.terminal" : "notice.other")),
          h("span", {}, notice.channel === "terminal" ? deviceName(notice.target) : unitName(notice.target)),
          h("span", { class: "grow" }),
          h("span", { class: notice.failed_at || notice.accepted === false ? "late" : "quiet" }, noticeState(notice)),
        ),
        notice.error ? h("p", { class: "quiet" }, notice.error) : null,
      ),
    ),
  );
}

function noticeState(notice) {
  if (notice.acked_at)
    return t(notice.accepted ? "notice.accepted" : "notice.declined", { at: timeText(notice.acked_at) });
  if (notice.failed_at) return t("notice.failed", { n: notice.attempts });
  if (notice.sent_at) return t("notice.sent", { at: timeText(notice.sent_at) });
  return t(notice.attempts ? "notice.again" : "notice.waiting", { n: notice.attempts });
}
