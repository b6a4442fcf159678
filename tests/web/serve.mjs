/**
 * Serves the page's files for looking at it without a server: same paths, same strictness, no rooms.
 * Only for the gallery and for unit tests; the product serves itself.
 */
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

const WEB = new URL(".", import.meta.url).pathname;
const ASSETS = join(WEB, "../../assets");
/** @type {Record<string, string>} */
const KINDS = {
  ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
  ".png": "image/png", ".webmanifest": "application/manifest+json", ".json": "application/json", ".txt": "text/plain; charset=utf-8",
};
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; media-src 'self' blob:; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/** @returns {Promise<{url: string, close: () => void}>} */
export async function serve() {
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? "/", "http://x").pathname));
    const file = path.startsWith("/v/dev/") ? join(ASSETS, path.slice(7)) : path.startsWith("/gallery/") ? join(WEB, path)
      : ["/sw.js", "/manifest.webmanifest"].includes(path) || /^\/icon[^/]*\.(png|svg)$/.test(path) ? join(ASSETS, path) : join(ASSETS, "index.html");
    try {
      const body = await readFile(file);
      response.writeHead(200, { "content-type": KINDS[extname(file)] ?? "application/octet-stream", "content-security-policy": POLICY, "cache-control": "no-store" });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { url: `http://localhost:${port}`, close: () => server.close() };
}
