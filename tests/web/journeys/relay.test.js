// The same call through this server's relay, over each transport; the candidates in use prove it.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Server, chromium, journey, until } from "./harness.js";

/** @type {Server} */
let server;
/** @type {import("puppeteer-core").Browser} */
let browser;

before(async () => {
  server = await Server.start({ name: "relay" });
  browser = await chromium();
});

after(async () => {
  await browser?.close();
  assert.equal(await server?.stop(), 0, "the server ends well");
});

const WAYS = [
  { title: "over UDP", protocol: "udp", listener: "turn" },
  { title: "over TCP on the HTTPS port", protocol: "tcp", listener: "https" },
  { title: "over TCP on the TURN port", protocol: "tcp", listener: "turn" },
];

for (const { title, protocol, listener } of WAYS) {
  journey(`a relay-only call ${title}`, async (scene) => {
    const url = `turn:127.0.0.1:${server.port(/** @type {"turn" | "https"} */ (listener))}?transport=${protocol}`;
    const how = { query: "relay=1", servers: new RegExp(`^${url.replace(/[.?]/g, "\\$&")}$`) };
    const alice = await scene.person(browser, server, "Alice", how);
    const bob = await scene.person(browser, server, "Bob", how);
    await alice.join("relayed");
    await bob.join("relayed");
    await alice.seesAndHears(bob);
    await bob.seesAndHears(alice);
    for (const person of [alice, bob]) {
      const [pair] = await until("the pair in use is known", async () => {
        const pairs = await person.pairs();
        return pairs.length > 0 && pairs;
      });
      assert.equal(pair.local.type, "relay");
      assert.equal(pair.remote.type, "relay");
      assert.equal(pair.local.relayProtocol, protocol);
      assert.equal(pair.local.url, url);
    }
  });
}

journey("a relay-only call without anything forced, three people", async (scene) => {
  const people = [];
  for (const name of ["Ann", "Ben", "Cho"]) {
    const person = await scene.person(browser, server, name, { query: "relay=1" });
    people.push(await person.join("mesh"));
  }
  for (const one of people) {
    for (const other of people) if (one !== other) await one.seesAndHears(other);
    for (const pair of await one.pairs()) assert.equal(pair.local.type, "relay");
  }
});

journey("the ICE servers given to the page are those of the contract", async (scene) => {
  const alice = await scene.person(browser, server, "Alice");
  await alice.join("servers");
  const [room] = await alice.received("room");
  const urls = room.data.iceServers.flatMap((/** @type {any} */ entry) => entry.urls);
  const [turn, https] = [server.port("turn"), server.port("https")];
  assert.deepEqual(urls, [
    `stun:127.0.0.1:${turn}`,
    `turn:127.0.0.1:${turn}?transport=udp`,
    `turn:127.0.0.1:${https}?transport=tcp`,
    `turn:127.0.0.1:${turn}?transport=tcp`,
  ]);
});
