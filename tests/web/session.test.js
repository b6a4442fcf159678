// A visit's way in and back, against a server played by the test.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { forgetInvitation, hostToken, invitationTo, keepHostToken, keepInvitation } from "./typed/keys.js";
import { Session } from "./typed/session.js";

/** The browser's end of a socket whose other end is the test. */
class Line {
  /** @type {Line[]} */ static all = [];
  readyState = 0;
  /** @type {any[]} */ sent = [];
  /** @type {(() => void) | null} */ onopen = null;
  /** @type {((event: {data: string}) => void) | null} */ onmessage = null;
  /** @type {((event: {code: number}) => void) | null} */ onclose = null;
  constructor() { Line.all.push(this); }
  /** @param {string} text */
  send(text) { this.sent.push(JSON.parse(text)); }
  close() { this.readyState = 3; }
  open() { this.readyState = 1; this.onopen?.(); }
  /** @param {object} message */
  say(message) { this.onmessage?.({ data: JSON.stringify(message) }); }
  /** @param {string} errorType */
  refuse(errorType) { this.say({ type: "error", data: { errorType, errorText: errorType } }); }
  /** What each login showed. */
  get shown() {
    return this.sent.filter(({ type }) => type === "login").map(({ data: { token, invite, resume } }) => token ?? invite ?? resume ?? "nothing");
  }
}

const ROOM = { name: "Tea", capacity: 8, locked: false, kept: true };
const WELCOME = { type: "room", data: { room: ROOM, you: { sessionId: "me", username: "Ann", role: "guest" }, participants: [], iceServers: [], iceTtl: 600 } };
const before = globalThis.WebSocket;
/** @type {Session} */
let session;

beforeEach(() => {
  Line.all = [];
  /** @type {any} */ (globalThis).WebSocket = Line;
  /** @type {any} */ (globalThis).MediaStream = class { id = crypto.randomUUID(); }; // names what we send, and we send nothing
  for (const store of ["localStorage", "sessionStorage"]) {
    /** @type {Map<string, string>} */
    const kept = new Map();
    Object.defineProperty(globalThis, store, { configurable: true, value: {
      getItem: (/** @type {string} */ key) => kept.get(key) ?? null, setItem: (/** @type {string} */ key, /** @type {string} */ value) => kept.set(key, value), removeItem: (/** @type {string} */ key) => kept.delete(key),
    } });
  }
  session = new Session({ url: "ws://test/ws", relayOnly: false, api: /** @type {any} */ ({ files: async () => ({ files: [] }) }) });
});
afterEach(() => {
  session.visit("went-home");
  session.socket.close(); // its timers would keep a failed run from ending
  globalThis.WebSocket = before;
});

/** Asks to be let in. @returns {Line} the server's end */
function knock() {
  session.approach("Tea");
  session.join({ username: "Ann" });
  const line = /** @type {Line} */ (Line.all.at(-1));
  if (line.readyState === 0) line.open();
  return line;
}

test("an invitation that is used up by the way back is shown no more, and the person may join without it", () => {
  keepInvitation("Tea", { invite: "i1" });
  const line = knock();
  line.say(WELCOME);
  assert.equal(session.state.value.screen, "room");
  line.onclose?.({ code: 1006 });
  session.nudge({ changed: false });
  const again = /** @type {Line} */ (Line.all.at(-1));
  assert.notEqual(again, line);
  again.open();
  again.refuse("notfound");
  assert.deepEqual([session.state.value.screen, session.state.value.problem?.type], ["prejoin", "invitation"]);
  assert.deepEqual(invitationTo("Tea"), {});
  assert.deepEqual(knock().shown.at(-1), "nothing");
});

test("a host token that does not open a room is kept, and not shown at that door again", () => {
  keepHostToken("Tea", "h1");
  const line = knock();
  line.refuse("unauthorized");
  assert.deepEqual(line.shown, ["h1", "nothing"]);
  line.refuse("password");
  assert.deepEqual(knock().shown.at(-1), "nothing");
  assert.equal(hostToken("Tea"), "h1");
  keepHostToken("Tea", "h2"); // made anew, by us
  assert.equal(knock().shown.at(-1), "h2");
});

test("what stands for an invitation is shown in its place, whenever the person comes back, until it opens nothing", () => {
  keepInvitation("Tea", { invite: "i1" });
  const line = knock();
  line.say({ ...WELCOME, data: { ...WELCOME.data, invite: "r1" } });
  session.leave();
  assert.deepEqual(knock().shown.at(-1), "r1");
  forgetInvitation(); // another tab, without the link
  assert.deepEqual(knock().shown.at(-1), "r1");
  const last = /** @type {Line} */ (Line.all.at(-1));
  last.say({ ...WELCOME, data: { ...WELCOME.data, invite: "r2" } });
  session.leave();
  keepInvitation("Tea", { invite: "i2" });
  assert.deepEqual(knock().shown.at(-1), "i2", "another invitation is another");
  keepInvitation("Tea", { invite: "i1" });
  const revoked = knock();
  revoked.refuse("notfound");
  assert.deepEqual(revoked.shown.slice(-2), ["r2", "i1"]);
  revoked.refuse("notfound");
  assert.deepEqual([session.state.value.screen, session.state.value.problem?.type], ["prejoin", "invitation"]);
  assert.equal(knock().shown.at(-1), "nothing");
});
