// Times, ages, distances and numbers with their units, in the present language. Site time is +08:00 everywhere.
import { t } from "./i18n.js";

const SITE_TIME = "Asia/Shanghai";
const DAY = 86_400_000;
const OFFSET = 8 * 3_600_000; // China keeps one clock without summer time

let ahead = 0; // ms by which the server's clock is ahead of this machine's
let best = Infinity; // the shortest round trip seen so far gives the most trustworthy difference

/** Take the server's clock from a Date header, so that a wrong clock on this machine cannot make ages lie. */
export function setServerTime(header, sent, received) {
  const server = Date.parse(header ?? "");
  const trip = received - sent;
  if (Number.isNaN(server) || trip > best + 50) return;
  best = Math.min(best, trip);
  const difference = server + 500 - (sent + trip / 2); // the header has whole seconds: half of one is the middle
  if (Math.abs(difference - ahead) > 700) ahead = Math.abs(difference) < 1_000 ? 0 : difference;
}

/** The server's present time, ms since 1970. */
export const now = () => Date.now() + ahead;

export const ageOf = (iso) => Math.max(0, (now() - Date.parse(iso)) / 1_000);

/** Seconds → "12 s", "5 min", "2 h 10 min", "3 d 4 h". */
export function duration(seconds) {
  const s = Math.floor(Math.abs(seconds));
  if (s < 60) return t("span.s", { s });
  const m = Math.floor(s / 60);
  if (m < 60) return t("span.m", { m });
  const hours = Math.floor(m / 60);
  if (hours < 24) return m % 60 ? t("span.hm", { h: hours, m: m % 60 }) : t("span.h", { h: hours });
  const d = Math.floor(hours / 24);
  return hours % 24 && d < 10 ? t("span.dh", { d, h: hours % 24 }) : t("span.d", { d });
}

export const ago = (iso) => t("ago", { span: duration(ageOf(iso)) });

const clockParts = new Intl.DateTimeFormat("en-GB", {
  timeZone: SITE_TIME,
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

/** Wall clock at the site, with the date when it is not today and the year when it is not this one. */
export function timeText(iso, seconds = true) {
  const at = typeof iso === "number" ? iso : Date.parse(iso);
  const clock = clockParts.format(at).slice(0, seconds ? 8 : 5);
  const day = new Date(at + OFFSET);
  const today = new Date(now() + OFFSET);
  if (Math.floor(day / DAY) === Math.floor(today / DAY)) return clock;
  const two = (n) => String(n).padStart(2, "0");
  const date = `${two(day.getUTCMonth() + 1)}-${two(day.getUTCDate())}`;
  return day.getUTCFullYear() === today.getUTCFullYear()
    ? `${date} ${clock}`
    : `${day.getUTCFullYear()}-${date} ${clock}`;
}

/** Whether a season {first, last, opens, closes} (site time, may wrap) is in force now; no season: always. */
export function inSeason(season) {
  if (!season) return true;
  const local = new Date(now() + OFFSET);
  const day = local.toISOString().slice(5, 10);
  const minute = local.toISOString().slice(11, 16);
  const within = (value, from, to, last) =>
    from <= to
      ? value >= from && (last ? value <= to : value < to)
      : value >= from || (last ? value <= to : value < to);
  return (
    within(day, season.first, season.last, true) &&
    (season.opens === season.closes || within(minute, season.opens, season.closes, false))
  );
}

export const distanceText = (m) =>
  m < 1_000
    ? t("unit.m", { n: Math.round(m / (m < 100 ? 1 : 10)) * (m < 100 ? 1 : 10) })
    : t("unit.km", { n: (m / 1_000).toFixed(m < 10_000 ? 1 : 0) });
export const speedText = (v) =>
  v === null || v === undefined ? t("unknown") : t("unit.kmh", { n: (v * 3.6).toFixed(1) });
export const percentText = (p) => (p === null || p === undefined ? t("unknown") : `${Math.round(p)} %`);
export const placeText = (lon, lat) => `${lon.toFixed(5)}°E ${lat.toFixed(5)}°N`;

/** Great-circle distance in metres. */
export function metres(lon1, lat1, lon2, lat2) {
  const rad = Math.PI / 180;
  const a =
    Math.sin(((lat2 - lat1) * rad) / 2) ** 2 +
    Math.cos(lat1 * rad) * Math.cos(lat2 * rad) * Math.sin(((lon2 - lon1) * rad) / 2) ** 2;
  return 12_742_017.6 * Math.asin(Math.sqrt(a));
}
