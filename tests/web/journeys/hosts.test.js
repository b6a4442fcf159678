// What hosts do to people and rooms, and what these see of it.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { Server, chromium, handle, journey, until } from "./harness.js";

/** @typedef {import("./harness.js").Person} Person */
/** @type {Server} */
let server;
/** @type {import("puppeteer-core").Browser} */
let browser;

before(async () => {
  server = await Server.start({ name: "hosts" });
  browser = await chromium();
});

after(async () => {
  await browser?.close();
  assert.equal(await server?.stop(), 0, "the server ends well");
});

journey("a host mutes a guest, asks them to speak, makes them viewer and guest, and removes them", async (scene) => {
  const ann = await scene.person(browser, server, "Ann");
  const ben = await scene.person(browser, server, "Ben");
  await ann.join("acts");
  await ben.join("acts");
  await ann.seesAndHears(ben);

  await does(ann, ben, "mute-mic");
  await ben.isTold(/Ann turned your microphone off/);
  await until("Ann no longer hears Ben", async () => !(await ann.media(ben)).audible);
  await does(ann, ben, "unmute-mic");
  await ben.isTold(/Ann asks you to turn your microphone on/);
  assert.equal(await ben.page.$eval(handle("toggle-mic"), (button) => button.getAttribute("data-off")), "true", "nobody is turned on from afar");
  await ben.click("accept");
  await ann.seesAndHears(ben);

  await does(ann, ben, "make-viewer");
  await ben.isTold(/You are a viewer now/);
  for (const control of ["toggle-mic", "toggle-camera", "share-screen"]) await until(`Ben has no ${control}`, async () => !await ben.shows(control));
  await until("Ben's camera is off", () => ben.page.$eval(handle("self-view"), (video) => !(/** @type {HTMLVideoElement} */ (video).srcObject)?.getTracks?.().length));
  await does(ann, ben, "make-guest");
  await ben.click("toggle-camera");
  await ann.sees(ben);
  await ben.click("toggle-mic");

  await ben.click("share-screen");
  await ann.sees(ben, "screen-tile");
  await does(ann, ben, "mute-screen");
  await ben.isTold(/Ann stopped your screen sharing/);
  await until("the screen is gone", async () => (await ann.tiles("screen-tile")).length === 0);

  await does(ann, ben, "remove");
  await ann.click("ban");
  await ann.click("confirm-remove");
  await ben.isTold(/closed this room to you/);
  await ann.seesTilesOf();
  await ben.visit("acts");
  await ben.knock();
  await ben.isTold(/closed this room to you/);
});

journey("a locked room lets nobody in; in a waiting room a host decides", async (scene) => {
  const ann = await scene.person(browser, server, "Ann");
  const ben = await scene.person(browser, server, "Ben");
  await ann.join("door");
  await ann.page.click(handle("room-settings"));
  await ann.click("lock-room");
  await until("the switch is on", () => ann.page.$eval(handle("lock-room"), (input) => /** @type {HTMLInputElement} */ (input).checked));
  await ben.visit("door");
  await ben.seesItself();
  await ben.knock();
  await ben.isTold(/This room is locked/);

  await ann.click("policy-waitingRoom");
  await ann.click("lock-room");
  await until("the room waits at the door", () => ann.page.$$eval("[role=switch]", ([lock, waiting]) =>
    !(/** @type {HTMLInputElement} */ (lock).checked) && /** @type {HTMLInputElement} */ (waiting).checked));
  const focus = () => ann.page.evaluate(() => document.activeElement?.getAttribute("data-testid"));
  // Off the page, not only out of sight: what opens it again would come before what closes it.
  const closed = () => until("the dialogue is gone", async () => !await ann.page.$(handle("lock-room")));
  await ann.page.keyboard.press("Escape");
  await closed();
  await until("the focus is back where it came from", async () => await focus() === "room-settings");
  await ann.page.keyboard.press("Enter");
  await ann.find("lock-room");
  await ann.page.click(".dialog [data-kind=main]");
  await closed();
  await until("the focus is back again", async () => await focus() === "room-settings");

  await ben.knock();
  await ben.isTold(/has been told that you are here/);
  await ann.find("waiting-list");
  await ann.isTold(/Ben wants to come in/);
  await ann.click("deny");
  await ben.isTold(/did not let you in/);
  await until("nobody waits", async () => !await ann.shows("waiting-list"));

  await ben.knock();
  await ann.click("admit");
  await ben.isInside();
  await ann.seesAndHears(ben);
  await ben.seesAndHears(ann);
  assert.equal(await ben.shows("room-settings"), false, "guests have no settings of the room");
});

journey("a host turns everyone's microphone off, decides what people may do, and makes another one host", async (scene) => {
  const ann = await scene.person(browser, server, "Ann");
  const ben = await scene.person(browser, server, "Ben");
  await ann.join("rules");
  await ben.join("rules");
  await ann.seesAndHears(ben);

  await ann.click("room-settings");
  await ann.click("mute-all");
  await ben.isTold(/Ann turned your microphone off/);
  await until("Ann no longer hears Ben", async () => !(await ann.media(ben)).audible);
  await ann.click("policy-unmute");
  await until("Ben knows that", async () => (await ben.received("policy")).at(-1)?.data.unmute === false);
  await ben.click("toggle-mic");
  await ben.isTold(/A host must let you turn that on/);
  assert.equal(await ben.page.$eval(handle("toggle-mic"), (button) => button.getAttribute("data-off")), "true", "nobody speaks who was not let");

  await ben.openChat();
  await ann.click("policy-chat");
  await until("Ben cannot write any more", async () => !await ben.shows("chat-input"));
  assert.match(await ben.page.$eval(".chat-off", (note) => /** @type {HTMLElement} */ (note).innerText), /A host has turned off writing/);
  await ann.click("policy-screen");
  await until("Ben cannot share a screen", () => ben.page.$eval(handle("share-screen"), (button) => button.ariaDisabled === "true"));
  await closes(ann);
  await ann.say("Only hosts write here");
  await ben.reads(/Only hosts write here/);

  await does(ann, ben, "unmute-mic");
  await ben.isTold(/Ann asks you to turn your microphone on/);
  await ben.click("accept");
  await ann.seesAndHears(ben);
  await does(ann, ben, "mute-camera");
  await ben.isTold(/Ann turned your camera off/);
  await until("Ben's picture is gone", () => ann.page.$eval(`${handle("tile")}[data-session="${ben.session}"]`, (tile) => /** @type {HTMLElement} */ (tile).dataset.camera === "false"));

  await does(ann, ben, "make-host");
  await ben.isTold(/You are a host now/);
  await ben.click("toggle-camera");
  await ann.sees(ben);
  await does(ben, ann, "make-guest");
  await ann.isTold(/You take part as a guest now/);
  assert.equal(await ann.shows("room-settings"), false, "who is no host has no settings of the room");
  await ben.click("room-settings");
  await ben.click("policy-chat");
  await closes(ben);
  await ann.say("Thank you");
  await ben.openChat();
  await ben.reads(/Thank you/);
});

/** Closes the room's settings. @param {Person} host */
async function closes(host) {
  await host.page.click(".dialog [data-kind=main]");
  await until("the dialogue is gone", async () => !await host.page.$(handle("lock-room")));
}

/** Opens the menu on a person and chooses. @param {Person} host @param {Person} person @param {string} act */
async function does(host, person, act) {
  const list = await host.page.$(handle("participants"));
  if (!await list?.isVisible()) await host.page.click(".room-count");
  const button = `${handle("participants")} [data-session="${person.session}"] [aria-haspopup]`;
  await until("what there is to do has come", async () => {
    await host.page.waitForSelector(button, { visible: true });
    await host.page.click(button);
    if (await host.shows(act)) return true;
    await host.page.keyboard.press("Escape");
    return false;
  });
  await host.page.click(handle(act));
}
