// Whether the program that is about to be tested is the one that stands in the source.

import { existsSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { BINARY } from "../web/journeys/harness/server.js";
import { REPOSITORY } from "../web/journeys/harness/artifacts.js";

/** What the program is made of. */
const SOURCES = ["src", "assets", "Cargo.toml", "Cargo.lock"];

/**
 * Throws, in words, when the program is missing or older than what it is made of. One that is named in
 * TURNSTONE_BINARY has to be there only.
 */
export function refuseStaleBinary(binary = BINARY, named = process.env.TURNSTONE_BINARY !== undefined, repository = REPOSITORY) {
  const build = "run `cargo build --release`, or name a program in TURNSTONE_BINARY";
  if (!existsSync(binary)) throw new Error(`${binary} is missing: ${build}`);
  if (named) return;
  const newest = SOURCES.map((name) => newestIn(join(repository, name))).reduce((one, other) => (other.time > one.time ? other : one));
  if (newest.time > statSync(binary).mtimeMs) throw new Error(`${binary} is older than ${relative(repository, newest.path)}: ${build}`);
}

/** @param {string} path @returns {{ path: string, time: number }} the file changed last */
function newestIn(path) {
  const found = statSync(path);
  if (!found.isDirectory()) return { path, time: found.mtimeMs };
  return readdirSync(path).map((name) => newestIn(join(path, name))).reduce((one, other) => (other.time > one.time ? other : one), { path, time: 0 });
}
