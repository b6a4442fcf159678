/**
 * A WebSocket that comes back. It opens, notices when nothing answers any more, and opens again with growing, random
 * pauses, at once when the network or the page returns. Logging in again is the owner's work, on each `open`.
 * Knows no DOM: the window's events are told to it by `nudge`.
 *
 * @import { FromPage, FromServer } from "./message.js"
 * @typedef {"connecting" | "open" | "waiting" | "ended"} LinkState
 * @typedef {{link: LinkState, retryAt?: number, ended?: "" | "replaced" | "abuse" | "removed"}} LinkNews
 */
import { read } from "./message.js";

/** First pause before trying again, ms; doubled each time up to the longest. */
const FIRST_PAUSE = 500;
/** A restarted server is back within seconds; more than this makes people reload by hand. */
const LONGEST_PAUSE = 15_000;
/** How often we ask whether the server still hears us, ms: an address change is silent, the socket looks open. */
const PING_EVERY = 20_000;
/** How long an answer may take before the socket counts as dead, ms. */
const PONG_WITHIN = 12_000;
/** The same right after the network or the page came back, when the socket is likely dead, ms. */
const PONG_SOON = 4_000;
/** How long opening may take, ms. */
const OPEN_WITHIN = 10_000;

/** Close codes after which the server will not have us back, and what each means. @type {Record<number, "replaced" | "abuse" | "removed">} */
const FINAL = { 4001: "replaced", 4002: "abuse", 4003: "removed" };

/** How long to wait before attempt number `attempt` (from 0), ms: half of it fixed, half random. @param {number} attempt @param {number} random 0–1 */
export function pause(attempt, random) {
  const whole = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(attempt, 10));
  return whole / 2 + (whole / 2) * random;
}

export class Socket {
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #retry;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #ping;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #deadline;
  #attempt = 0;
  #wanted = false;
  #retryAfter = 0;

  /**
   * @param {object} options
   * @param {string} options.url
   * @param {(message: FromServer) => void} options.onmessage
   * @param {(news: LinkNews) => void} options.onlink
   * @param {new (url: string) => WebSocket} [options.WebSocket]
   * @param {() => number} [options.random]
   * @param {() => number} [options.now] Unix ms
   */
  constructor({ url, onmessage, onlink, WebSocket = globalThis.WebSocket, random = Math.random, now = Date.now }) {
    this.url = url;
    this.onmessage = onmessage;
    this.onlink = onlink;
    this.WebSocket = WebSocket;
    this.random = random;
    this.now = now;
  }

  /** Whether a message sent now goes out. */
  get isOpen() {
    return this.#socket?.readyState === 1;
  }

  /** Opens, unless open or opening already. */
  open() {
    this.#wanted = true;
    if (!this.#socket) this.#connect();
  }

  /** Closes for good, until `open`. */
  close() {
    this.#wanted = false;
    this.#attempt = 0;
    clearTimeout(this.#retry);
    this.#drop(true);
  }

  /** Sends at once or not at all: what matters after a break is told anew by the owner. @param {FromPage} message @returns {boolean} */
  send(message) {
    if (!this.isOpen) return false;
    this.#socket?.send(JSON.stringify(message));
    return true;
  }

  /** The network or the page has just come back: try now, or make sure that the open socket lives. */
  nudge() {
    if (!this.#wanted) return;
    if (!this.#socket) {
      clearTimeout(this.#retry);
      this.#connect();
    } else if (this.isOpen) {
      this.#ask(PONG_SOON);
    }
  }

  #connect() {
    this.onlink({ link: "connecting" });
    const socket = new this.WebSocket(this.url);
    this.#socket = socket;
    this.#deadline = setTimeout(() => this.#lost(socket, 1006), OPEN_WITHIN);
    socket.onopen = () => {
      if (socket !== this.#socket) return;
      clearTimeout(this.#deadline);
      this.#deadline = undefined;
      this.#keepAsking();
      this.onlink({ link: "open" });
    };
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      clearTimeout(this.#deadline); // anything heard proves that the way is open
      this.#deadline = undefined;
      const message = typeof data === "string" ? read(data) : null;
      if (message) this.#hear(message);
    };
    socket.onclose = ({ code }) => this.#lost(socket, code);
  }

  /** @param {FromServer} message */
  #hear(message) {
    if (message.type === "ping") this.send({ type: "pong", data: {} });
    if (message.type === "bye") this.#retryAfter = Math.min(message.data.retryAfter, LONGEST_PAUSE);
    // Only a seat or a while of life counts as success: a server that accepts and closes at once is not asked faster and faster.
    if (message.type === "room" || message.type === "pong") this.#attempt = 0;
    this.onmessage(message);
  }

  #keepAsking() {
    clearInterval(this.#ping);
    this.#ping = setInterval(() => this.#ask(PONG_WITHIN), PING_EVERY);
  }

  /** @param {number} within ms */
  #ask(within) {
    const socket = this.#socket;
    if (!socket || !this.send({ type: "ping", data: {} })) return;
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#lost(socket, 1006), within);
  }

  /** @param {WebSocket} socket @param {number} code */
  #lost(socket, code) {
    if (socket !== this.#socket) return;
    // Never closed from here when it went silent: a close frame that gets through after all would give up the seat.
    this.#drop(false);
    if (!this.#wanted) return;
    const ended = FINAL[code];
    if (ended) {
      this.#wanted = false;
      this.onlink({ link: "ended", ended });
      return;
    }
    // A restarting server says when; everyone else would come back in the same instant, so that is spread out too.
    const wait = this.#retryAfter ? this.#retryAfter * (1 + this.random() / 2) : pause(this.#attempt, this.random());
    this.#retryAfter = 0;
    this.#attempt += 1;
    this.onlink({ link: "waiting", retryAt: this.now() + wait });
    this.#retry = setTimeout(() => this.#connect(), wait);
  }

  /** @param {boolean} closing whether the server is told */
  #drop(closing) {
    clearInterval(this.#ping);
    clearTimeout(this.#deadline);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    if (closing || socket.readyState === 0) socket.close();
  }
}
