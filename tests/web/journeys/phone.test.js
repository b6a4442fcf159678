// What a phone adds: its own way of sharing, a picture of its own while writing, and a network that comes and goes.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Server, chromium, handle, journey, until } from "./harness.js";

/** @type {Server} */
let server;
/** @type {import("puppeteer-core").Browser} */
let browser;

before(async () => {
  server = await Server.start({ name: "phone" });
  browser = await chromium();
});

after(async () => {
  await browser?.close();
  assert.equal(await server?.stop(), 0, "the server ends well");
});

journey("on a phone the link goes by the phone's own sharing, and the others stay in a picture of their own while one writes", async (scene) => {
  const ann = await scene.person(browser, server, "Ann");
  const ben = await scene.person(browser, server, "Ben", { screen: "phone" });
  // This browser has no sharing of its own here; what the page hands to it is what counts.
  await ben.page.evaluateOnNewDocument(() => {
    const shared = /** @type {any} */ (window).sharedLinks = /** @type {unknown[]} */ ([]);
    navigator.share = async (what) => void shared.push(what);
  });
  await ann.join("pocket");
  await ben.join("pocket");
  await ben.seesAndHears(ann);
  await ben.click("copy-link");
  const room = `${new URL(ben.page.url()).origin}/r/pocket`;
  assert.deepEqual(await ben.page.evaluate(() => /** @type {any} */ (window).sharedLinks), [{ title: "Turnstone", url: room }]);

  await ben.openChat();
  await until("Ann is in a picture of her own", () => ben.page.evaluate((tile) => document.querySelector(`${tile} video`) === document.pictureInPictureElement, handle("tile")));
  await ben.sees(ann);
  await ben.page.click('aria/Close[role="button"]');
  await until("Ann is back on the page", () => ben.page.evaluate(() => !document.pictureInPictureElement));
});

journey("when the network or the page comes back, the page asks at once whether the server still hears it", async (scene) => {
  const ann = await scene.person(browser, server, "Ann");
  await ann.join("return");
  const before = (await ann.sent("ping")).length;
  await ann.page.evaluate(() => dispatchEvent(new Event("online")));
  await until("a ping after the network's return", async () => (await ann.sent("ping")).length === before + 1);
  await ann.page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await until("a ping after the page's return", async () => (await ann.sent("ping")).length === before + 2);
  await until("both are answered", async () => (await ann.received("pong")).length >= before + 2);
});
