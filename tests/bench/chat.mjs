// Chat in a kept room: how many lines a second are stored and then told to everyone, in rooms of 10 and of 1,000 people.
//
//     cargo build --release && npm ci --prefix tests/web
//     node tests/bench/chat.mjs [PEOPLE...]      10 and 1000 when nothing is said
//
// Ten people write, each with a few lines under way, no faster than the server lets one socket. Everyone's sockets are in
// this one process, which takes a core: in large rooms it is what ends first, so the server's own share is told too.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Server } from "../web/journeys/harness/server.js";
import { WebSocket, authority, keepRoom } from "../web/interop/member.js";

const WRITERS = 10;
/** Lines of one writer that are under way. */
const UNDER_WAY = 8;
/** Each writer's lines: what one socket may say at once, before its rate begins to count. */
const LINES = 500;
/** The kernel's clock ticks a second (`getconf CLK_TCK`). */
const TICKS = 100;

for (const people of process.argv.length > 2 ? process.argv.slice(2).map(Number) : [10, 1000]) await measure(people);

/** @param {number} people */
async function measure(people) {
  const server = await Server.start({ name: "chat", flags: ["--capacity", "1000", "--sockets-per-address", "2000"] });
  try {
    await keepRoom(server, "hall");
    const sockets = [];
    let told = 0;
    for (let n = 0; n < people; n += 1) sockets.push(await enter(server, `Person ${n}`, () => { told += 1; }));
    const lines = Math.min(WRITERS, people) * LINES;
    const [start, used] = [performance.now(), seconds(server)];
    await Promise.all(sockets.slice(0, WRITERS).map(write));
    while (told < lines * people) await new Promise((resolve) => setTimeout(resolve, 5));
    const [took, cpu] = [(performance.now() - start) / 1000, seconds(server) - used];
    console.log(`${String(people).padStart(5)} people: ${(lines / took).toFixed(0)} lines/s stored, ${(told / took).toFixed(0)}/s told; ` +
      `the server took ${(cpu / took).toFixed(2)} cores, ${(cpu / told * 1e6).toFixed(1)} µs for each that is told`);
    for (const socket of sockets) socket.terminate();
  } finally {
    await server.stop();
  }
}

/** @param {import("../web/journeys/harness/server.js").Server} server @param {string} name @param {() => void} ontold */
async function enter(server, name, ontold) {
  const socket = new WebSocket(`${server.origin.replace("https", "wss")}/ws`, { ca: authority(server) });
  await once(socket, "open");
  const seated = new Promise((resolve, reject) => {
    socket.on("message", (text) => {
      const { type, data } = kind(String(text));
      if (type === "chat") { ontold(); socket.emit("line", data); }
      if (type === "room") resolve(null);
      if (type === "error") reject(new Error(String(text)));
    });
  });
  say(socket, "login", { roomrequest: "hall", username: name });
  await seated;
  return socket;
}

/** What a message is; only lines by a writer need more than a look. @param {string} text */
function kind(text) {
  const type = /"type":"([a-z-]+)"/.exec(text)?.[1];
  return { type, data: type === "chat" ? /"id":"([^"]+)"/.exec(text)?.[1] : undefined };
}

/** Writes all lines, a few under way at a time. @param {WebSocket} socket @param {number} writer */
function write(socket, writer) {
  return new Promise((resolve) => {
    let [said, back] = [0, 0];
    const next = () => { if (said < LINES) say(socket, "chat", { id: `${writer}-${said++}`, text: "What do you think of that?" }); };
    socket.on("line", (id) => {
      if (!id?.startsWith(`${writer}-`)) return;
      back += 1;
      next();
      if (back === LINES) resolve(null);
    });
    for (let n = 0; n < UNDER_WAY; n += 1) next();
  });
}

/** @param {WebSocket} socket @param {string} type @param {unknown} data */
function say(socket, type, data) {
  socket.send(JSON.stringify({ type, from: "", to: "", data }));
}

/** The server's CPU time so far, in seconds. @param {import("../web/journeys/harness/server.js").Server} server */
function seconds(server) {
  const fields = readFileSync(`/proc/${server.pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}
