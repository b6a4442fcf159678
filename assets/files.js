/**
 * The files people share: ours on their way to the server, and the addresses under which the browser gets those that
 * are there. A seat in the room is what opens them, so every address is made for a few minutes.
 *
 * @import { Api } from "./api.js"
 * @import { SharedFile } from "./message.js"
 * @import { Progress, Send } from "./upload.js"
 * @typedef {Progress & {key: string, name: string, size: number, to: string, toName: string, waiting: boolean}} Sending
 *   `waiting` = for those before it
 */
import { signal } from "./vendor/signals-core.js";
import { filesOf } from "./api.js";
import { Upload, byXhr } from "./upload.js";

/** How many go at once: more would only make each slower. */
const AT_ONCE = 2;
/** How many may stand in line: somebody dropped a folder by mistake. */
const IN_LINE = 50;
/** A signed address is good for five minutes; it is asked for anew before that, ms. */
const LINK_FOR = 4 * 60_000;

export class Files {
  /** @type {import("./vendor/signals-core.js").Signal<Sending[]>} */
  sending = signal([]);
  /** @type {Map<string, Upload>} */ #uploads = new Map();
  /** @type {Map<string, {url: Promise<string>, until: number}>} */ #links = new Map();
  #count = 0;

  /**
   * @param {object} options
   * @param {() => string} options.room its name now
   * @param {() => string} options.bearer what shows that we sit there
   * @param {() => boolean} [options.seated] whether the server has us there now, as far as we know
   * @param {Pick<Api, "files" | "link">} options.api
   * @param {Send} [options.send]
   * @param {() => number} [options.now] Unix ms
   */
  constructor({ room, bearer, seated = () => true, api, send = byXhr, now = Date.now }) {
    this.room = room;
    this.bearer = bearer;
    this.seated = seated;
    this.api = api;
    this.send = send;
    this.now = now;
  }

  /** Shares files with everyone, or with one alone. @param {Iterable<File>} files @param {{to?: string, toName?: string}} [whom] @returns {boolean} whether all of them found a place in the line */
  share(files, { to = "", toName = "" } = {}) {
    let all = true;
    for (const file of files) {
      if (this.sending.peek().length >= IN_LINE) {
        all = false;
        break;
      }
      this.#count += 1;
      const key = `u${this.#count}`;
      const upload = new Upload({
        file, endpoint: filesOf(this.room()), bearer: this.bearer, seated: this.seated, send: this.send,
        about: { filename: file.name, ...(file.type ? { filetype: file.type } : {}), ...(to ? { to } : {}) },
        onchange: (progress) => this.#changed(key, progress),
      });
      this.#uploads.set(key, upload);
      this.sending.value = [...this.sending.peek(), { ...upload.progress, key, name: file.name, size: file.size, to, toName, waiting: true }];
    }
    this.#next();
    return all;
  }

  /** @param {string} key */
  cancel(key) {
    void this.#uploads.get(key)?.cancel();
    this.#forget(key);
  }

  /** Once more, from where it came to. @param {string} key */
  again(key) {
    void this.#uploads.get(key)?.start();
  }

  /** The network or our seat is back: what waits after a break goes on at once. */
  nudge() {
    for (const upload of this.#uploads.values()) upload.nudge();
  }

  /** We leave: nothing is sent any more, and the server is told so while our seat still counts. */
  stop() {
    const uploads = [...this.#uploads.values()];
    this.#uploads.clear();
    this.sending.value = []; // before the first is cancelled: its place is for nobody
    for (const upload of uploads) void upload.cancel();
    this.#links.clear();
  }

  /** What people shared before we came, part by part, the newest first. @param {string} [cursor] @returns {Promise<{files: SharedFile[], next?: string}>} */
  async list(cursor) {
    const bearer = this.bearer();
    return bearer ? this.api.files(this.room(), bearer, cursor) : { files: [] };
  }

  /** An address that opens this file for a few minutes, also for an `<img>` or a `<video>`. @param {SharedFile} file @returns {Promise<string>} */
  link(file) {
    const kept = this.#links.get(file.id);
    if (kept && kept.until > this.now()) return kept.url;
    const url = this.api.link(file.url, this.bearer());
    this.#links.set(file.id, { url, until: this.now() + LINK_FOR });
    url.catch(() => this.#links.delete(file.id));
    return url;
  }

  /** The same after the address had its time. @param {SharedFile} file */
  renew(file) {
    this.#links.delete(file.id);
    return this.link(file);
  }

  /** @param {string} key @param {Progress} progress */
  #changed(key, progress) {
    if (progress.state === "done") this.#forget(key);
    else this.sending.value = this.sending.peek().map((one) => (one.key === key ? { ...one, ...progress } : one));
    if (progress.state === "failed" || progress.state === "done") this.#next();
  }

  /** @param {string} key */
  #forget(key) {
    this.#uploads.delete(key);
    this.sending.value = this.sending.peek().filter((one) => one.key !== key);
    this.#next();
  }

  #next() {
    const going = this.sending.peek().filter(({ state, waiting }) => !waiting && state !== "failed").length;
    const next = this.sending.peek().filter(({ waiting }) => waiting).slice(0, Math.max(0, AT_ONCE - going));
    const keys = new Set(next.map(({ key }) => key));
    if (keys.size === 0) return;
    this.sending.value = this.sending.peek().map((one) => (keys.has(one.key) ? { ...one, waiting: false } : one));
    for (const key of keys) void this.#uploads.get(key)?.start();
  }
}

/** The kinds that browsers show in place and safely; the server has looked into each file for what it is. */
const SHOWN = new Set([
  "image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "audio/mpeg", "audio/aac", "audio/mp4", "audio/ogg", "audio/webm", "audio/wav", "audio/flac",
  "video/mp4", "video/webm", "video/ogg",
]);

/** How a file is shown in place, by its media type; the rest is offered to be kept. @param {string} type @returns {"image" | "audio" | "video" | ""} */
export const preview = (type) => (SHOWN.has(type) ? /** @type {"image" | "audio" | "video"} */ (type.split("/")[0]) : "");
