// What can be done with lines of the chat once they are written, and who sees which.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Server, chromium, handle, journey, until } from "./harness.js";

/** @typedef {import("./harness.js").Person} Person */
/** @type {Server} */
let server;
/** @type {import("puppeteer-core").Browser} */
let browser;

before(async () => {
  server = await Server.start({ name: "chat" });
  browser = await chromium();
});

after(async () => {
  await browser?.close();
  assert.equal(await server?.stop(), 0, "the server ends well");
});

journey("lines are corrected, answered, signed, taken back, sent to one alone, and found by a newcomer", async (scene) => {
  const ann = await scene.person(browser, server, "Ann");
  const ben = await scene.person(browser, server, "Ben");
  await ann.join("lines");
  await ben.join("lines");
  await ben.say("teh agenda: https://example.org/agenda");
  await ann.openChat();
  await ann.reads(/teh agenda/);
  assert.equal(await ann.page.$eval(`${handle("chat-log")} a`, (link) => link.getAttribute("href")), "https://example.org/agenda");

  await ben.page.focus(handle("chat-input"));
  await ben.page.keyboard.press("ArrowUp");
  await until("the line is there to be changed", () => ben.page.$eval(handle("chat-input"), (input) => /^teh agenda/.test(/** @type {HTMLTextAreaElement} */ (input).value)));
  await ben.fill("chat-input", "the agenda: https://example.org/agenda");
  await ben.click("chat-send");
  await ann.reads(/the agenda[^]*edited/);

  await chooses(ann, 1, "reply");
  await ann.fill("chat-input", "read it");
  await until("Ben sees that Ann writes", async () => /Ann is writing/.test(await ben.page.$eval(".chat", (chat) => /** @type {HTMLElement} */ (chat).innerText)));
  await ann.click("chat-send");
  await ben.reads(/Ann[^]*Ben the agenda[^]*read it/);
  await signs(ann, 1, "👍");
  await until("Ben sees the sign", async () => (await ben.page.$$(".chat-signs button")).length === 1);

  await ben.say("a slip");
  await ann.reads(/a slip/);
  await chooses(ann, 3, "delete"); // the host
  await until("the line is gone", async () => !/a slip/.test(await ben.textOf("chat-log")));

  await chooses(ben, 2, "write-privately");
  await ben.fill("chat-input", "between us");
  await ben.click("chat-send");
  await ann.reads(/To you alone[^]*between us/);

  const cho = await scene.person(browser, server, "Cho");
  await cho.join("lines", { camera: false });
  await cho.openChat();
  await cho.reads(/the agenda[^]*read it/);
  assert(!/between us|a slip/.test(await cho.textOf("chat-log")), "what is not hers is not there");
});

journey("what came while one did not look begins with a line that says so, until one answers or looks away", async (scene) => {
  const ann = await scene.person(browser, server, "Ann");
  const ben = await scene.person(browser, server, "Ben");
  await ann.join("news", { camera: false });
  await ben.join("news", { camera: false });
  await ann.openChat();
  await ben.say("first");
  await ann.reads(/first/);
  assert.equal(await newest(ann), "", "it was seen as it came");

  await ann.page.focus(handle("chat-input"));
  await ann.page.keyboard.press("Escape");
  await until("the chat is closed", async () => !await ann.shows("chat-input"));
  await ben.say("second");
  await ben.say("third");
  await until("Ann's title counts", async () => /^\(2\)/.test(await ann.page.title()));
  await ann.openChat();
  await until("the second is where the news begin", async () => await newest(ann) === "second");
  assert.equal((await ann.page.$$("::-p-aria(New messages from here)")).length, 1, "to ears too");
  await ben.say("fourth");
  await ann.reads(/fourth/);
  assert.equal(await newest(ann), "second", "it stays where it is while one reads");
  await ann.say("an answer");
  await until("nothing is new any more", async () => await newest(ann) === "");

  const other = await ann.context.newPage();
  await other.bringToFront();
  await until("Ann's page is behind another", () => ann.page.evaluate(() => document.visibilityState === "hidden"));
  await ben.say("fifth");
  await until("Ann's title counts", async () => /^\(1\)/.test(await ann.page.title()));
  await other.close();
  await ann.page.bringToFront();
  await until("the fifth is where the news begin", async () => await newest(ann) === "fifth");
});

/** The text of the line that what is new begins with. @param {Person} person @returns {Promise<string>} */
const newest = (person) => person.page.$$eval(`${handle("chat-log")} [role=separator] + .chat-line .chat-text`, ([line]) => /** @type {HTMLElement | undefined} */ (line)?.innerText ?? "");

/** Opens the menu of a line. @param {Person} person @param {number} seq */
async function opens(person, seq) {
  await person.page.waitForSelector(`[data-seq="${seq}"]`);
  await person.page.$eval(`[data-seq="${seq}"] [aria-haspopup]`, (button) => /** @type {HTMLElement} */ (button).click());
  await person.page.waitForSelector(`[data-seq="${seq}"] [role=menu]`);
}

/** @param {Person} person @param {number} seq @param {string} act */
async function chooses(person, seq, act) {
  await opens(person, seq);
  await person.click(act);
}

/** @param {Person} person @param {number} seq @param {string} emoji */
async function signs(person, seq, emoji) {
  await opens(person, seq);
  await person.page.click(`[role=menuitem][aria-label="React ${emoji}"]`);
}
