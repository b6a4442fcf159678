/** The page without a network: keeps its files for then, and finds out whether the server can be reached at all. */

/** How often an unreachable server is tried, ms: one small request. */
const AGAIN = 4_000;

/** Registers the service worker and tells it what this page is made of. Browsers may refuse; nothing depends on it. */
export async function keepFiles() {
  const workers = navigator.serviceWorker;
  if (!workers) return;
  const tell = () => {
    const paths = performance.getEntriesByType("resource").map((entry) => new URL(entry.name)).filter((url) => url.origin === location.origin).map((url) => url.pathname);
    workers.controller?.postMessage({ keep: [...new Set(paths)] });
  };
  workers.addEventListener("controllerchange", tell);
  try {
    await workers.register("/sw.js");
    await workers.ready;
    tell();
  } catch { /* an untrusted certificate, or a private window */ }
}

/**
 * A page out of the worker's cache looks like any other. Asks the server once whether it is there, and goes on asking
 * while it is not. @param {(online: boolean) => void} tell
 */
export async function watchServer(tell) {
  if (!navigator.serviceWorker?.controller) return; // then this page came over the network
  for (let gone = false; ; gone = true) {
    const here = await fetch("/healthz", { cache: "no-store" }).then((answer) => answer.ok, () => false);
    if (here && gone) tell(true);
    if (here) return;
    tell(false);
    await new Promise((resolve) => setTimeout(resolve, AGAIN));
  }
}
