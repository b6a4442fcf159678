// The direct way between two people is missing, breaks, or deceives: the call then goes by this server's relay. Each person's
// browser has a network of its own, so what crosses between them can be refused for real.

import assert from "node:assert/strict";
import { after, before, beforeEach } from "node:test";
import { Server, chromium, journey, temporaryFolder, until } from "./harness.js";
import { Network, SERVER_ADDRESS } from "./harness/network.js";

/** More than any connectivity check has, and less than the flights of a DTLS handshake, with the IP header, in bytes. */
const CHECKS_ONLY = 400;

/** Relays over UDP only: one over TCP would not notice when no datagram reaches the server. */
const OVER_UDP = { servers: /^stun:|transport=udp$/ };

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

journey("the direct path breaks in the middle of a call: media comes back by the relay, and by an ICE restart when all is silent", async (scene) => {
  const [alice, bob] = await two(scene, "broken", OVER_UDP);
  await seeAndHear(alice, bob);
  await goesBy("host", alice, bob);
  assert.equal(network.dropped, 0);
  network.block();
  await goesBy("relay", alice, bob);
  await seeAndHear(alice, bob);
  assert(network.dropped > 0, "the direct path is closed");
  const before = await iceNames(alice, bob);
  network.silence();
  await until("an ICE restart is offered", async () => (await iceNames(alice, bob)).size > before.size);
  network.block();
  await goesBy("relay", alice, bob);
  await seeAndHear(alice, bob);
  for (const person of [alice, bob]) {
    for (const { local } of await person.pairs()) assert(!before.has(local.ufrag), `${person.name} uses a path of the restart`);
    assert.equal((await person.received("logout")).length, 0, "nobody was gone");
  }
});

journey("the direct path passes connectivity checks and no handshake: relays alone are tried, and carry the call", async (scene) => {
  // No relay before the direct path has passed its checks, lest the handshake go by the relay on a slow moment.
  network.narrow(CHECKS_ONLY, { server: false });
  const [alice, bob] = await two(scene, "narrow", OVER_UDP);
  for (const person of [alice, bob]) {
    await until(`the direct path has passed ${person.name}'s checks`, () => person.page.evaluate(() => globalThis.__watch.connections
      .some(({ iceConnectionState, connectionState }) => iceConnectionState === "connected" && connectionState === "connecting")));
  }
  await until("the handshake is tried on the direct path, in vain", () => network.dropped > 0);
  network.narrow(CHECKS_ONLY);
  await seeAndHear(alice, bob);
  await goesBy("relay", alice, bob);
  const policies = (await Promise.all([alice, bob].map((person) => person.page.evaluate(() => globalThis.__watch.connections
    .map((connection) => connection.getConfiguration().iceTransportPolicy))))).flat();
  assert(policies.includes("relay"), `relays alone, not by ICE's own choice: ${policies}`);
});

/** How a path that has carried a call may deceive: ICE goes on being content with it. */
const DECEPTIONS = [
  { title: "lets nothing but connectivity checks through any more", room: "hollow", begin: () => network.hollow() },
  { title: "lets only what is small through any more, sound and no pictures", room: "narrowed", begin: () => network.narrow(CHECKS_ONLY) },
];

for (const { title, room, begin } of DECEPTIONS) {
  journey(`the direct path ${title}: the call moves to the relay`, async (scene) => {
    const [alice, bob] = await two(scene, room);
    await seeAndHear(alice, bob);
    await goesBy("host", alice, bob);
    const before = await iceNames(alice, bob);
    begin();
    await goesBy("relay", alice, bob);
    await seeAndHear(alice, bob);
    assert(network.dropped > 0, "the direct path deceives");
    for (const person of [alice, bob]) {
      for (const { local } of await person.pairs()) assert(!before.has(local.ufrag), `${person.name}'s connection is another`);
      const [first] = await person.page.evaluate(() => globalThis.__watch.states);
      assert(first.includes("connected") && !first.includes("disconnected") && !first.includes("failed"), `ICE was content with the path: ${first}`);
      assert.equal((await person.received("logout")).length, 0, "nobody was gone");
    }
  });
}

/** @param {Parameters<Parameters<typeof journey>[1]>[0]} scene @param {string} room @param {{ servers?: RegExp }} [how] */
async function two(scene, room, how) {
  const alice = await scene.person(/** @type {any} */ (browsers[0]), server, "Alice", how);
  const bob = await scene.person(/** @type {any} */ (browsers[1]), server, "Bob", how);
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

/** The names ICE goes by in all descriptions so far; a restart brings new ones. @param {import("./harness.js").Person[]} people */
async function iceNames(...people) {
  const messages = (await Promise.all(people.flatMap((person) => [person.sent("offer"), person.sent("answer")]))).flat();
  return new Set(messages.map(({ data }) => /^a=ice-ufrag:(\S+)/m.exec(data.sdp)?.[1]));
}
