// The page for people who use no mouse or no eyes: axe-core finds nothing on any screen, the keyboard alone is enough, and so is a finger.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before } from "node:test";
import { Server, chromium, handle, journey, until } from "./harness.js";

const AXE = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

/** @type {Server} */
let server;
/** @type {import("puppeteer-core").Browser} */
let browser;

before(async () => {
  server = await Server.start({ name: "access" });
  browser = await chromium();
});

after(async () => {
  await browser?.close();
  assert.equal(await server?.stop(), 0, "the server ends well");
});

for (const dark of [false, true]) {
  for (const screen of /** @type {const} */ (["laptop", "phone"])) {
    journey(`axe-core finds nothing on a ${dark ? "dark" : "light"} ${screen}`, async (scene) => {
      const alice = await scene.person(browser, server, "Alice", { screen, dark });
      const bob = await scene.person(browser, server, "Bob");
      const look = async (/** @type {string} */ where) => {
        await finds(alice, where);
        if (screen === "phone") await reaches(alice, where);
      };
      const room = `axe ${screen} ${dark}`;
      await alice.page.goto(alice.address("/"), { waitUntil: "load" });
      await alice.find("join");
      await look("home");
      await alice.visit(room);
      await alice.seesItself();
      await look("door");
      await alice.enter();
      await look("alone");
      await bob.join(room);
      await alice.sees(bob);
      await look("two");
      await bob.say("hello");
      await alice.openChat();
      await alice.reads(/hello/);
      await look("chat");
    });
  }
}

/** @param {import("./harness.js").Person} person @param {string} where */
async function finds(person, where) {
  await rests(person);
  // By CDP, as the page's policy lets no script of others in.
  await person.page.evaluate(AXE);
  const violations = await person.page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return violations.map((/** @type {any} */ { id, nodes }) => `${id}: ${nodes.map((/** @type {any} */ node) => node.html).join(" | ")}`);
  });
  assert.deepEqual(violations, [], `axe-core on ${where}`);
}

/** Every control is as large as a fingertip; a link in a line is as large as its words. @param {import("./harness.js").Person} person @param {string} where */
async function reaches(person, where) {
  const small = await person.page.$$eval("button, a[href], input, select, textarea, summary", (controls) => controls
    .filter((control) => control.checkVisibility() && !control.matches(".chat-text a"))
    .map((control) => ({ control, box: (control.closest("label") ?? control).getBoundingClientRect() }))
    .filter(({ box }) => box.width < 43.5 || box.height < 43.5)
    .map(({ control, box }) => `${Math.round(box.width)} × ${Math.round(box.height)}: ${control.outerHTML.slice(0, 160)}`));
  assert.deepEqual(small, [], `controls too small for a finger on ${where}`);
}

/** What moves or changes its colour has arrived: on the way, colours are those of neither end. What turns for ever does not count. @param {import("./harness.js").Person} person */
async function rests(person) {
  await person.page.evaluate(async () => {
    const passing = document.getAnimations().filter(({ effect }) => effect?.getComputedTiming().endTime !== Infinity);
    await Promise.allSettled(passing.map(({ finished }) => finished));
  });
}

journey("the keyboard alone joins, mutes, writes, shares and leaves", async (scene) => {
  const bob = await scene.person(browser, server, "Bob");
  await bob.join("keys");
  const alice = await scene.person(browser, server, "Alice");
  await alice.page.goto(alice.address("/"), { waitUntil: "load" });
  await alice.find("join");
  await tabTo(alice, "name-input");
  await alice.page.keyboard.type("Alice");
  await tabTo(alice, "room-input");
  await alice.page.keyboard.type("keys");
  await tabTo(alice, "join");
  await alice.page.keyboard.press("Enter");
  await alice.find("self-view");
  await alice.seesItself();
  await tabTo(alice, "join");
  await alice.page.keyboard.press("Enter");
  await alice.isInside();
  await bob.seesTilesOf(alice);
  await tabTo(alice, "toggle-mic");
  await alice.page.keyboard.press("Space");
  await until("Bob's page knows that Alice is muted", async () => (await bob.received("status")).some(({ data }) => data?.mic === false));
  if (!await alice.shows("chat-input")) {
    await tabTo(alice, "open-chat");
    await alice.page.keyboard.press("Enter");
  }
  await tabTo(alice, "chat-input");
  await alice.page.keyboard.type("typed");
  await alice.page.keyboard.press("Enter");
  await bob.openChat();
  await bob.reads(/typed/);
  await tabTo(alice, "share-screen");
  await alice.page.keyboard.press("Enter");
  await bob.sees(alice, "screen-tile");
  await tabTo(alice, "leave");
  await alice.page.keyboard.press("Enter");
  await bob.seesTilesOf();
});

/** Presses Tab until that control has the focus, and checks that the focus can be seen. @param {import("./harness.js").Person} person @param {string} name */
async function tabTo(person, name) {
  await person.find(name);
  for (let press = 0; press < 60; press += 1) {
    if (await person.page.$eval(handle(name), (element) => element.matches(":focus") || (element.contains(document.activeElement) && document.activeElement !== document.body))) return;
    await person.page.keyboard.press("Tab");
  }
  assert.fail(`${name} is not reached by Tab`);
}
