// coturn's own client against this server's relay, over every transport a browser uses: what was sent came back, all of it.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createSocket } from "node:dgram";
import { after, before, describe, test } from "node:test";
import { Server } from "../web/journeys/harness/server.js";
import { refuseStaleBinary } from "./binary.mjs";
import { until } from "../web/journeys/harness/wait.js";

const CLIENTS = 4;
const MESSAGES = 100;
const DEADLINE = 60_000;

/** @type {Server} */
let server;
/** @type {import("node:child_process").ChildProcess} */
let echo;
let echoPort = 0;

before(async () => {
  refuseStaleBinary();
  // All ways at once, and all of one user: more than anybody needs in a call.
  const flags = ["--relay-allow", "127.0.0.0/8", "--relay-allow", "::1/128", "--turn-user", "test:secret", "--external-ip", "::1", "--relay-allocations-per-user", "2000"];
  server = await Server.start({ name: "turnutils", flags });
  echoPort = await freePort();
  // coturn's echo: it sends each datagram back to where it came from.
  echo = spawn("setpriv", ["--pdeathsig", "KILL", "--", "turnutils_peer", "-L", "127.0.0.1", "-L", "::1", "-p", String(echoPort)], { stdio: "ignore" });
  await until("the echo answers over IPv4", () => echoes("udp4", "127.0.0.1", echoPort));
  await until("the echo answers over IPv6", () => echoes("udp6", "::1", echoPort));
});

after(async () => {
  echo?.kill("SIGKILL");
  assert.equal(await server?.stop(), 0, "the server ends well");
});

// With -x it asks for an IPv6 relay, whose peer must be one too.
const IPV6 = ["-x", "-e", "::1"];
const MANY = 100;

/** @type {{ title: string, flags: string[], port: "turn" | "https", clients?: number }[]} */
const WAYS = [
  { title: "UDP, channels", flags: [], port: "turn" },
  { title: "UDP, Send and Data indications", flags: ["-s"], port: "turn" },
  { title: "TCP on the TURN port", flags: ["-t"], port: "turn" },
  { title: "TCP on the HTTPS port", flags: ["-t"], port: "https" },
  { title: "TCP on the HTTPS port, Send and Data indications", flags: ["-t", "-s"], port: "https" },
  { title: "TLS on the HTTPS port", flags: ["-t", "-S"], port: "https" },
  { title: "TLS on the TURN port", flags: ["-t", "-S"], port: "turn" },
  { title: "UDP, large datagrams", flags: ["-l", "1200"], port: "turn" },
  { title: "UDP, the even port and the one reserved after it", flags: ["+c"], port: "turn" },
  { title: "UDP to an IPv6 relay, channels", flags: IPV6, port: "turn" },
  { title: "UDP to an IPv6 relay, Send and Data indications", flags: [...IPV6, "-s"], port: "turn" },
  { title: "TCP to an IPv6 relay", flags: [...IPV6, "-t"], port: "turn" },
  { title: "TLS to an IPv6 relay", flags: [...IPV6, "-t", "-S"], port: "https" },
  { title: "UDP, 100 clients", flags: [], port: "turn", clients: MANY },
  { title: "TCP, 100 clients", flags: ["-t"], port: "https", clients: MANY },
  { title: "UDP to IPv6 relays, 100 clients", flags: IPV6, port: "turn", clients: MANY },
  { title: "TLS, 100 clients", flags: ["-t", "-S"], port: "https", clients: MANY },
];

// Over TLS coturn's client sometimes loses messages by itself, to coturn's own server as well: a whole run without loss
// shows that the server loses none.
const TRIES_OVER_TLS = 4;

// The client paces itself by the second and mostly waits: all of them run at once.
describe("coturn's client relays, and nothing is lost", { concurrency: true }, () => {
  for (const { title, flags, port, clients = CLIENTS } of WAYS) {
    const tries = flags.includes("-S") ? TRIES_OVER_TLS : 1;
    test(`over ${title}`, { timeout: tries * DEADLINE + 10_000 }, async () => {
      for (let left = tries - 1; ; left -= 1) {
        const { sent, received, lost } = await uclient(server.port(port), "secret", flags, clients);
        assert(sent >= clients * messagesOf(clients), `${sent} messages were sent`);
        if (left > 0 && received !== sent) continue;
        assert.equal(received, sent, "each came back");
        assert.equal(lost, 0);
        return;
      }
    });
  }
});

test("a wrong password relays nothing", { timeout: DEADLINE + 10_000 }, async () => {
  await assert.rejects(uclient(server.port("turn"), "wrong", []), /Cannot complete Allocation/);
});

test("a peer that is not allowed is not reached", { timeout: DEADLINE + 10_000 }, async () => {
  const strict = await Server.start({ name: "turnutils-strict", flags: ["--turn-user", "test:secret"] });
  try {
    await assert.rejects(uclient(strict.port("turn"), "secret", []), /403|channel|permission/i);
  } finally {
    await strict.stop();
  }
});

/** How many messages each sends: 100 clients need not send as many as four. @param {number} clients */
const messagesOf = (clients) => (clients > CLIENTS ? MESSAGES / 10 : MESSAGES);

/**
 * @param {number} port
 * @param {string} password
 * @param {string[]} flags `-c` (no RTCP port) unless `+c` is among them; the peer is 127.0.0.1 unless `-e` is
 * @param {number} [clients]
 * @returns {Promise<{ sent: number, received: number, lost: number }>}
 */
async function uclient(port, password, flags, clients = CLIENTS) {
  const rtcp = flags.includes("+c") ? [] : ["-c"];
  const peer = flags.includes("-e") ? [] : ["-e", "127.0.0.1"];
  const args = ["-u", "test", "-w", password, "-p", String(port), ...peer, "-r", String(echoPort), "-n", String(messagesOf(clients)), "-m", String(clients),
    ...rtcp, ...flags.filter((flag) => flag !== "+c"), "127.0.0.1"];
  const output = await new Promise((resolve, reject) => {
    execFile("turnutils_uclient", args, { timeout: DEADLINE, maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`turnutils_uclient ${args.join(" ")}: ${error.message}\n${stdout}${stderr}`.slice(-3000)));
      else resolve(stdout + stderr);
    });
  });
  const [, sent, received] = /.*tot_send_msgs=(\d+), tot_recv_msgs=(\d+)\s*$/m.exec(output.split("\n").filter((/** @type {string} */ line) => /tot_recv_msgs=\d+$/.test(line)).at(-1) ?? "") ?? [];
  const [, lost] = /Total lost packets (\d+)/.exec(output) ?? [];
  assert(sent !== undefined && lost !== undefined, `a total in: ${output.slice(-2000)}`);
  return { sent: Number(sent), received: Number(received), lost: Number(lost) };
}

/** A UDP port that nobody has just now; turnutils_peer cannot pick one itself. */
async function freePort() {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  return port;
}

/** @param {"udp4" | "udp6"} kind @param {string} address @param {number} port */
async function echoes(kind, address, port) {
  const socket = createSocket(kind).bind(0, address);
  try {
    await once(socket, "listening");
    socket.send("hello", port, address);
    return await Promise.race([once(socket, "message").then(() => true), new Promise((resolve) => setTimeout(resolve, 300, false))]);
  } finally {
    socket.close();
  }
}
