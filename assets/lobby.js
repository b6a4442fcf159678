/**
 * The list of rooms on the first page: searched, read page by page, and kept up to date by what the server tells.
 * The functions are pure; `Lobby` joins them to the API and to the server's events.
 *
 * @import { Api, Listed } from "./api.js"
 * @typedef {{rooms: Listed[], next: string, query: string, phase: "loading" | "ready" | "failed"}} List
 *   by name; `next` is where the page after begins, empty at the end
 */
import { signal } from "./vendor/signals-core.js";

/** So long after the last letter a search begins, ms. */
const TYPED = 250;
/** When events that were refused are asked for again, ms: the server was busy, or restarted. */
const REOPEN = 15_000;
/** What an EventSource says that will not try again. */
const CLOSED = 2;

/** @returns {List} */
export const emptyList = () => ({ rooms: [], next: "", query: "", phase: "loading" });

/** A room is there, or is not as it was. @param {List} list @param {Listed} room @returns {List} */
export function changed(list, room) {
  const name = fold(room.name);
  const others = list.rooms.filter((one) => fold(one.name) !== name);
  const known = others.length < list.rooms.length;
  const last = list.rooms.at(-1);
  const beyond = list.next !== "" && last !== undefined && name > fold(last.name); // comes with its own page
  if (!known && (beyond || !name.includes(fold(list.query)))) return list;
  const at = others.findIndex((one) => fold(one.name) > name);
  return { ...list, rooms: at < 0 ? [...others, room] : others.toSpliced(at, 0, room) };
}

/** A room is in the list no more. @param {List} list @param {string} name @returns {List} */
export const gone = (list, name) => ({ ...list, rooms: list.rooms.filter((one) => fold(one.name) !== fold(name)) });

/** One more page; what is in it holds. @param {List} list @param {{rooms: Listed[], next?: string}} page @returns {List} */
export const joined = (list, { rooms, next }) => ({ ...rooms.reduce(changed, { ...list, next: "" }), next: next ?? "", phase: "ready" });

/** Rooms compare and sort without case. @param {string} name */
const fold = (name) => name.normalize("NFC").toLowerCase();

export class Lobby {
  /** @type {import("./vendor/signals-core.js").Signal<List>} */
  list = signal(emptyList());
  /** @type {EventSource | null} */ #events = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #typing;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #reopening;
  #asked = 0;

  /** @param {Pick<Api, "rooms">} api @param {() => EventSource} listen to the server's events */
  constructor(api, listen = () => new EventSource("/api/v1/events")) {
    this.api = api;
    this.listen = listen;
  }

  /** The list is looked at. */
  open() {
    if (this.#events) return;
    void this.load();
    this.#follow();
  }

  /** The network is back. */
  nudge() {
    if (this.#events && this.list.peek().phase === "failed") void this.load();
  }

  #follow() {
    const events = this.listen();
    this.#events = events;
    let opened = false;
    events.onopen = () => {
      if (opened) void this.load(); // more may have happened meanwhile than is told again
      opened = true;
    };
    events.onerror = () => {
      if (events.readyState !== CLOSED) return; // the browser tries again by itself
      this.#reopening = setTimeout(() => {
        this.#follow();
        void this.load();
      }, REOPEN);
    };
    for (const type of ["room-created", "room-changed"]) events.addEventListener(type, (event) => this.#told(event, changed));
    events.addEventListener("reload", () => void this.load()); // more has happened than is told again
    events.addEventListener("room-deleted", (event) => this.#told(event, (list, room) => gone(list, room.name)));
  }

  close() {
    this.#events?.close();
    this.#events = null;
    clearTimeout(this.#typing);
    clearTimeout(this.#reopening);
    this.#asked += 1;
  }

  /** @param {string} query */
  search(query) {
    this.list.value = { ...this.list.peek(), query };
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => void this.load(), TYPED);
  }

  /** The first page, anew. */
  load() {
    const { query } = this.list.peek();
    return this.#ask(query.trim(), undefined, (page) => joined({ ...emptyList(), query }, page));
  }

  /** The page after those that are here. */
  more() {
    const { query, next } = this.list.peek();
    return next ? this.#ask(query.trim(), next, (page) => joined(this.list.peek(), page)) : undefined;
  }

  /** @param {string} query @param {string | undefined} cursor @param {(page: {rooms: Listed[], next?: string}) => List} take */
  async #ask(query, cursor, take) {
    this.#asked += 1;
    const asked = this.#asked;
    try {
      const page = await this.api.rooms(query, cursor);
      if (asked === this.#asked) this.list.value = take(page);
    } catch {
      if (asked === this.#asked) this.list.value = { ...this.list.peek(), phase: "failed" };
    }
  }

  /** @param {MessageEvent} event @param {(list: List, room: any) => List} change */
  #told({ data }, change) {
    try {
      const room = JSON.parse(data);
      if (typeof room?.name === "string") this.list.value = change(this.list.peek(), room);
    } catch { /* a newer server may tell more than we understand */ }
  }
}
