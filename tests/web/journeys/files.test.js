// Files in the chat: sent, broken off and gone on with, seen in place, taken away, and for one alone.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { handle, onBothDatabases, temporaryFolder, until } from "./harness.js";
import { REPOSITORY } from "./harness/artifacts.js";
import { Wire } from "./harness/wire.js";

/** @typedef {import("./harness.js").Person} Person */
const folder = temporaryFolder("files");

onBothDatabases("files", (journey) => {
  journey("a picture and another file are shared, seen in place and taken away by the other, and are there on return", async (scene, server, { browser, other }) => {
    const ann = await scene.person(browser, server, "Ann");
    const ben = await scene.person(other, server, "Ben");
    await ann.join("papers");
    await ben.join("papers");
    await ben.openChat();
    const picture = join(REPOSITORY, "assets", "icon-512.png");
    const notes = fileOf("notes <b>&.html", Buffer.from("<script>document.title = 'run'</script>"));
    await shares(ann, picture, notes);
    await seesPicture(ben);
    await ben.reads(/icon-512\.png/);
    await ben.reads(/notes/);
    await until("Ann's list of what is on its way is empty", async () => !await ann.shows("sending"));
    assert.deepEqual(await takes(ben, "notes"), readFileSync(notes), "the very bytes");
    assert.notEqual(await ben.page.title(), "run");

    await ben.reload();
    await ben.openChat();
    await until("it is there once after a reload", async () => (await ben.page.$$(handle("file-entry"))).length === 2);
    const cay = await scene.person(browser, server, "Cay");
    await cay.join("papers");
    await cay.openChat();
    await until("newcomers have it too", async () => (await cay.page.$$(handle("file-entry"))).length === 2);
    await seesPicture(cay);
  }, { essential: true });

  journey("an upload goes on where it was, by itself, after the server was killed and started again; another is cancelled", async (scene, server, { browser, other }) => {
    const wire = scene.own(await Wire.to(server));
    const ann = await scene.person(browser, /** @type {any} */ (wire), "Ann");
    const ben = await scene.person(other, server, "Ben");
    await keeps(other, server, "Large");
    await ann.join("Large", { camera: false });
    await ben.join("Large", { camera: false });
    await ben.openChat();
    /** @type {{method: string, offset: string | undefined}[]} */
    const requests = [];
    ann.page.on("request", (request) => requests.push({ method: request.method(), offset: request.headers()["upload-offset"] }));
    // More than two of the pieces that the server puts away at a time, on a slow line, as up from a phone.
    const bytes = randomBytes(14_000_000);
    wire.rate = 2_000_000;
    await shares(ann, fileOf("large.bin", bytes));
    await until("a part of it is there", () => wire.passed > 7_000_000);
    await server.kill();
    await until("Ann is told of the break", async () => /Interrupted/.test(await ann.textOf("sendings")));
    await server.restart();
    wire.rate = Infinity;
    await until("it is there", async () => !await ann.shows("sending"));
    const resumed = requests.filter(({ method, offset }) => method === "PATCH" && Number(offset) > 0);
    assert.ok(resumed.length > 0, `it went on where it was: ${JSON.stringify(requests.filter(({ method }) => method !== "GET"))}`);
    await ben.reads(/large\.bin/);
    assert.equal(sha(await takes(ben, "large.bin")), sha(bytes), "nothing is missing and nothing twice");

    wire.rate = 200_000;
    const pieces = () => requests.filter(({ method }) => method === "PATCH").length;
    const before = pieces();
    await shares(ann, fileOf("mistake.bin", bytes));
    await until("the server knows of it, and gets it", () => pieces() > before);
    await ann.click("cancel-file");
    await until("nothing is on its way", async () => !await ann.shows("sending"));
    await until("the server was told", () => requests.some(({ method }) => method === "DELETE"));
    assert.ok(!/mistake/.test(await ben.textOf("chat-log")));
  }, { essential: true });

  journey("a file for one alone is seen by nobody else; pasted and dropped ones are shared; a host can turn files off", async (scene, server, { browser }) => {
    const ann = await scene.person(browser, server, "Ann");
    const ben = await scene.person(browser, server, "Ben");
    const cay = await scene.person(browser, server, "Cay");
    for (const person of [ann, ben, cay]) {
      await person.join("three", { camera: false });
      await person.openChat();
    }
    await ann.seesTilesOf(ben, cay);
    await ann.page.click(".room-count");
    await ann.page.click(`${handle("participants")} [data-session="${ben.session}"] [aria-haspopup]`);
    await ann.click("write-privately");
    await shares(ann, fileOf("for-ben.txt", Buffer.from("only you")));
    await ben.reads(/To you alone[^]*for-ben\.txt/);
    await ann.page.keyboard.press("Escape");

    await hands(ann, "paste", "pasted.txt");
    await cay.reads(/pasted\.txt/);
    await hands(ann, "drop", "dropped.txt");
    await cay.reads(/dropped\.txt/);
    assert.ok(!/for-ben/.test(await cay.textOf("chat-log")), "nobody else learns of it");

    await ann.click("room-settings");
    await ann.click("policy-files");
    await until("Ben has no way to share", async () => await ben.page.$(handle("file-input")) === null);
    await hands(ben, "drop", "refused.txt");
    await ben.isTold(/turned off sharing files/);
  });
});

/** Makes a room that outlives the server's end. @param {import("puppeteer-core").Browser} browser @param {import("./harness.js").Server} server @param {string} name */
async function keeps(browser, server, name) {
  const page = await browser.newPage();
  try {
    await page.goto(`${server.origin}/healthz`);
    const status = await page.evaluate(async (body) => (await fetch("/api/v1/rooms", { method: "POST", headers: { "content-type": "application/json" }, body })).status, JSON.stringify({ name }));
    assert.equal(status, 201);
  } finally {
    await page.close();
  }
}

/** @param {string} name @param {Buffer} bytes */
function fileOf(name, bytes) {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** @param {Buffer} bytes */
const sha = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** @param {Person} person @param {string[]} paths */
async function shares(person, ...paths) {
  await person.openChat();
  const input = /** @type {import("puppeteer-core").ElementHandle<HTMLInputElement>} */ (await person.page.waitForSelector(handle("file-input")));
  await input.uploadFile(...paths);
}

/** @param {Person} person */
const seesPicture = (person) => until(`${person.name} sees the picture`, () => person.page.$$eval(`${handle("file-entry")}[data-kind=image] img`,
  ([image]) => (/** @type {HTMLImageElement | undefined} */ (image)?.naturalWidth ?? 0) === 512));

/** Takes a file away by its button. @param {Person} person @param {string} name the beginning of its name */
async function takes(person, name) {
  const here = temporaryFolder("taken");
  const devtools = await person.page.createCDPSession();
  await devtools.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: here, browserContextId: person.context.id });
  await until(`${person.name} can take ${name}`, () => person.page.$$eval(`${handle("file-entry")}`, (entries, wanted) => {
    const entry = entries.find((one) => one.textContent?.includes(wanted));
    /** @type {HTMLElement | null | undefined} */ (entry?.querySelector("[data-testid=download]"))?.click();
    return entry !== undefined;
  }, name));
  const file = await until("it has arrived", () => readdirSync(here).find((one) => !one.endsWith(".crdownload")));
  assert.ok(existsSync(join(here, file)));
  return readFileSync(join(here, file));
}

/** Pastes a file into the chat's input, or drops it on the call. @param {Person} person @param {"paste" | "drop"} way @param {string} name */
async function hands(person, way, name) {
  await person.page.evaluate((how, called) => {
    const data = new DataTransfer();
    data.items.add(new File(["some text"], called, { type: "text/plain" }));
    const event = how === "paste" ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }) : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
    (how === "paste" ? document.querySelector("[data-testid=chat-input]") : document.querySelector(".stage"))?.dispatchEvent(event);
    if (!event.defaultPrevented) throw new Error(`nobody took the ${how}`);
  }, way, name);
}
