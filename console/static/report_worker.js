// Keeps the page of reports on the phone, so that it opens without a line. The server writes in what the page is made
// of and which version that is; with a new version all of it is fetched anew before the old is thrown away.
const VERSION = "SERVER:VERSION";
const SHELL = ["SERVER:SHELL"];
const CACHE = `report-${VERSION}`;
const LARGE = "report-map"; // the map's library: fetched when it is first wanted

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(SHELL.map((path) => new Request(path, { cache: "reload" }))))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) =>
        Promise.all(
          names.filter((n) => n.startsWith("report-") && n !== CACHE && n !== LARGE).map((n) => caches.delete(n)),
        ),
      )
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  if (SHELL.includes(pathname)) event.respondWith(kept(CACHE, pathname, request));
  else if (pathname.startsWith("/static/vendor/")) event.respondWith(fresh(pathname, request));
});

/** What is kept; else from the server. */
async function kept(name, pathname, request) {
  const cache = await caches.open(name);
  return (await cache.match(pathname)) ?? fetch(request);
}

/** From the server where there is one, and kept for when there is none. */
async function fresh(pathname, request) {
  const cache = await caches.open(LARGE);
  try {
    const answer = await fetch(request);
    if (answer.ok) await cache.put(pathname, answer.clone());
    return answer;
  } catch (error) {
    const old = await cache.match(pathname);
    if (old) return old;
    throw error;
  }
}
