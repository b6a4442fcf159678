// Screens are shown beside cameras, several at once; devices are changed in the middle of a call.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Server, chromium, handle, journey, until } from "./harness.js";

/** @type {Server} */
let server;
/** @type {import("puppeteer-core").Browser} */
let browser;

before(async () => {
  server = await Server.start({ name: "sharing" });
  // Chromium's second fake camera is a depth camera, whose pictures it cannot encode; the third is an ordinary one.
  browser = await chromium({ cameras: 3 });
});

after(async () => {
  await browser?.close();
  assert.equal(await server?.stop(), 0, "the server ends well");
});

journey("a shared screen is seen beside the camera, and gone when it ends", async (scene) => {
  const alice = await scene.person(browser, server, "Alice");
  const bob = await scene.person(browser, server, "Bob");
  await alice.join("screen");
  await bob.join("screen");
  await alice.seesAndHears(bob);
  await bob.click("share-screen");
  await alice.sees(bob, "screen-tile");
  await alice.seesAndHears(bob);
  const screen = await alice.media(bob, "screen-tile");
  const camera = await alice.media(bob);
  assert(screen.width > camera.width, `a screen of ${screen.width}, a camera of ${camera.width} pixels`);
  await bob.click("share-screen");
  await until("the screen is gone", async () => (await alice.tiles("screen-tile")).length === 0);
  await alice.seesAndHears(bob);
  await bob.click("share-screen");
  await alice.sees(bob, "screen-tile");
});

journey("two screens at once, and a newcomer sees both", async (scene) => {
  const alice = await scene.person(browser, server, "Alice");
  const bob = await scene.person(browser, server, "Bob");
  await alice.join("screens");
  await bob.join("screens");
  await alice.seesAndHears(bob);
  await alice.click("share-screen");
  await bob.sees(alice, "screen-tile");
  await bob.click("share-screen");
  await alice.sees(bob, "screen-tile");
  await bob.sees(alice, "screen-tile");
  const cho = await scene.person(browser, server, "Cho");
  await cho.join("screens");
  for (const other of [alice, bob]) {
    await cho.sees(other, "screen-tile");
    await cho.seesAndHears(other);
  }
  await cho.picture("two screens shared");
  await alice.leave();
  await until("only Bob's screen is left", async () => (await cho.tiles("screen-tile")).join() === bob.session);
});

for (const [label, kind] of [["Camera", "video"], ["Microphone", "audio"]]) {
  journey(`another ${label.toLowerCase()} is taken in the middle of a call, without a new offer`, async (scene) => {
    const alice = await scene.person(browser, server, "Alice");
    const bob = await scene.person(browser, server, "Bob");
    await alice.join(`devices ${kind}`);
    await bob.join(`devices ${kind}`);
    await alice.seesAndHears(bob);
    const before = await deviceInUse(bob, kind);
    const offers = (await alice.received("offer")).length + (await bob.received("offer")).length;
    const settings = await bob.page.waitForSelector('aria/Devices[role="button"]', { visible: true });
    await settings?.click();
    const choice = await bob.page.waitForSelector(`aria/${label}[role="combobox"]`, { visible: true });
    assert(choice, `there is a choice of ${label}`);
    const other = await until("another device is offered", () => choice.evaluate((select, used) =>
      [.../** @type {HTMLSelectElement} */ (select).options].map(({ value }) => value).filter((value) => value !== "" && value !== used).at(-1), before));
    await choice.select(other);
    await until(`${label} is the other one`, async () => await deviceInUse(bob, kind) === other);
    await bob.page.keyboard.press("Escape");
    await alice.seesAndHears(bob);
    assert.equal((await alice.received("offer")).length + (await bob.received("offer")).length, offers, "the track was replaced");
  });
}

/** What the page sends from: the device behind the first outgoing track of that kind. @param {import("./harness.js").Person} person @param {string} kind @returns {Promise<string | undefined>} */
function deviceInUse(person, kind) {
  return person.page.evaluate((wanted) => globalThis.__watch.connections
    .filter((connection) => connection.connectionState === "connected")
    .flatMap((connection) => connection.getSenders())
    .find((sender) => sender.track?.kind === wanted)?.track?.getSettings().deviceId, kind);
}

journey("a speaker chosen at the door and another during the call play everyone, newcomers too, and after a reload", async (scene) => {
  const alice = await scene.person(browser, server, "Alice");
  const bob = await scene.person(browser, server, "Bob");
  await bob.join("speakers");
  await alice.visit("speakers");
  await alice.seesItself();
  const first = await chooseSpeaker(alice, '.prejoin-devices summary');
  await alice.enter();
  await alice.seesAndHears(bob);
  await isHeardFrom(alice, first, bob);
  const second = await chooseSpeaker(alice, 'aria/Devices[role="button"]');
  assert.notEqual(second, first);
  await isHeardFrom(alice, second, bob);
  await alice.page.keyboard.press("Escape");
  const cho = await scene.person(browser, server, "Cho");
  await cho.join("speakers");
  for (const other of [bob, cho]) {
    await alice.seesAndHears(other);
    await isHeardFrom(alice, second, other);
  }
  await isHeardFrom(bob, "", alice);
  await alice.reload();
  for (const other of [bob, cho]) {
    await alice.seesAndHears(other);
    await isHeardFrom(alice, second, other);
  }
});

/** Takes a speaker other than the one chosen so far, and returns its id. @param {import("./harness.js").Person} person @param {string} opener shows the choice */
async function chooseSpeaker(person, opener) {
  const settings = await person.page.waitForSelector(opener, { visible: true });
  await settings?.click();
  const choice = await person.find("choose-speaker");
  const other = await until("another speaker is offered", () => choice.evaluate((element) => {
    const select = /** @type {HTMLSelectElement} */ (element);
    return [...select.options].map(({ value }) => value).find((value) => value !== "" && value !== select.value);
  }));
  await choice.select(other);
  return other;
}

/** What plays `other` uses that speaker; empty is the system's own choice. @param {import("./harness.js").Person} person @param {string} speaker @param {import("./harness.js").Person} other */
async function isHeardFrom(person, speaker, other) {
  await until(`${person.name} hears ${other.name} from the chosen speaker`, async () => {
    const used = await person.page.$eval(`${handle("tile")}[data-session="${other.session}"] video`, (video) => {
      const { sinkId, muted } = /** @type {HTMLVideoElement} */ (video);
      return { sinkId, muted };
    });
    if (used.sinkId === speaker && !used.muted) return true;
    throw new Error(JSON.stringify({ used, speaker }));
  });
}
