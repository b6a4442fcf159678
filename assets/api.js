/**
 * The HTTP API, as far as the page uses it. Every call answers what the server said, or throws a `Refusal`. Knows no
 * DOM and no state; who asks is told by the caller, as a bearer token.
 *
 * @typedef {{name: string, people: number, capacity: number, locked: boolean, password: boolean}} Listed a room of the list
 * @typedef {{name: string, password?: string, capacity?: number, listed?: boolean, expires?: number, waitingRoom?: boolean}} Wanted
 *   a room to be kept; `expires` in Unix ms
 * @typedef {{name?: string, password?: string | null, capacity?: number, listed?: boolean, expires?: number | null}} Changes
 *   what is to be different; null takes away
 * @typedef {{name: string, capacity: number, listed: boolean, password: boolean, expires?: number | null}} Details
 * @typedef {{id: string, role: "host" | "guest" | "viewer", uses: number | null, used: number, expires: number | null, revoked: number | null}} Invite
 */

/** Where the API begins. */
const BASE = "/api/v1";
/** How long an answer may take, ms; then the server counts as not there. */
const PATIENCE = 15_000;
/** Rooms asked for at once: more than a screen shows. */
const ROOMS_PAGE = 20;

/** What the server will not do, or that it does not answer: `type` is one of the page's errors, `text` the server's own words. */
export class Refusal extends Error {
  /** @param {string} type @param {string} [text] */
  constructor(type, text = "") {
    super(text || type);
    this.type = type;
    this.text = text;
  }
}

/** Which of the page's errors an answer means. @param {number} status 0 for none @param {unknown} [body] @returns {string} */
export function errorOf(status, body) {
  const code = typeof body === "object" && body !== null && "code" in body ? body.code : "";
  if (code === "full") return "space"; // "full" is said of rooms and people
  if (code === "exists" || code === "rate" || code === "invalid") return code;
  /** @type {Record<number, string>} */
  const types = { 0: "away", 400: "invalid", 401: "pass", 403: "forbidden", 404: "notfound", 409: "exists", 410: "notfound", 413: "filesize", 415: "filetype", 422: "invalid", 429: "rate", 507: "space" };
  return types[status] ?? "failed";
}

export class Api {
  /** @param {typeof fetch} [ask] */
  constructor(ask = (...what) => fetch(...what)) {
    this.ask = ask;
  }

  /** @param {string} query @param {string} [cursor] where the page before ended @returns {Promise<{rooms: Listed[], next?: string}>} */
  rooms(query, cursor) {
    const search = new URLSearchParams({ limit: String(ROOMS_PAGE), ...(query ? { query } : {}), ...(cursor ? { cursor } : {}) });
    return this.#json("GET", `/rooms?${search}`);
  }

  /** @param {Wanted} wanted @returns {Promise<{name: string, url: string, hostToken: string}>} */
  create(wanted) {
    return this.#json("POST", "/rooms", { body: wanted });
  }

  /** @param {string} room @param {string} bearer @returns {Promise<Details>} */
  details(room, bearer) {
    return this.#json("GET", at(room), { bearer });
  }

  /** @param {string} room @param {string} bearer @param {Changes} changes */
  change(room, bearer, changes) {
    return this.#json("PATCH", at(room), { bearer, body: changes });
  }

  /** @param {string} room @param {string} bearer */
  async remove(room, bearer) {
    await this.#json("DELETE", at(room), { bearer });
  }

  /** @param {string} room @param {string} bearer @param {{role: "host" | "guest", uses?: number, expires?: number}} wanted @returns {Promise<{url: string, id: string}>} */
  invite(room, bearer, wanted) {
    return this.#json("POST", `${at(room)}/invites`, { bearer, body: wanted });
  }

  /** Old ones too. @param {string} room @param {string} bearer @returns {Promise<{invites: Invite[]}>} */
  invites(room, bearer) {
    return this.#json("GET", `${at(room)}/invites`, { bearer });
  }

  /** @param {string} room @param {string} bearer @param {string} id */
  async revoke(room, bearer, id) {
    await this.#json("DELETE", `${at(room)}/invites/${encodeURIComponent(id)}`, { bearer });
  }

  /** What people shared here and we may see, the newest part first. @param {string} room @param {string} bearer @param {string} [cursor] of the part before @returns {Promise<{files: import("./message.js").SharedFile[], next?: string}>} */
  files(room, bearer, cursor) {
    return this.#json("GET", `${at(room)}/files${cursor ? `?${new URLSearchParams({ cursor })}` : ""}`, { bearer });
  }

  /** An address that opens a file for five minutes without a bearer. @param {string} url the file's own @param {string} bearer @returns {Promise<string>} */
  async link(url, bearer) {
    return (await this.#json("GET", `${url.replace(BASE, "")}/link`, { bearer })).url;
  }

  /**
   * @param {string} method @param {string} path below the API @param {{bearer?: string, body?: unknown}} [how] @returns {Promise<any>} null for an answer without a body
   */
  async #json(method, path, { bearer, body } = {}) {
    /** @type {Response} */
    let answer;
    try {
      answer = await this.ask(`${BASE}${path}`, {
        method, cache: "no-store", signal: AbortSignal.timeout(PATIENCE),
        headers: { ...(bearer ? { authorization: `Bearer ${bearer}` } : {}), ...(body === undefined ? {} : { "content-type": "application/json" }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch {
      throw new Refusal("away");
    }
    const said = await answer.json().catch(() => null);
    if (!answer.ok) throw new Refusal(errorOf(answer.status, said), typeof said?.detail === "string" ? said.detail : "");
    return said;
  }
}

/** Where the files of a room are sent to. @param {string} room */
export const filesOf = (room) => `${BASE}${at(room)}/files`;

/** @param {string} room */
const at = (room) => `/rooms/${encodeURIComponent(room)}`;
