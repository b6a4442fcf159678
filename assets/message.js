/**
 * What the page and the server say to each other, as JSON text over one WebSocket, and the reading of it.
 * Knows no DOM and no state. What the server sends is checked here once and trusted afterwards.
 *
 * @typedef {"host" | "guest" | "viewer"} Role
 * @typedef {"mic" | "camera" | "screen"} Kind
 * @typedef {{chat: boolean, files: boolean, screen: boolean, unmute: boolean, waitingRoom: boolean}} Policy what guests may do
 * @typedef {{name: string, locked: boolean, capacity: number, kept: boolean, policy?: Policy}} Room
 * @typedef {{mic: boolean, camera: boolean, screen: boolean, hand: boolean, away?: boolean,
 *   streams: Record<string, "camera" | "screen">}} Status what someone shares; `streams` says which MediaStream id is what
 * @typedef {{sessionId: string, username: string, role: Role, joined: number, status: Status | null, read?: number}} Participant
 *   `joined` is Unix ms; `status` is null for people whose client never told one; `read` is the newest message they have read
 * @typedef {{id?: string, seq: number, sessionId: string, username: string, text: string, time: number,
 *   to?: string, replyTo?: number | string, edited?: number, deleted?: boolean, reactions?: {emoji: string, sessionIds: string[]}[]}} Chat
 *   `seq` counts from 1 in each room, `time` and `edited` are Unix ms
 * @typedef {{id: string, name: string, size: number, type: string, url: string, sessionId: string, username: string, time: number, to?: string}} SharedFile
 *   `size` in bytes, `type` a media type, `url` where its bytes are for people of the room, `time` Unix ms
 * @typedef {{w: number, h: number}} Size in CSS pixels times the device's ratio; 0 = do not send
 * @typedef {{camera?: Size, screen?: Size}} Sizes
 * @typedef {{token: string, ttl: number}} Pass what shows the HTTP API that we sit here; `ttl` in seconds
 * @typedef {{iceServers: RTCIceServer[], iceTtl: number, api?: Pass}} Ice `iceTtl` in seconds
 * @typedef {Ice & {room: Room, you: {sessionId: string, username: string, role: Role}, participants: Participant[],
 *   limits?: {message: number, rate: number, burst: number}, resume?: string, invite?: string}} Welcome `invite`: what opens the room the next time
 * @typedef {{sdp: string, type: "offer" | "answer"}} Description
 *
 * Marks on `offer`, `answer` and `candidate`, forwarded by the server as they are: `pc` names the sender's connection,
 * `re` the receiver's connection it is meant for. A page that was reloaded is then never mistaken for its former self.
 * @typedef {{pc?: string, re?: string, username?: string}} Marks
 *
 * @typedef {{type: "joined", data: string}
 *   | {type: "room", data: Welcome}
 *   | {type: "login", from: string, data: {roomrequest: string, username: string}}
 *   | {type: "logout", data: {username: string, sessionId: string}}
 *   | {type: "offer" | "answer", from: string, data: Description} & Marks
 *   | {type: "candidate", from: string, data: RTCIceCandidateInit | null} & Marks
 *   | {type: "randomCheckResult", data: {result: "ok" | "fail", roomrequest: string}}
 *   | {type: "status", from: string, data: Status}
 *   | {type: "view", from: string, data: Sizes}
 *   | {type: "chat", data: Chat}
 *   | {type: "reaction", from: string, data: {emoji: string}}
 *   | {type: "recording", from: string, data: {on: boolean}}
 *   | {type: "ice", data: Ice}
 *   | {type: "ping" | "pong"}
 *   | {type: "bye", data: {retryAfter: number}}
 *   | {type: "error", data: {errorType: string, errorText: string}}
 *   | {type: "mute" | "unmute", data: {by: string, kind: Kind}}
 *   | {type: "lock", from: string, data: {locked: boolean}}
 *   | {type: "policy", from: string, data: Policy}
 *   | {type: "waiting"}
 *   | {type: "knock", data: {sessionId: string, username: string}}
 *   | {type: "file", from: string, to?: string, data: SharedFile}
 *   | {type: "file-delete", data: {id: string}}
 *   | {type: "chat-edit", from: string, data: {seq: number, text: string, edited: number}}
 *   | {type: "chat-delete", from: string, data: {seq: number}}
 *   | {type: "react", from: string, data: {seq: number, emoji: string, on?: boolean}}
 *   | {type: "typing", from: string}
 *   | {type: "read", from: string, data: {seq: number}}
 *   | {type: "history", data: {messages: Chat[], more: boolean}}
 *   | {type: "room-changed", data: Partial<Room>}
 *   | {type: "role", data: {sessionId: string, role: Role}}} FromServer
 *
 * @typedef {{type: "login", data: {roomrequest: string, username: string, password?: string, invite?: string,
 *     token?: string, resume?: string, seq?: number}}
 *   | {type: "logout" | "ice" | "ping" | "pong", data: {}}
 *   | {type: "randomCheck", data: string}
 *   | {type: "offer" | "answer", to: string, data: Description} & Marks
 *   | {type: "candidate", to: string, data: RTCIceCandidateInit} & Marks
 *   | {type: "status", data: Status}
 *   | {type: "view", to: string, data: Sizes}
 *   | {type: "chat", data: {id: string, text: string, to?: string, replyTo?: number | string}}
 *   | {type: "chat-edit", data: {seq: number, text: string}}
 *   | {type: "chat-delete" | "read", data: {seq: number}}
 *   | {type: "react", data: {seq: number, emoji: string, on?: boolean}}
 *   | {type: "typing", to?: string, data: {}}
 *   | {type: "history", data: {before?: number, limit: number}}
 *   | {type: "admit" | "deny", data: {sessionId: string}}
 *   | {type: "mute" | "unmute", data: {sessionId: string, kind: Kind}}
 *   | {type: "kick", data: {sessionId: string, ban?: boolean}}
 *   | {type: "lock", data: {locked: boolean}}
 *   | {type: "policy", data: Partial<Policy>}
 *   | {type: "role", data: {sessionId: string, role: Role}}
 *   | {type: "reaction", data: {emoji: string}}} FromPage
 */

/** @typedef {(value: any) => boolean} Check */

/** @type {Check} */ const text = (value) => typeof value === "string";
/** @type {Check} */ const filled = (value) => typeof value === "string" && value.length > 0;
/** @type {Check} */ const number = (value) => typeof value === "number" && Number.isFinite(value);
/** @type {Check} */ const flag = (value) => typeof value === "boolean";
/** @type {Check} */ const anything = () => true;
/** @type {Check} */ const object = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
/** @param {...unknown} options @returns {Check} */
const oneOf = (...options) => (value) => options.includes(value);
/** @param {Check} check @returns {Check} */
const maybe = (check) => (value) => value === undefined || value === null || check(value);
/** @param {Check} check @returns {Check} */
const listOf = (check) => (value) => Array.isArray(value) && value.every(check);
/** @param {Check} check @returns {Check} */
const mapOf = (check) => (value) => object(value) && Object.values(value).every(check);
/** Keys beyond those named are welcome: newer servers may say more. @param {Record<string, Check>} keys @returns {Check} */
const shape = (keys) => (value) => object(value) && Object.entries(keys).every(([key, check]) => check(value[key]));

const role = oneOf("host", "guest", "viewer");
const kind = oneOf("mic", "camera", "screen");
const policy = { chat: flag, files: flag, screen: flag, unmute: flag, waitingRoom: flag };
const room = { name: text, locked: flag, capacity: number, kept: flag, policy: maybe(shape(policy)) };
const status = shape({ mic: flag, camera: flag, screen: flag, hand: flag, away: maybe(flag), streams: mapOf(oneOf("camera", "screen")) });
const participant = shape({ sessionId: filled, username: text, role: maybe(role), joined: maybe(number), status: maybe(status), read: maybe(number) });
const size = shape({ w: number, h: number });
const view = shape({ camera: maybe(size), screen: maybe(size) });
const iceServer = shape({ urls: (value) => text(value) || listOf(text)(value), username: maybe(text), credential: maybe(text) });
const ice = { iceServers: listOf(iceServer), iceTtl: number, api: maybe(shape({ token: text, ttl: number })) };
/** @param {string} type */
const description = (type) => shape({ type: oneOf(type), sdp: text });
const candidate = maybe(shape({ candidate: text, sdpMid: maybe(text), sdpMLineIndex: maybe(number), usernameFragment: maybe(text) }));
const muting = shape({ by: filled, kind });
const person = shape({ sessionId: filled });
const chat = shape({
  id: maybe(text), seq: number, sessionId: text, username: text, text, time: number, to: maybe(text), replyTo: anything,
  edited: maybe(number), deleted: maybe(flag), reactions: maybe(listOf(shape({ emoji: filled, sessionIds: listOf(text) }))),
});
const numbered = shape({ seq: number });
const react = shape({ seq: number, emoji: filled, on: maybe(flag) });
const lock = shape({ locked: flag });
const roleChange = shape({ sessionId: filled, role });

/** What each message of the server must look like, its `data` and whether it names a sender. @type {Record<string, {data: Check, from?: true}>} */
const FROM_SERVER = {
  joined: { data: filled },
  room: {
    data: shape({
      ...ice, room: shape(room), you: shape({ sessionId: filled, username: text, role: maybe(role) }), participants: listOf(participant),
      limits: maybe(shape({ message: number, rate: number, burst: number })), resume: maybe(text), invite: maybe(text),
    }),
  },
  login: { data: shape({ roomrequest: text, username: text }), from: true },
  logout: { data: shape({ username: text, sessionId: filled }) },
  offer: { data: description("offer"), from: true },
  answer: { data: description("answer"), from: true },
  candidate: { data: candidate, from: true },
  randomCheckResult: { data: shape({ result: oneOf("ok", "fail"), roomrequest: text }) },
  status: { data: status, from: true },
  view: { data: view, from: true },
  chat: { data: chat },
  file: { data: shape({ id: filled, name: text, size: number, type: text, url: filled, sessionId: text, username: text, time: number, to: maybe(text) }), from: true },
  "file-delete": { data: shape({ id: filled }) },
  "chat-edit": { data: shape({ seq: number, text, edited: number }), from: true },
  "chat-delete": { data: numbered, from: true },
  react: { data: react, from: true },
  typing: { data: anything, from: true },
  read: { data: numbered, from: true },
  history: { data: shape({ messages: listOf(chat), more: flag }) },
  reaction: { data: shape({ emoji: filled }), from: true },
  recording: { data: shape({ on: flag }), from: true },
  ice: { data: shape(ice) },
  ping: { data: anything },
  pong: { data: anything },
  bye: { data: shape({ retryAfter: number }) },
  error: { data: shape({ errorType: filled, errorText: text }) },
  mute: { data: muting },
  unmute: { data: muting },
  "room-changed": { data: shape(Object.fromEntries(Object.entries(room).map(([key, check]) => [key, maybe(check)]))) },
  role: { data: roleChange },
  lock: { data: lock, from: true },
  policy: { data: shape(policy), from: true },
  waiting: { data: anything },
  knock: { data: shape({ sessionId: filled, username: text }) },
};

/** The same for what the page sends; the tests hold the golden samples against it. @type {Record<string, {data: Check, to?: true}>} */
const FROM_PAGE = {
  login: {
    data: shape({ roomrequest: filled, username: filled, password: maybe(text), invite: maybe(text), token: maybe(text), resume: maybe(text), seq: maybe(number) }),
  },
  logout: { data: anything },
  randomCheck: { data: filled },
  offer: { data: description("offer"), to: true },
  answer: { data: description("answer"), to: true },
  candidate: { data: candidate, to: true },
  status: { data: status },
  view: { data: view, to: true },
  chat: { data: shape({ id: filled, text: filled, to: maybe(text), replyTo: anything }) },
  "chat-edit": { data: shape({ seq: number, text: filled }) },
  "chat-delete": { data: numbered },
  react: { data: react },
  typing: { data: anything },
  read: { data: numbered },
  history: { data: shape({ before: maybe(number), limit: number }) },
  admit: { data: person },
  deny: { data: person },
  mute: { data: shape({ sessionId: filled, kind }) },
  unmute: { data: shape({ sessionId: filled, kind }) },
  kick: { data: shape({ sessionId: filled, ban: maybe(flag) }) },
  lock: { data: lock },
  policy: { data: shape(Object.fromEntries(Object.entries(policy).map(([key, check]) => [key, maybe(check)]))) },
  role: { data: roleChange },
  reaction: { data: shape({ emoji: filled }) },
  recording: { data: shape({ on: flag }) },
  ice: { data: anything },
  ping: { data: anything },
  pong: { data: anything },
};

/**
 * The message a frame holds; null when it is none we know, or not well formed: the page then does nothing.
 * @param {string} frame @returns {FromServer | null}
 */
export function read(frame) {
  let message;
  try {
    message = JSON.parse(frame);
  } catch {
    return null;
  }
  if (!object(message) || !Object.hasOwn(FROM_SERVER, message.type)) return null;
  // Servers of the older protocol say what went wrong under `message` alone.
  if (message.type === "error" && message.data === undefined) message.data = message.message;
  const rule = FROM_SERVER[message.type];
  return rule?.data(message.data) && (!rule.from || filled(message.from)) ? message : null;
}

/** Whether a message is one the page may send. @param {any} message @returns {message is FromPage} */
export function isFromPage(message) {
  if (!object(message) || !Object.hasOwn(FROM_PAGE, message.type)) return false;
  const rule = FROM_PAGE[message.type];
  return Boolean(rule?.data(message.data));
}

/** The types of each direction, for the tests. */
export const TYPES = { server: Object.keys(FROM_SERVER), client: Object.keys(FROM_PAGE) };

/** Longest name of a room or a person, in characters, as the server counts them. */
export const NAME_LENGTH = 64;

/**
 * A name as the server will keep it, or null when it would refuse it: NFC, trimmed, 1–64 characters, no control or bidi characters.
 * @param {string} typed @returns {string | null}
 */
export function name(typed) {
  const tidy = typed.normalize("NFC").trim();
  const length = [...tidy].length;
  return length >= 1 && length <= NAME_LENGTH && !/[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/u.test(tidy) ? tidy : null;
}
