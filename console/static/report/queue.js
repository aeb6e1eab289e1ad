// What is still to be sent, in IndexedDB: it outlives the page, the battery and the log-in. Each has the key under which
// the server takes it in once, however often it is sent.

const NAME = "patrolgrid-report";
const STORE = "queue";
let opened = null;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.addEventListener("upgradeneeded", () => request.result.createObjectStore(STORE, { keyPath: "key" }));
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error));
  });
  return opened;
}

async function run(mode, work) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, mode, { durability: "strict" });
    const request = work(transaction.objectStore(STORE));
    transaction.addEventListener("complete", () => resolve(request.result));
    transaction.addEventListener("abort", () => reject(transaction.error));
  });
}

/** Those of an account, oldest first. */
export async function queued(who) {
  const all = await run("readonly", (store) => store.getAll());
  return all.filter((item) => item.who === who).sort((a, b) => a.made - b.made);
}

export const keep = (item) => run("readwrite", (store) => store.put(item));
export const drop = (key) => run("readwrite", (store) => store.delete(key));

/** A key that nobody else makes: 128 bits by chance, also where a page is not secure enough for randomUUID. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Something to send: `path` below /reports, its body without pictures, the pictures as blobs. */
export function newItem(who, path, body, photos, label) {
  const sent = photos.map((blob) => ({ blob, sha256: null }));
  return { key: newKey(), who, path, body, photos: sent, label, made: Date.now(), tries: 0, next: 0, refused: null };
}
