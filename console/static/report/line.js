// The line to the server, from a phone: every failure is an ApiError, with status 0 where nobody answered.
import { ApiError } from "../api.js";
import { setServerTime } from "../format.js";
import { emit } from "../state.js";

const PATIENCE = 20_000; // ms
const UPLOAD_PATIENCE = 180_000; // ms; a picture on a bad line

let linked = navigator.onLine; // whether the last try was answered

export const isLinked = () => linked;

function heard(answered) {
  if (answered === linked) return;
  linked = answered;
  emit("link", answered);
}

addEventListener("offline", () => heard(false));

const nobody = () => new ApiError(0, "unreachable", "没有网络，已保存在手机上", "No line: it is kept on the phone");

/** `method path` with a JSON body and, where it must be done once, an idempotency key → the JSON of the answer. */
export async function ask(method, path, body, key) {
  const sent = Date.now();
  let response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(key ? { "Idempotency-Key": key } : {}),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(PATIENCE),
    });
    const text = await response.text(); // an answer that breaks off is none
    heard(true);
    setServerTime(response.headers.get("Date"), sent, Date.now());
    if (!response.ok) throw refusal(response.status, text);
    return text ? JSON.parse(text) : null;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    if (error instanceof SyntaxError) throw refusal(response.status, "");
    heard(false);
    throw nobody();
  }
}

/** Send a picture; `progress` hears the part that is sent, 0 to 1. fetch cannot tell that. */
export function upload(blob, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/api/v1/attachments");
    request.timeout = UPLOAD_PATIENCE;
    request.setRequestHeader("Content-Type", blob.type || "application/octet-stream");
    request.upload.addEventListener("progress", ({ loaded, total }) => progress(total ? loaded / total : 0));
    for (const event of ["error", "timeout", "abort"]) {
      request.addEventListener(event, () => {
        heard(false);
        reject(nobody());
      });
    }
    request.addEventListener("load", () => {
      heard(true);
      if (request.status !== 201) reject(refusal(request.status, request.responseText));
      else resolve(JSON.parse(request.responseText));
    });
    request.send(blob);
  });
}

function refusal(status, text) {
  let error = null;
  try {
    ({ error } = JSON.parse(text));
  } catch (fault) {
    if (!(fault instanceof SyntaxError)) throw fault; // a proxy's page: the status says enough
  }
  if (error?.zh && error?.en) return new ApiError(status, error.code, error.zh, error.en);
  return new ApiError(status, "http", `服务器答复 ${status}`, `The server answered ${status}`);
}
