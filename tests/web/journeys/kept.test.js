// Rooms that are kept: found in the list, opened by passwords and invitations, changed and deleted, and as they were on return.

import assert from "node:assert/strict";
import { handle, onBothDatabases, until } from "./harness.js";

/** @typedef {import("./harness.js").Person} Person */

onBothDatabases("kept", (journey) => {
  journey("a room is made, found in the list without a reload, and opened by its password; its maker is host again on return", async (scene, server, { browser, other }) => {
    const ben = await scene.person(other, server, "Ben");
    const ann = await scene.person(browser, server, "Ann");
    await ben.page.goto(ben.address("/"));
    await ben.find("no-rooms");

    await creates(ann, "Garden", { password: "open sesame" });
    await ann.enter();
    await ann.find("room-settings");
    assert.ok(!ann.page.url().includes("#"), "no secret in the address");
    await until("Ben's list has the room, somebody in it, and its password's mark", async () => /Garden[^]*Needs a password[^]*1 of/.test(await listed(ben)));

    await ben.click("listed-room");
    await ben.find("name-input");
    await ben.knock();
    await ben.isTold(/opens with a password/);
    await ben.fill("password-input", "close sesame");
    await ben.click("join");
    await ben.isTold(/That password does not open this room/);
    assert.equal(await ben.page.$eval(handle("password-input"), (input) => input.getAttribute("aria-invalid")), "true", "said at the field");
    await ben.fill("password-input", "open sesame");
    await ben.click("join");
    await ben.isInside();
    await ann.seesAndHears(ben);
    assert.equal(await ben.shows("room-settings"), false, "whoever comes by the password is a guest");
    await ben.reload();

    await ann.leave();
    await ben.leave();
    await ann.join("Garden");
    await ann.find("room-settings");
  }, { essential: true });

  journey("the list of rooms is searched and read page by page, and a name is taken once", async (scene, server, { browser }) => {
    const ann = await scene.person(browser, server, "Ann");
    for (let n = 0; n < 23; n += 1) await makes(browser, server, { name: `Shelf ${String(n).padStart(2, "0")}`, listed: true });
    await makes(browser, server, { name: "Shelf hidden", listed: false });
    await makes(browser, server, { name: "Attic", listed: true });
    await ann.page.goto(ann.address("/"));
    await ann.find("room-list");
    await ann.fill("room-search", "shelf");
    await until("twenty of them and nothing else", async () => (await ann.page.$$(handle("listed-room"))).length === 20 && !/Attic/.test(await listed(ann)));
    await ann.click("more-rooms");
    await until("all of them", async () => (await ann.page.$$(handle("listed-room"))).length === 23);
    await ann.fill("room-search", "SHELF 07");
    await until("one of them", async () => (await ann.page.$$(handle("listed-room"))).length === 1);
    await ann.fill("room-search", "hidden");
    await ann.find("no-rooms");

    await ann.click("create-room");
    await ann.fill("create-name", "shelf 07");
    await ann.click("create-now");
    await ann.isTold(/A room of that name exists already/);
    await ann.fill("create-name", "Shelf 99");
    await ann.click("create-now");
    await until("Ann is led to its door", () => /\/r\/Shelf%2099/.test(ann.page.url()));
  });

  journey("a link that invites once opens the room past password and waiting room, for one person who may come back; a revoked one never", async (scene, server, { browser, other }) => {
    const ann = await scene.person(other, server, "Ann");
    const ben = await scene.person(browser, server, "Ben");
    const cay = await scene.person(browser, server, "Cay");
    await creates(ann, "Club", { password: "secret", waitingRoom: true });
    await ann.enter();
    const once = await invites(ann);
    assert.match(once, /#invite=/);

    await ben.page.goto(inEnglish(once));
    await ben.find("name-input");
    assert.ok(!ben.page.url().includes("invite"), "the secret is gone from the address bar");
    await ben.page.reload();
    await ben.enter();
    await ann.seesTilesOf(ben);
    await ben.reload();
    await ann.seesTilesOf(ben);
    await ben.leave();
    await ann.seesTilesOf();
    await ben.page.goto("about:blank");
    await ben.page.goto(inEnglish(once));
    await ben.enter();
    await ann.seesTilesOf(ben);

    await cay.page.goto(inEnglish(once));
    await cay.knock();
    await cay.isTold(/invitation opens nothing any more/);
    await cay.knock();
    await cay.isTold(/opens with a password/);

    const many = await invites(ann, { role: "host", uses: "any" });
    await ann.click("room-settings");
    await ann.click("open-invite");
    for (const left of [1, 0]) { // the used one too
      await ann.click("revoke");
      await until(`${left} are good`, async () => (await ann.page.$$(handle("revoke"))).length === left);
    }
    await ben.leave();
    await ben.page.goto("about:blank");
    await ben.page.goto(inEnglish(once));
    await ben.knock();
    await ben.isTold(/invitation opens nothing any more/);
    await cay.page.goto("about:blank");
    await cay.page.goto(inEnglish(many));
    await cay.knock();
    await cay.isTold(/invitation opens nothing any more/);
    await shuts(ann);

    const again = await invites(ann, { role: "host", uses: "any" });
    await cay.page.goto("about:blank");
    await cay.page.goto(inEnglish(again));
    await cay.enter();
    await cay.find("room-settings");
    // What stands behind the # stays in the browser.
    for (const person of [ann, ben, cay]) for (const url of person.asked) assert.ok(!url.split("#")[0]?.includes("invite="), "no secret was asked for in an address");
  }, { essential: true });

  journey("a rename, a new size and the end of a room reach everyone in it", async (scene, server, { browser }) => {
    const ann = await scene.person(browser, server, "Ann");
    const ben = await scene.person(browser, server, "Ben");
    await creates(ann, "Before", {});
    await ann.enter();
    await ben.join("Before");
    await opens(ann, "open-keeping");
    await ann.fill("keeping-name", "Afterwards");
    await ann.fill("keeping-password", "new secret");
    await ann.click("keeping-save");
    await ben.isTold(/This room is called Afterwards now/);
    await until("Ben's address is the new one", () => /\/r\/Afterwards\?/.test(ben.page.url()));
    await ben.reload();
    await ann.seesTilesOf(ben);
    await opens(ann, "open-keeping");
    await ann.fill("keeping-capacity", "2");
    await ann.click("keeping-save");
    await ben.isTold(/up to 2 people/);

    const cay = await scene.person(browser, server, "Cay");
    await cay.visit("Afterwards");
    await cay.knock();
    await cay.isTold(/This room is full|opens with a password/);
    await opens(ann, "open-keeping");
    await ann.click("delete-room");
    await ann.click("confirm-delete");
    await ben.isTold(/messages and files are gone/);
    assert.match(await ben.page.$eval("h1", (title) => title.textContent ?? ""), /This room was deleted/);
    await ann.isTold(/messages and files are gone/);
  });

  journey("somebody removed, not banned, may join again by a button", async (scene, server, { browser }) => {
    const ann = await scene.person(browser, server, "Ann");
    const ben = await scene.person(browser, server, "Ben");
    await ann.join("again");
    await ben.join("again");
    await ann.seesTilesOf(ben);
    await ann.page.click(".room-count");
    await ann.page.click(`${handle("participants")} [data-session="${ben.session}"] [aria-haspopup]`);
    await ann.click("remove");
    await ann.click("confirm-remove");
    await ben.isTold(/A host ended your visit/);
    await ben.page.click(".ended [data-kind=main]");
    await ben.enter();
    await ann.seesTilesOf(ben);
  });

  journey("after everyone has left, what was said is there for whoever returns", async (scene, server, { browser, other }) => {
    const ann = await scene.person(other, server, "Ann");
    await creates(ann, "Diary", {});
    await ann.enter();
    for (let n = 1; n <= 60; n += 1) await ann.say(`line ${n}`);
    await ann.reads(/line 60/);
    await ann.leave();
    const ben = await scene.person(browser, server, "Ben");
    await ben.join("Diary");
    await ben.openChat();
    await ben.reads(/line 60/);
    assert.ok(!/line 10\b/.test(await ben.textOf("chat-log")), "page by page");
    await ben.click("history-more");
    await ben.reads(/line 1\b[^]*line 2\b[^]*line 59[^]*line 60/);
    await until("there is no more", async () => !await ben.shows("history-more"));

    await ann.join("Diary");
    await ann.say("line 61");
    await ben.reads(/line 61/);
    await until("Ann is told that Ben has read it", async () => /Read by everyone/.test(await ann.textOf("read-by")));
  }, { essential: true });
});

/** Makes a room by the first page and stands before its door. @param {Person} person @param {string} name @param {{password?: string, waitingRoom?: boolean}} how */
async function creates(person, name, { password, waitingRoom }) {
  await person.page.goto(person.address("/"));
  await person.fill("name-input", person.name);
  await person.click("create-room");
  await person.fill("create-name", name);
  if (password) await person.fill("create-password", password);
  if (waitingRoom) await person.click("create-waiting");
  await person.click("create-now");
  await until(`${person.name} is led to the door of ${name}`, () => decodeURIComponent(new URL(person.page.url()).pathname) === `/r/${name}`);
  await person.seesItself();
}

/** Makes a room as a program would. @param {import("puppeteer-core").Browser} browser @param {import("./harness.js").Server} server @param {Record<string, unknown>} wanted */
async function makes(browser, server, wanted) {
  const page = await browser.newPage();
  try {
    await page.goto(`${server.origin}/healthz`);
    const status = await page.evaluate(async (body) => (await fetch("/api/v1/rooms", { method: "POST", headers: { "content-type": "application/json" }, body })).status, JSON.stringify(wanted));
    assert.equal(status, 201);
  } finally {
    await page.close();
  }
}

/** @param {Person} person */
const listed = (person) => person.textOf("room-list").catch(() => "");

/** Opens one of a kept room's dialogues. @param {Person} host @param {string} which */
async function opens(host, which) {
  await host.click("room-settings");
  await host.click(which);
}

/** Makes a link in the dialogue and closes it. @param {Person} host @param {{role?: string, uses?: string}} [how] @returns {Promise<string>} */
async function invites(host, { role = "guest", uses = "once" } = {}) {
  await opens(host, "open-invite");
  await host.find("invite-role");
  await host.page.select(handle("invite-role"), role);
  await host.page.select(handle("invite-uses"), uses);
  await host.click("invite-make");
  await host.find("invite-link");
  const link = await host.textOf("invite-link");
  await shuts(host);
  return link;
}

/** @param {Person} person */
async function shuts(person) {
  await person.page.keyboard.press("Escape");
  await until("the dialogue is gone", async () => await person.page.$("dialog") === null);
}

/** @param {string} link */
const inEnglish = (link) => link.replace("#", "?lang=en#");
