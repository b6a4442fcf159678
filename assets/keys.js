/**
 * What opens rooms for this browser: host tokens of the rooms made here and what stands for an invitation that was used, kept
 * for good, and the invitation this tab came with, kept for a reload. They come behind the `#` of an address or in an answer,
 * never in what a server writes down.
 *
 * @typedef {{invite?: string, token?: string}} Invitation
 */

const HOSTS = "turnstone.hosts";
const RETURNS = "turnstone.returns";
const INVITATION = "turnstone.invitation";
/** Rooms remembered of either kind; the oldest are forgotten. */
const ROOMS_MAX = 100;
/** Longer secrets than this are none of ours, in characters. */
const SECRET_MAX = 4096;

/** @param {string} room @returns {string} empty when the room was not made here */
export const hostToken = (room) => find(HOSTS, room)?.token ?? "";

/** @param {string} room @param {string} token */
export const keepHostToken = (room, token) => put(HOSTS, { name: fold(room), token });

/** @param {string} room */
export const forgetHostToken = (room) => drop(HOSTS, room);

/** What to show instead of an invitation that was used here. @param {string} room @param {string} [link] the invitation of an address, which may be another than that @returns {string} empty when there is none */
export function returnTo(room, link = "") {
  const used = find(RETURNS, room);
  return used && (!link || used.link === link) ? used.token : "";
}

/** @param {string} room @param {string} token what stands for the invitation @param {string} [link] the invitation; absent when the room was entered by what stood for it before */
export function keepReturn(room, token, link = find(RETURNS, room)?.link ?? "") {
  put(RETURNS, { name: fold(room), token, link });
}

/** @param {string} room */
export const forgetReturn = (room) => drop(RETURNS, room);

/** The room is called something else now. @param {string} before @param {string} now */
export function renameRoom(before, now) {
  if (fold(before) === fold(now)) return;
  for (const key of [HOSTS, RETURNS]) {
    const known = find(key, before);
    if (!known) continue;
    drop(key, before);
    put(key, { ...known, name: fold(now) });
  }
}

/** The invitation in the part of an address after its `#`, with what else stands there. @param {string} hash @returns {{invitation: Invitation, rest: string}} */
export function readInvitation(hash) {
  const fragment = new URLSearchParams(hash.replace(/^#/, ""));
  /** @type {Invitation} */
  const invitation = {};
  for (const key of /** @type {const} */ (["invite", "token"])) {
    const secret = fragment.get(key);
    if (secret && secret.length <= SECRET_MAX) invitation[key] = secret;
    fragment.delete(key);
  }
  return { invitation, rest: String(fragment) };
}

/** Keeps it for a reload of this tab. @param {string} room @param {Invitation} invitation */
export function keepInvitation(room, invitation) {
  if (!invitation.invite && !invitation.token) return;
  const kept = JSON.stringify({ ...invitation, name: fold(room) });
  carried = "";
  try {
    sessionStorage.setItem(INVITATION, kept);
  } catch {
    carried = kept; // after a reload the link is opened again
  }
}

/** The invitation into this room alone. @param {string} room @returns {Invitation} */
export function invitationTo(room) {
  try {
    const { name, invite, token } = JSON.parse(carried || (sessionStorage.getItem(INVITATION) ?? "{}"));
    return name === fold(room) ? { ...(typeof invite === "string" ? { invite } : {}), ...(typeof token === "string" ? { token } : {}) } : {};
  } catch {
    return {};
  }
}

export function forgetInvitation() {
  carried = "";
  try {
    sessionStorage.removeItem(INVITATION);
  } catch { /* nothing was kept */ }
}

/** The invitation in a browser that keeps nothing, as it would have been kept: it opens its room while the page lives. */
let carried = "";

/** Rooms compare without case. @param {string} room */
const fold = (room) => room.normalize("NFC").trim().toLowerCase();

/** @typedef {{name: string, token: string, link?: string}} Known what opens the room of that name */

/** What a browser that keeps nothing would have kept: the creator is host while the page lives. @type {Map<string, Known[]>} */
const unkept = new Map();

/** @param {string} key @param {string} room */
const find = (key, room) => all(key).find(({ name }) => name === fold(room));

/** @param {string} key @param {Known} known */
const put = (key, known) => keepAll(key, [...all(key).filter(({ name }) => name !== known.name), known]);

/** @param {string} key @param {string} room */
const drop = (key, room) => keepAll(key, all(key).filter(({ name }) => name !== fold(room)));

/** @param {string} key @returns {Known[]} */
function all(key) {
  const carried = unkept.get(key);
  if (carried) return carried;
  try {
    const kept = JSON.parse(localStorage.getItem(key) ?? "[]");
    return Array.isArray(kept) ? kept.filter((one) => typeof one?.name === "string" && typeof one?.token === "string") : [];
  } catch {
    return [];
  }
}

/** @param {string} key @param {Known[]} list */
function keepAll(key, list) {
  try {
    localStorage.setItem(key, JSON.stringify(list.slice(-ROOMS_MAX)));
  } catch {
    unkept.set(key, list.slice(-ROOMS_MAX));
  }
}
