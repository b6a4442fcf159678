// Things go wrong, and a sentence says so: no camera, no server, a full room, names of every length.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Server, chromium, handle, journey, until } from "./harness.js";

/** @type {Server} */
let server;
/** @type {import("puppeteer-core").Browser} */
let browser;

before(async () => {
  server = await Server.start({ name: "trouble" });
  browser = await chromium();
});

after(async () => {
  await browser?.close();
  assert.equal(await server?.stop(), 0, "the server ends well");
});

for (const camera of /** @type {const} */ (["refused", "missing"])) {
  journey(`a camera that is ${camera} gets a sentence, and the person still enters`, async (scene) => {
    const without = scene.own(await chromium({ camera }));
    const alice = await scene.person(browser, server, "Alice");
    const bob = await scene.person(without, server, "Bob");
    await alice.join(`camera-${camera}`);
    await bob.visit(`camera-${camera}`);
    await bob.isTold(/camera/i);
    await bob.picture(`camera ${camera}`);
    await bob.enter();
    await alice.seesTilesOf(bob);
    await bob.seesTilesOf(alice);
    await bob.seesAndHears(alice);
    await bob.say("I have no camera");
    await alice.openChat();
    await alice.reads(/I have no camera/);
  });
}

journey("a full room says so, and there is room again after somebody left", async (scene) => {
  const small = scene.own(await Server.start({ name: "small", flags: ["--capacity", "2"] }));
  const [ann, ben, cho] = await Promise.all(["Ann", "Ben", "Cho"].map((name) => scene.person(browser, small, name)));
  await ann.join("small");
  await ben.join("small");
  await cho.visit("small");
  await cho.knock();
  await cho.isTold(/full/i);
  assert(!await cho.shows("leave"), "Cho is not inside");
  await cho.picture("full room");
  await ben.leave();
  await ann.seesTilesOf();
  await cho.enter();
  await ann.seesTilesOf(cho);
});

journey("a server that is gone gets a sentence, in the room and at the door", async (scene) => {
  const mortal = scene.own(await Server.start({ name: "mortal" }));
  const ann = await scene.person(browser, mortal, "Ann");
  const ben = await scene.person(browser, mortal, "Ben");
  await ann.join("mortal");
  await ben.visit("mortal");
  await mortal.kill();
  const inside = await ann.isTold(/connect|server|network/i);
  await ben.knock();
  const outside = await ben.isTold(/connect|server|network/i);
  assert(/\s/.test(inside) && /\s/.test(outside), "a sentence, not a code");
  await ann.picture("server gone inside");
  await ben.picture("server gone at the door");
});

journey("long and strange names are shown whole or refused in words, and break no layout", async (scene) => {
  const longest = "Wolfeschlegelsteinhausenbergerdorff-Maximiliane-von-und-zu-Test!";
  assert.equal(longest.length, 64);
  const alice = await scene.person(browser, server, longest, { screen: "phone" });
  const bob = await scene.person(browser, server, "김 <script>alert(1)</script>", { screen: "phone" });
  await alice.join("n".repeat(64));
  await bob.join("n".repeat(64));
  await alice.seesTilesOf(bob);
  await until("Bob's name is text", async () => (await alice.page.$eval(handle("tile"), (tile) => tile.innerText)).includes("<script>"));
  for (const person of [alice, bob]) {
    const overflow = await person.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert(overflow <= 0, `nothing hangs over the side of a phone: ${overflow} px`);
  }
  await bob.picture("long names phone");
});

journey("a name or a room of more than 64 characters is refused in words", async (scene) => {
  const alice = await scene.person(browser, server, "Alice");
  await alice.visit("r".repeat(65));
  if (await alice.shows("join")) await alice.knock();
  await alice.isTold(/64|long|name/i);
  assert(!await alice.shows("leave"));
});
