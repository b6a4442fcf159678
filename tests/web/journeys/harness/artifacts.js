// Where pictures and logs of a run are kept, for a person to look at afterwards.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's top folder. */
export const REPOSITORY = fileURLToPath(new URL("../../../../", import.meta.url));

const ARTIFACTS = process.env.TEST_ARTIFACTS ?? join(REPOSITORY, "target", "test-artifacts");

/**
 * A path under target/test-artifacts/, its folder made.
 * @param {string} folder
 * @param {string} [file]
 */
export function artifact(folder, file = "") {
  mkdirSync(join(ARTIFACTS, slug(folder)), { recursive: true });
  return join(ARTIFACTS, slug(folder), file);
}

/** @param {string} text */
export function slug(text) {
  return text.toLowerCase().replace(/[^a-z0-9.]+/g, "-").replace(/^-|-$/g, "").slice(0, 80);
}
