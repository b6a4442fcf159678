import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import en from "./typed/strings/en.js";
import ko from "./typed/strings/ko.js";
import { count, errorText, load, pick, t } from "./typed/strings/index.js";

const ASSETS = new URL("../../assets/", import.meta.url);
const sources = readdirSync(ASSETS, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".js") && !file.startsWith("vendor") && !file.startsWith("strings"))
  .map((file) => readFileSync(new URL(file, ASSETS), "utf8")).join("\n");
/** @param {string} text */
const blanks = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort().join();

test("both languages say the same things, with the same blanks", () => {
  assert.deepEqual(Object.keys(ko).sort(), Object.keys(en).sort());
  for (const [key, text] of Object.entries(en)) {
    const other = /** @type {Record<string, string>} */ (ko)[key] ?? "";
    assert.ok(text.trim() && other.trim(), key);
    assert.equal(blanks(other), blanks(text), key);
  }
});

test("every sentence is used somewhere, and every one asked for exists", () => {
  // `t(`test.${step}`)` and the like ask for a family.
  const families = [...sources.matchAll(/[`"](\w+(?:\.\w+)*\.?)\$\{/g)].map(([, start]) => start ?? "");
  for (const family of ["error.", "room.count", "room.unread"]) families.push(family);
  for (const key of Object.keys(en)) {
    assert.ok(sources.includes(`"${key}"`) || families.some((family) => family.length > 1 && key.startsWith(family)), `${key} is never used`);
  }
  for (const [, key = ""] of sources.matchAll(/\bt\(\s*"([\w.]+)"/g)) assert.ok(Object.hasOwn(en, key), key);
});

test("the language is the one asked for, else the first of the browser's we speak, else English", () => {
  assert.equal(pick("ko", ["en"]), "ko");
  assert.equal(pick("EN-gb", ["ko"]), "en");
  assert.equal(pick("xx", ["fr-FR", "ko-KR", "en"]), "ko");
  assert.equal(pick(null, ["fr"]), "en");
  assert.equal(pick("constructor", []), "en");
});

test("every error of the contract has words in each language; a newer server's error keeps its own", async () => {
  for (const language of ["en", "ko"]) {
    await load(language);
    for (const type of "full invalid password locked banned denied kicked rate toobig notfound unauthorized resume".split(" ")) {
      const words = errorText({ type, text: "the server's words" });
      assert.ok(words.length > 5 && words !== "the server's words", `${language} ${type}`);
    }
    assert.equal(errorText({ type: "brandnew", text: "the server's words" }), "the server's words");
  }
});

test("numbers and blanks are filled in as they are", async () => {
  await load("en");
  assert.equal(count("room.count", 1), "1 person");
  assert.equal(count("room.count", 3), "3 people");
  assert.equal(t("chat.came", { name: "<b>$& {name}</b>" }), "<b>$& {name}</b> joined");
});
