import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { rewritten, sha256 } from "./vendor.mjs";

const VENDOR = new URL("../../assets/vendor/", import.meta.url);
const { files } = JSON.parse(readFileSync(new URL("vendor.json", VENDOR), "utf8"));

test("every vendored module is recorded, with the hash it has", () => {
  const recorded = files.map((/** @type {{file: string}} */ entry) => entry.file).sort();
  assert.deepEqual(readdirSync(VENDOR).filter((name) => name.endsWith(".js")).sort(), recorded);
  for (const entry of files) assert.equal(sha256(readFileSync(new URL(entry.file, VENDOR))), entry.sha256, entry.file);
});

test("a vendored module is its npm file with only its import paths changed", () => {
  for (const entry of files) {
    const root = new URL(`./node_modules/${entry.package}/`, import.meta.url);
    assert.equal(JSON.parse(readFileSync(new URL("package.json", root), "utf8")).version, entry.version);
    const source = readFileSync(new URL(entry.source, root), "utf8");
    assert.equal(sha256(source), entry.sourceSha256, entry.source);
    assert.equal(sha256(rewritten(source)), entry.sha256, entry.file);
  }
});

test("the licence of each vendored package is kept beside it", () => {
  const notices = readFileSync(new URL("LICENSES.txt", VENDOR), "utf8");
  for (const entry of files) assert.ok(notices.includes(`${entry.package} ${entry.version} (${entry.licence})`), entry.package);
});
