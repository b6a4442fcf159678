/**
 * One file on its way to the server by tus 1.0 (core, creation, termination): after a break it asks how far it came and
 * goes on from there. Knows no DOM beyond the file itself; how requests are made is told by the owner.
 *
 * The well-kept client of tus comes as one old script of 87 KB that leaves a global name, not as a module; the part of the
 * protocol a page needs is this file.
 *
 * @typedef {{status: number, header: (name: string) => string | null, body?: string}} Answer `status` 0 without one
 * @typedef {{method: string, url: string, headers: Record<string, string>, body?: Blob, signal: AbortSignal, onsent?: (bytes: number) => void}} Request
 * @typedef {(request: Request) => Promise<Answer>} Send
 * @typedef {{state: "sending" | "broken" | "done" | "failed" | "cancelled", sent: number, problem: string}} Progress
 *   `broken` goes on by itself; `problem` is one of the page's errors
 */
import { errorOf } from "./api.js";

/** What goes in one request, in bytes: proxies hold no more than this, and whoever may not send any more learns it soon. */
const PIECE = 16 * 1024 * 1024;
/** Pauses after breaks, ms: doubled from the first to the longest. */
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
/** Breaks in a row without a byte more there: after this many, some minutes, it is up to the person. */
const TRIES = 20;
/** So long without a byte sent or an answer, and the request counts as broken off, ms: a network that went away silently tells nothing. */
const SILENCE = 40_000;

export class Upload {
  /** @type {Progress} */
  progress = { state: "sending", sent: 0, problem: "" };
  #url = "";
  #abort = new AbortController();
  #breaks = 0;
  #renewed = false;
  /** We had no seat when the last request went, or its answer came. */
  #away = false;
  /** @type {() => void} */ #wake = () => {};

  /**
   * @param {object} options
   * @param {Blob} options.file
   * @param {string} options.endpoint where files are announced
   * @param {Record<string, string>} options.about name, media type and so on, as the server wants them
   * @param {() => string} options.bearer asked at each request: it changes
   * @param {() => boolean} [options.seated] whether the server has us in the room: who is on the way back is refused for now only
   * @param {Send} options.send
   * @param {(progress: Progress) => void} options.onchange
   * @param {(ms: number) => number} [options.pause] what becomes of a pause: random, or none in tests
   */
  constructor({ file, endpoint, about, bearer, seated = () => true, send, onchange, pause = (ms) => ms / 2 + (ms / 2) * Math.random() }) {
    this.file = file;
    this.endpoint = endpoint;
    this.about = about;
    this.bearer = bearer;
    this.seated = seated;
    this.send = send;
    this.onchange = onchange;
    this.pause = pause;
  }

  /** Sends until it is there, is refused, or is cancelled. */
  async start() {
    this.#abort = new AbortController();
    this.#breaks = 0;
    this.#tell({ state: "sending", problem: "" });
    while (this.progress.state === "sending" || this.progress.state === "broken") {
      const status = await this.#step();
      if (this.#abort.signal.aborted) return;
      if (status) await this.#stumble(status);
    }
  }

  /** Goes on at once, if it waits after a break. */
  nudge() {
    this.#wake();
  }

  /** The server forgets what it has of the file. */
  async cancel() {
    if (this.progress.state === "done") return;
    this.#abort.abort();
    this.#wake();
    this.#tell({ state: "cancelled", problem: "" });
    const url = this.#url;
    this.#url = "";
    // Without an answer the server forgets it by itself, later.
    if (url) await this.#ask("DELETE", url, {}, undefined, AbortSignal.timeout(10_000));
  }

  /** One request of those that are needed. @returns {Promise<number>} 0, or the status of what went wrong; -1 for no answer */
  async #step() {
    if (!this.#url) return this.#announce();
    if (this.progress.state === "broken") return this.#look();
    const from = this.progress.sent;
    if (from >= this.file.size) return this.#finish();
    const piece = this.file.slice(from, from + PIECE);
    const answer = await this.#ask("PATCH", this.#url, { "upload-offset": String(from), "content-type": "application/offset+octet-stream" }, piece, this.#abort.signal,
      (bytes) => this.#tell({ sent: from + Math.min(bytes, piece.size) }));
    if (answer.status !== 204) {
      this.#tell({ sent: from });
      if (answer.status === 0 && !(await isReadable(piece))) {
        this.#tell({ state: "failed", problem: "unreadable" });
        return 0;
      }
      return this.#wrong(answer);
    }
    return this.#arrived(answer);
  }

  async #announce() {
    const metadata = Object.entries(this.about).map(([key, value]) => `${key} ${base64(value)}`).join(",");
    const answer = await this.#ask("POST", this.endpoint, { "upload-length": String(this.file.size), "upload-metadata": metadata }, undefined, this.#abort.signal);
    const location = answer.header("location");
    if (answer.status !== 201 || !location) return this.#wrong(answer);
    this.#url = location;
    this.#tell({ sent: 0 });
    return this.file.size === 0 ? this.#finish() : 0;
  }

  /** How far did it come? */
  async #look() {
    const answer = await this.#ask("HEAD", this.#url, {}, undefined, this.#abort.signal);
    if (answer.status !== 200 && answer.status !== 204) return this.#wrong(answer);
    this.#tell({ state: "sending" });
    return this.#arrived(answer);
  }

  /** @param {Answer} answer @returns {number} never 0 */
  #wrong({ status, body }) {
    this.#said = problemOf(body);
    return status < 1 ? -1 : status < 300 ? 500 : status;
  }
  /** @type {unknown} */ #said = null;

  /** @param {Answer} answer */
  #arrived(answer) {
    const offset = Number(answer.header("upload-offset") ?? NaN);
    if (!Number.isSafeInteger(offset) || offset < 0 || offset > this.file.size) return 500;
    this.#breaks = 0;
    this.#renewed = false;
    this.#tell({ sent: offset });
    return offset === this.file.size ? this.#finish() : 0;
  }

  #finish() {
    this.#tell({ state: "done", sent: this.file.size });
    return 0;
  }

  /** Waits, begins anew, or gives up. @param {number} status */
  async #stumble(status) {
    const refused = errorOf(Math.max(0, status), this.#said);
    const broken = status < 0 || status === 401 || (status === 403 && this.#away) || (status === 409 && refused !== "space") || status === 408 || status === 423 || status === 429 || status === 460 || status >= 500 && status !== 507;
    if ((status === 404 || status === 410) && this.#url && !this.#renewed) {
      this.#url = ""; // the server forgot it: once more from the start
      this.#renewed = true;
      return;
    }
    if (!broken || this.#breaks >= TRIES) {
      this.#tell({ state: "failed", problem: refused });
      return;
    }
    this.#tell({ state: "broken" });
    const ms = this.pause(Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(this.#breaks, 10)));
    this.#breaks += 1;
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => { clearTimeout(timer); resolve(undefined); };
    });
    if (!this.#url && this.progress.state === "broken") this.#tell({ state: "sending" });
  }

  /** @param {string} method @param {string} url @param {Record<string, string>} headers @param {Blob | undefined} body @param {AbortSignal} signal @param {(bytes: number) => void} [onsent] */
  async #ask(method, url, headers, body, signal, onsent) {
    const bearer = this.bearer();
    const before = this.seated();
    const answer = await this.send({ method, url, headers: { "tus-resumable": "1.0.0", ...(bearer ? { authorization: `Bearer ${bearer}` } : {}), ...headers }, signal, ...(body ? { body } : {}), ...(onsent ? { onsent } : {}) });
    this.#away = !before || !this.seated();
    return answer;
  }

  /** @param {Partial<Progress>} what */
  #tell(what) {
    if (this.progress.state === "cancelled") return;
    this.progress = { ...this.progress, ...what };
    this.onchange(this.progress);
  }
}

/** Requests by XMLHttpRequest: `fetch` tells nothing of what was sent. @type {Send} */
export const byXhr = ({ method, url, headers, body, signal, onsent }) => new Promise((resolve) => {
  const request = new XMLHttpRequest();
  const none = () => resolve({ status: 0, header: () => null });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let silence;
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(() => request.abort(), SILENCE);
  };
  request.open(method, url);
  for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
  request.upload.onprogress = ({ loaded }) => {
    heard();
    onsent?.(loaded);
  };
  request.onload = () => resolve({ status: request.status, header: (name) => request.getResponseHeader(name), body: request.responseText });
  request.onerror = request.onabort = request.ontimeout = none;
  request.onloadend = () => clearTimeout(silence);
  signal.addEventListener("abort", () => request.abort());
  if (signal.aborted) none();
  else {
    heard();
    request.send(body ?? null);
  }
});

/** Whether the device still gives the bytes: not those of a folder, or of a file that was moved or changed. @param {Blob} piece */
async function isReadable(piece) {
  try {
    await piece.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/** @param {string} [body] @returns {unknown} */
function problemOf(body) {
  try {
    return JSON.parse(body ?? "null");
  } catch {
    return null;
  }
}

/** Base64 of the text's UTF-8, as tus writes it. @param {string} text */
function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
