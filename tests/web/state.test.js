import assert from "node:assert/strict";
import { test } from "node:test";
import { CHAT_LINES, act, initial, mayShare, mayShow, mayWrite, newestSeq, readBy, reduce, shownLines } from "./typed/state.js";

/** @import { FromServer, Participant, Status } from "./typed/message.js" */
/** @import { State } from "./typed/state.js" */

/** @type {Status} */
const STATUS = { mic: true, camera: true, screen: false, hand: false, streams: {} };
/** @param {string} sessionId @param {string} username @returns {Participant} */
const one = (sessionId, username) => ({ sessionId, username, role: "guest", joined: 1, status: STATUS });
/** @param {string} sessionId @param {Participant[]} participants @returns {FromServer} */
const welcome = (sessionId, ...participants) => ({
  type: "room",
  data: { room: { name: "Tea", locked: false, capacity: 10, kept: false }, you: { sessionId, username: "Me", role: "guest" }, participants, iceServers: [], iceTtl: 3600 },
});
/** @param {State} state @param {FromServer[]} messages */
const after = (state, ...messages) => messages.reduce(reduce, state);
const atTheDoor = () => act(act(initial(), { type: "went-to-room", roomName: "Tea" }), { type: "asked-to-join" });
/** @param {Participant[]} participants */
const inside = (...participants) => after(act(atTheDoor(), { type: "link", link: "open" }), welcome("me", ...participants));
/** @param {number} seq @param {Partial<import("./typed/message.js").Chat>} [more] @returns {FromServer} */
const chat = (seq, more = {}) => ({ type: "chat", data: { id: `m${seq}`, seq, sessionId: "ann", username: "Ann", text: `line ${seq}`, time: seq, ...more } });
/** @param {string} errorType @returns {FromServer} */
const error = (errorType) => ({ type: "error", data: { errorType, errorText: "words" } });
/** @param {State} state */
const names = (state) => state.people.map(({ username }) => username);

test("a newcomer sees who is there, oldest first, and not itself", () => {
  const state = inside(one("ann", "Ann"), one("me", "Me"), one("ben", "Ben"));
  assert.equal(state.screen, "room");
  assert.deepEqual(names(state), ["Ann", "Ben"]);
  assert.deepEqual(state.chat, [], "those who were here did not just come");
});

test("who comes and goes is in the list and in the chat, once", () => {
  const login = /** @type {FromServer} */ ({ type: "login", from: "ben", data: { roomrequest: "Tea", username: "Ben" } });
  const logout = /** @type {FromServer} */ ({ type: "logout", data: { sessionId: "ben", username: "Ben" } });
  const came = after(inside(one("ann", "Ann")), login, login);
  assert.deepEqual(names(came), ["Ann", "Ben"]);
  assert.deepEqual(came.chat.map(({ kind }) => kind), ["came"]);
  const gone = after(came, logout, logout);
  assert.deepEqual(names(gone), ["Ann"]);
  assert.deepEqual(gone.chat.map(({ kind }) => kind), ["came", "went"]);
});

test("a person without a status keeps none until their client tells one", () => {
  const state = inside({ ...one("old", "Old"), status: null });
  assert.equal(state.people[0]?.status, null);
  const told = after(state, { type: "status", from: "old", data: { ...STATUS, mic: false } });
  assert.equal(told.people[0]?.status?.mic, false);
});

test("away is what the server says, and ends when it says so", () => {
  const state = inside(one("ann", "Ann"));
  const away = after(state, { type: "status", from: "ann", data: { ...STATUS, away: true } });
  assert.equal(away.people[0]?.away, true);
  assert.equal(after(away, { type: "status", from: "ann", data: STATUS }).people[0]?.away, false);
});

test("a line of chat that arrives twice is shown once, and a restarted server may count from 1 again", () => {
  const state = after(inside(one("ann", "Ann")), chat(1), chat(1), chat(2), chat(1, { id: "another" }));
  assert.deepEqual(state.chat.map((line) => line.kind === "said" && line.id), ["m1", "m2", "another"]);
});

test("a line that was changed or taken back is, also when that is learnt after coming back", () => {
  const state = after(inside(one("ann", "Ann")), chat(1), chat(2), chat(3));
  const texts = (/** @type {import("./typed/state.js").State} */ { chat }) => chat.map((line) => line.kind === "said" && line.text);
  const live = after(state, { type: "chat-edit", from: "ann", data: { seq: 1, text: "better", edited: 9 } }, { type: "chat-delete", from: "bob", data: { seq: 2 } });
  assert.deepEqual(texts(live), ["better", "line 3"]);
  const again = after(state, chat(1, { text: "better", edited: 9 }), chat(2, { text: "", deleted: true }), chat(4, { text: "", deleted: true }));
  assert.deepEqual(texts(again), ["better", "line 3"]);
  assert.equal(again.unread, state.unread);
  const forged = after(state, { type: "chat-edit", from: "bob", data: { seq: 1, text: "mine", edited: 9 } });
  assert.deepEqual(texts(forged), ["line 1", "line 2", "line 3"]);
});

test("a lock and a policy change the room", () => {
  const policy = { chat: false, files: true, screen: true, unmute: true, waitingRoom: true };
  const state = after(inside(), { type: "lock", from: "ann", data: { locked: true } }, { type: "policy", from: "ann", data: policy });
  assert.equal(state.room?.locked, true);
  assert.deepEqual(state.room?.policy, policy);
});

test("who knocks waits until let in, refused or gone, and hosts alone keep a list", () => {
  const knock = (/** @type {string} */ sessionId) => /** @type {FromServer} */ ({ type: "knock", data: { sessionId, username: sessionId } });
  const waiting = (/** @type {State} */ state) => state.waiting.map(({ sessionId }) => sessionId);
  const host = after(inside(one("ann", "Ann")), { type: "role", data: { sessionId: "me", role: "host" } }, knock("kim"), knock("lee"), knock("kim"), knock("mo"));
  assert.deepEqual(waiting(host), ["lee", "kim", "mo"], "who knocks twice waits once");
  const let_in = after(host, { type: "login", from: "kim", data: { roomrequest: "Tea", username: "kim" } }, { type: "logout", data: { sessionId: "lee", username: "lee" } });
  assert.deepEqual(waiting(let_in), ["mo"]);
  assert.deepEqual(names(let_in), ["Ann", "kim"]);
  assert.deepEqual(let_in.chat.map(({ kind }) => kind), ["came"], "who was refused was never here");
  assert.deepEqual(waiting(after(let_in, { type: "role", data: { sessionId: "me", role: "guest" } })), []);
  assert.deepEqual(waiting(after(let_in, welcome("me", one("ann", "Ann")))), [], "after coming back the server tells anew");
});

test("a newcomer waits, and is let in or refused", () => {
  const waiting = after(act(atTheDoor(), { type: "link", link: "open" }), { type: "waiting" });
  assert.equal(waiting.screen, "waiting");
  assert.equal(after(waiting, welcome("me")).screen, "room");
  const denied = after(waiting, error("denied"));
  assert.deepEqual([denied.screen, denied.problem?.type], ["prejoin", "denied"]);
  assert.equal(after(inside(), { type: "waiting" }).screen, "room", "inside nobody waits");
});

test("what is refused inside is about the act, not about coming in", () => {
  assert.equal(after(inside(), error("denied")).problem?.type, "notallowed");
  assert.equal(after(inside(), error("notfound")).problem?.type, "gone");
});

test("a host's act on us is told with the host's name, until it is seen", () => {
  const state = after(inside(one("ann", "Ann")), { type: "mute", data: { by: "ann", kind: "mic" } });
  assert.deepEqual(state.news, { type: "mute", kind: "mic", name: "Ann" });
  assert.equal(act(state, { type: "news-seen" }).news, null);
  assert.deepEqual(after(state, { type: "unmute", data: { by: "gone", kind: "camera" } }).news, { type: "unmute", kind: "camera", name: "" });
  assert.deepEqual(after(state, { type: "role", data: { sessionId: "me", role: "host" } }).news, { type: "role", role: "host" });
  assert.equal(after(inside(), { type: "role", data: { sessionId: "me", role: "guest" } }).news, null, "the role one has already is no news");
});

test("what we may turn on follows our role, the policy, and a host's asking, which holds once for the microphone", () => {
  const policy = { chat: false, files: true, screen: false, unmute: false, waitingRoom: false };
  const can = (/** @type {State} */ state) => [mayShow(state, "mic"), mayShow(state, "camera"), mayShow(state, "screen"), mayWrite(state)];
  const open = inside(one("ann", "Ann"));
  assert.deepEqual(can(open), [true, true, true, true], "a server that tells no policy allows all");
  let state = after(open, { type: "policy", from: "ann", data: policy });
  assert.deepEqual(can(state), [false, true, false, false]);
  assert.deepEqual(can(after(state, { type: "role", data: { sessionId: "me", role: "host" } })), [true, true, true, true]);
  assert.deepEqual(can(after(open, { type: "role", data: { sessionId: "me", role: "viewer" } })), [false, false, false, true]);
  state = after(state, { type: "mute", data: { by: "ann", kind: "camera" } });
  assert.equal(mayShow(state, "camera"), false);
  state = after(state, { type: "unmute", data: { by: "ann", kind: "camera" } }, { type: "unmute", data: { by: "ann", kind: "mic" } });
  assert.deepEqual(can(state), [true, true, false, false]);
  state = act(act(state, { type: "mic", on: true }), { type: "mic", on: false });
  assert.deepEqual(can(state), [false, true, false, false]);
});

test("signs under a line are counted once for each person, and gone when taken back", () => {
  const react = (/** @type {string} */ from, /** @type {boolean} */ on) => /** @type {FromServer} */ ({ type: "react", from, data: { seq: 1, emoji: "👍", on } });
  const signs = (/** @type {State} */ { chat: [line] }) => line?.kind === "said" && line.reactions;
  const state = after(inside(one("ann", "Ann")), chat(1), react("ann", true), react("me", true), react("ann", true));
  assert.deepEqual(signs(state), [{ emoji: "👍", sessionIds: ["me", "ann"] }]);
  assert.deepEqual(signs(after(state, react("me", false), react("ann", false))), []);
});

test("older lines come first, once, without those taken back, and are not unread", () => {
  const history = (/** @type {boolean} */ more, /** @type {FromServer[]} */ ...lines) => /** @type {FromServer} */ ({ type: "history", data: { messages: lines.map((line) => line.type === "chat" && line.data), more } });
  let state = after(inside(one("ann", "Ann")), chat(5), history(true, chat(3), chat(4, { deleted: true, text: "" }), chat(5)));
  assert.deepEqual(state.chat.map((line) => line.kind === "said" && line.seq), [3, 5]);
  assert.deepEqual([state.older, state.unread], [true, 1]);
  state = after(state, history(false, chat(1, { edited: 7 }), chat(2)));
  assert.deepEqual(state.chat.map((line) => line.kind === "said" && [line.seq, line.edited]), [[1, true], [2, false], [3, false], [5, false]]);
  assert.equal(state.older, false);
  assert.equal(new Set(state.chat.map(({ key }) => key)).size, 4);
});

test("who writes is told until they have written, stopped or left", () => {
  const typing = /** @type {FromServer} */ ({ type: "typing", from: "ann" });
  const state = after(inside(one("ann", "Ann")), typing, typing);
  assert.deepEqual(state.typing, ["ann"]);
  assert.deepEqual(after(state, chat(1)).typing, []);
  assert.deepEqual(act(state, { type: "typing-over", sessionId: "ann" }).typing, []);
  assert.deepEqual(after(state, { type: "logout", data: { sessionId: "ann", username: "Ann" } }).typing, []);
});

test("a private line names whom it went to, also after that person has left", () => {
  const state = after(inside(one("ann", "Ann")), chat(1, { sessionId: "me", username: "Me", to: "ann", replyTo: 7 }));
  const gone = after(state, { type: "logout", data: { sessionId: "ann", username: "Ann" } }, chat(1, { sessionId: "me", username: "Me", to: "ann", text: "changed" }));
  const [line] = gone.chat;
  assert.ok(line?.kind === "said");
  assert.deepEqual([line.to, line.toName, line.text], ["ann", "Ann", "changed"]);
});

test("the chat forgets its oldest lines instead of growing for ever", () => {
  let state = inside(one("ann", "Ann"));
  for (let seq = 1; seq <= CHAT_LINES + 5; seq += 1) state = after(state, chat(seq));
  assert.equal(state.chat.length, CHAT_LINES);
  const [first] = state.chat;
  assert.equal(first?.kind === "said" && first.seq, 6);
});

test("unread counts what others said while nobody looked", () => {
  let state = after(inside(one("ann", "Ann")), chat(1), chat(2, { sessionId: "me", username: "Me" }));
  assert.equal(state.unread, 1, "one's own lines are read");
  state = act(state, { type: "panel", panel: "chat" });
  assert.equal(state.unread, 0);
  assert.equal(after(state, chat(3)).unread, 0, "the chat is open");
  state = after(act(state, { type: "watched", watched: false }), chat(3));
  assert.equal(state.unread, 1, "the page is in the background");
  assert.equal(act(state, { type: "watched", watched: true }).unread, 0);
});

/** @type {(panel: State["panel"]) => import("./typed/state.js").Act} */
const panel = (panel) => ({ type: "panel", panel });
/** @param {number} seq @returns {FromServer} */
const own = (seq) => chat(seq, { sessionId: "me", username: "Me" });
/** The text of the line that what is new begins with. @param {State} state */
const newFrom = ({ chat, newFrom }) => {
  const line = chat.find(({ key }) => key === newFrom);
  return line?.kind === "said" ? line.text : line?.kind === "file" ? line.name : "";
};

test("what is new begins where one last looked, and stays there while it is read", () => {
  let state = after(act(inside(one("ann", "Ann")), panel("chat")), chat(1));
  assert.equal(newFrom(state), "", "it was seen as it came");
  state = after(act(state, panel("")), own(2), chat(3), chat(4));
  assert.equal(newFrom(state), "line 3");
  state = after(act(state, panel("chat")), chat(5));
  assert.equal(newFrom(state), "line 3");
  assert.equal(newFrom(act(state, panel(""))), "", "all of it was seen");
  assert.equal(newFrom(after(act(state, panel("people")), chat(6))), "line 6");
  assert.equal(newFrom(after(state, own(6))), "", "whoever answers has read");
});

test("what came while the page was in the background is new when it is in front again", () => {
  let state = act(after(act(inside(one("ann", "Ann")), panel("chat")), chat(1)), { type: "watched", watched: false });
  state = act(after(state, { type: "file", from: "ann", data: { id: "f", name: "plan", size: 1, type: "text/plain", url: "/f", sessionId: "ann", username: "Ann", time: 2 } }, chat(3)), { type: "watched", watched: true });
  assert.equal(newFrom(state), "plan");
  assert.equal(newFrom(act(state, { type: "watched", watched: false })), "");
  assert.equal(newFrom(after(state, { type: "file-delete", data: { id: "f" } })), "line 3");
});

test("when the first of the new lines is taken back or forgotten, the next is the first", () => {
  const taken = (/** @type {number} */ seq) => /** @type {FromServer} */ ({ type: "chat-delete", from: "ann", data: { seq } });
  const state = after(act(after(act(inside(one("ann", "Ann")), panel("chat")), chat(1)), panel("")), chat(2), chat(3));
  assert.equal(newFrom(after(state, taken(1))), "line 2");
  assert.equal(newFrom(after(state, taken(2))), "line 3");
  assert.equal(newFrom(after(state, taken(2), taken(3))), "");
  assert.equal(newFrom(after(state, taken(2), taken(3), chat(4))), "line 4");
  let many = state;
  for (let seq = 4; seq <= CHAT_LINES + 4; seq += 1) many = after(many, chat(seq));
  assert.equal(newFrom(many), "line 5");
});

test("lines from before a reload and those after it have keys of their own", () => {
  const before = after(inside(one("ann", "Ann")), chat(1), chat(2));
  const state = after(act(act(initial(), { type: "remembered", chat: before.chat, me: before.me }), { type: "asked-to-join" }), welcome("me", one("ann", "Ann")), chat(3), chat(4));
  assert.equal(new Set(state.chat.map(({ key }) => key)).size, 4);
});

for (const type of ["full", "invalid", "password", "locked", "banned", "notfound", "unauthorized", "invitation"]) {
  test(`a login refused with ${type} leads back before the door, with the reason`, () => {
    const state = after(act(atTheDoor(), { type: "link", link: "open" }), error(type));
    assert.equal(state.screen, "prejoin");
    assert.equal(state.roomName, "Tea");
    assert.deepEqual(state.problem, { type, text: "words" });
    assert.equal(state.askPassword, type === "password");
  });
}

test("a host denies only who was asked to wait; before that it is the server that cannot", () => {
  const waiting = after(atTheDoor(), { type: "waiting" });
  assert.equal(after(waiting, error("denied")).problem?.type, "denied");
  assert.equal(after(atTheDoor(), error("denied")).problem?.type, "failed");
  assert.equal(after(atTheDoor(), error("denied")).screen, "prejoin");
});

test("the same errors inside the room are a notice and nothing more", () => {
  const state = after(inside(one("ann", "Ann")), error("invalid"));
  assert.equal(state.screen, "room");
  assert.deepEqual(names(state), ["Ann"]);
  assert.equal(act(state, { type: "problem-seen" }).problem, null);
});

test("coming back and being refused leads out of the room", () => {
  const broken = act(inside(one("ann", "Ann")), { type: "link", link: "waiting", retryAt: 5 });
  assert.equal(broken.seated, false);
  assert.equal(broken.screen, "room", "a broken socket does not end the call");
  assert.equal(after(act(broken, { type: "link", link: "open" }), error("full")).screen, "prejoin");
});

test("a seat that is gone is not a person's business", () => {
  const broken = act(inside(one("ann", "Ann")), { type: "link", link: "open" });
  assert.deepEqual(after({ ...broken, seated: false }, error("resume")).problem, null);
});

for (const type of ["kicked", "banned"]) {
  test(`who is ${type} inside is told so and does not come back`, () => {
    const state = after(inside(), error(type));
    assert.equal(state.ended, "removed");
    assert.equal(state.problem?.type, type);
  });
}

test("coming back under the same session keeps the chat and takes the list as it is now", () => {
  let state = after(inside(one("ann", "Ann"), one("ben", "Ben")), chat(1));
  state = act(state, { type: "link", link: "waiting", retryAt: 1 });
  state = after(act(state, { type: "link", link: "open" }), welcome("me", one("ann", "Ann"), one("cho", "Cho")), chat(1), chat(2));
  assert.equal(state.chat.length, 2);
  assert.deepEqual(names(state).sort(), ["Ann", "Ben", "Cho"], "Ben may still be on his way back from a restart");
  assert.equal(state.people.find(({ username }) => username === "Ben")?.away, true);
  assert.deepEqual(names(act(state, { type: "lost", sessionId: "ben" })), ["Ann", "Cho"]);
  const back = after(state, { type: "login", from: "ben", data: { roomrequest: "Tea", username: "Ben" } });
  assert.equal(back.people.filter(({ sessionId, away }) => sessionId === "ben" && !away).length, 1);
  assert.equal(back.chat.length, 2, "he was never gone");
});

test("a new session starts with who is there and nobody else", () => {
  const state = after(act(inside(one("ann", "Ann")), { type: "link", link: "open" }), welcome("me again", one("ben", "Ben")));
  assert.deepEqual(names(state), ["Ben"]);
});

test("bye is remembered until the socket is open again", () => {
  let state = after(inside(), { type: "bye", data: { retryAfter: 100 } });
  assert.equal(state.restarting, true);
  state = act(state, { type: "link", link: "waiting", retryAt: 1 });
  assert.equal(state.restarting, true);
  assert.equal(act(state, { type: "link", link: "open" }).restarting, false);
});

test("reactions rise and are over, and a flood of them stays bounded", () => {
  let state = inside(one("ann", "Ann"));
  for (let i = 0; i < 100; i += 1) state = after(state, { type: "reaction", from: "ann", data: { emoji: "🎉" } });
  assert.ok(state.reactions.length <= 24);
  assert.equal(new Set(state.reactions.map(({ key }) => key)).size, state.reactions.length);
  const [first] = state.reactions;
  assert.ok(first);
  assert.ok(!act(state, { type: "reaction-over", key: first.key }).reactions.includes(first));
});

test("leaving forgets the room and its people, but not its name", () => {
  const state = act(after(inside(one("ann", "Ann")), chat(1)), { type: "left" });
  assert.deepEqual([state.screen, state.roomName, state.people, state.chat, state.me], ["left", "Tea", [], [], null]);
});

test("what is not about the state changes nothing", () => {
  const state = inside(one("ann", "Ann"));
  for (const message of /** @type {FromServer[]} */ ([{ type: "pong" }, { type: "candidate", from: "ann", data: null }, { type: "logout", data: { sessionId: "stranger", username: "?" } },
    { type: "status", from: "me", data: STATUS }])) {
    assert.deepEqual(reduce(state, message), state);
  }
});

/** @param {string} id @param {Partial<import("./typed/message.js").SharedFile>} [more] @returns {FromServer} */
const shared = (id, more = {}) => ({ type: "file", from: "ann", data: { id, name: `${id}.png`, size: 10, type: "image/png", url: `/api/v1/files/${id}`, sessionId: "ann", username: "Ann", time: 5, ...more } });
/** @param {State} state */
const keysOf = (state) => state.chat.map((line) => (line.kind === "said" ? line.seq : line.key));

test("a file is a line of its own, once, and counts as unread", () => {
  const state = after(inside(one("ann", "Ann")), chat(1), shared("a"), shared("a"), { .../** @type {any} */ (shared("b")), to: "me" });
  assert.deepEqual(keysOf(state), [1, "fa", "fb"]);
  assert.equal(state.unread, 3);
  const last = state.chat.at(-1);
  assert.equal(last?.kind === "file" && last.toName, "Me");
});

test("a file that was taken away is no line any more", () => {
  const state = after(inside(one("ann", "Ann")), chat(1), shared("a"), shared("b"), { type: "file-delete", data: { id: "a" } }, { type: "file-delete", data: { id: "never" } });
  assert.deepEqual(keysOf(state), [1, "fb"]);
});

test("files from before we came stand where they were shared, also when older lines come later", () => {
  const files = [shared("old", { time: 2 }), shared("between", { time: 12 })].map((message) => (message.type === "file" ? message.data : null)).filter((file) => file !== null);
  const page = /** @param {number[]} seqs @param {boolean} more @returns {FromServer} */ (seqs, more) => ({ type: "history", data: { more, messages: seqs.map((seq) => ({ id: `m${seq}`, seq, sessionId: "ann", username: "Ann", text: "x", time: seq })) } });
  const state = after(act(after(inside(one("ann", "Ann")), page([10, 15], true)), { type: "files", files }));
  assert.deepEqual(keysOf({ ...state, chat: shownLines(state) }), [10, "fbetween", 15], "what is older than the lines here waits for them");
  assert.equal(state.unread, 0);
  const whole = after(state, page([1, 3], false));
  assert.deepEqual(keysOf({ ...whole, chat: shownLines(whole) }), [1, "fold", 3, 10, "fbetween", 15]);
  const first = after(act(inside(one("ann", "Ann")), { type: "files", files }), page([1, 3, 15], false));
  assert.deepEqual(keysOf(first), [1, "fold", 3, "fbetween", 15], "whichever comes first");
});

test("a room that is renamed or resized tells its people so", () => {
  const state = after(inside(), { type: "room-changed", data: { name: "Coffee", capacity: 4 } });
  assert.deepEqual([state.room?.name, state.room?.capacity, state.roomName, state.news], ["Coffee", 4, "Coffee", { type: "renamed", name: "Coffee" }]);
  const resized = after(inside(), { type: "room-changed", data: { capacity: 4 } });
  assert.deepEqual(resized.news, { type: "capacity", n: 4 });
  assert.equal(after(inside(), { type: "room-changed", data: { capacity: 10 } }).news, null);
});

test("a deleted room says so, and not that we were removed", () => {
  const closed = (/** @type {State} */ state) => act(state, { type: "link", link: "ended", ended: "removed" });
  assert.equal(closed(after(inside(), error("notfound"))).ended, "deleted");
  assert.equal(closed(after(inside(), error("kicked"))).ended, "removed");
});

test("how far each has read is known, and only grows", () => {
  const read = /** @param {number} seq @returns {FromServer} */ (seq) => ({ type: "read", from: "ann", data: { seq } });
  const mine = chat(3, { sessionId: "me" });
  const state = after(inside({ ...one("ann", "Ann"), read: 2 }, one("ben", "Ben")), chat(1), chat(2), mine);
  assert.deepEqual(readBy(state), { seq: 3, names: [] });
  assert.deepEqual(readBy(after(state, read(3), read(1))), { seq: 3, names: ["Ann"] });
  assert.equal(newestSeq(state), 3);
  assert.deepEqual(readBy(after(state, chat(4))), { seq: 0, names: [] }, "the newest line is not ours");
});

test("who may share files: hosts always, viewers never, guests as the room allows", () => {
  const policy = { chat: true, files: false, screen: true, unmute: true, waitingRoom: false };
  const off = after(inside(), { type: "policy", from: "ann", data: policy });
  assert.equal(mayShare(inside()), true);
  assert.equal(mayShare(off), false);
  assert.equal(mayShare(after(off, { type: "role", data: { sessionId: "me", role: "host" } })), true);
  assert.equal(mayShare(after(inside(), { type: "role", data: { sessionId: "me", role: "viewer" } })), false);
});

test("who asks too often at the door is back before it, and may ask again", () => {
  const state = after(atTheDoor(), error("rate"));
  assert.deepEqual([state.screen, state.problem?.type], ["prejoin", "rate"]);
  assert.equal(after(inside(), error("rate")).screen, "room");
});
