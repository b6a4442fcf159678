// Nonsense from strangers, on every door: WebSocket frames, TLS, plain TCP, UDP. Afterwards the server still serves, relays, and
// has its memory back. The seed is printed, so that a failure can be repeated: TURNSTONE_SEED, TURNSTONE_MALFORMED (how many).

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { request } from "node:https";
import { connect as connectTcp } from "node:net";
import { after, before, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { WebSocket } from "../web/node_modules/ws/wrapper.mjs";
import { Server } from "../web/journeys/harness/server.js";
import { pause, until } from "../web/journeys/harness/wait.js";
import { allocate, stunRequest } from "./stun.mjs";

const SEED = Number(process.env.TURNSTONE_SEED ?? 20240611);
const TOTAL = Number(process.env.TURNSTONE_MALFORMED ?? 30_000);

/** How much of the total goes where. */
const SHARES = { udp: 0.5, webSocket: 0.3, tcp: 0.1, tls: 0.1 };

/** What a process of some 10 MiB may hold more or less of without having lost any: the allocator keeps an arena per thread, in KiB. */
const ALLOCATOR_NOISE = 2_048;

/** Faults a server takes on one socket before it closes it are 20; a few more are sent to see it do so. */
const FRAMES_PER_SOCKET = 30;
const CHUNKS_PER_STREAM = 5;
const AT_ONCE = 16;

/** @type {Server} */
let server;

before(async () => {
  server = await Server.start({ name: "malformed", flags: ["--turn-user", "test:secret"] });
  console.log(`seed ${SEED}, ${TOTAL} malformed frames and datagrams`);
});

after(async () => {
  assert.equal(await server?.stop(), 0, "the server ends well");
});

test("malformed frames and datagrams leave the server serving, and cost no memory", { timeout: 280_000 }, async () => {
  // What a server needs once (buffers, threads, tables of fixed size) is not a leak: a storm as large has passed before the first look.
  await storm(random(SEED + 1), TOTAL);
  await serves();
  await quiet();
  const start = server.memory();
  const told = server.errors.length;

  await storm(random(SEED), TOTAL);
  await serves();
  let now = 0;
  await until(`memory is back near ${start} KiB`, () => (now = server.memory()) <= Math.max(start * 1.1, start + ALLOCATOR_NOISE), 60_000)
    .catch(() => assert.fail(`memory went from ${start} to ${now} KiB`));
  console.log(`resident memory: ${start} KiB before, ${now} KiB after`);
  const lines = server.errors.slice(told);
  assert.deepEqual(lines.filter((line) => /panic/i.test(line)), []);
  assert(lines.length < TOTAL / 100, `a stranger's fault is no news: ${lines.length} lines in the log, such as ${lines[0]}`);
});

/** Every door still opens for those who behave. */
async function serves() {
  const status = await new Promise((resolve, reject) => {
    request(`${server.origin}/healthz`, { rejectUnauthorized: false, agent: false }, (response) => { response.resume(); resolve(response.statusCode); }).on("error", reject).end();
  });
  assert.equal(status, 200);
  const one = await login("One");
  const two = await login("Two");
  two.socket.send(JSON.stringify({ type: "chat", data: { id: "1", text: "still here" } }));
  await until("chat arrives", () => one.received.some(({ type, data }) => type === "chat" && data.text === "still here"));
  one.socket.close();
  two.socket.close();
  for (const transport of /** @type {const} */ (["udp", "tcp", "tls"])) {
    const port = server.port(transport === "udp" ? "turn" : "https");
    const relayed = await allocate({ transport, port, username: "test", password: "secret" });
    assert.equal(relayed.address, "127.0.0.1", `an allocation over ${transport}`);
    // Two clients of this server reach each other whatever addresses are refused.
    const other = await allocate({ transport: "udp", port: server.port("turn"), username: "test", password: "secret" });
    await relayed.permit(other);
    await other.permit(relayed);
    await until("a payload goes from relay to relay", async () => {
      await relayed.send(other, Buffer.from("through"));
      return (await other.receive(300))?.toString() === "through";
    });
    await relayed.close();
    await other.close();
  }
}

/** @param {string} name */
async function login(name) {
  const socket = new WebSocket(`wss://127.0.0.1:${server.port("https")}/ws`, { rejectUnauthorized: false });
  /** @type {any[]} */
  const received = [];
  socket.on("message", (/** @type {any} */ text) => received.push(JSON.parse(String(text))));
  await once(socket, "open");
  socket.send(JSON.stringify({ type: "login", from: "", to: "", data: { roomrequest: "after the storm", username: name } }));
  await until(`${name} is in`, () => received.some(({ type }) => type === "joined"));
  return { socket, received };
}

/** Time for what is closed to be cleared. */
async function quiet() {
  let last = -1;
  await until("memory stands still", async () => {
    const now = server.memory();
    const still = now === last;
    last = now;
    await pause(1_000);
    return still;
  }, 30_000);
}

/** @param {Random} next @param {number} count */
async function storm(next, count) {
  await udp(next, count * SHARES.udp);
  await webSockets(next, count * SHARES.webSocket);
  await streams(next, count * SHARES.tcp, () => connectTcp(next.below(2) ? server.port("https") : server.port("turn"), "127.0.0.1"));
  await streams(next, count * SHARES.tls, () => connectTls({ port: next.below(2) ? server.port("https") : server.port("turn"), host: "127.0.0.1", rejectUnauthorized: false }));
}

/** @param {Random} next @param {number} count */
async function udp(next, count) {
  const port = server.port("turn");
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  socket.on("error", () => {});
  for (let sent = 0; sent < count; sent += 1) {
    const datagram = packet(next);
    await new Promise((resolve) => socket.send(datagram, port, "127.0.0.1", resolve));
    // The kernel's queue is not what is tested: let the server keep up.
    if (sent % 200 === 199) await pause(5);
  }
  socket.close();
}

/** @param {Random} next @param {number} count */
async function webSockets(next, count) {
  await inParallel(Math.ceil(count / FRAMES_PER_SOCKET), async () => {
    const path = next.below(2) ? "/ws" : "/";
    const socket = new WebSocket(`wss://127.0.0.1:${server.port("https")}${path}`, { rejectUnauthorized: false });
    socket.on("error", () => {});
    const opened = await Promise.race([once(socket, "open").then(() => true, () => false), once(socket, "close").then(() => false, () => false)]);
    assert(opened, "a socket opens even in the storm");
    for (let sent = 0; sent < FRAMES_PER_SOCKET && socket.readyState === WebSocket.OPEN; sent += 1) {
      const frame = message(next);
      if (next.below(20) === 0) /** @type {any} */ (socket)._socket?.write(next.bytes(40)); // Not even a frame.
      else await new Promise((resolve) => socket.send(frame, resolve));
    }
    await ended(socket, () => socket.close(), () => socket.terminate());
  });
}

/** @param {Random} next @param {number} count @param {() => import("node:net").Socket} open */
async function streams(next, count, open) {
  await inParallel(Math.ceil(count / CHUNKS_PER_STREAM), async () => {
    const stream = open();
    stream.on("error", () => {});
    stream.resume();
    for (let sent = 0; sent < CHUNKS_PER_STREAM && !stream.destroyed; sent += 1) {
      await new Promise((resolve) => stream.write(packet(next), resolve));
    }
    await ended(stream, () => stream.end(), () => stream.destroy());
  });
}

/** @param {import("node:events").EventEmitter} thing @param {() => void} politely @param {() => void} firmly */
async function ended(thing, politely, firmly) {
  const closed = once(thing, "close").catch(() => {});
  politely();
  const late = setTimeout(firmly, 1_000);
  await closed;
  clearTimeout(late);
}

/** @param {number} times @param {() => Promise<void>} work */
async function inParallel(times, work) {
  let left = times;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (left-- > 0) await work();
  }));
}

/** A datagram or a piece of a stream: noise, or something that begins like STUN, HTTP or TLS. @param {Random} next @returns {Buffer} */
function packet(next) {
  const allocation = () => stunRequest({ method: 0x003, attributes: [[0x0019, Buffer.from([17, 0, 0, 0])]] });
  switch (next.below(8)) {
    case 0: return next.bytes(1 + next.below(1400));
    case 1: return allocation().subarray(0, 1 + next.below(27));
    case 2: return mutated(next, allocation());
    case 3: {
      // An attribute whose length runs past the end.
      const long = stunRequest({ method: 1 + next.below(12), attributes: [[next.below(0xffff), next.bytes(4 * next.below(20))]] });
      if (long.length >= 24) long.writeUInt16BE(next.below(0xffff), 22);
      return long;
    }
    case 4: {
      // Channel data for nobody.
      const data = next.bytes(4 + next.below(300));
      data.writeUInt16BE(0x4000 + next.below(0x1000), 0);
      data.writeUInt16BE(next.below(0xffff), 2);
      return data;
    }
    case 5: {
      // A length field that lies.
      const lie = allocation();
      lie.writeUInt16BE(next.below(0xffff), 2);
      return lie;
    }
    case 6: return Buffer.concat([Buffer.from("GET / HTTP/1.1\r\nHost: "), next.bytes(200)]);
    default: return Buffer.concat([Buffer.from([0x16, 3, 1]), next.bytes(1 + next.below(300))]);
  }
}

/** A frame's content that no client of ours sends. @param {Random} next @returns {Buffer | string} */
function message(next) {
  const login = JSON.stringify({ type: "login", from: "", to: "", data: { roomrequest: "storm", username: "x" } });
  switch (next.below(9)) {
    case 0: return next.bytes(1 + next.below(2000));
    case 1: return login.slice(0, next.below(login.length));
    case 2: return JSON.stringify({ type: next.below(10), data: null });
    case 3: return JSON.stringify({ type: "login", data: [next.below(10), "login"] });
    case 4: return "[".repeat(1 + next.below(20_000));
    case 5: return JSON.stringify({ type: "login", data: { roomrequest: "\u202e".repeat(1 + next.below(5)), username: "a\u0000b" } });
    case 6: return JSON.stringify({ type: "offer", to: next.bytes(8).toString("hex"), data: { sdp: "v=0" } });
    case 7: return JSON.stringify({ type: "chat", data: { text: "x".repeat(66_000 + next.below(1000)) } });
    default: return mutated(next, Buffer.from(login)).toString("latin1");
  }
}

/** @param {Random} next @param {Buffer} bytes */
function mutated(next, bytes) {
  for (let change = 1 + next.below(6); change > 0; change -= 1) bytes[next.below(bytes.length)] = next.below(256);
  return bytes;
}

/** @typedef {{ below(limit: number): number, bytes(count: number): Buffer }} Random */

/** Numbers that look random and are the same for the same seed (xorshift32). @param {number} seed @returns {Random} */
function random(seed) {
  let state = seed >>> 0 || 1;
  const below = (/** @type {number} */ limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % limit;
  };
  return { below, bytes: (count) => Buffer.from(Array.from({ length: count }, () => below(256))) };
}
