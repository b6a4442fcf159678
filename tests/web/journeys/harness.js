// What every journey needs: people in browsers around one server, and a picture of what went wrong.
//
// A journey is a test in the words of the people in it. Each is bounded in time; when it fails, each person's page, console and
// messages are kept under target/test-artifacts/, beside the server's log.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { artifact, slug } from "./harness/artifacts.js";
import { chromium, firefox } from "./harness/browser.js";
import { Person } from "./harness/person.js";
import { Postgres } from "./harness/postgres.js";
import { Server } from "./harness/server.js";
import { pause } from "./harness/wait.js";

export { LOCAL_NAME, TestAuthority, chromium, firefox } from "./harness/browser.js";
export { Person, handle } from "./harness/person.js";
export { Postgres } from "./harness/postgres.js";
export { BINARY, Server, temporaryFolder } from "./harness/server.js";
export { pause, until } from "./harness/wait.js";

/** A journey that takes longer hangs, in milliseconds. */
const DEADLINE = 150_000;

/** The people of one journey, and what closes with it. */
class Scene {
  /** @type {Person[]} */
  people = [];
  /** @type {(() => unknown)[]} */
  endings = [];

  /** @param {Parameters<typeof Person.open>} how */
  async person(...how) {
    const person = await Person.open(...how);
    this.people.push(person);
    return person;
  }

  /** Something to stop when the journey is over, whatever comes of it. @template {{ stop(): unknown } | { close(): unknown }} T @param {T} thing @returns {T} */
  own(thing) {
    this.endings.unshift(() => ("stop" in thing ? thing.stop() : thing.close()));
    return thing;
  }

  /** @param {string} title @param {unknown} error */
  async keepEvidence(title, error) {
    for (const person of this.people) {
      const path = artifact("failures", `${slug(title)}-${slug(person.name)}`);
      await Promise.race([person.page.screenshot({ path: `${path}.png` }).catch(() => {}), pause(5_000)]);
      const messages = await Promise.race([
        person.page.evaluate(() => ({ sent: globalThis.__watch?.sent, received: globalThis.__watch?.received })).catch(() => null),
        pause(5_000),
      ]);
      const pairs = await Promise.race([person.pairs().catch(() => null), pause(5_000)]);
      writeFileSync(`${path}.log`, [String(error instanceof Error ? error.stack : error), "", person.page.url(), ...person.console, ...person.faults,
        JSON.stringify(pairs), JSON.stringify(messages, null, 1)].join("\n"));
    }
  }

  async end() {
    for (const person of this.people) await Promise.race([person.close(), pause(10_000)]);
    for (const ending of this.endings) await ending();
  }
}

/**
 * @param {string} title a sentence
 * @param {(scene: Scene) => Promise<void>} story
 */
export function journey(title, story) {
  test(title, { timeout: DEADLINE + 60_000 }, async () => {
    const scene = new Scene();
    /** @type {NodeJS.Timeout | undefined} */
    let clock;
    try {
      await Promise.race([
        story(scene),
        new Promise((_, reject) => { clock = setTimeout(reject, DEADLINE, new Error(`the journey was not over after ${DEADLINE / 1000} s`)); }),
      ]);
      for (const person of scene.people) person.behaved();
    } catch (error) {
      await scene.keepEvidence(title, error);
      throw error;
    } finally {
      clearTimeout(clock);
      await scene.end();
    }
  });
}

/**
 * @typedef {{browser: import("puppeteer-core").Browser, other: import("puppeteer-core").Browser}} Browsers `browser` is the one the journey
 *   is about, `other` for who is there beside it: always Chromium
 * @typedef {(scene: Scene, server: Server, browsers: Browsers) => Promise<void>} Story
 */

/**
 * The same journeys on either database: each in a server of its own, all of one database in the same. What is `essential` is told once
 * more with Firefox: on SQLite alone, as no browser sees which database it is.
 * @param {string} name
 * @param {(journey: (title: string, story: Story, how?: {essential?: boolean}) => void) => void} tell
 */
export function onBothDatabases(name, tell) {
  /** @type {import("puppeteer-core").Browser} */
  let chrome;
  before(async () => {
    chrome = await chromium();
  });
  after(async () => {
    await chrome?.close();
  });
  for (const [database, product] of [["SQLite", "Chromium"], ["PostgreSQL", "Chromium"], ["SQLite", "Firefox"]]) {
    describe(`on ${database}, in ${product}`, { concurrency: 1 }, () => {
      /** @type {import("puppeteer-core").Browser | undefined} */
      let fox;
      /** @type {Postgres | undefined} */
      let postgres;
      /** @type {Server} */
      let server;
      before(async () => {
        if (product === "Firefox") fox = await firefox();
        if (database === "PostgreSQL") postgres = await Postgres.start();
        server = await Server.start({ name: `${name}-${database}-${product}`, flags: ["--rooms-per-hour", "500", ...(postgres ? ["--database-url", postgres.database("journeys")] : [])] });
      });
      after(async () => {
        await fox?.close();
        const status = await server?.stop();
        await postgres?.stop();
        assert.equal(status, 0, "the server ends well");
      });
      tell((title, story, { essential = false } = {}) => {
        if (product === "Chromium" || essential) journey(title, (scene) => story(scene, server, { browser: fox ?? chrome, other: chrome }));
      });
    });
  }
}
