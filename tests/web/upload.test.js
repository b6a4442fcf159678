// Uploads against a small server of tus 1.0 that breaks off, forgets and refuses as it is told.

import assert from "node:assert/strict";
import { createServer, request as ask } from "node:http";
import { after, before, beforeEach, mock, test } from "node:test";
import { Upload, byXhr } from "./typed/upload.js";
import { Files, preview } from "./typed/files.js";

/** @type {{about: string, length: number, bytes: Buffer}[]} */
let uploads = [];
/** How the next requests go wrong, in turn. @type {{method: string, status?: number, cut?: number, body?: string}[]} */
let faults = [];
/** @type {string[]} */
let log = [];

const server = createServer((request, response) => {
  const { method = "", headers } = request;
  log.push(`${method} ${headers.authorization ?? ""}`);
  assert.equal(headers["tus-resumable"], "1.0.0");
  const at = faults.findIndex((fault) => fault.method === method);
  const [fault] = at < 0 ? [] : faults.splice(at, 1);
  const id = Number(request.url?.split("/").at(-1));
  const upload = uploads[id];
  if (fault?.status) {
    request.resume();
    response.writeHead(fault.status, { "content-type": "application/problem+json" }).end(fault.body ?? "");
  } else if (method === "POST") {
    uploads.push({ about: String(headers["upload-metadata"]), length: Number(headers["upload-length"]), bytes: Buffer.alloc(0) });
    response.writeHead(201, { location: `/files/${uploads.length - 1}` }).end();
  } else if (!upload) {
    response.writeHead(404).end();
  } else if (method === "HEAD") {
    response.writeHead(200, { "upload-offset": upload.bytes.length, "upload-length": upload.length }).end();
  } else if (method === "DELETE") {
    delete uploads[id];
    response.writeHead(204).end();
  } else {
    if (Number(headers["upload-offset"]) !== upload.bytes.length) {
      response.writeHead(409).end();
      return;
    }
    request.on("data", (part) => {
      upload.bytes = Buffer.concat([upload.bytes, part]);
      if (fault?.cut !== undefined && upload.bytes.length >= fault.cut) {
        upload.bytes = upload.bytes.subarray(0, fault.cut);
        request.socket.destroy();
      }
    });
    request.on("end", () => response.writeHead(204, { "upload-offset": upload.bytes.length }).end());
  }
});
/** @type {number} */
let port;

before(async () => {
  await new Promise((done) => server.listen(0, "127.0.0.1", () => done(null)));
  port = /** @type {import("node:net").AddressInfo} */ (server.address()).port;
});
after(() => server.close());
beforeEach(() => { uploads = []; faults = []; log = []; });

/** Node's own requests in the place of a browser's. @type {import("./typed/upload.js").Send} */
const send = async ({ method, url, headers, body, signal, onsent }) => {
  const bytes = body ? Buffer.from(await body.arrayBuffer()) : null;
  return new Promise((resolve) => {
    const none = () => resolve({ status: 0, header: () => null });
    const request = ask({ port, host: "127.0.0.1", method, path: url, headers: { ...headers, ...(bytes ? { "content-length": bytes.length } : {}) }, signal, agent: false }, (response) => {
      let text = "";
      response.on("data", (part) => { text += part; });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, header: (name) => /** @type {string | undefined} */ (response.headers[name]) ?? null, body: text }));
    });
    request.on("error", none);
    if (bytes) {
      request.write(bytes);
      onsent?.(bytes.length);
    }
    request.end();
  });
};

/** @param {Buffer} bytes @param {Partial<ConstructorParameters<typeof Upload>[0]>} [more] */
function uploadOf(bytes, more = {}) {
  /** @type {string[]} */
  const states = [];
  const upload = new Upload({
    file: new Blob([Uint8Array.from(bytes)]), endpoint: "/files", about: { filename: "käse.bin", filetype: "x/y" }, bearer: () => "seat", send, pause: () => 0,
    onchange: ({ state }) => states.at(-1) === state || states.push(state), ...more,
  });
  return { upload, states };
}
const BYTES = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));

test("a file arrives whole, with its name and type, shown by our seat", async () => {
  const { upload, states } = uploadOf(BYTES);
  await upload.start();
  assert.deepEqual(states, ["sending", "done"]);
  assert.ok(uploads[0]?.bytes.equals(BYTES));
  assert.equal(uploads[0]?.about, `filename ${Buffer.from("käse.bin").toString("base64")},filetype ${Buffer.from("x/y").toString("base64")}`);
  assert.ok(log.every((line) => line.endsWith("Bearer seat")));
});

test("an empty file needs no bytes", async () => {
  const { upload, states } = uploadOf(Buffer.alloc(0));
  await upload.start();
  assert.deepEqual([states, log.length], [["sending", "done"], 1]);
});

test("after a break it goes on where the server stands, and sends nothing twice", async () => {
  faults = [{ method: "PATCH", cut: 70_000 }, { method: "HEAD", status: 503 }, { method: "PATCH", cut: 200_000 }];
  const { upload, states } = uploadOf(BYTES);
  await upload.start();
  assert.ok(uploads[0]?.bytes.equals(BYTES));
  assert.equal(states.at(-1), "done");
  assert.deepEqual(log.map((line) => line.split(" ")[0]), ["POST", "PATCH", "HEAD", "HEAD", "PATCH", "HEAD", "PATCH"]);
});

test("what the server forgot is sent anew, once", async () => {
  faults = [{ method: "PATCH", status: 404 }];
  const { upload, states } = uploadOf(BYTES);
  await upload.start();
  assert.equal(states.at(-1), "done");
  assert.ok(uploads[1]?.bytes.equals(BYTES));
  faults = [1, 2, 3].map(() => ({ method: "PATCH", status: 404 }));
  const again = uploadOf(BYTES);
  await again.upload.start();
  assert.deepEqual([again.upload.progress.state, again.upload.progress.problem], ["failed", "notfound"]);
});

test("a refusal ends it, in a word the page has a sentence for", async () => {
  for (const [status, problem, body] of /** @type {[number, string, string?][]} */ ([[413, "filesize"], [415, "filetype"], [403, "forbidden"], [409, "space", '{"code":"full"}']])) {
    faults = [{ method: "POST", status, body }];
    const { upload } = uploadOf(BYTES);
    await upload.start();
    assert.deepEqual([upload.progress.state, upload.progress.problem], ["failed", problem]);
  }
});

test("a seat that is shown anew is shown at the next request", async () => {
  faults = [{ method: "PATCH", status: 401 }];
  let seats = 0;
  const { upload } = uploadOf(BYTES, { bearer: () => `seat${seats++}` });
  await upload.start();
  assert.equal(upload.progress.state, "done");
  assert.equal(new Set(log.map((line) => line.split("Bearer ")[1])).size, log.length);
});

test("whoever is on the way back to the seat is refused for now only", async () => {
  faults = [{ method: "PATCH", cut: 5 }, { method: "HEAD", status: 403 }];
  const { upload, states } = uploadOf(BYTES, { seated: () => log.filter((line) => line.startsWith("HEAD")).length !== 1 });
  await upload.start();
  assert.deepEqual(states, ["sending", "broken", "sending", "done"]);
  assert.ok(uploads[0]?.bytes.equals(BYTES));
});

test("a server that breaks off again and again is left alone in the end, until the person asks", async () => {
  faults = Array.from({ length: 30 }, () => ({ method: "POST", status: 503 }));
  const { upload } = uploadOf(BYTES);
  await upload.start();
  assert.equal(upload.progress.state, "failed");
  assert.equal(log.length, 21);
  faults = [];
  await upload.start();
  assert.equal(upload.progress.state, "done");
});

test("a file that cannot be read is given up at once", async () => {
  const file = new Blob(["gone"]);
  file.slice = () => /** @type {any} */ ({ size: 4, slice: file.slice, arrayBuffer: () => Promise.reject(new DOMException("gone", "NotReadableError")) });
  const { upload, states } = uploadOf(BYTES, { file, send: async (request) => (request.body ? { status: 0, header: () => null } : send(request)) });
  await upload.start();
  assert.deepEqual([states, upload.progress.problem], [["sending", "failed"], "unreadable"]);
  assert.deepEqual(log.length, 1);
});

test("a request on which nothing moves any more counts as broken off", async () => {
  /** @type {any} */
  let request;
  /** @type {any} */ (globalThis).XMLHttpRequest = class {
    upload = {};
    aborted = false;
    onabort = () => {};
    onloadend = () => {};
    constructor() { request = this; }
    open() {}
    setRequestHeader() {}
    send() {}
    abort() { this.aborted = true; this.onabort(); this.onloadend(); }
  };
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const sent = /** @type {number[]} */ ([]);
    const answer = byXhr({ method: "PATCH", url: "/files/1", headers: {}, body: new Blob(["x"]), signal: new AbortController().signal, onsent: (bytes) => sent.push(bytes) });
    mock.timers.tick(39_000);
    request.upload.onprogress({ loaded: 1 });
    mock.timers.tick(39_000);
    assert.deepEqual([request.aborted, sent], [false, [1]]);
    mock.timers.tick(1_000);
    assert.equal(request.aborted, true);
    assert.equal((await answer).status, 0);
  } finally {
    mock.timers.reset();
    delete (/** @type {any} */ (globalThis).XMLHttpRequest);
  }
});

test("what is cancelled stops, and the server forgets it", async () => {
  faults = [{ method: "PATCH", cut: 1000 }];
  const { upload } = uploadOf(BYTES, { pause: () => 60_000, onchange: ({ state }) => { if (state === "broken") setTimeout(() => void upload.cancel()); } });
  await upload.start();
  assert.equal(upload.progress.state, "cancelled");
  const late = Date.now() + 5_000;
  while (uploads[0] && Date.now() < late) await new Promise((done) => setTimeout(done, 5));
  assert.equal(uploads[0], undefined);
});

test("files go two at a time, in order, and each leaves the list when it is there", async () => {
  const files = new Files({ room: () => "Tea", bearer: () => "seat", api: /** @type {any} */ ({}), send });
  faults = [{ method: "POST", status: 413 }];
  files.share(["a", "b", "c", "d"].map((name) => new File([name], name)), { to: "ann", toName: "Ann" });
  assert.deepEqual(files.sending.value.map(({ waiting }) => waiting), [false, false, true, true]);
  const late = Date.now() + 5_000;
  while (files.sending.value.length > 1 && Date.now() < late) await new Promise((done) => setTimeout(done, 5));
  assert.deepEqual(files.sending.value.map(({ state, problem }) => [state, problem]), [["failed", "filesize"]]);
  assert.deepEqual(uploads.map(({ bytes }) => bytes.toString()).sort().length, 3);
  assert.match(uploads[0]?.about ?? "", new RegExp(`to ${Buffer.from("ann").toString("base64")}`));
});

test("of too many files at once the first go, and it is said that the rest does not", async () => {
  const files = new Files({ room: () => "Tea", bearer: () => "seat", api: /** @type {any} */ ({}), send });
  assert.equal(files.share(Array.from({ length: 51 }, (_, n) => new File(["x"], `${n}`))), false);
  assert.equal(files.sending.value.length, 50);
  const late = Date.now() + 5_000;
  while (files.sending.value.length > 0 && Date.now() < late) await new Promise((done) => setTimeout(done, 5));
  assert.deepEqual([files.sending.value.length, uploads.length], [0, 50]);
  assert.equal(files.share([new File(["x"], "x")]), true);
  files.stop();
});

test("who leaves takes back what is under way, with the seat still shown, and begins nothing else", async () => {
  let seat = "seat";
  /** @type {string[]} */
  const asked = [];
  const files = new Files({
    room: () => "Tea", bearer: () => seat, api: /** @type {any} */ ({}),
    send: ({ method, url, headers, signal }) => {
      asked.push(`${method} ${url} ${headers["authorization"] ?? ""}`);
      const location = `/files/${asked.length}`;
      if (method === "POST") return Promise.resolve({ status: 201, header: () => location });
      return new Promise((resolve) => signal.addEventListener("abort", () => resolve({ status: 0, header: () => null })));
    },
  });
  files.share(["a", "b", "c", "d"].map((name) => new File([name], name)));
  const late = Date.now() + 5_000;
  while (asked.length < 4 && Date.now() < late) await new Promise((done) => setTimeout(done, 5));
  files.stop();
  seat = "";
  await new Promise((done) => setTimeout(done, 20));
  assert.deepEqual(asked.slice(4), ["DELETE /files/1 Bearer seat", "DELETE /files/2 Bearer seat"]);
  assert.equal(files.sending.value.length, 0);
});

test("an address of a file is asked for once, and anew before its time is over", async () => {
  let asked = 0;
  let now = 0;
  const files = new Files({ room: () => "Tea", bearer: () => "seat", api: /** @type {any} */ ({ link: async () => `u${++asked}` }), now: () => now });
  const file = /** @type {any} */ ({ id: "1", url: "/api/v1/files/1" });
  assert.deepEqual(await Promise.all([files.link(file), files.link(file)]), ["u1", "u1"]);
  now = 4 * 60_000;
  assert.equal(await files.link(file), "u2");
  assert.equal(await files.renew(file), "u3");
});

test("only what browsers show safely is shown in place", () => {
  assert.deepEqual(["image/png", "video/mp4", "audio/ogg", "image/svg+xml", "text/html", "application/pdf", ""].map(preview), ["image", "video", "audio", "", "", "", ""]);
});
