// The parts of the call that need no browser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pictureFor, troubleOf } from "./typed/call/media.js";
import { sorted } from "./typed/call/mesh.js";
import { deceives, isAnother, relayTurn } from "./typed/call/peer.js";
import { Watch, sampleOf } from "./typed/call/watch.js";

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

/** A second or two of a call: everything arrives. @param {number} at how many looks into it @param {Partial<import("./typed/call/watch.js").Sample>} [but] @returns {import("./typed/call/watch.js").Sample} */
const moment = (at, but) => ({ path: "direct", relayed: false, bytes: at * 1000, pictures: [{ id: "camera", shown: at * 20, sent: at * 50 }], ...but });

/** At which looks the verdict is to leave the path. @param {Watch} watch @param {import("./typed/call/watch.js").Sample[]} samples */
const verdicts = (watch, samples) => samples.flatMap((sample, at) => watch.isHollow(sample) ? [at] : []);

/** @template T @param {number} n @param {(at: number) => T} make @returns {T[]} */
const looks = (n, make) => Array.from({ length: n }, (_, at) => make(at));

const impolite = { polite: false };

test("a path on which all arrives is left alone", () => {
  assert.deepEqual(verdicts(new Watch(impolite), looks(50, (at) => moment(at))), []);
});

test("a path on which nothing arrives is left after four looks, once; the polite side gives the other one two looks more", () => {
  const silence = looks(50, () => moment(7));
  assert.deepEqual(verdicts(new Watch(impolite), silence), [4]);
  assert.deepEqual(verdicts(new Watch({ polite: true }), silence), [6]);
});

test("a path that loses pictures and lets what is small through is left", () => {
  const small = looks(50, (at) => moment(at, { pictures: [{ id: "camera", shown: 3, sent: at * 50 }] }));
  assert.deepEqual(verdicts(new Watch(impolite), small), [4]);
  const second = looks(50, (at) => moment(at, { pictures: [{ id: "camera", shown: at, sent: at * 50 }, { id: "screen", shown: 0, sent: at * 50 }] }));
  assert.deepEqual(verdicts(new Watch(impolite), second), [4], "one picture of two");
});

test("a camera that delivers nothing is no broken path, and reports that are late are no proof", () => {
  const covered = looks(50, (at) => moment(at, { pictures: [{ id: "camera", shown: 60, sent: at < 2 ? 100 : 150 }] }));
  assert.deepEqual(verdicts(new Watch(impolite), covered), []);
  const late = looks(50, (at) => moment(at, { pictures: [{ id: "camera", shown: 60, sent: Math.floor(at / 3) * 150 }] }));
  assert.deepEqual(verdicts(new Watch(impolite), late), [12], "the fourth report of more packets that did not come");
});

test("one frame, or one packet, and the count begins anew", () => {
  const frames = looks(50, (at) => moment(at, { pictures: [{ id: "camera", shown: Math.floor(at / 4), sent: at * 50 }] }));
  assert.deepEqual(verdicts(new Watch(impolite), frames), []);
  const packets = looks(50, (at) => moment(at, { bytes: Math.floor(at / 4) }));
  assert.deepEqual(verdicts(new Watch(impolite), packets), []);
});

test("another path, and a pause in which nothing was expected, begin the count anew", () => {
  const changing = looks(50, (at) => moment(7, { path: `path ${Math.floor(at / 4)}` }));
  assert.deepEqual(verdicts(new Watch(impolite), changing), []);
  const watch = new Watch(impolite);
  const paused = looks(50, (at) => {
    if (at % 4 === 0) watch.forget();
    return watch.isHollow(moment(7));
  });
  assert(!paused.includes(true));
});

test("a relay is never left, and a direct path only again once a relay has proved better", () => {
  const watch = new Watch(impolite);
  const direct = looks(10, () => moment(7));
  const noBetter = looks(50, (at) => moment(at, { path: "relay", relayed: true, pictures: [{ id: "camera", shown: 3, sent: at * 50 }] }));
  const better = looks(50, (at) => moment(at, { path: "relay", relayed: true }));
  assert.deepEqual(verdicts(watch, direct), [4]);
  assert.deepEqual(verdicts(watch, noBetter), []);
  assert.deepEqual(verdicts(watch, direct), [], "the relay did no better");
  assert.deepEqual(verdicts(watch, better), []);
  assert.deepEqual(verdicts(watch, direct), [4], "the relay did");
});

/** What browsers' statistics hold, as far as it counts here. @param {object[]} reports */
const stats = (...reports) => new Map(reports.map((report) => [/** @type {{id: string}} */ (report).id, report]));
const CANDIDATES = [{ id: "h", type: "local-candidate", candidateType: "host" }, { id: "r", type: "remote-candidate", candidateType: "relay" }, { id: "s", type: "remote-candidate", candidateType: "srflx" }];

test("a sample is of the pair in use, by either browser's way of naming it, and of the bytes of all", () => {
  const pairs = [
    { id: "p1", type: "candidate-pair", localCandidateId: "h", remoteCandidateId: "s", bytesReceived: 5 },
    { id: "p2", type: "candidate-pair", localCandidateId: "h", remoteCandidateId: "r", bytesReceived: 6, selected: true },
  ];
  assert.deepEqual(sampleOf(stats(...CANDIDATES, ...pairs)), { path: "p2", relayed: true, bytes: 11, pictures: [] });
  assert.deepEqual(sampleOf(stats(...CANDIDATES, ...pairs, { id: "t", type: "transport", selectedCandidatePairId: "p1" })), { path: "p1", relayed: false, bytes: 11, pictures: [] });
  assert.equal(sampleOf(stats(...CANDIDATES)), null, "no pair is known");
});

test("a sample has each picture, with what its sender says to have sent", () => {
  const sample = sampleOf(stats(
    { id: "p", type: "candidate-pair", localCandidateId: "h", remoteCandidateId: "s", bytesReceived: 5, selected: true },
    { id: "v", type: "inbound-rtp", kind: "video", framesDecoded: 9, remoteId: "w" }, { id: "w", type: "remote-outbound-rtp", kind: "video", packetsSent: 40 },
    { id: "x", type: "inbound-rtp", kind: "video" }, { id: "a", type: "inbound-rtp", kind: "audio" },
  ));
  assert.deepEqual(sample?.pictures, [{ id: "v", shown: 9, sent: 40 }, { id: "x", shown: 0, sent: 0 }]);
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
