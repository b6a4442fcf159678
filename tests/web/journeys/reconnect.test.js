// The way to the server breaks, or the server does, in the middle of a call: pictures and sound go on, and everything else comes back.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Server, chromium, journey, until } from "./harness.js";
import { Wire } from "./harness/wire.js";

/** @type {Server} */
let server;
/** @type {import("puppeteer-core").Browser} */
let browser;

before(async () => {
  server = await Server.start({ name: "reconnect" });
  browser = await chromium();
});

after(async () => {
  await browser?.close();
  assert.equal(await server?.stop(), 0, "the server ends well");
});

journey("a cut socket: the seat is kept, media flows, missed chat arrives", async (scene) => {
  const wire = scene.own(await Wire.to(server));
  const alice = await scene.person(browser, server, "Alice");
  const bob = await scene.person(browser, /** @type {any} */ (wire), "Bob");
  await alice.join("tunnel");
  await bob.join("tunnel");
  await alice.seesAndHears(bob);
  await bob.seesAndHears(alice);
  const before = bob.session;
  wire.cut();
  await bob.isTold(/reconnect|connection/i);
  await until("Alice sees that Bob reconnects", async () => /reconnect/i.test(await alice.page.evaluate(() => document.body.innerText)));
  await alice.seesAndHears(bob);
  await bob.seesAndHears(alice);
  await alice.say("said while Bob was in the tunnel");
  wire.mend();
  await bob.openChat();
  await bob.reads(/in the tunnel/);
  await bob.isInside();
  assert.equal(bob.session, before, "the same seat");
  await bob.say("out again");
  await alice.reads(/out again/);
  await alice.seesAndHears(bob);
  assert.equal((await alice.received("logout")).length, 0, "Bob was never gone");
  assert.equal((await bob.textOf("chat-log")).split("in the tunnel").length, 2, "the missed line came once");
});

journey("a reload keeps the seat", async (scene) => {
  const alice = await scene.person(browser, server, "Alice");
  const bob = await scene.person(browser, server, "Bob");
  await alice.join("seat");
  await bob.join("seat");
  await alice.seesAndHears(bob);
  const before = bob.session;
  await bob.reload();
  assert.equal(bob.session, before);
  await alice.seesTilesOf(bob);
  await alice.seesAndHears(bob);
  await bob.seesAndHears(alice);
  assert.equal((await alice.received("logout")).length, 0, "Bob was never gone");
});

for (const end of /** @type {const} */ (["stopped", "killed"])) {
  journey(`a server that is ${end} and started again: media keeps flowing, chat continues`, async (scene) => {
    const mortal = scene.own(await Server.start({ name: `restart-${end}` }));
    const alice = await scene.person(browser, mortal, "Alice");
    const bob = await scene.person(browser, mortal, "Bob");
    await alice.join("restart");
    await bob.join("restart");
    await alice.seesAndHears(bob);
    await bob.seesAndHears(alice);
    if (end === "killed") await mortal.kill();
    else assert.equal(await mortal.interrupt(), 0);
    await alice.isTold(/reconnect|connection|server/i);
    await alice.seesAndHears(bob);
    await bob.seesAndHears(alice);
    await mortal.restart();
    for (const person of [alice, bob]) {
      await until(`${person.name} has joined again`, async () => (await person.received("joined")).length === 2);
      await person.isInside();
    }
    await alice.seesTilesOf(bob);
    await bob.seesTilesOf(alice);
    await alice.say("we are back");
    await bob.openChat();
    await bob.reads(/we are back/);
    await bob.say("yes we are");
    await alice.reads(/yes we are/);
    await alice.seesAndHears(bob);
    await bob.seesAndHears(alice);
  });
}
