/**
 * Keeps the page's last files, so that it opens without a network and can say so itself. The network always comes
 * first, and nothing depends on this worker: browsers refuse it behind a certificate they do not trust.
 */

/** Where this version's files are; the server puts the true place here. */
const FILES = "/v/dev/";
const CACHE = `turnstone ${FILES}`;
/** Every screen is this one page. */
const SHELL = "/";

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.add(new Request(SHELL, { cache: "reload" }))));
  self.skipWaiting();
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches.keys()
      .then((names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

// The first visit loads its files before this worker is there; the page then says which they were.
self.addEventListener("message", (event) => {
  const paths = Array.isArray(event.data?.keep) ? event.data.keep.filter((path) => typeof path === "string" && path.startsWith(FILES)) : [];
  event.waitUntil(caches.open(CACHE).then((cache) => Promise.all(paths.map(async (path) => (await cache.match(path)) ?? cache.add(path).catch(() => {})))));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (request.mode === "navigate" && isPage(url.pathname)) event.respondWith(page(request));
  else if (url.pathname.startsWith(FILES)) event.respondWith(file(request));
});

/** @param {string} path */
const isPage = (path) => path === SHELL || path === "/test" || path.startsWith("/r/");

/** @param {Request} request */
async function page(request) {
  try {
    return await fetch(request);
  } catch (error) {
    const kept = await caches.match(SHELL, { cacheName: CACHE });
    if (kept) return kept;
    throw error;
  }
}

/** @param {Request} request */
async function file(request) {
  const cache = await caches.open(CACHE);
  try {
    const answer = await fetch(request);
    if (answer.ok) await cache.put(request, answer.clone());
    return answer;
  } catch (error) {
    const kept = await cache.match(request);
    if (kept) return kept;
    throw error;
  }
}
