// Without a network the page still opens, and says why it can do nothing. Needs a trusted certificate, as service workers do.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { LOCAL_NAME, Server, TestAuthority, chromium, journey, until } from "./harness.js";

/** @type {Server} */
let server;
/** @type {import("puppeteer-core").Browser} */
let browser;

before(async () => {
  const trust = new TestAuthority();
  server = await Server.start({ name: "offline", host: LOCAL_NAME, sslDir: trust.certificate([LOCAL_NAME]), flags: ["--domain", LOCAL_NAME] });
  browser = await chromium({ trust });
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

journey("a page opened without the server says so, and works again when the server is back", async (scene) => {
  const alice = await scene.person(browser, server, "Alice");
  await alice.page.goto(alice.address("/"), { waitUntil: "load" });
  await until("the service worker is at work", () => alice.page.evaluate(async () => (await navigator.serviceWorker.ready).active?.state === "activated"));
  await server.kill();
  await alice.page.goto(alice.address("/r/tea"), { waitUntil: "load" });
  await until("Alice reads that she is offline", async () => /offline|connect|network/i.test(await alice.page.evaluate(() => document.body.innerText)));
  await alice.picture("offline");
  await server.restart();
  await alice.join("tea");
});
