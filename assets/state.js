/**
 * All that the page knows, and how each message and each act changes it. Pure: no DOM, no clock, no socket, no media.
 * Streams and devices are not state; they belong to `call/`.
 *
 * @import { FromServer, Chat, Kind, Participant, Role, Room, SharedFile, Status } from "./message.js"
 *
 * @typedef {{sessionId: string, username: string, role: Role, status: Status | null, away: boolean, read: number}} Person
 *   `status` is null for people whose client tells none; `away` means their socket is gone while their media may still flow;
 *   `read` is the number of the newest line they have read, 0 before the first
 * @typedef {{kind: "said", key: string, id: string, seq: number, sessionId: string, username: string, text: string, time: number, mine: boolean,
 *     to?: string, toName?: string, replyTo?: number | string, edited?: boolean, reactions?: {emoji: string, sessionIds: string[]}[]}
 *   | {kind: "file", key: string, mine: boolean, toName?: string} & SharedFile
 *   | {kind: "came" | "went", key: string, username: string}} Line one line of the chat; `to` is whom it went to
 *   alone, `replyTo` the `seq` it answers
 * @typedef {{type: string, text: string}} Problem an error's type, and the server's words for it
 * @typedef {{type: "mute" | "unmute", kind: Kind, name: string} | {type: "role", role: Role} | {type: "renamed", name: string} | {type: "capacity", n: number}} News
 *   what a host has done to us or the room, or asks of us; `name` is empty for a host we do not know
 * @typedef {"home" | "prejoin" | "joining" | "waiting" | "room" | "left" | "test"} Screen `waiting` = before the door, until a host decides
 * @typedef {"off" | "connecting" | "open" | "waiting" | "ended"} Link how the socket is; `waiting` = will try again
 *
 * @typedef {object} State
 * @property {Screen} screen
 * @property {string} roomName the room as typed in its address
 * @property {Link} link
 * @property {number} retryAt Unix ms of the next attempt while `waiting`
 * @property {"" | "replaced" | "abuse" | "removed" | "deleted"} ended why the server will not have us back
 * @property {boolean} seated the server has us in the room, as far as we know
 * @property {boolean} restarting the server said `bye`
 * @property {boolean} online what the browser says of the network
 * @property {{sessionId: string, username: string, role: Role} | null} me
 * @property {boolean} hand
 * @property {Room | null} room
 * @property {Person[]} people oldest first, self left out
 * @property {{sessionId: string, username: string}[]} waiting who waits at the door; hosts alone are told
 * @property {News | null} news
 * @property {{mic: boolean, camera: boolean}} permits whether we may turn these on where people may not unmute themselves
 * @property {Line[]} chat
 * @property {boolean} older whether the server has older lines than these
 * @property {string[]} typing sessions that are writing
 * @property {number} unread lines said while the chat was not looked at
 * @property {string} newFrom the key of the first of these, also while they are looked at; empty once we have written or looked away
 * @property {"" | "chat" | "people"} panel
 * @property {boolean} watched the page is in front
 * @property {{key: string, sessionId: string, emoji: string}[]} reactions on their way up the screen
 * @property {Problem | null} problem
 * @property {boolean} askPassword
 * @property {number} count numbers keys
 */

/** Lines kept in the page; older ones are forgotten so that a long day does not fill the memory. */
export const CHAT_LINES = 1000;
/** Reactions shown at once. */
const REACTIONS = 24;

/** Errors of a login: the person is back before the door. */
const REFUSALS = new Set(["full", "invalid", "password", "locked", "banned", "denied", "failed", "invitation", "notfound", "unauthorized"]);

/** What an error means that is about an act in the room, not about getting in. @type {Record<string, string>} */
const INSIDE = { denied: "notallowed", notfound: "gone" };

/** @returns {State} */
export const initial = () => ({
  screen: "home", roomName: "", link: "off", retryAt: 0, ended: "", seated: false, restarting: false, online: true, me: null, hand: false, room: null, people: [],
  waiting: [], news: null, permits: { mic: false, camera: true }, chat: [], older: false, typing: [], unread: 0, newFrom: "", panel: "", watched: true, reactions: [], problem: null, askPassword: false, count: 0,
});

/** What a message of the server changes. @param {State} state @param {FromServer} message @returns {State} */
export function reduce(state, message) {
  switch (message.type) {
    case "room":
      return entered(state, message.data);
    case "login":
      return came(state, message.from, message.data.username);
    case "logout":
      return went(state, message.data.sessionId);
    case "status":
      if (message.from === state.me?.sessionId) return state;
      return withPerson(state, message.from, (person) => ({ ...person, status: message.data, away: message.data.away === true }));
    case "chat":
      return said(state, message.data);
    case "chat-edit":
      return withSaid(state, ({ seq, sessionId }) => seq === message.data.seq && sessionId === message.from, (line) => [{ ...line, text: message.data.text, edited: true }]);
    case "chat-delete":
      return withSaid(state, ({ seq }) => seq === message.data.seq, () => []);
    case "file":
      return withFile(state, { ...message.data, ...(message.to ? { to: message.to } : {}) });
    case "file-delete":
      return withChat(state, state.chat.filter((line) => line.kind !== "file" || line.id !== message.data.id));
    case "read":
      return message.from === state.me?.sessionId ? state : withPerson(state, message.from, (person) => ({ ...person, read: Math.max(person.read, message.data.seq) }));
    case "react":
      return withSaid(state, ({ seq }) => seq === message.data.seq, (line) => [marked(line, message.from, message.data.emoji, message.data.on ?? true)]);
    case "history":
      return remembering(state, message.data.messages, message.data.more);
    case "typing":
      return message.from === state.me?.sessionId ? state : { ...notTyping(state, message.from), typing: [...notTyping(state, message.from).typing, message.from] };
    case "reaction":
      return reacted(state, message.from, message.data.emoji);
    case "role":
      if (message.data.sessionId === state.me?.sessionId) return changedRole(state, message.data.role);
      return withPerson(state, message.data.sessionId, (person) => ({ ...person, role: message.data.role }));
    case "lock":
      return state.room ? { ...state, room: { ...state.room, locked: message.data.locked } } : state;
    case "policy":
      return state.room ? { ...state, room: { ...state.room, policy: message.data } } : state;
    case "room-changed":
      return changedRoom(state, message.data);
    case "waiting":
      return state.screen === "joining" ? { ...state, screen: "waiting" } : state;
    case "knock":
      return { ...state, waiting: [...state.waiting.filter(({ sessionId }) => sessionId !== message.data.sessionId), message.data] };
    case "mute":
    case "unmute": {
      const { by, kind } = message.data;
      const name = state.people.find(({ sessionId }) => sessionId === by)?.username ?? "";
      return { ...state, news: { type: message.type, kind, name }, permits: { ...state.permits, [kind]: message.type === "unmute" } };
    }
    case "bye":
      return { ...state, restarting: true };
    case "error":
      return refused(state, { type: message.data.errorType, text: message.data.errorText });
    default:
      return state; // the call's own messages, and what newer servers may say
  }
}

/**
 * What happens on this side.
 * @typedef {{type: "went-home"} | {type: "went-to-room", roomName: string} | {type: "went-to-test"} | {type: "asked-to-join"} | {type: "left"}
 *   | {type: "link", link: Link, retryAt?: number, ended?: State["ended"]} | {type: "network", online: boolean} | {type: "panel", panel: State["panel"]}
 *   | {type: "watched", watched: boolean} | {type: "hand", hand: boolean} | {type: "reacted", emoji: string} | {type: "reaction-over", key: string}
 *   | {type: "problem-seen"} | {type: "problem", problem: Problem} | {type: "lost", sessionId: string} | {type: "news-seen"} | {type: "typing-over", sessionId: string}
 *   | {type: "mic", on: boolean} | {type: "files", files: SharedFile[]}
 *   | {type: "remembered", chat: Line[], me: State["me"]}} Act
 * @param {State} state @param {Act} act @returns {State}
 */
export function act(state, act) {
  switch (act.type) {
    case "went-home":
      return { ...fresh(state), screen: "home" };
    case "went-to-room":
      return { ...fresh(state), screen: "prejoin", roomName: act.roomName };
    case "went-to-test":
      return { ...fresh(state), screen: "test" };
    case "asked-to-join":
      return { ...state, screen: "joining", problem: null };
    case "left":
      return { ...fresh(state), screen: "left", roomName: state.roomName };
    case "link":
      return {
        ...state, link: act.link, seated: state.seated && act.link === "open", retryAt: act.retryAt ?? 0, ended: why(state, act.ended), restarting: act.link === "open" ? false : state.restarting,
      };
    case "network":
      return { ...state, online: act.online };
    case "panel":
      return looked(state, { panel: act.panel });
    case "watched":
      return looked(state, { watched: act.watched });
    case "hand":
      return { ...state, hand: act.hand };
    case "reacted":
      return state.me ? reacted(state, state.me.sessionId, act.emoji) : state;
    case "reaction-over":
      return { ...state, reactions: state.reactions.filter((one) => one.key !== act.key) };
    case "problem-seen":
      return { ...state, problem: null };
    case "problem":
      return { ...state, problem: act.problem };
    case "typing-over":
      return notTyping(state, act.sessionId);
    case "news-seen":
      return { ...state, news: null };
    case "mic": // a host's permission to speak holds for one time
      return act.on && state.permits.mic ? { ...state, permits: { ...state.permits, mic: false } } : state;
    case "files":
      return act.files.reduce((before, file) => withFile(before, file, true), state);
    case "lost":
      return went(state, act.sessionId);
    case "remembered":
      // Their keys were numbered by a page that is gone; the lines to come are numbered by this one.
      return { ...state, chat: act.chat.map((line, index) => (line.kind === "file" ? line : { ...line, key: `o${index}` })), older: act.chat.length > 0, me: act.me };
  }
}

/** Why the server closed for good. When a room is deleted, it says so first. @param {State} state @param {State["ended"]} [ended] @returns {State["ended"]} */
const why = ({ problem, ended: before }, ended = "") => (before === "deleted" || (ended === "removed" && problem?.type === "gone") ? "deleted" : ended);

/** We have a seat: who else is here. @param {State} state @param {import("./message.js").Welcome} welcome @returns {State} */
function entered(state, { room, you, participants }) {
  const again = state.me?.sessionId === you.sessionId;
  const people = participants.filter((one) => one.sessionId !== you.sessionId).map(person);
  const present = new Set(people.map((one) => one.sessionId));
  // After a restart of the server the others come back one by one. Until then those we still hear and see stay on the
  // page; `login` or `lost` ends that.
  const strays = again ? state.people.filter((one) => !present.has(one.sessionId)).map((one) => ({ ...one, away: true })) : [];
  return { ...state, screen: "room", seated: true, room, me: you, people: [...strays, ...people], waiting: [], problem: null, askPassword: false, restarting: false };
}

/** @param {Participant} one @returns {Person} */
const person = ({ sessionId, username, role, status, read }) => ({ sessionId, username, role: role ?? "guest", status: status ?? null, away: status?.away === true, read: read ?? 0 });

/** @param {State} before @param {string} sessionId @param {string} username @returns {State} */
function came(before, sessionId, username) {
  const state = notWaiting(before, sessionId);
  if (sessionId === state.me?.sessionId) return state;
  if (state.people.some((one) => one.sessionId === sessionId)) return withPerson(state, sessionId, (one) => ({ ...one, username, away: false }));
  const people = [...state.people, person({ sessionId, username, role: "guest", joined: 0, status: null })];
  return withLine({ ...state, people, count: state.count + 1 }, { kind: "came", key: `n${state.count}`, username });
}

/** @param {State} state @param {string} sessionId @returns {State} */
const notWaiting = (state, sessionId) => (state.waiting.some((one) => one.sessionId === sessionId)
  ? { ...state, waiting: state.waiting.filter((one) => one.sessionId !== sessionId) } : state);

/** @param {State} state @param {Role} role @returns {State} */
function changedRole(state, role) {
  if (!state.me || state.me.role === role) return state;
  return { ...state, me: { ...state.me, role }, news: { type: "role", role }, waiting: role === "host" ? state.waiting : [] };
}

/** @param {State} state @param {Partial<Room>} changes @returns {State} */
function changedRoom(state, changes) {
  if (!state.room) return state;
  const { name, capacity } = changes;
  const renamed = name !== undefined && name !== state.room.name;
  /** @type {News | null} */
  const news = renamed ? { type: "renamed", name } : capacity !== undefined && capacity !== state.room.capacity ? { type: "capacity", n: capacity } : state.news;
  return { ...state, room: { ...state.room, ...changes }, roomName: renamed ? name : state.roomName, news };
}

/**
 * Whether we may turn this on, by our role and what the room allows.
 * @param {State} state @param {Kind} kind
 */
export function mayShow({ me, room, permits }, kind) {
  if (me?.role === "host") return true;
  if (me?.role === "viewer") return false;
  const policy = room?.policy;
  return !policy || (kind === "screen" ? policy.screen : policy.unmute || permits[kind]);
}

/** Whether we may write. @param {State} state */
export const mayWrite = ({ me, room }) => me?.role === "host" || (room?.policy?.chat ?? true);

/** Who has read our newest line to everyone, and that line's number; 0 for none. @param {State} state @returns {{seq: number, names: string[]}} */
export function readBy({ chat, people }) {
  const line = chat.findLast((one) => one.kind === "said");
  if (line?.kind !== "said" || !line.mine || line.to) return { seq: 0, names: [] };
  return { seq: line.seq, names: people.filter(({ read }) => read >= line.seq).map(({ username }) => username) };
}

/** The number of the newest line that everyone sees; 0 before the first. @param {State} state */
export function newestSeq({ chat }) {
  const line = chat.findLast((one) => one.kind === "said");
  return line?.kind === "said" ? line.seq : 0;
}

/** Whether the chat is being looked at. @param {State} state */
export const isLooking = (state) => looking(state);

/** Whether we may share files. @param {State} state */
export const mayShare = ({ me, room }) => me?.role === "host" || (me?.role !== "viewer" && (room?.policy?.files ?? true));

/** @param {State} before @param {string} sessionId @returns {State} */
function went(before, sessionId) {
  const state = notTyping(notWaiting(before, sessionId), sessionId);
  const gone = state.people.find((one) => one.sessionId === sessionId);
  if (!gone) return state;
  const people = state.people.filter((one) => one !== gone);
  return withLine({ ...state, people, count: state.count + 1 }, { kind: "went", key: `n${state.count}`, username: gone.username });
}

/** @param {State} state @param {string} sessionId @returns {State} */
const notTyping = (state, sessionId) => (state.typing.includes(sessionId) ? { ...state, typing: state.typing.filter((one) => one !== sessionId) } : state);

/** @param {Line & {kind: "said"}} line @param {string} from @param {string} emoji @param {boolean} on @returns {Line & {kind: "said"}} */
function marked(line, from, emoji, on) {
  const before = line.reactions ?? [];
  const others = (before.find((one) => one.emoji === emoji)?.sessionIds ?? []).filter((one) => one !== from);
  const now = { emoji, sessionIds: on ? [...others, from] : others };
  const reactions = before.some((one) => one.emoji === emoji) ? before.map((one) => (one.emoji === emoji ? now : one)) : [...before, now];
  return { ...line, reactions: reactions.filter(({ sessionIds }) => sessionIds.length > 0) };
}

/** A message as a line. @param {State} state @param {Chat} chat @param {string} key @returns {Line & {kind: "said"}} */
function asLine({ me, people }, { id, seq, sessionId, username, text, time, to, replyTo, edited, reactions }, key) {
  const line = { kind: /** @type {const} */ ("said"), key, id: id ?? "", seq, sessionId, username, text, time, mine: sessionId === me?.sessionId, edited: Boolean(edited), reactions: reactions ?? [] };
  const toName = to && (to === me?.sessionId ? me.username : people.find((one) => one.sessionId === to)?.username ?? "");
  return { ...line, ...(to ? { to, toName } : {}), ...(typeof replyTo === "number" || typeof replyTo === "string" ? { replyTo } : {}) };
}

/** A file as a line, at its place in time; once, however often it is told. @param {State} state @param {SharedFile} file @param {boolean} [earlier] from before we came @returns {State} */
function withFile(state, file, earlier = false) {
  if (state.chat.some((line) => line.kind === "file" && line.id === file.id)) return state;
  const mine = file.sessionId === state.me?.sessionId;
  const toName = file.to && (file.to === state.me?.sessionId ? state.me.username : state.people.find((one) => one.sessionId === file.to)?.username ?? "");
  const line = { kind: /** @type {const} */ ("file"), key: `f${file.id}`, mine, ...file, ...(file.to ? { toName } : {}) };
  if (!earlier) return withNews(state, line);
  return { ...state, chat: inTime(state.chat, line) };
}

/** @param {Line[]} chat @param {Line} line @returns {Line[]} */
function inTime(chat, line) {
  const at = chat.findIndex((one) => "time" in one && "time" in line && one.time > line.time);
  return at < 0 ? [...chat, line] : chat.toSpliced(at, 0, line);
}

/** The lines to show: files from before the oldest line that is here wait for the lines around them. @param {State} state @returns {Line[]} */
export function shownLines({ chat, older }) {
  const begin = chat.findIndex((line) => line.kind === "said");
  return older && begin > 0 ? chat.filter((line, index) => index >= begin || line.kind !== "file") : chat;
}

/** Older lines come before all others; those we have already stay where they are. @param {State} state @param {Chat[]} messages @param {boolean} more @returns {State} */
function remembering(state, messages, more) {
  const known = new Set(state.chat.map((line) => (line.kind === "said" ? `${line.seq} ${line.id} ${line.sessionId}` : "")));
  const older = messages.filter((one) => !one.deleted && !known.has(`${one.seq} ${one.id ?? ""} ${one.sessionId}`)).map((one, index) => asLine(state, one, `h${state.count}-${index}`));
  // Files are known all at once, lines page by page: files from before the first line find their place anew.
  const begin = state.chat.findIndex((line) => line.kind === "said");
  const isEarly = (/** @type {Line} */ line, /** @type {number} */ index) => line.kind === "file" && (begin < 0 || index < begin);
  const early = state.chat.filter(isEarly);
  /** @type {Line[]} */
  const lines = [...older, ...state.chat.filter((line, index) => !isEarly(line, index))];
  const chat = early.reduce(inTime, lines).slice(-CHAT_LINES);
  return { ...state, chat, older: more && chat.length < CHAT_LINES, count: state.count + 1 };
}

/** @param {State} before @param {Chat} chat @returns {State} */
function said(before, chat) {
  const state = notTyping(before, chat.sessionId);
  const { id = "", seq, sessionId } = chat;
  // What was missed may arrive twice, and changed. A restarted server counts from 1 again, so the number alone does not tell.
  /** @param {Line & {kind: "said"}} line */
  const isSame = (line) => line.seq === seq && line.id === id && line.sessionId === sessionId;
  if (chat.deleted) return withSaid(state, isSame, () => []);
  if (state.chat.some((line) => line.kind === "said" && isSame(line))) return withSaid(state, isSame, (line) => [{ ...asLine(state, chat, line.key), toName: line.toName }]);
  const line = asLine(state, chat, `c${state.count}`);
  return withNews({ ...state, count: state.count + 1 }, line);
}

/** A line that somebody wrote or shared just now: new until it is looked at. @param {State} state @param {Exclude<Line, {kind: "came" | "went"}>} line @returns {State} */
function withNews(state, line) {
  const after = withLine(state, line);
  if (looking(state)) return line.mine ? { ...after, newFrom: "" } : after; // whoever answers has read
  return line.mine ? after : { ...after, unread: state.unread + 1, newFrom: after.newFrom || line.key };
}

/**
 * The newest line that someone wrote of which `is` holds, changed, or taken away when nothing is left of it.
 * @param {State} state @param {(line: Line & {kind: "said"}) => boolean} is @param {(line: Line & {kind: "said"}) => Line[]} change @returns {State}
 */
function withSaid(state, is, change) {
  const at = state.chat.findLastIndex((line) => line.kind === "said" && is(line));
  const line = state.chat[at];
  return line?.kind === "said" ? withChat(state, state.chat.toSpliced(at, 1, ...change(line))) : state;
}

/** @param {State} state @param {string} sessionId @param {string} emoji @returns {State} */
const reacted = (state, sessionId, emoji) => ({
  ...state, count: state.count + 1, reactions: [...state.reactions, { key: `r${state.count}`, sessionId, emoji }].slice(-REACTIONS),
});

/** @param {State} state @param {Problem} said @returns {State} */
function refused(state, said) {
  // Only who was asked to wait is denied by a host; at the door itself the server has too much to do.
  const problem = !state.seated && state.screen === "joining" && said.type === "denied" ? { ...said, type: "failed" } : said;
  if (!state.seated && ["joining", "waiting", "room"].includes(state.screen) && REFUSALS.has(problem.type)) {
    return { ...fresh(state), screen: "prejoin", roomName: state.roomName, problem, askPassword: problem.type === "password" };
  }
  // Asked too often at the door: the person may ask again in a while. Who comes back to a seat goes on by itself.
  if (state.screen === "joining" && !state.me && problem.type === "rate") return { ...state, screen: "prejoin", problem };
  if (["kicked", "banned"].includes(problem.type)) return { ...state, problem, ended: "removed" };
  if (problem.type === "resume") return state; // the socket's owner logs in anew
  const inside = INSIDE[problem.type];
  return { ...state, problem: state.seated && inside ? { ...problem, type: inside } : problem };
}

/** @param {State} state @param {Line} line @returns {State} */
const withLine = (state, line) => withChat(state, [...state.chat, line].slice(-CHAT_LINES));

/** The lines are these now. When the first of those that are new is gone, the next is the first. @param {State} state @param {Line[]} chat @returns {State} */
function withChat(state, chat) {
  const { chat: before, newFrom } = state;
  if (!newFrom || chat.some(({ key }) => key === newFrom)) return { ...state, chat };
  const left = new Set(chat.map(({ key }) => key));
  const next = before.slice(before.findIndex(({ key }) => key === newFrom)).find((line) => (line.kind === "said" || line.kind === "file") && left.has(line.key));
  return { ...state, chat, newFrom: next?.key ?? "" };
}

/** @param {State} state @param {string} sessionId @param {(person: Person) => Person} change @returns {State} */
const withPerson = (state, sessionId, change) => ({
  ...state, people: state.people.map((one) => (one.sessionId === sessionId ? change(one) : one)),
});

/** @param {State} state */
const looking = (state) => state.panel === "chat" && state.watched;
/** What opens, closes, hides or shows the chat. @param {State} before @param {Partial<Pick<State, "panel" | "watched">>} change @returns {State} */
function looked(before, change) {
  const state = { ...before, ...change };
  if (looking(state)) return { ...state, unread: 0 };
  return looking(before) ? { ...state, newFrom: "" } : state; // what was seen is new no more
}

/** Everything of a room forgotten. @param {State} state @returns {State} */
const fresh = (state) => ({ ...initial(), online: state.online, watched: state.watched, link: state.link, panel: state.panel, count: state.count });
