// A second client that others wrote, aioice in Python, against this server's relay: to a peer, to each other, and as a whole
// ICE connection over relays alone, by every transport that it knows. Each test checks which transport was truly used.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { REPOSITORY } from "../web/journeys/harness/artifacts.js";
import { Server } from "../web/journeys/harness/server.js";
import { refuseStaleBinary } from "./binary.mjs";

const PYTHON = join(REPOSITORY, "target", "tools", "aioice", "bin", "python");
const CLIENT = join(REPOSITORY, "tests", "interop", "aioice_client.py");
const DEADLINE = 90_000;

/** @type {Server} */
let server;

before(async () => {
  refuseStaleBinary();
  if (!existsSync(PYTHON)) throw new Error(`${PYTHON} is missing: tests/run interop makes it`);
  server = await Server.start({ name: "aioice", flags: ["--relay-allow", "127.0.0.0/8", "--turn-user", "test:secret"] });
});

after(async () => {
  assert.equal(await server?.stop(), 0, "the server ends well");
});

/** @typedef {{ transport: "udp" | "tcp" | "tls", port: "turn" | "https", used: RegExp }} Way */

/** @type {Record<string, Way>} */
const WAYS = {
  "UDP": { transport: "udp", port: "turn", used: /^UDP$/ },
  "TCP on the TURN port": { transport: "tcp", port: "turn", used: /^TCP$/ },
  "TCP on the HTTPS port": { transport: "tcp", port: "https", used: /^TCP$/ },
  "TLS on the TURN port": { transport: "tls", port: "turn", used: /^TLSv1\.3$/ },
  "TLS on the HTTPS port": { transport: "tls", port: "https", used: /^TLSv1\.3$/ },
};

describe("aioice hears again what it sent to a peer", () => {
  for (const [title, way] of Object.entries(WAYS)) {
    test(`over ${title}`, { timeout: DEADLINE }, async () => {
      const { used, back } = await client([way]);
      assert.match(used[0], way.used);
      assert.equal(back, 55);
    });
  }
});

describe("two clients of aioice are joined, over their relays and as an ICE connection of relays alone", () => {
  const pairs = [["UDP", "UDP"], ["UDP", "TCP on the HTTPS port"], ["TCP on the TURN port", "TLS on the HTTPS port"], ["TLS on the TURN port", "UDP"]];
  for (const pair of pairs) {
    test(`over ${pair.join(" and ")}`, { timeout: DEADLINE }, async () => {
      const ways = pair.map((title) => WAYS[title]);
      const { used, back, kinds, over_ice: overIce } = await client(ways);
      ways.forEach((way, at) => assert.match(used[at], way.used));
      assert.equal(back, 110);
      assert.deepEqual(kinds, ["relay"]);
      assert.equal(overIce, 40);
    });
  }
});

/** @param {Way[]} ways @returns {Promise<{ used: string[], back: number, kinds?: string[], over_ice?: number }>} */
async function client(ways) {
  const args = [CLIENT, ...ways.map(({ transport, port }) => `${transport}:${server.port(port)}`)];
  const output = await new Promise((resolve, reject) => {
    execFile(PYTHON, args, { timeout: DEADLINE - 5_000 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${args.join(" ")}: ${error.message}\n${stdout}${stderr}`.slice(-3000)));
      else resolve(stdout);
    });
  });
  return JSON.parse(output);
}
