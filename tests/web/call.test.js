// The parts of the call that need no browser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pictureFor, troubleOf } from "./typed/call/media.js";
import { sorted } from "./typed/call/mesh.js";
import { deceives, isAnother, relayTurn } from "./typed/call/peer.js";

/** @param {string} fingerprint */
const sdp = (fingerprint) => ({ sdp: `v=0\r\na=fingerprint:sha-256 ${fingerprint}\r\nm=audio` });

test("an offer with another mark belongs to another connection, whatever its certificate", () => {
  assert.equal(isAnother(sdp("AA"), sdp("AA"), "one", "two"), true);
  assert.equal(isAnother(sdp("AA"), sdp("BB"), "one", "one"), false);
  assert.equal(isAnother(null, sdp("AA"), null, "one"), false, "the first offer is no other");
});

test("without marks the certificate tells", () => {
  assert.equal(isAnother(sdp("AA:BB"), sdp("aa:bb"), null), false);
  assert.equal(isAnother(sdp("AA:BB"), sdp("AA:CC"), null), true);
  assert.equal(isAnother(null, sdp("AA:BB"), null), false);
});

test("after two restarts in vain only relays are tried, and after two more every path again", () => {
  const turns = [1, 2, 3, 4, 5, 6, 7].map((restarts) => relayTurn(restarts, false));
  assert.deepEqual(turns, [false, false, true, true, false, false, true]);
});

test("a connection begun with relays alone, since the direct path deceived, tries them first", () => {
  const turns = [1, 2, 3, 4, 5].map((restarts) => relayTurn(restarts, true));
  assert.deepEqual(turns, [true, true, false, false, true]);
});

test("a path deceives when its checks pass and no connection comes about", () => {
  assert.equal(deceives("connecting", "connected"), true);
  assert.equal(deceives("failed", "completed"), true);
  assert.equal(deceives("connected", "connected"), false, "all is well");
  for (const ice of /** @type {const} */ (["new", "checking", "disconnected", "failed"])) assert.equal(deceives("connecting", ice), false, `${ice}: no path at all`);
});

test("streams are what their sender says they are", () => {
  const arrived = new Map([["s", "screen stream"], ["c", "camera stream"]]);
  assert.deepEqual(sorted(arrived, { s: "screen", c: "camera" }), { camera: "camera stream", screen: "screen stream" });
});

test("the first stream of a client that says nothing is its camera, and later ones are not shown in its place", () => {
  assert.deepEqual(sorted(new Map([["a", 1], ["b", 2]]), {}), { camera: 1, screen: null });
  assert.deepEqual(sorted(new Map([["s", 1], ["c", 2]]), { s: "screen" }), { camera: 2, screen: 1 });
  assert.deepEqual(sorted(new Map(), { s: "screen" }), { camera: null, screen: null });
});

test("the more people a picture goes to, the smaller it is", () => {
  const widths = [1, 2, 3, 4, 9].map((others) => pictureFor(others).width);
  assert.deepEqual(widths, [...widths].sort((a, b) => b - a));
  assert.ok((widths[0] ?? 0) > (widths.at(-1) ?? 0));
});

test("every refusal of a browser has one of our reasons", () => {
  const why = (/** @type {string} */ name) => troubleOf(new DOMException("", name));
  assert.deepEqual(["NotAllowedError", "NotFoundError", "OverconstrainedError", "NotReadableError", "TypeError"].map(why), ["denied", "missing", "missing", "busy", "failed"]);
  assert.equal(troubleOf("nonsense"), "failed");
});
