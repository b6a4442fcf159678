// Chromium and Firefox call each other, by the direct way and through each way of relaying. Certificates are checked for real here:
// an authority of this run alone is trusted by both browsers, so `turns:` is used as with a bought certificate.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { LOCAL_NAME, Server, TestAuthority, chromium, firefox, journey, until } from "./harness.js";

/** @type {Server} */
let server;
/** @type {import("puppeteer-core").Browser} */
let chrome;
/** @type {import("puppeteer-core").Browser} */
let fox;

before(async () => {
  const trust = new TestAuthority();
  server = await Server.start({ name: "firefox", host: LOCAL_NAME, sslDir: trust.certificate([LOCAL_NAME]), flags: ["--domain", LOCAL_NAME] });
  chrome = await chromium({ trust });
  fox = await firefox({ trust });
});

after(async () => {
  await fox?.close();
  await chrome?.close();
  assert.equal(await server?.stop(), 0, "the server ends well");
});

journey("Chromium first, Firefox second, the direct way", async (scene) => {
  await call(await scene.person(chrome, server, "Alice"), await scene.person(fox, server, "Bob"));
});

journey("Firefox first, Chromium second, the direct way", async (scene) => {
  await call(await scene.person(fox, server, "Alice"), await scene.person(chrome, server, "Bob"));
});

const WAYS = [
  { title: "UDP", url: () => `turn:${LOCAL_NAME}:${server.port("turn")}?transport=udp`, relayProtocol: "udp" },
  { title: "TCP", url: () => `turn:${LOCAL_NAME}:${server.port("https")}?transport=tcp`, relayProtocol: "tcp" },
  { title: "TLS", url: () => `turns:${LOCAL_NAME}:${server.port("https")}?transport=tcp`, relayProtocol: "tls" },
];

for (const { title, url, relayProtocol } of WAYS) {
  journey(`Chromium and Firefox through the relay, over ${title}`, async (scene) => {
    const how = { query: "relay=1", servers: new RegExp(`^${url().replace(/[.?]/g, "\\$&")}$`) };
    const alice = await scene.person(chrome, server, "Alice", how);
    const bob = await scene.person(fox, server, "Bob", how);
    await call(alice, bob);
    for (const person of [alice, bob]) {
      const [pair] = await until(`${person.name}'s pair in use is known`, async () => {
        const pairs = await person.pairs();
        return pairs.length > 0 && pairs;
      });
      assert.equal(pair.local.type, "relay");
      assert.equal(pair.local.relayProtocol, relayProtocol, `${person.name} relays over ${title}`);
    }
  });
}

/** @param {import("./harness.js").Person} first @param {import("./harness.js").Person} second */
async function call(first, second) {
  await first.join("browsers");
  await second.join("browsers");
  await first.seesAndHears(second);
  await second.seesAndHears(first);
  await first.say("from the first");
  await second.openChat();
  await second.reads(/from the first/);
  await second.say("from the second");
  await first.reads(/from the second/);
}
