// Files in an S3-compatible bucket of a server that others wrote (s3s-fs), which checks signatures.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { createServer, connect } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { REPOSITORY } from "../journeys/harness/artifacts.js";
import { Server, temporaryFolder } from "../journeys/harness/server.js";
import { until } from "../journeys/harness/wait.js";
import { Member, keepRoom } from "./member.js";

const S3S = process.env.S3S_FS ?? join(REPOSITORY, "target", "tools", "bin", "s3s-fs");
const MIB = 1024 * 1024;
const TUS = { "tus-resumable": "1.0.0" };

const folder = temporaryFolder("s3");
const bucket = join(folder, "calls");
/** @type {import("node:child_process").ChildProcess} */
let store;
/** @type {Server} */
let server;
/** @type {Member} */
let ann;

before(async () => {
  assert.ok(existsSync(S3S), `${S3S} is missing: tests/run installs it`);
  mkdirSync(bucket);
  const port = await freePort();
  store = spawn("setpriv", ["--pdeathsig", "KILL", "--", S3S, "--host", "127.0.0.1", "--port", String(port),
    "--access-key", "key", "--secret-key", "a/secret+", folder], { stdio: "ignore" });
  await until("the bucket's server answers", () => answers(port));
  server = await Server.start({ name: "s3", env: { TURNSTONE_FILES_URL: `http://key:a%2Fsecret+@127.0.0.1:${port}/calls/turnstone` } });
  await keepRoom(server, "tea");
  ann = await Member.join(server, "tea", "Ann");
});

after(async () => {
  ann?.leave();
  const status = await server?.stop();
  store?.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
  assert.equal(status, 0, "the server ends well");
});

const objects = () => readdirSync(bucket, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
const sha256 = (/** @type {Buffer} */ bytes) => createHash("sha256").update(bytes).digest("hex");

test("a file is sent, fetched in part and whole, and deleted, in a bucket", async () => {
  const bytes = randomBytes(9 * MIB + 5);
  const metadata = `filename ${Buffer.from("a.bin").toString("base64")}`;
  const made = await ann.ask("POST", "/api/v1/rooms/tea/files", {
    headers: { ...TUS, "upload-length": String(bytes.length), "upload-metadata": metadata },
  });
  assert.equal(made.status, 201, String(made.body));
  const path = String(made.headers.location);
  for (const [start, end] of [[0, 5 * MIB + 1], [5 * MIB + 1, bytes.length]]) {
    const answer = await ann.ask("PATCH", path, {
      headers: { ...TUS, "upload-offset": String(start), "content-type": "application/offset+octet-stream" },
      body: /** @type {any} */ (bytes.subarray(start, end)),
    });
    assert.equal(answer.status, 204, String(answer.body));
  }
  assert.equal(objects().filter((entry) => join(entry.parentPath).includes("turnstone")).length, 4, "its pieces lie in the bucket, under the prefix");
  assert.ok(!existsSync(join(server.folder, "files")), "and not in the data directory");
  const whole = await ann.ask("GET", path);
  assert.equal(sha256(whole.body), sha256(bytes));
  assert.equal(whole.headers.etag, `"${sha256(bytes)}"`);
  const part = await ann.ask("GET", path, { headers: { range: `bytes=${4 * MIB - 3}-${5 * MIB + 8}` } });
  assert.equal(part.status, 206);
  assert.ok(part.body.equals(bytes.subarray(4 * MIB - 3, 5 * MIB + 9)));
  assert.equal((await ann.ask("DELETE", path, { headers: TUS })).status, 204);
  await until("the pieces are gone", () => objects().length === 0);
});

test("a bucket that does not answer is told as such, and the server goes on", async () => {
  store.kill("SIGSTOP");
  store.kill("SIGKILL");
  await once(store, "exit");
  const made = await ann.ask("POST", "/api/v1/rooms/tea/files", { headers: { ...TUS, "upload-length": "3" } });
  assert.equal(made.status, 201, "what is announced is in the database");
  const answer = await ann.ask("PATCH", String(made.headers.location), {
    headers: { ...TUS, "upload-offset": "0", "content-type": "application/offset+octet-stream" }, body: "abc",
  });
  assert.equal(answer.status, 503);
  const head = await ann.ask("HEAD", String(made.headers.location), { headers: TUS });
  assert.equal(head.headers["upload-offset"], "0", "nothing was acknowledged");
});

/** @returns {Promise<number>} */
async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (probe.address());
  probe.close();
  await once(probe, "close");
  return port;
}

/** @param {number} port @returns {Promise<boolean>} */
const answers = (port) => new Promise((resolve) => {
  const socket = connect(port, "127.0.0.1", () => { socket.destroy(); resolve(true); });
  socket.on("error", () => resolve(false));
});
