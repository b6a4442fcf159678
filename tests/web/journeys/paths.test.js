// The direct way between two people is missing, breaks, or deceives: the call then goes by this server's relay. Each person's
// browser has a network of its own, so what crosses between them can be refused for real.

import assert from "node:assert/strict";
import { after, before, beforeEach } from "node:test";
import { Server, chromium, journey, temporaryFolder, until } from "./harness.js";
import { Network, SERVER_ADDRESS } from "./harness/network.js";

/** @type {Network} */
let network;
/** @type {Server} */
let server;
/** @type {import("puppeteer-core").Browser[]} */
let browsers = [];

before(async () => {
  network = await Network.make();
  server = await Server.start({
    name: "paths", host: SERVER_ADDRESS, wrap: network.atRouter, only: true,
    flags: ["https", "http", "turn"].flatMap((what) => [`--${what}-listen`, `${SERVER_ADDRESS}:0`])
      .concat("--data-dir", temporaryFolder("data"), "--ssl-dir", temporaryFolder("ssl"), "--external-ip", SERVER_ADDRESS),
  });
  browsers = await Promise.all([chromium({ wrap: network.atHome(0) }), chromium({ wrap: network.atHome(1) })]);
});

beforeEach(() => network.open());

after(async () => {
  for (const browser of browsers) await browser.close();
  if (server) assert.equal(await server.stop(), 0, "the server ends well");
  network?.stop();
});

journey("no datagram passes between two people: the call comes up by the relay", async (scene) => {
  network.block();
  const [alice, bob] = await two(scene, "blocked");
  await seeAndHear(alice, bob);
  await goesBy("relay", alice, bob);
  assert(network.dropped > 0, "the direct way was tried, and was closed");
});

journey("the direct path breaks in the middle of a call: an ICE restart brings it back by the relay", async (scene) => {
  const [alice, bob] = await two(scene, "broken");
  await seeAndHear(alice, bob);
  await goesBy("host", alice, bob);
  assert.equal(network.dropped, 0);
  const before = await restarts(alice, bob);
  assert.equal(before, 0, "nobody has begun anew");
  network.block();
  await goesBy("relay", alice, bob);
  await seeAndHear(alice, bob);
  assert(await restarts(alice, bob) > 0, "by an ICE restart");
  assert(network.dropped > 0, "the direct path is closed");
  assert.equal((await alice.received("logout")).length, 0, "nobody was gone");
});

/** @param {Parameters<Parameters<typeof journey>[1]>[0]} scene @param {string} room */
async function two(scene, room) {
  const alice = await scene.person(/** @type {any} */ (browsers[0]), server, "Alice");
  const bob = await scene.person(/** @type {any} */ (browsers[1]), server, "Bob");
  await alice.join(room);
  await bob.join(room);
  return /** @type {const} */ ([alice, bob]);
}

/** @param {import("./harness.js").Person} alice @param {import("./harness.js").Person} bob */
const seeAndHear = (alice, bob) => Promise.all([alice.seesAndHears(bob), bob.seesAndHears(alice)]);

/** Both ends of the path in use are of this kind, as each person's browser knows it. @param {"host" | "relay"} kind @param {import("./harness.js").Person[]} people */
async function goesBy(kind, ...people) {
  for (const person of people) {
    await until(`${person.name}'s call goes by ${kind}`, async () => {
      const pairs = await person.pairs();
      const [pair] = pairs;
      if (pairs.length === 1 && pair.local.type === kind && pair.remote.type === kind) return true;
      throw new Error(JSON.stringify(pairs));
    });
  }
}

/** How often a connection was begun anew: offers with another ICE name than the first. @param {import("./harness.js").Person[]} people */
async function restarts(...people) {
  const offers = (await Promise.all(people.map((person) => person.sent("offer")))).flat();
  const names = new Set(offers.map((offer) => /^a=ice-ufrag:(\S+)/m.exec(offer.data.sdp)?.[1]));
  return names.size - 1;
}
