/**
 * Copies the libraries of `assets/vendor/` out of their npm packages and records version, licence and
 * hashes in `assets/vendor/vendor.json`. Run by hand when a version changes: `node vendor.mjs`.
 * A browser cannot resolve bare names without an import map, so those become relative paths; nothing else changes.
 */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

const HERE = new URL(".", import.meta.url);
const VENDOR = new URL("../../assets/vendor/", HERE);

/** @type {[string, string, string][]} file here, package, path in the package */
const FILES = [
  ["preact.js", "preact", "dist/preact.mjs"],
  ["hooks.js", "preact", "hooks/dist/hooks.mjs"],
  ["htm.js", "htm", "dist/htm.module.js"],
  ["signals-core.js", "@preact/signals-core", "dist/signals-core.mjs"],
  ["signals.js", "@preact/signals", "dist/signals.mjs"],
];

/** Applied in this order. Source maps are not shipped, so the pointers to them go. */
export const REWRITES = /** @type {const} */ ([
  ['from"preact/hooks"', 'from"./hooks.js"'],
  ['from"@preact/signals-core"', 'from"./signals-core.js"'],
  ['from"preact"', 'from"./preact.js"'],
  ["//# sourceMappingURL=preact.mjs.map", ""],
  ["//# sourceMappingURL=hooks.mjs.map", ""],
  ["//# sourceMappingURL=signals-core.mjs.map", ""],
  ["//# sourceMappingURL=signals.mjs.map", ""],
]);

/** @param {string} source */
export const rewritten = (source) => REWRITES.reduce((text, [from, to]) => text.replaceAll(from, to), source);
/** @param {string | Buffer} bytes */
export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const files = [];
  const licences = new Map();
  for (const [file, name, path] of FILES) {
    const root = new URL(`node_modules/${name}/`, HERE);
    const about = JSON.parse(readFileSync(new URL("package.json", root), "utf8"));
    const source = readFileSync(new URL(path, root), "utf8");
    const text = rewritten(source);
    writeFileSync(new URL(file, VENDOR), text);
    licences.set(`${name} ${about.version} (${about.license})`, readFileSync(new URL("LICENSE", root), "utf8").trim());
    files.push({ file, package: name, version: about.version, licence: about.license, source: path, sourceSha256: sha256(source), sha256: sha256(text) });
  }
  writeFileSync(new URL("vendor.json", VENDOR), `${JSON.stringify({ files }, null, 2)}\n`);
  const notices = [...licences].map(([title, text]) => `${title}\n${"=".repeat(title.length)}\n\n${text}\n`);
  writeFileSync(new URL("LICENSES.txt", VENDOR), notices.join("\n\n"));
}
