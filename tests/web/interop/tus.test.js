// tus' own client against this server: whole files, breaks, a server that was killed, and uploads thought better of.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import * as tus from "tus-js-client";
import { Server } from "../journeys/harness/server.js";
import { until } from "../journeys/harness/wait.js";
import { Member, ask, authority, keepRoom } from "./member.js";

const MIB = 1024 * 1024;
const ROOM = "/api/v1/rooms/tea/files";

/** @type {Server} */
let server;
/** @type {Member} */
let ann;

before(async () => {
  server = await Server.start({ name: "tus" });
  await keepRoom(server, "tea");
  ann = await Member.join(server, "tea", "Ann");
});

after(async () => {
  ann?.leave();
  assert.equal(await server?.stop(), 0, "the server ends well");
});

/**
 * An upload as a page makes one, and its end.
 * @param {Buffer} bytes
 * @param {Record<string, any>} [options]
 */
function upload(bytes, options = {}) {
  /** @type {{ upload: any, done: Promise<void> }} */
  const made = { upload: null, done: Promise.resolve() };
  made.done = new Promise((resolve, reject) => {
    made.upload = new tus.Upload(bytes, {
      endpoint: `${server.origin}${ROOM}`,
      headers: { Authorization: `Bearer ${ann.token}` },
      metadata: { filename: "Käse.bin", filetype: "application/x-test" },
      retryDelays: [100, 200, 400, 800, 1600],
      httpStack: new tus.DefaultHttpStack({ ca: authority(server) }),
      onSuccess: () => resolve(),
      onError: reject,
      ...options,
    });
  });
  return made;
}

/** @param {string} url @param {Buffer} bytes */
async function lies(url, bytes) {
  const answer = await ann.ask("GET", new URL(url).pathname);
  assert.equal(answer.status, 200);
  assert.ok(answer.body.equals(bytes), "what is fetched is what was sent");
}

test("what the server understands is what its documentation says", async () => {
  const answer = await ask(server, "OPTIONS", ROOM);
  assert.equal(answer.headers["tus-version"], "1.0.0");
  assert.deepEqual(String(answer.headers["tus-extension"]).split(",").sort(), ["creation", "creation-with-upload", "expiration", "termination"]);
});

for (const [name, options] of Object.entries({
  "at once": {},
  "in chunks": { chunkSize: 2 * MIB },
  "with its announcement": { uploadDataDuringCreation: true },
  "in chunks that begin with the announcement": { uploadDataDuringCreation: true, chunkSize: 3 * MIB },
})) {
  test(`a file is sent ${name}`, async () => {
    const bytes = randomBytes(7 * MIB + 17);
    const told = ann.heard.length;
    const sent = upload(bytes, options);
    sent.upload.start();
    await sent.done;
    await until("the room is told", () => ann.heard.slice(told).some(({ type, data }) => type === "file" && data.size === bytes.length));
    await lies(sent.upload.url, bytes);
  });
}

test("an upload that was stopped goes on where it was", async () => {
  const bytes = randomBytes(24 * MIB);
  let offset = 0;
  const sent = upload(bytes, { chunkSize: 6 * MIB, onChunkComplete: (/** @type {number} */ _, /** @type {number} */ accepted) => { offset = accepted; } });
  sent.upload.start();
  await until("some of it has arrived", () => offset > 0);
  await sent.upload.abort();
  const url = sent.upload.url;
  const before = offset;
  const answer = await ann.ask("HEAD", new URL(url).pathname, { headers: { "tus-resumable": "1.0.0" } });
  assert.ok(Number(answer.headers["upload-offset"]) >= before, "nothing acknowledged is lost");
  sent.upload.start();
  await sent.done;
  assert.equal(sent.upload.url, url, "it is the same upload");
  await lies(url, bytes);
});

test("an upload survives a server that is killed and a person who has to come back", async () => {
  const bytes = randomBytes(20 * MIB);
  let offset = 0;
  const first = upload(bytes, {
    chunkSize: 5 * MIB, retryDelays: null,
    onChunkComplete: (/** @type {number} */ _, /** @type {number} */ accepted) => { offset = accepted; },
  });
  const broken = assert.rejects(first.done);
  first.upload.start();
  await until("some of it has arrived", () => offset > 0);
  await server.kill();
  await broken;
  const url = first.upload.url;
  await server.restart();
  ann = await Member.join(server, "tea", "Ann");
  const second = upload(bytes, { uploadUrl: url });
  let begun = -1;
  second.upload.options.onProgress = (/** @type {number} */ sent) => { if (begun < 0) begun = sent; };
  second.upload.start();
  await second.done;
  assert.ok(begun >= offset, `it went on at ${begun}, of which ${offset} was acknowledged`);
  assert.equal(second.upload.url, url);
  await lies(url, bytes);
});

test("an upload that is thought better of is gone", async () => {
  const bytes = randomBytes(12 * MIB);
  let offset = 0;
  const sent = upload(bytes, { chunkSize: 5 * MIB, onChunkComplete: (/** @type {number} */ _, /** @type {number} */ accepted) => { offset = accepted; } });
  sent.upload.start();
  await until("some of it has arrived", () => offset > 0);
  await sent.upload.abort(true);
  const answer = await ann.ask("HEAD", new URL(sent.upload.url ?? `${server.origin}/gone`).pathname, { headers: { "tus-resumable": "1.0.0" } });
  assert.equal(answer.status, 404);
});

test("a file that is too large is refused without being sent", async () => {
  const sent = upload(Buffer.alloc(16), { uploadSize: 2 ** 31, retryDelays: null });
  sent.upload.start();
  await assert.rejects(sent.done, /413/);
});
