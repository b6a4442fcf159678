// Memory while a large file is sent and fetched: one upload and one download of so many MiB, on a server of its own.
//
//     cargo build --release && npm ci --prefix tests/web
//     node tests/bench/upload.mjs [MiB]          1024 when nothing is said
//
// The figures are the server's resident memory before, the most during each direction, and after.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { request } from "node:https";
import { Server } from "../web/journeys/harness/server.js";
import { Member, authority, keepRoom } from "../web/interop/member.js";

const MIB = 1024 * 1024;
const size = Number(process.argv[2] ?? 1024) * MIB;
const TUS = { "tus-resumable": "1.0.0" };

const server = await Server.start({ name: "upload", flags: ["--upload-rate", "0", "--file-size", "64G", "--room-files", "64G", "--all-files", "64G"] });
let peak = 0;
const watch = setInterval(() => { peak = Math.max(peak, server.memory()); }, 50);
try {
  await keepRoom(server, "tea");
  const ann = await Member.join(server, "tea", "Ann");
  const before = server.memory();
  const made = await ann.ask("POST", "/api/v1/rooms/tea/files", { headers: { ...TUS, "upload-length": String(size) } });
  const path = String(made.headers.location);

  const upload = await measured(() => send(ann, path));
  const download = await measured(() => fetch(ann, path));
  if (upload.sha256 !== download.sha256) throw new Error("what was fetched is not what was sent");
  const mib = (/** @type {number} */ kib) => `${(kib / 1024).toFixed(0)} MiB`;
  console.log(`${size / MIB} MiB, memory ${mib(before)} before, ${mib(server.memory())} after`);
  for (const [name, { seconds, most }] of Object.entries({ upload, download })) {
    console.log(`  ${name.padEnd(8)} at most ${mib(most)}, ${(size / MIB / seconds).toFixed(0)} MiB/s`);
  }
  ann.leave();
} finally {
  clearInterval(watch);
  await server.stop();
}

/** @param {() => Promise<string>} run */
async function measured(run) {
  peak = 0;
  const start = performance.now();
  const sha256 = await run();
  return { sha256, seconds: (performance.now() - start) / 1000, most: peak };
}

/** @param {Member} member @param {string} method @param {string} path @param {Record<string, string>} headers */
function open(member, method, path, headers) {
  return request(new URL(path, server.origin), {
    method, ca: authority(server), agent: false, headers: { authorization: `Bearer ${member.token}`, ...headers },
  });
}

/** @param {Member} member @param {string} path */
async function send(member, path) {
  const digest = createHash("sha256");
  const asked = open(member, "PATCH", path, {
    ...TUS, "upload-offset": "0", "content-type": "application/offset+octet-stream", "content-length": String(size),
  });
  const answered = once(asked, "response");
  const part = Buffer.alloc(MIB);
  for (let at = 0; at < size; at += MIB) {
    part.fill((at / MIB) % 251);
    digest.update(part);
    // Taken at its word: the buffer is filled anew once it was written.
    await new Promise((resolve, reject) => asked.write(Buffer.from(part), (error) => (error ? reject(error) : resolve(null))));
  }
  asked.end();
  const [answer] = await answered;
  answer.resume();
  if (answer.statusCode !== 204) throw new Error(`the upload was answered by ${answer.statusCode}`);
  return digest.digest("hex");
}

/** @param {Member} member @param {string} path */
async function fetch(member, path) {
  const digest = createHash("sha256");
  const asked = open(member, "GET", path, {});
  asked.end();
  const [answer] = await once(asked, "response");
  for await (const part of answer) digest.update(part);
  return digest.digest("hex");
}
