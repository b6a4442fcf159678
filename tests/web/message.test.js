// The golden samples, read as the page reads them. The server's tests read the same files.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { TYPES, isFromPage, name, read } from "./typed/message.js";
import { initial, reduce } from "./typed/state.js";

const SAMPLES = new URL("../samples/", import.meta.url);
const files = readdirSync(SAMPLES).filter((file) => file.endsWith(".json"));
/** @param {string} file */
const sample = (file) => readFileSync(new URL(file, SAMPLES), "utf8");
/** @param {string} direction */
const of = (direction) => files.filter((file) => file.startsWith(`${direction}-`));

test("every message of the server is understood, and the state survives it", () => {
  assert.ok(of("server").length >= 15, "the samples are there");
  for (const file of of("server")) {
    const message = read(sample(file));
    assert.ok(message, file);
    assert.equal(message.type, JSON.parse(sample(file)).type);
    assert.ok(reduce({ ...initial(), screen: "joining" }, message), file);
  }
});

test("every message of a client is one the page may send", () => {
  assert.ok(of("client").length >= 12, "the samples are there");
  for (const file of of("client")) assert.ok(isFromPage(JSON.parse(sample(file))), file);
});

test("each type of either direction that the server's first table has, has a sample", () => {
  /** @param {string} direction */
  const sampled = (direction) => new Set(of(direction).map((file) => JSON.parse(sample(file)).type));
  for (const type of TYPES.server) assert.ok(sampled("server").has(type), `server ${type}`);
  for (const type of TYPES.client) assert.ok(sampled("client").has(type), `client ${type}`);
});

test("what is no message of ours is nothing, whatever it is", () => {
  for (const frame of ["", "{", "null", "[]", "1", '"room"', "{}", '{"type":"toString"}', '{"type":"__proto__","data":{}}', '{"type":1}',
    '{"type":"future","data":{}}', '{"type":"joined","data":""}', '{"type":"room","data":{}}', '{"type":"offer","from":"a","data":{"type":"answer","sdp":""}}',
    '{"type":"offer","data":{"type":"offer","sdp":""}}', '{"type":"status","from":"a","data":{"mic":1}}', '{"type":"chat","data":{"text":"x"}}']) {
    assert.equal(read(frame), null, frame);
  }
});

test("each required part of each sample is required: without it the message is refused", () => {
  for (const file of of("server")) {
    const whole = JSON.parse(sample(file));
    if (typeof whole.data !== "object" || ["ping", "pong", "room-changed"].includes(whole.type)) continue;
    const optional = new Set(["id", "to", "replyTo", "away", "limits", "resume", "api", "invite", "sdpMid", "sdpMLineIndex", "usernameFragment", "camera", "screen"]);
    for (const key of Object.keys(whole.data)) {
      if (whole.type === "react" && key === "on") continue;
      if (optional.has(key) && !(whole.type === "status" && key !== "away")) continue;
      const { [key]: _, ...rest } = whole.data;
      assert.equal(read(JSON.stringify({ ...whole, data: rest, message: undefined })), null, `${file} without ${key}`);
    }
  }
});

test("an error is read from `message` too, where older servers put it", () => {
  const message = read('{"type":"error","message":{"errorType":"full","errorText":"Full."}}');
  assert.deepEqual(message?.type === "error" && message.data, { errorType: "full", errorText: "Full." });
});

test("names are tidied as the server does it, and refused where it refuses them", () => {
  assert.equal(name("  Kim  "), "Kim");
  assert.equal(name("e\u0301"), "\u00e9");
  assert.equal(name("🐦".repeat(64)), "🐦".repeat(64));
  for (const bad of ["", "   ", "x".repeat(65), "a\u0000b", "a\u202eb", "a\nb", "\u2066a"]) assert.equal(name(bad), null, JSON.stringify(bad));
});
