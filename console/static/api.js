// The only place that talks to /api. Every failure becomes an ApiError with a sentence in both languages.
import { setServerTime } from "./format.js";
import { emit } from "./state.js";

const PATIENCE = 20_000; // ms; a person should not wait longer without hearing why

export class ApiError extends Error {
  constructor(status, code, zh, en) {
    super(`${code} (${status}): ${en}`);
    Object.assign(this, { status, code, zh, en });
  }
}

/** `method path` with an optional JSON body → the JSON of the answer, or null for an empty one. */
export const request = (method, path, body) =>
  exchange(method, path, {
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE),
  });

/** A file as the whole body of a POST; a large one on a slow line may take a while. */
export const upload = (path, file) =>
  exchange("POST", path, {
    headers: { "Content-Type": file.type || "application/octet-stream" },
    body: file,
    signal: AbortSignal.timeout(6 * PATIENCE),
  });

async function exchange(method, path, how) {
  const sent = Date.now();
  let response;
  try {
    response = await fetch(`/api/v1${path}`, { method, ...how });
  } catch (error) {
    throw unreachable(error);
  }
  setServerTime(response.headers.get("Date"), sent, Date.now());
  if (!response.ok) throw await refusal(response, path);
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch (error) {
    throw new ApiError(
      response.status,
      "not_json",
      "服务器的答复不是 JSON，请报告管理员",
      `The server's answer is not JSON (${error.message}): tell the administrator`,
    );
  }
}

export const get = (path) => request("GET", path);
export const post = (path, body = {}) => request("POST", path, body);

/** `{a: 1, b: "", c: [2, 3]}` → `?a=1&c=2&c=3`: empty ones are left out. */
export function query(fields) {
  const given = Object.entries(fields)
    .flatMap(([name, value]) => (Array.isArray(value) ? value.map((one) => [name, one]) : [[name, value]]))
    .filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

function unreachable(error) {
  if (error.name === "TimeoutError") {
    return new ApiError(0, "too_slow", "服务器 20 秒内没有答复", "The server did not answer within 20 s");
  }
  return new ApiError(0, "unreachable", "连不上服务器，请检查网络", "The server cannot be reached: check the network");
}

async function refusal(response, path) {
  if (response.status === 401 && path !== "/session") {
    emit("log-in-ended"); // resume.js keeps what was begun
    location.assign("/login");
    return new ApiError(
      401,
      "logged_out",
      "登录已失效，正在转到登录页",
      "The log-in has ended: going to the log-in page",
    );
  }
  const answer = await response.json().catch(() => null); // not JSON: a proxy's page; the status still says enough
  const error = answer?.error;
  if (error?.zh && error?.en) return new ApiError(response.status, error.code, error.zh, error.en);
  return new ApiError(
    response.status,
    "http",
    `服务器答复 ${response.status}`,
    `The server answered ${response.status}`,
  );
}
