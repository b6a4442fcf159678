// Pictures of every screen, light and dark, laptop and phone, kept for a person to look at; and nothing hangs over the edge.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Server, chromium, journey } from "./harness.js";

/** @type {Server} */
let server;
/** @type {import("puppeteer-core").Browser} */
let browser;

before(async () => {
  server = await Server.start({ name: "screens" });
  browser = await chromium();
});

after(async () => {
  await browser?.close();
  assert.equal(await server?.stop(), 0, "the server ends well");
});

for (const screen of /** @type {const} */ (["laptop", "phone"])) {
  for (const dark of [false, true]) {
    const look = `${screen} ${dark ? "dark" : "light"}`;
    journey(`every screen on a ${look}`, async (scene) => {
      const alice = await scene.person(browser, server, "Alice", { screen, dark });
      const bob = await scene.person(browser, server, "Bob");
      /** @param {string} title */
      const kept = async (title) => {
        await alice.picture(`${title} ${look}`);
        const overflow = await alice.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert(overflow <= 0, `${title}: ${overflow} px hang over the side`);
      };
      await alice.page.goto(alice.address("/"), { waitUntil: "load" });
      await alice.find("room-input");
      await kept("home");
      await alice.visit(`look ${look}`);
      await alice.seesItself();
      await kept("door");
      await alice.enter();
      await kept("room alone");
      await bob.join(`look ${look}`);
      await alice.sees(bob);
      await kept("room two");
      await bob.say("A line of chat, long enough to need more than one row on a narrow screen.");
      await alice.say("And an answer.");
      await alice.reads(/long enough/);
      await kept("room chat");
      const [background, colour] = await alice.page.evaluate(() => {
        const style = getComputedStyle(document.body);
        return [style.backgroundColor, style.color].map((value) => (value.match(/[\d.]+/g) ?? []).slice(0, 3).reduce((sum, part) => sum + Number(part), 0));
      });
      assert(dark ? background < colour : background > colour, `${look}: text ${colour} on ${background}`);
    });
  }
}
