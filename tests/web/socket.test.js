// The page's socket against a real WebSocket server that behaves and misbehaves, with the clock in the tests' hands
// where only time matters.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, beforeEach, mock, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { Socket, pause } from "./typed/socket.js";

/** @type {WebSocketServer} */
let server;
/** @type {string} */
let url;
/** @type {{link: string, retryAt?: number, ended?: string}[]} */
let news;
/** @type {any[]} */
let heard;

before(async () => {
  server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  url = `ws://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}/ws`;
});
after(() => server.close());
beforeEach(() => { news = []; heard = []; });

/** @param {object} [more] */
function open(more = {}) {
  const socket = new Socket({
    url, WebSocket: /** @type {any} */ (WebSocket), random: () => 0, onlink: (one) => news.push(one), onmessage: (message) => heard.push(message), ...more,
  });
  socket.open();
  return socket;
}
const accepted = async () => /** @type {WebSocket} */ ((await once(server, "connection"))[0]);
/** @param {() => boolean} what */
async function until(what) {
  for (const end = Date.now() + 5_000; !what();) {
    assert.ok(Date.now() < end, `in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
const links = () => news.map(({ link }) => link);

test("pauses double, are half random, and have an end", () => {
  assert.deepEqual([0, 1, 2, 3].map((attempt) => pause(attempt, 0)), [250, 500, 1000, 2000]);
  assert.deepEqual([0, 1, 2, 3].map((attempt) => pause(attempt, 1)), [500, 1000, 2000, 4000]);
  assert.equal(pause(1000, 1), 15_000);
});

test("messages go both ways, and what is none is not heard", async () => {
  const connection = accepted();
  const socket = open();
  const there = await connection;
  await until(() => socket.isOpen);
  assert.ok(socket.send({ type: "chat", data: { id: "1", text: "hello" } }));
  assert.deepEqual(JSON.parse(String((await once(there, "message"))[0])), { type: "chat", data: { id: "1", text: "hello" } });
  for (const frame of ["nonsense", '{"type":"unheard of"}', '{"type":"joined","data":"me"}']) there.send(frame);
  await until(() => heard.length > 0);
  assert.deepEqual(heard, [{ type: "joined", data: "me" }]);
  socket.close();
});

test("a ping of the server is answered", async () => {
  const connection = accepted();
  const socket = open();
  const there = await connection;
  there.send('{"type":"ping","data":{}}');
  assert.equal(JSON.parse(String((await once(there, "message"))[0])).type, "pong");
  socket.close();
});

test("an open socket asks by itself, now and then, whether it is heard", async () => {
  mock.timers.enable({ apis: ["setInterval"] });
  const connection = accepted();
  const socket = open();
  try {
    const there = await connection;
    await until(() => socket.isOpen);
    const asked = once(there, "message");
    mock.timers.tick(20_001);
    assert.equal(JSON.parse(String((await asked)[0])).type, "ping");
  } finally {
    mock.timers.reset();
    socket.close();
  }
});

test("a broken socket is opened again, and nothing is sent meanwhile", async () => {
  const connection = accepted();
  const socket = open();
  (await connection).terminate();
  await until(() => links().includes("waiting"));
  assert.equal(socket.send({ type: "ping", data: {} }), false);
  await accepted();
  await until(() => socket.isOpen);
  assert.deepEqual(links(), ["connecting", "open", "waiting", "connecting", "open"]);
  socket.close();
});

for (const [code, ended] of /** @type {const} */ ([[4001, "replaced"], [4002, "abuse"], [4003, "removed"]])) {
  test(`after ${code} it stays closed and says why`, async () => {
    const connection = accepted();
    const socket = open();
    (await connection).close(code);
    await until(() => links().includes("ended"));
    assert.equal(news.at(-1)?.ended, ended);
    socket.nudge();
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(links().at(-1), "ended");
  });
}

for (const code of [4000, 1012, 1001, 1011]) {
  test(`after ${code} it comes back`, async () => {
    const connection = accepted();
    const socket = open();
    (await connection).close(code);
    await accepted();
    await until(() => socket.isOpen);
    socket.close();
  });
}

test("a restarting server says how long to wait", async () => {
  const connection = accepted();
  const socket = open({ now: () => 1_000 });
  const there = await connection;
  there.send('{"type":"bye","data":{"retryAfter":7000}}');
  await until(() => heard.length === 1);
  there.close(1012);
  await until(() => links().includes("waiting"));
  assert.equal(news.at(-1)?.retryAt, 8_000);
  socket.close();
});

test("the network's return ends the pause", async () => {
  const connection = accepted();
  const socket = open({ random: () => 1 });
  const there = await connection;
  there.send('{"type":"bye","data":{"retryAfter":15000}}');
  await until(() => heard.length === 1);
  there.close(1012);
  await until(() => links().includes("waiting"));
  const again = accepted();
  socket.nudge();
  await again;
  await until(() => socket.isOpen);
  socket.close();
});

test("a socket on which nothing answers is given up, without a close frame that would give up the seat", async () => {
  const connection = accepted();
  const socket = open();
  const there = await connection;
  await until(() => socket.isOpen);
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    let closed = false;
    there.on("close", () => { closed = true; });
    socket.nudge(); // asks, and is not answered
    mock.timers.tick(4_001);
    assert.equal(links().at(-1), "waiting");
    assert.equal(closed, false);
  } finally {
    mock.timers.reset();
    socket.close();
    there.terminate();
  }
});

test("closing is for good", async () => {
  const connection = accepted();
  const socket = open();
  const there = await connection;
  await until(() => socket.isOpen);
  socket.close();
  await once(there, "close");
  socket.nudge();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(links().at(-1), "open");
});
