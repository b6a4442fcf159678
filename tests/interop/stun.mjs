// A small TURN client for these tests: it asks for an allocation over UDP, TCP or TLS, and sends and receives through it
// (RFC 8489, RFC 8656). Written from the RFCs, apart from the server's own code, so that both must agree with the standard.

import assert from "node:assert/strict";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";

const COOKIE = 0x2112a442;
const PATIENCE = 5_000;

const METHOD = { allocate: 0x003, refresh: 0x004, send: 0x006, data: 0x007, createPermission: 0x008 };
const ATTRIBUTE = { username: 0x0006, integrity: 0x0008, error: 0x0009, peer: 0x0012, data: 0x0013, realm: 0x0014, nonce: 0x0015, relayed: 0x0016, lifetime: 0x000d, transport: 0x0019 };

/** @typedef {[number, Buffer]} Attribute */

/**
 * The bytes of a request or indication.
 * @param {{ method: number, class?: number, attributes?: Attribute[], key?: Buffer, id?: Buffer }} message with a `key` it is signed (MESSAGE-INTEGRITY)
 */
export function stunRequest({ method, class: kind = 0, attributes = [], key, id = randomBytes(12) }) {
  // The class sits between the bits of the method (RFC 8489 §5).
  const type = (method & 0xf) | ((method & 0x70) << 1) | ((method & 0xf80) << 2) | ((kind & 1) << 4) | ((kind & 2) << 7);
  const body = Buffer.concat(attributes.map(([name, value]) => {
    const head = Buffer.alloc(4);
    head.writeUInt16BE(name, 0);
    head.writeUInt16BE(value.length, 2);
    return Buffer.concat([head, value, Buffer.alloc((4 - (value.length % 4)) % 4)]);
  }));
  const header = Buffer.alloc(20);
  header.writeUInt16BE(type, 0);
  header.writeUInt16BE(body.length + (key ? 24 : 0), 2);
  header.writeUInt32BE(COOKIE, 4);
  id.copy(header, 8);
  const message = Buffer.concat([header, body]);
  if (!key) return message;
  const signature = createHmac("sha1", key).update(message).digest();
  return Buffer.concat([message, Buffer.from([0, ATTRIBUTE.integrity, 0, 20]), signature]);
}

/**
 * @param {{ transport: "udp" | "tcp" | "tls", port: number, username: string, password: string }} account
 * @returns {Promise<Allocation>}
 */
export async function allocate(account) {
  const allocation = new Allocation(await openTransport(account), account);
  try {
    await allocation.start();
  } catch (error) {
    allocation.transport.close();
    throw error;
  }
  return allocation;
}

class Allocation {
  /** @param {Transport} transport @param {{ username: string, password: string }} account */
  constructor(transport, account) {
    this.transport = transport;
    this.account = account;
  }

  async start() {
    const wanted = /** @type {Attribute[]} */ ([[ATTRIBUTE.transport, Buffer.from([17, 0, 0, 0])]]);
    const refusal = await this.#exchange(stunRequest({ method: METHOD.allocate, attributes: wanted }));
    assert.equal(refusal.error, 401, "a first Allocate is asked who it is");
    this.realm = refusal.get(ATTRIBUTE.realm);
    this.nonce = refusal.get(ATTRIBUTE.nonce);
    this.key = createHash("md5").update(`${this.account.username}:${this.realm}:${this.account.password}`).digest();
    const answer = await this.#request(METHOD.allocate, wanted);
    ({ address: this.address, port: this.port } = unxor(answer.get(ATTRIBUTE.relayed)));
  }

  /** @param {Allocation} peer */
  async permit(peer) {
    await this.#request(METHOD.createPermission, [[ATTRIBUTE.peer, xored(peer)]]);
  }

  /** @param {Allocation} peer @param {Buffer} payload */
  async send(peer, payload) {
    this.transport.send(stunRequest({ method: METHOD.send, class: 1, attributes: [[ATTRIBUTE.peer, xored(peer)], [ATTRIBUTE.data, payload]] }));
  }

  /** The next payload from a peer, or nothing. @param {number} ms */
  async receive(ms) {
    const message = await this.transport.next((candidate) => candidate.method === METHOD.data && candidate.class === 1, ms);
    return message?.get(ATTRIBUTE.data);
  }

  async close() {
    await this.#request(METHOD.refresh, [[ATTRIBUTE.lifetime, Buffer.alloc(4)]]);
    this.transport.close();
  }

  /** @param {number} method @param {Attribute[]} attributes */
  async #request(method, attributes) {
    const signed = /** @type {Attribute[]} */ ([...attributes, [ATTRIBUTE.username, Buffer.from(this.account.username)], [ATTRIBUTE.realm, this.realm], [ATTRIBUTE.nonce, this.nonce]]);
    const answer = await this.#exchange(stunRequest({ method, attributes: signed, key: this.key }));
    assert.equal(answer.error, undefined, `method ${method} is granted`);
    return answer;
  }

  /** @param {Buffer} request */
  async #exchange(request) {
    const id = request.subarray(8, 20);
    for (let attempt = 0; attempt < 5; attempt += 1) {
      this.transport.send(request);
      const answer = await this.transport.next((candidate) => candidate.class >= 2 && candidate.id.equals(id), PATIENCE / 5);
      if (answer) return answer;
      if (this.transport.reliable) continue;
    }
    throw new Error("no answer");
  }
}

/**
 * @typedef {object} Transport
 * @property {boolean} reliable
 * @property {(bytes: Buffer) => void} send
 * @property {(wanted: (message: Message) => boolean, ms: number) => Promise<Message | undefined>} next
 * @property {() => void} close
 */

/** @typedef {NonNullable<ReturnType<typeof parse>>} Message */

/** @param {{ transport: "udp" | "tcp" | "tls", port: number }} where @returns {Promise<Transport>} */
async function openTransport({ transport, port }) {
  /** @type {Message[]} */
  const arrived = [];
  /** @type {Set<() => void>} */
  const waiting = new Set();
  const take = (/** @type {Buffer} */ bytes) => {
    const message = parse(bytes);
    if (message) arrived.push(message);
    for (const wake of waiting) wake();
  };
  /** @type {Transport["next"]} */
  const next = (wanted, ms) => new Promise((resolve) => {
    const look = () => {
      const at = arrived.findIndex(wanted);
      if (at >= 0) finish(arrived.splice(at, 1)[0]);
    };
    const finish = (/** @type {Message | undefined} */ message) => {
      clearTimeout(clock);
      waiting.delete(look);
      resolve(message);
    };
    const clock = setTimeout(finish, ms, undefined);
    waiting.add(look);
    look();
  });

  if (transport === "udp") {
    const socket = createSocket("udp4").bind(0, "127.0.0.1");
    await once(socket, "listening");
    socket.on("message", take);
    return { reliable: false, next, send: (bytes) => socket.send(bytes, port, "127.0.0.1"), close: () => socket.close() };
  }
  const socket = transport === "tcp" ? connectTcp(port, "127.0.0.1") : connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false });
  await once(socket, transport === "tcp" ? "connect" : "secureConnect");
  let rest = Buffer.alloc(0);
  socket.on("error", () => {});
  socket.on("data", (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    while (rest.length >= 20 && rest.length >= 20 + rest.readUInt16BE(2)) {
      const length = 20 + rest.readUInt16BE(2);
      take(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
  });
  return { reliable: true, next, send: (bytes) => socket.write(bytes), close: () => socket.destroy() };
}

/** @param {Buffer} bytes */
function parse(bytes) {
  if (bytes.length < 20 || bytes.readUInt32BE(4) !== COOKIE) return undefined;
  const type = bytes.readUInt16BE(0);
  /** @type {Map<number, Buffer>} */
  const attributes = new Map();
  for (let at = 20; at + 4 <= bytes.length;) {
    const length = bytes.readUInt16BE(at + 2);
    const name = bytes.readUInt16BE(at);
    if (!attributes.has(name)) attributes.set(name, bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length + ((4 - (length % 4)) % 4);
  }
  const error = attributes.get(ATTRIBUTE.error);
  return {
    method: (type & 0xf) | ((type >> 1) & 0x70) | ((type >> 2) & 0xf80),
    class: ((type >> 4) & 1) | ((type >> 7) & 2),
    id: bytes.subarray(8, 20),
    error: error && (error[2] & 7) * 100 + error[3],
    /** @param {number} name @returns {Buffer} */
    get(name) {
      const value = attributes.get(name);
      assert(value, `attribute ${name} is there`);
      return value;
    },
  };
}

/** XOR-PEER-ADDRESS of an IPv4 address (RFC 8489 §14.2). @param {{ address?: string, port?: number }} peer */
function xored({ address = "", port = 0 }) {
  const value = Buffer.alloc(8);
  value[1] = 1;
  value.writeUInt16BE(port ^ (COOKIE >>> 16), 2);
  const ip = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  value.writeUInt32BE((ip ^ COOKIE) >>> 0, 4);
  return value;
}

/** @param {Buffer} value */
function unxor(value) {
  const ip = (value.readUInt32BE(4) ^ COOKIE) >>> 0;
  return { port: value.readUInt16BE(2) ^ (COOKIE >>> 16), address: [24, 16, 8, 0].map((shift) => (ip >>> shift) & 255).join(".") };
}
