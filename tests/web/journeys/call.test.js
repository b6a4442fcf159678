// People call each other: pictures and sound counted where they arrive, chat, leaving, coming back.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Server, chromium, handle, journey, pause, until } from "./harness.js";

/** @type {Server} */
let server;
/** @type {import("puppeteer-core").Browser} */
let browser;

before(async () => {
  server = await Server.start({ name: "call" });
  browser = await chromium();
});

after(async () => {
  await browser?.close();
  assert.equal(await server?.stop(), 0, "the server ends well");
});

journey("two people see, hear and write to each other", async (scene) => {
  const alice = await scene.person(browser, server, "Alice");
  const bob = await scene.person(browser, server, "Bob");
  await alice.join("tea");
  await bob.join("tea");
  await alice.seesTilesOf(bob);
  await bob.seesTilesOf(alice);
  await alice.seesAndHears(bob);
  await bob.seesAndHears(alice);
  assert((await alice.sent("offer")).length >= 1, "who is there offers");
  assert((await bob.sent("answer")).length >= 1, "who comes answers");

  await alice.say("Hello Bob <b>not bold</b>");
  await bob.openChat();
  await bob.reads(/Alice[^]*Hello Bob <b>not bold<\/b>/);
  await bob.say("안녕하세요 Alice");
  await alice.reads(/Bob[^]*안녕하세요 Alice/);
  await alice.reads(/Hello Bob/);
  assert.equal((await alice.received("chat")).length, 2, "each line came once, one's own included");

  const list = await alice.page.$$eval(`${handle("participants")} [data-session]`, (items) => items.map((item) => item.dataset.session));
  assert(list.includes(bob.session), "the list of people has Bob");
});

journey("three people see and hear each other, and one who leaves is gone", async (scene) => {
  const people = [];
  for (const name of ["Ann", "Ben", "Cho"]) {
    const person = await scene.person(browser, server, name);
    people.push(await person.join("three"));
  }
  const [ann, ben, cho] = people;
  for (const one of people) {
    for (const other of people) if (one !== other) await one.seesAndHears(other);
  }
  await ann.say("all three");
  for (const one of [ben, cho]) {
    await one.openChat();
    await one.reads(/all three/);
  }
  await cho.leave();
  await ann.seesTilesOf(ben);
  await ben.seesTilesOf(ann);
  await ann.seesAndHears(ben);
  const open = () => ann.page.evaluate(() => globalThis.__watch.connections.filter((c) => c.connectionState !== "closed").length);
  await until("the connection to who left is closed", async () => await open() === 1);
});

journey("a reload comes back into the room and the call", async (scene) => {
  const alice = await scene.person(browser, server, "Alice");
  const bob = await scene.person(browser, server, "Bob");
  await alice.join("again");
  await bob.join("again");
  await alice.seesAndHears(bob);
  await bob.reload();
  await alice.seesTilesOf(bob);
  await bob.seesTilesOf(alice);
  await alice.seesAndHears(bob);
  await bob.seesAndHears(alice);
});

journey("who closes the tab is gone, and the room's name is free of ghosts", async (scene) => {
  const alice = await scene.person(browser, server, "Alice");
  const bob = await scene.person(browser, server, "Bob");
  await alice.join("ghosts");
  await bob.join("ghosts");
  await alice.seesTilesOf(bob);
  await bob.page.close();
  // A lost page may keep its seat for the time a reconnect takes (60 s), not longer.
  await until("Bob's tile is gone", async () => (await alice.tiles()).length === 0, 100_000);
});

journey("from the home page: a name, a room, and in", async (scene) => {
  const alice = await scene.person(browser, server, "Alice");
  await alice.page.goto(alice.address("/"), { waitUntil: "load" });
  await alice.click("random-room");
  const random = await until("a random room's name stands in the field", async () => {
    const field = await alice.find("room-input");
    return field.evaluate((input) => /** @type {HTMLInputElement} */ (input).value);
  });
  assert(random.length >= 8, `${random} is hard to guess`);
  await alice.fill("room-input", "Front Door");
  await alice.fill("name-input", "Alice");
  await alice.click("join");
  await until("the room's address is shown", () => decodeURIComponent(new URL(alice.page.url()).pathname) === "/r/Front Door");
  await alice.seesItself();
  await alice.enter();

  const bob = await scene.person(browser, server, "Bob");
  await bob.page.goto(`${server.origin}/?roomrequest=front%20door&lang=en`, { waitUntil: "load" });
  await until("the old link leads to the room", () => new URL(bob.page.url()).pathname.startsWith("/r/"));
  await bob.seesItself();
  await bob.enter();
  await alice.seesTilesOf(bob);
});

journey("a switched-off microphone and camera are off for the others too", async (scene) => {
  const alice = await scene.person(browser, server, "Alice");
  const bob = await scene.person(browser, server, "Bob");
  await alice.join("switches");
  await bob.join("switches");
  await alice.seesAndHears(bob);
  const loud = await until("Bob is heard", () => loudness(alice, bob));
  await bob.click("toggle-mic");
  await until("Alice's page knows", async () => (await alice.received("status")).some(({ data }) => data?.mic === false));
  // Not exactly nothing: a decoder fills what a busy machine lost with a little noise.
  await until("Bob is silent", async () => await loudness(alice, bob) < loud / 20);
  await bob.click("toggle-mic");
  await alice.seesAndHears(bob);
  await bob.click("toggle-camera");
  await until("Alice's page knows", async () => (await alice.received("status")).some(({ data }) => data?.camera === false));
  await bob.click("toggle-camera");
  await alice.seesAndHears(bob);
});

journey("two people of one name are told apart", async (scene) => {
  const first = await scene.person(browser, server, "Kim");
  const second = await scene.person(browser, server, "Kim");
  await first.join("namesakes");
  await second.join("namesakes");
  await first.seesTilesOf(second);
  await until("the second is Kim 2", async () => /Kim 2/.test(await first.page.$eval(handle("tile"), (tile) => tile.innerText)));
});

/** How much sound of `other` arrives, as energy per second over two seconds. @param {import("./harness.js").Person} one @param {import("./harness.js").Person} other */
async function loudness(one, other) {
  const [before, start] = [await one.media(other), Date.now()];
  await pause(2_000);
  return ((await one.media(other)).energy - before.energy) / (Date.now() - start) * 1_000;
}
