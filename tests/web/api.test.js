// The HTTP API as the page asks it, against a server that notes what it was asked.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { Api, Refusal, errorOf } from "./typed/api.js";

/** @type {{method?: string, url?: string, bearer?: string, body: string}[]} */
const asked = [];
/** @type {{status: number, body: unknown}} */
let answer = { status: 200, body: {} };
const server = createServer((request, response) => {
  let body = "";
  request.on("data", (part) => { body += part; });
  request.on("end", () => {
    asked.push({ method: request.method, url: request.url, bearer: request.headers.authorization, body });
    response.writeHead(answer.status, { "content-type": "application/json" }).end(answer.body === undefined ? "" : JSON.stringify(answer.body));
  });
});
/** @type {Api} */
let api;

before(async () => {
  await new Promise((done) => server.listen(0, "127.0.0.1", () => done(null)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  api = new Api((path, how) => fetch(`http://127.0.0.1:${port}${path}`, how));
});
after(() => server.close());

test("names travel as one part of the path, secrets in headers alone", async () => {
  answer = { status: 204, body: undefined };
  await api.remove("tea/π %", "secret");
  assert.deepEqual(asked.at(-1), { method: "DELETE", url: "/api/v1/rooms/tea%2F%CF%80%20%25", bearer: "Bearer secret", body: "" });
  answer = { status: 200, body: { rooms: [] } };
  await api.rooms("a&b", "c=d");
  assert.equal(asked.at(-1)?.url, "/api/v1/rooms?limit=20&query=a%26b&cursor=c%3Dd");
  assert.equal(asked.at(-1)?.bearer, undefined);
});

test("what is wanted goes out as JSON", async () => {
  answer = { status: 201, body: { name: "Tea", url: "u", hostToken: "h" } };
  assert.equal((await api.create({ name: "Tea", listed: true })).hostToken, "h");
  assert.deepEqual(JSON.parse(asked.at(-1)?.body ?? ""), { name: "Tea", listed: true });
  answer = { status: 200, body: {} };
  await api.change("Tea", "h", { password: null });
  assert.deepEqual([asked.at(-1)?.method, asked.at(-1)?.body], ["PATCH", '{"password":null}']);
});

test("a refusal says which of the page's errors it is, with the server's words", async () => {
  answer = { status: 409, body: { code: "exists", detail: "There is one." } };
  await assert.rejects(api.create({ name: "Tea" }), (error) => error instanceof Refusal && error.type === "exists" && error.text === "There is one.");
  answer = { status: 409, body: { code: "full" } };
  await assert.rejects(api.invite("Tea", "h", { role: "guest" }), (error) => error instanceof Refusal && error.type === "space");
  answer = { status: 502, body: undefined };
  await assert.rejects(api.rooms(""), (error) => error instanceof Refusal && error.type === "failed");
  await assert.rejects(new Api(() => Promise.reject(new TypeError("no network"))).rooms(""), (error) => error instanceof Refusal && error.type === "away");
});

test("every error of the API has words in the catalogue", async () => {
  const { default: words } = await import("./typed/strings/en.js");
  for (let status = 0; status < 600; status += 1) assert.ok(`error.${errorOf(status)}` in words, `${status}`);
  for (const code of ["full", "exists", "rate", "invalid"]) assert.ok(`error.${errorOf(409, { code })}` in words, code);
});
