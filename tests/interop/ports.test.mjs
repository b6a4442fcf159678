// Where the server listens when it may not have port 443: said in one line, and still a server. Tried in a network namespace of
// its own, as a process without any capability, so neither this machine's ports nor its rights decide the outcome.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Server, temporaryFolder } from "../web/journeys/harness/server.js";

/** A command that runs the rest in an own network namespace, where only ports from 1024 on are free to take. */
const UNPRIVILEGED = [
  "unshare", "--net", ...(process.getuid?.() === 0 ? [] : ["--map-root-user"]),
  "sh", "-c", "ip link set lo up && echo 1024 >/proc/sys/net/ipv4/ip_unprivileged_port_start && exec setpriv --pdeathsig KILL --bounding-set=-all --inh-caps=-all --no-new-privs -- \"$@\"", "sh",
];

const usual = () => ["--data-dir", temporaryFolder("data"), "--ssl-dir", temporaryFolder("ssl"), "--external-ip", "127.0.0.1"];

test("without the right to 443 it listens on 8443 and says so, and leaves port 80 alone", { timeout: 60_000 }, async () => {
  const server = await Server.start({ name: "fallback", only: true, wrap: UNPRIVILEGED, flags: usual() });
  try {
    assert(server.listening.https.length > 0 && server.listening.https.every((address) => address.endsWith(":8443")), JSON.stringify(server.listening));
    assert(server.listening.turn.every((address) => address.endsWith(":3478")));
    assert.equal(server.listening.http, undefined, "port 80 was skipped");
    assert.equal(server.errors.filter((line) => /8443/.test(line) && /\b443\b/.test(line)).length, 1, `one line about it: ${server.errors.join("\n")}`);
    assert.equal(server.errors.filter((line) => /\b80\b/.test(line) && !/sha256/.test(line)).length, 1, `one line about port 80: ${server.errors.join("\n")}`);
    assert.equal(server.errors.filter((line) => /panic/i.test(line)).length, 0);
  } finally {
    assert.equal(await server.stop(), 0);
  }
});

test("a port below 1024 that was asked for and is not permitted is no start, in words", { timeout: 60_000 }, async () => {
  await assert.rejects(
    Server.start({ name: "not-permitted", only: true, wrap: UNPRIVILEGED, flags: [...usual(), "--https-listen", "127.0.0.1:443"] }),
    /ended with status [1-9]\d*:[^]*443/,
  );
});
