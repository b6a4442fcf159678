// Waiting on conditions. Nothing here asserts how fast something was: the deadlines only end a wait that would never end.

/** How long a condition may take before a test gives up, in milliseconds: generous, for two busy cores. */
export const PATIENCE = 45_000;

const STEP = 100;

/** @param {number} ms @returns {Promise<void>} */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Asks `check` again and again until it answers something truthy, and returns that.
 * @template T
 * @param {string} what in words, for the message of a wait that failed
 * @param {() => T | Promise<T>} check
 * @param {number} [ms]
 * @returns {Promise<T>}
 */
export async function until(what, check, ms = PATIENCE) {
  const deadline = Date.now() + ms;
  let last;
  for (;;) {
    try {
      last = await check();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`waited ${ms / 1000} s in vain until ${what}; last answer: ${describe(last)}`);
    await pause(STEP);
  }
}

/** @param {unknown} value */
function describe(value) {
  return value instanceof Error ? value.message : JSON.stringify(value);
}
