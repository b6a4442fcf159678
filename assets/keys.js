/**
 * What opens rooms for this browser: host tokens of the rooms made here, kept for good, and the invitation this tab came
 * with, kept for a reload. Both come behind the `#` of an address or in an answer, never in what a server writes down.
 *
 * @typedef {{invite?: string, token?: string}} Invitation
 */

const HOSTS = "turnstone.hosts";
const INVITATION = "turnstone.invitation";
/** Rooms remembered as ours; the oldest are forgotten. */
const HOSTS_MAX = 100;
/** Longer secrets than this are none of ours, in characters. */
const SECRET_MAX = 4096;

/** @param {string} room @returns {string} empty when the room was not made here */
export function hostToken(room) {
  return hosts().find(({ name }) => name === fold(room))?.token ?? "";
}

/** @param {string} room @param {string} token */
export function keepHostToken(room, token) {
  keepHosts([...hosts().filter(({ name }) => name !== fold(room)), { name: fold(room), token }]);
}

/** @param {string} room */
export function forgetHostToken(room) {
  keepHosts(hosts().filter(({ name }) => name !== fold(room)));
}

/** The room is called something else now. @param {string} before @param {string} now */
export function renameHostToken(before, now) {
  const token = hostToken(before);
  if (!token || fold(before) === fold(now)) return;
  forgetHostToken(before);
  keepHostToken(now, token);
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

/** What a browser that keeps nothing would have kept: the creator is host while the page lives. @type {{name: string, token: string}[] | null} */
let unkept = null;

/** @returns {{name: string, token: string}[]} */
function hosts() {
  if (unkept) return unkept;
  try {
    const kept = JSON.parse(localStorage.getItem(HOSTS) ?? "[]");
    return Array.isArray(kept) ? kept.filter((one) => typeof one?.name === "string" && typeof one?.token === "string") : [];
  } catch {
    return [];
  }
}

/** @param {{name: string, token: string}[]} all */
function keepHosts(all) {
  try {
    localStorage.setItem(HOSTS, JSON.stringify(all.slice(-HOSTS_MAX)));
  } catch {
    unkept = all.slice(-HOSTS_MAX);
  }
}
