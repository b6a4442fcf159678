// The list of rooms: pure changes, and a list that follows the server.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Lobby, changed, emptyList, gone, joined } from "./typed/lobby.js";

/** @param {string} name @param {number} [people] */
const room = (name, people = 0) => ({ name, people, capacity: 10, locked: false, password: false });
/** @param {import("./typed/lobby.js").List} list */
const names = ({ rooms }) => rooms.map(({ name }) => name);
/** @param {string[]} all */
const listOf = (...all) => joined(emptyList(), { rooms: all.map((name) => room(name)) });

test("rooms stand in the order of their names, whatever their case, and each once", () => {
  const list = changed(changed(listOf("apple", "Cherry"), room("Banana", 2)), room("APPLE", 3));
  assert.deepEqual(names(list), ["APPLE", "Banana", "Cherry"]);
  assert.equal(list.rooms[0]?.people, 3);
  assert.deepEqual(names(gone(list, "banana")), ["APPLE", "Cherry"]);
});

test("what belongs to a later page waits for it; what does not match is not shown", () => {
  const page = joined(emptyList(), { rooms: [room("a"), room("c")], next: "more" });
  assert.deepEqual(names(changed(page, room("b"))), ["a", "b", "c"]);
  assert.deepEqual(names(changed(page, room("d"))), ["a", "c"]);
  assert.deepEqual(names(joined(page, { rooms: [room("c"), room("d")] })), ["a", "c", "d"]);
  assert.deepEqual(names(changed({ ...listOf("tea"), query: "te" }, room("coffee"))), ["tea"]);
});

/** Events as the server sends them, by hand. */
class Events extends EventTarget {
  closed = false;
  /** @type {(() => void) | null} */ onopen = null;
  close() { this.closed = true; }
  /** @param {string} type @param {unknown} data */
  tell(type, data) { this.dispatchEvent(new MessageEvent(type, { data: typeof data === "string" ? data : JSON.stringify(data) })); }
}

/** @param {(query: string, cursor?: string) => Promise<{rooms: ReturnType<typeof room>[], next?: string}>} rooms */
function lobbyOf(rooms) {
  const events = new Events();
  const lobby = new Lobby({ rooms }, () => /** @type {any} */ (events));
  return { lobby, events, settled: () => new Promise((done) => setTimeout(done, 5)) };
}

test("the list follows the server's events, and survives what is none", async () => {
  const { lobby, events, settled } = lobbyOf(async () => ({ rooms: [room("tea")] }));
  lobby.open();
  await settled();
  events.tell("room-created", room("art"));
  events.tell("room-changed", room("tea", 4));
  events.tell("room-changed", "{");
  events.tell("room-changed", "null");
  assert.deepEqual(lobby.list.value.rooms.map(({ name, people }) => [name, people]), [["art", 0], ["tea", 4]]);
  events.tell("room-deleted", { name: "Tea" });
  assert.deepEqual(names(lobby.list.value), ["art"]);
  lobby.close();
  assert.ok(events.closed);
});

test("after the events broke off, the list is asked for anew", async () => {
  let asked = 0;
  const { lobby, events, settled } = lobbyOf(async () => ({ rooms: [room(`r${++asked}`)] }));
  lobby.open();
  events.onopen?.();
  await settled();
  assert.deepEqual(names(lobby.list.value), ["r1"]);
  events.onopen?.();
  await settled();
  assert.deepEqual(names(lobby.list.value), ["r2"]);
  events.tell("reload", {});
  await settled();
  assert.deepEqual(names(lobby.list.value), ["r3"], "or when the server says so");
});

test("an answer to an older question is not shown, and a failed one says so", async () => {
  /** @type {((page: {rooms: ReturnType<typeof room>[]}) => void)[]} */
  const answers = [];
  const { lobby, settled } = lobbyOf(() => new Promise((resolve) => answers.push(resolve)));
  void lobby.load();
  lobby.list.value = { ...lobby.list.value, query: "b" };
  void lobby.load();
  answers[1]?.({ rooms: [room("b")] });
  answers[0]?.({ rooms: [room("a")] });
  await settled();
  assert.deepEqual(names(lobby.list.value), ["b"]);
  const broken = lobbyOf(async () => { throw new Error("no"); });
  await broken.lobby.load();
  assert.equal(broken.lobby.list.value.phase, "failed");
});

test("more pages follow where the last one ended", async () => {
  /** @type {(string | undefined)[]} */
  const cursors = [];
  const { lobby } = lobbyOf(async (_, cursor) => { cursors.push(cursor); return cursor ? { rooms: [room("b")] } : { rooms: [room("a")], next: "a" }; });
  await lobby.load();
  await lobby.more();
  assert.deepEqual(names(lobby.list.value), ["a", "b"]);
  assert.equal(lobby.more(), undefined);
  assert.deepEqual(cursors, [undefined, "a"]);
});
