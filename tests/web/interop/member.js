// Somebody in a room, without a page: a WebSocket, and requests to the HTTP API in that person's name.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { WebSocket } from "ws";
import { until } from "../journeys/harness/wait.js";

export { WebSocket };

/** @typedef {import("../journeys/harness/server.js").Server} Server */

/** The certificate that the server has made for itself. @param {Server} server */
export const authority = (server) => readFileSync(join(server.folder, "self-signed.pem"));

/**
 * @param {Server} server
 * @param {string} method
 * @param {string} path
 * @param {{ token?: string, headers?: Record<string, string>, body?: string }} [options]
 * @returns {Promise<{ status: number, headers: import("node:http").IncomingHttpHeaders, body: Buffer }>}
 */
export async function ask(server, method, path, { token, headers = {}, body = "" } = {}) {
  const bearer = token ? { authorization: `Bearer ${token}` } : {};
  const asked = request(new URL(path, server.origin), {
    method, ca: authority(server), agent: false, headers: { ...bearer, ...headers },
  });
  asked.end(body);
  const [answer] = await once(asked, "response");
  const parts = [];
  for await (const part of answer) parts.push(part);
  return { status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts) };
}

/** Makes a room that outlives the people in it. @param {Server} server @param {string} name */
export async function keepRoom(server, name) {
  const answer = await ask(server, "POST", "/api/v1/rooms", {
    headers: { "content-type": "application/json" }, body: JSON.stringify({ name }),
  });
  if (answer.status !== 201) throw new Error(`the room was not made: ${answer.status} ${answer.body}`);
}

export class Member {
  /** @type {any[]} every message so far */
  heard = [];

  /** @param {Server} server @param {string} room @param {string} name */
  static async join(server, room, name) {
    const member = new Member(server);
    await once(member.socket, "open");
    member.say("login", { roomrequest: room, username: name });
    await until(`${name} is in the room`, () => member.first("room"));
    return member;
  }

  /** @param {Server} server */
  constructor(server) {
    this.server = server;
    this.socket = new WebSocket(`${server.origin.replace("https", "wss")}/ws`, { ca: authority(server) });
    this.socket.on("message", (text) => this.heard.push(JSON.parse(String(text))));
    // A server that is killed ends the socket; the test says what it expects of that.
    this.socket.on("error", () => {});
  }

  get token() {
    return this.first("room").data.api.token;
  }

  /** @param {string} type @param {unknown} data */
  say(type, data) {
    this.socket.send(JSON.stringify({ type, from: "", to: "", data }));
  }

  /** @param {string} type */
  first(type) {
    return this.heard.find((message) => message.type === type);
  }

  /** @param {string} method @param {string} path @param {Parameters<typeof ask>[3]} [options] */
  ask(method, path, options) {
    return ask(this.server, method, path, { token: this.token, ...options });
  }

  leave() {
    this.socket.terminate();
  }
}
