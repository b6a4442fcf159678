// The page's files as they are served: nothing inline, nothing from elsewhere, nothing forgotten.

import assert from "node:assert/strict";
import { existsSync, lstatSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";

const ASSETS = new URL("../../assets/", import.meta.url).pathname;
const files = readdirSync(ASSETS, { recursive: true, encoding: "utf8" }).filter((file) => lstatSync(join(ASSETS, file)).isFile());
/** @param {string} file */
const text = (file) => readFileSync(join(ASSETS, file), "utf8");
const index = text("index.html");

test("the page's policy can forbid whatever is inline", () => {
  assert.ok(!/<style|\sstyle=|\son\w+=|javascript:/i.test(index));
  for (const [, attributes = "", body = ""] of index.matchAll(/<script([^>]*)>([^]*?)<\/script>/g)) assert.ok(attributes.includes("src=") && body === "", attributes);
  for (const file of files.filter((name) => name.endsWith(".js") && !name.startsWith("vendor/"))) {
    assert.ok(!/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|dangerouslySetInnerHTML|style="/.test(text(file)), file);
  }
});

test("every address in the page and its manifest is a file of ours, under the prefix the server replaces", () => {
  const named = [...(index + text("manifest.webmanifest")).matchAll(/"\/v\/dev\/([^"]+)"/g)].map(([, file]) => file ?? "");
  assert.ok(named.length > 10);
  for (const file of named) assert.ok(existsSync(join(ASSETS, file)), file);
  const others = [...index.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, url]) => url ?? "").filter((url) => !url.startsWith("/v/dev/"));
  assert.deepEqual(others, ["/manifest.webmanifest"]);
});

test("every style sheet is linked", () => {
  for (const file of files.filter((name) => name.endsWith(".css"))) assert.ok(index.includes(`/v/dev/${file}`), file);
});

test("modules import by relative paths, and only what is there", () => {
  for (const file of files.filter((name) => name.endsWith(".js"))) {
    const source = text(file).replace(/\/\*[^]*?\*\//g, "");
    for (const [, path = ""] of source.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"([^"]+)"/g)) {
      assert.match(path, /^\.\.?\//, `${file} imports ${path}`);
      assert.ok(existsSync(join(ASSETS, normalize(join(dirname(file), path)))), `${file} imports ${path}`);
    }
  }
});

test("nothing is asked of other hosts", () => {
  for (const file of files.filter((name) => /\.(js|css|html|webmanifest|svg)$/.test(name))) {
    const foreign = [...text(file).matchAll(/(?:https?|wss?):\/\/[^\s"'`)<$]+/g)].map(([url]) => url)
      .filter((url) => !url.startsWith("http://www.w3.org/") && !url.startsWith("https://rustup"));
    assert.deepEqual(foreign.filter((url) => !/^https?:\/\/\[/.test(url)), [], file);
  }
});

test("the icons have the sizes the manifest says", () => {
  const { icons } = JSON.parse(text("manifest.webmanifest"));
  const wanted = icons.filter((/** @type {any} */ icon) => icon.type === "image/png");
  assert.equal(wanted.length, 4);
  for (const { src, sizes } of wanted) {
    const png = readFileSync(join(ASSETS, src.replace("/v/dev/", "")));
    assert.equal(`${png.readUInt32BE(16)}x${png.readUInt32BE(20)}`, sizes, src);
  }
});

test("every module is type-checked: `typed/` links to each", () => {
  for (const name of readdirSync(ASSETS)) {
    if (name === "vendor" || name === "style" || name === "sw.js") continue;
    if (name.endsWith(".js") || lstatSync(join(ASSETS, name)).isDirectory()) assert.ok(lstatSync(new URL(`typed/${name}`, import.meta.url)).isSymbolicLink(), name);
  }
});
