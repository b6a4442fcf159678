/** What this browser remembers between visits: small texts (`localStorage`). One that keeps nothing forgets, and no more. */

/** @param {string} key @returns {string | null} */
export function kept(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** @param {string} key @param {string} value */
export function keep(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch { /* a browser that keeps nothing: people choose and type it again */ }
}
