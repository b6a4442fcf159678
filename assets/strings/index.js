/** The page's words: one catalogue per language, picked once when the page starts. */

/** @typedef {keyof typeof import("./en.js").default} Key */

export const LANGUAGES = /** @type {const} */ ({ en: "English", ko: "한국어" });

/** @type {Record<string, string>} */
let words = {};
let language = "en";
let plurals = new Intl.PluralRules("en");

/** Which of our languages suits: the one asked for, else the first of the browser's we have. @param {string | null} asked @param {readonly string[]} wanted */
export function pick(asked, wanted) {
  for (const one of [asked ?? "", ...wanted]) {
    const base = one.toLowerCase().split("-")[0] ?? "";
    if (Object.hasOwn(LANGUAGES, base)) return base;
  }
  return "en";
}

/** @param {string} wanted */
export async function load(wanted) {
  const catalogue = wanted === "ko" ? await import("./ko.js") : await import("./en.js");
  words = catalogue.default;
  language = wanted;
  plurals = new Intl.PluralRules(wanted);
}

export const currentLanguage = () => language;

/** The text for a key, with `{…}` filled in. @param {Key} key @param {Record<string, string | number>} [values] */
export function t(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** The text for a number of things: `key.one` or `key.other`. @param {"room.count" | "room.unread"} key @param {number} n */
export function count(key, n) {
  const form = /** @type {Key} */ (`${key}.${plurals.select(n)}`);
  return t(Object.hasOwn(words, form) ? form : /** @type {Key} */ (`${key}.other`), { n });
}

/** A server's error in our words; in its own when we have none. @param {{type: string, text: string}} problem */
export function errorText({ type, text }) {
  const key = `error.${type}`;
  return Object.hasOwn(words, key) ? t(/** @type {Key} */ (key)) : text;
}

/** Hours and minutes. @param {number} time Unix ms */
export const clock = (time) => new Intl.DateTimeFormat(language, { hour: "numeric", minute: "2-digit" }).format(time);

/** A day and a time. @param {number} time Unix ms */
export const date = (time) => new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(time);

const UNITS = /** @type {const} */ (["byte", "kilobyte", "megabyte", "gigabyte"]);
/** How large something is, for people. @param {number} bytes */
export function size(bytes) {
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  return new Intl.NumberFormat(language, { style: "unit", unit: UNITS[power], unitDisplay: power === 0 ? "long" : "short", maximumFractionDigits: 1 }).format(bytes / 1000 ** power);
}

/** Names one after the other. @param {string[]} names */
export const list = (names) => new Intl.ListFormat(language, { type: "conjunction" }).format(names);
