// A program that is missing or older than its source is refused before anything is tested with it.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { refuseStaleBinary } from "./binary.mjs";

const repository = mkdtempSync(join(tmpdir(), "turnstone-binary-"));
const binary = join(repository, "turnstone");
after(() => rmSync(repository, { recursive: true }));

for (const folder of ["src/turn", "assets"]) mkdirSync(join(repository, folder), { recursive: true });
for (const name of ["src/lib.rs", "src/turn/mod.rs", "assets/index.html", "Cargo.toml", "Cargo.lock"]) changed(name, 1_000);

test("a program that is missing", () => {
  assert.throws(() => refuseStaleBinary(binary, false, repository), /turnstone is missing: run `cargo build --release`/);
  assert.throws(() => refuseStaleBinary(binary, true, repository), /is missing/);
});

test("a program that is older than one of its sources", () => {
  changed("turnstone", 2_000);
  refuseStaleBinary(binary, false, repository);
  changed("src/turn/mod.rs", 3_000);
  assert.throws(() => refuseStaleBinary(binary, false, repository), /turnstone is older than src\/turn\/mod\.rs: run `cargo build --release`/);
  // Whoever names a program means that one.
  refuseStaleBinary(binary, true, repository);
});

/** @param {string} name @param {number} seconds when it was changed */
function changed(name, seconds) {
  const path = join(repository, name);
  writeFileSync(path, "");
  utimesSync(path, seconds, seconds);
}
