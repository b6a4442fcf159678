// What opens rooms for this browser.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { forgetHostToken, forgetInvitation, forgetReturn, hostToken, invitationTo, keepHostToken, keepInvitation, keepReturn, readInvitation, renameRoom, returnTo } from "./typed/keys.js";

/** A browser's storage, in memory. */
class Memory {
  /** @type {Map<string, string>} */ kept = new Map();
  /** @param {string} key */
  getItem(key) { return this.kept.get(key) ?? null; }
  /** @param {string} key @param {string} value */
  setItem(key, value) { this.kept.set(key, value); }
  /** @param {string} key */
  removeItem(key) { this.kept.delete(key); }
}

beforeEach(() => {
  Object.defineProperty(globalThis, "localStorage", { value: new Memory(), configurable: true });
  Object.defineProperty(globalThis, "sessionStorage", { value: new Memory(), configurable: true });
});

test("a room made here is ours whatever its case, until it is forgotten", () => {
  keepHostToken("Tea", "t1");
  keepHostToken("art", "a1");
  assert.equal(hostToken("tEA"), "t1");
  renameRoom("tea", "Coffee");
  assert.deepEqual([hostToken("tea"), hostToken("coffee"), hostToken("art")], ["", "t1", "a1"]);
  forgetHostToken("COFFEE");
  assert.equal(hostToken("coffee"), "");
});

test("only so many rooms are remembered, the newest", () => {
  for (let n = 0; n < 120; n += 1) keepHostToken(`r${n}`, `t${n}`);
  assert.equal(hostToken("r0"), "");
  assert.equal(hostToken("r119"), "t119");
});

test("an invitation that was used here opens its room again, and no other does so in its place", () => {
  keepReturn("Tea", "r1", "i1");
  assert.deepEqual([returnTo("tEA"), returnTo("tea", "i1"), returnTo("tea", "i2"), returnTo("art")], ["r1", "r1", "", ""]);
  keepReturn("tea", "r2");
  assert.equal(returnTo("tea", "i1"), "r2", "the newest that stands for the same invitation");
  assert.equal(hostToken("tea"), "");
  renameRoom("tea", "Coffee");
  assert.deepEqual([returnTo("tea"), returnTo("coffee", "i1")], ["", "r2"]);
  forgetReturn("coffee");
  assert.equal(returnTo("coffee"), "");
});

test("an invitation is read out of the address, and the rest stays there", () => {
  assert.deepEqual(readInvitation("#invite=abc&x=1"), { invitation: { invite: "abc" }, rest: "x=1" });
  assert.deepEqual(readInvitation("#token=a.b.c"), { invitation: { token: "a.b.c" }, rest: "" });
  assert.deepEqual(readInvitation(""), { invitation: {}, rest: "" });
  assert.deepEqual(readInvitation(`#invite=${"x".repeat(5000)}`).invitation, {});
});

test("an invitation opens its own room alone, also after a reload", () => {
  keepInvitation("Tea", { invite: "abc" });
  assert.deepEqual(invitationTo("tea"), { invite: "abc" });
  assert.deepEqual(invitationTo("art"), {});
  keepInvitation("Tea", {});
  assert.deepEqual(invitationTo("tea"), { invite: "abc" }, "a link without one takes nothing away");
  forgetInvitation();
  assert.deepEqual(invitationTo("tea"), {});
});

test("in a browser that keeps nothing an invitation opens its room while the page lives", () => {
  Object.defineProperty(globalThis, "sessionStorage", { get() { throw new Error("denied"); }, configurable: true });
  keepInvitation("Tea", { token: "a.b.c" });
  assert.deepEqual([invitationTo("tEA"), invitationTo("art")], [{ token: "a.b.c" }, {}]);
  forgetInvitation();
  assert.deepEqual(invitationTo("tea"), {});
});

test("a browser that keeps nothing, or nonsense, is no trouble", () => {
  localStorage.setItem("turnstone.hosts", "{");
  sessionStorage.setItem("turnstone.invitation", "null");
  assert.equal(hostToken("tea"), "");
  assert.deepEqual(invitationTo("tea"), {});
  Object.defineProperty(globalThis, "localStorage", { get() { throw new Error("denied"); }, configurable: true });
  keepHostToken("tea", "t");
  assert.equal(hostToken("tea"), "t", "the page itself remembers");
});
