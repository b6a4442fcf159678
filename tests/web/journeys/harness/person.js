// One person in a browser: an own browser context, one page, and what a person does and sees there.

import assert from "node:assert/strict";
import { artifact, slug } from "./artifacts.js";
import { until } from "./wait.js";
import { inboundMedia, selectedPairs, watchPage } from "./watch.js";

/** A handle of the page's contract. @param {string} name */
export const handle = (name) => `[data-testid="${name}"]`;

/** Phones and laptops people really hold. */
export const SCREENS = {
  laptop: { width: 1280, height: 800 },
  phone: { width: 390, height: 844, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
};

/** Where sentences for the person appear. */
const SENTENCES = `[role="alert"], [role="status"], [aria-live], ${handle("banner")}`;

export class Person {
  /** @type {string[]} what went wrong in the page, in the browser's words */
  faults = [];
  /** @type {string[]} everything the page's console said */
  console = [];
  /** @type {Set<string>} the addresses the page asked for anything */
  asked = new Set();

  /**
   * @param {import("puppeteer-core").Browser} browser
   * @param {import("./server.js").Server} server
   * @param {string} name
   * @param {{ servers?: RegExp, query?: string, screen?: keyof typeof SCREENS, dark?: boolean }} [options] `servers`: only ICE servers matching it are used
   */
  static async open(browser, server, name, { servers, query = "", screen, dark } = {}) {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    if (screen) await page.setViewport(SCREENS[screen]);
    if (dark !== undefined) await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }]);
    await page.evaluateOnNewDocument(watchPage, { servers: servers?.source ?? null });
    return new Person(context, page, server, name, query);
  }

  /**
   * @param {import("puppeteer-core").BrowserContext} context
   * @param {import("puppeteer-core").Page} page
   * @param {import("./server.js").Server} server
   * @param {string} name
   * @param {string} query
   */
  constructor(context, page, server, name, query) {
    Object.assign(this, { context, page, server, name, query });
    this.context = context;
    this.page = page;
    this.server = server;
    this.name = name;
    this.query = query;
    page.on("pageerror", (error) => this.faults.push(String(error)));
    page.on("console", (message) => {
      this.console.push(`${message.type()}: ${message.text()}`);
      if (/content security policy|content-security-policy/i.test(message.text())) this.faults.push(message.text());
    });
    page.on("request", (request) => this.asked.add(request.url()));
  }

  /** The address of a path of this server, in English. @param {string} path */
  address(path) {
    return `${this.server.origin}${path}?lang=en${this.query ? `&${this.query}` : ""}`;
  }

  // --- what a person does -------------------------------------------------------------------------------------------------

  /** Opens a room's link and stays at its door. @param {string} room */
  async visit(room) {
    await this.page.goto(this.address(`/r/${encodeURIComponent(room)}`), { waitUntil: "load" });
    await this.find("name-input");
  }

  /** Opens the link, sees the own picture, says a name and enters. @param {string} room @param {{ camera?: boolean }} [options] */
  async join(room, { camera = true } = {}) {
    await this.visit(room);
    if (camera) await this.seesItself();
    await this.enter();
    return this;
  }

  /** Says a name and enters. */
  async enter() {
    await this.knock();
    await this.isInside();
  }

  /** Says a name and asks to enter, whatever comes of it. */
  async knock() {
    await this.fill("name-input", this.name);
    await this.click("join");
  }

  async isInside() {
    await until(`${this.name} is in the room`, () => this.shows("leave"));
    this.session = await until(`${this.name} was told a session id`, () => this.page.evaluate(() => globalThis.__watch.session));
  }

  async seesItself() {
    await until(`${this.name} sees the own picture`, () => this.page.$eval(handle("self-view"), (element) => {
      const video = element instanceof HTMLVideoElement ? element : element.querySelector("video");
      return (video?.videoWidth ?? 0) > 0;
    }));
  }

  /** Loads the page again and is in the room again, through the door if the page asks for that. */
  async reload() {
    await this.page.reload({ waitUntil: "load" });
    await until(`${this.name} is at the door or inside`, async () => await this.shows("leave") || await this.shows("join"));
    if (!await this.shows("leave")) {
      await this.seesItself();
      await this.enter();
    } else {
      await this.isInside();
    }
  }

  async leave() {
    await this.click("leave");
    await until(`${this.name} has left the room's page`, async () => !await this.shows("leave"));
  }

  /** @param {string} text */
  async say(text) {
    await this.openChat();
    await this.fill("chat-input", text);
    await this.click("chat-send");
  }

  async openChat() {
    if (!await this.shows("chat-input")) await this.click("open-chat");
    await this.find("chat-input");
  }

  /** @param {string} name */
  async click(name) {
    // By the keyboard's way, so that a phone's covered corner or an animation does not decide a test about something else.
    const element = await this.find(name);
    await element.evaluate((/** @type {HTMLElement} */ button) => button.click());
  }

  /** @param {string} name @param {string} text */
  async fill(name, text) {
    const element = await this.find(name);
    await element.focus();
    await element.evaluate((/** @type {HTMLInputElement} */ input) => input.select());
    await this.page.keyboard.press("Backspace");
    await element.type(text);
  }

  // --- what a person sees ---------------------------------------------------------------------------------------------------

  /** The visible element of that name, waited for. @param {string} name */
  async find(name) {
    const element = await this.page.waitForSelector(handle(name), { visible: true, timeout: 30_000 });
    assert(element, `${name} is on the page`);
    return element;
  }

  /** Whether the element of that name is there to be seen. @param {string} name @returns {Promise<boolean>} */
  async shows(name) {
    const element = await this.page.$(handle(name));
    return element !== null && element.isVisible();
  }

  /** The sessions whose pictures are shown. @returns {Promise<string[]>} */
  tiles(kind = "tile") {
    return this.page.$$eval(handle(kind), (tiles) => tiles.map((tile) => /** @type {HTMLElement} */ (tile).dataset.session ?? ""));
  }

  /** @param {Person[]} others */
  async seesTilesOf(...others) {
    const wanted = others.map((other) => other.session).sort().join();
    await until(`${this.name} sees the tiles of ${others.map((other) => other.name).join(" and ") || "nobody"}`,
      async () => (await this.tiles()).sort().join() === wanted);
  }

  /** Pictures and sound of `other` arrive, are shown, and go on arriving. @param {Person | { session: string, name: string }} other */
  async seesAndHears(other) {
    await this.sees(other);
    const before = await this.media(other);
    await until(`${this.name} hears ${other.name}`, async () => {
      const now = await this.media(other);
      return now.packets >= before.packets + 25 && now.energy > before.energy && now.audible;
    }).catch(async (error) => Promise.reject(new Error(`${error.message}: ${JSON.stringify(await this.media(other))}`)));
  }

  /** @param {Person | { session: string, name: string }} other @param {"tile" | "screen-tile"} [kind] */
  async sees(other, kind = "tile") {
    await until(`${this.name} has a ${kind} of ${other.name}`, async () => (await this.tiles(kind)).includes(/** @type {string} */ (other.session)));
    const before = await this.media(other, kind);
    await until(`${this.name} sees ${other.name} move`, async () => {
      const now = await this.media(other, kind);
      return now.frames >= before.frames + 10 && now.lit > 0.5 && now.playing;
    }).catch(async (error) => Promise.reject(new Error(`${error.message}: ${JSON.stringify(await this.media(other, kind))}`)));
  }

  /** @param {Person | { session: string }} other @param {"tile" | "screen-tile"} [kind] @returns {Promise<any>} */
  media(other, kind = "tile") {
    return this.page.evaluate(inboundMedia, /** @type {string} */ (other.session), kind);
  }

  /** The candidate pairs in use, one per open connection. @returns {Promise<any[]>} */
  pairs() {
    return this.page.evaluate(selectedPairs);
  }

  /** @param {RegExp} text */
  async reads(text) {
    await until(`${this.name} reads ${text} in the chat`, async () => text.test(await this.textOf("chat-log")));
  }

  /** @param {string} name @returns {Promise<string>} */
  textOf(name) {
    return this.page.$eval(handle(name), (element) => /** @type {HTMLElement} */ (element).innerText);
  }

  /** A sentence for the person, in one of the places made for that. @param {RegExp} pattern @returns {Promise<string>} */
  isTold(pattern) {
    return until(`${this.name} is told ${pattern}`, async () => (await this.sentences()).find((sentence) => pattern.test(sentence)));
  }

  /** @returns {Promise<string[]>} */
  sentences() {
    return this.page.$$eval(SENTENCES, (elements) => elements
      .filter((element) => element.checkVisibility?.() ?? true)
      .map((element) => /** @type {HTMLElement} */ (element).innerText.trim())
      .filter((text) => text !== ""));
  }

  /** What this page has been told, by type. @param {string} type @returns {Promise<any[]>} */
  received(type) {
    return this.page.evaluate((wanted) => globalThis.__watch.received.filter((/** @type {any} */ message) => message.type === wanted), type);
  }

  /** @param {string} type @returns {Promise<any[]>} */
  sent(type) {
    return this.page.evaluate((wanted) => globalThis.__watch.sent.filter((/** @type {any} */ message) => message.type === wanted), type);
  }

  /** @param {string} title */
  async picture(title) {
    await this.page.screenshot({ path: /** @type {`${string}.png`} */ (artifact("screens", `${slug(title)}.png`)) });
  }

  /** The page kept to its own rules: no fault, and nothing asked of anybody but this server. */
  behaved() {
    assert.deepEqual(this.faults, [], `${this.name}'s page has faults`);
    const strangers = [...this.asked].filter((url) => !url.startsWith(this.server.origin) && !/^(data|blob|about):/.test(url));
    assert.deepEqual(strangers, [], `${this.name}'s page asked others`);
  }

  async close() {
    await this.context.close().catch(() => {});
  }
}
