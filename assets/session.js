/**
 * One person's visit: joins the socket, the state, the devices and the connections to the others. The view reads its
 * signals and calls its methods; nothing here draws.
 *
 * @import { FromPage, FromServer, Kind, Status } from "./message.js"
 * @import { Act, State } from "./state.js"
 */
import { effect, signal } from "./vendor/signals-core.js";
import { Media } from "./call/media.js";
import { Mesh } from "./call/mesh.js";
import { Speakers } from "./call/level.js";
import { chime } from "./call/sound.js";
import { Files } from "./files.js";
import { forgetInvitation, forgetReturn, hostToken, invitationTo, keepReturn, renameRoom, returnTo } from "./keys.js";
import { act, initial, isLooking, mayShow, newestSeq, reduce } from "./state.js";
import { recall, remember, forgetSeat } from "./seat.js";
import { Socket } from "./socket.js";

/** The share of the credentials' life after which new ones are asked for. */
const ICE_REFRESH = 0.8;
/** How long a reaction stays on the screen, ms. */
const REACTION_FOR = 4_000;
/** Longest text of one message, in bytes of UTF-8: within the server's frame, and still a message. */
export const CHAT_BYTES = 4096;
/** How often it is told that we are writing, and how long somebody counts as writing after being told, ms. */
const TYPING_EVERY = 3_000;
const TYPING_FOR = 5_000;
/** Lines of older chat asked for at once: a screenful. */
const HISTORY_PAGE = 50;
/** Files listed in the chat at most; whoever goes further back reads lines alone. */
const FILES_MAX = 500;
/** Refusals that mean that what we showed at the door opens nothing any more. */
const WORTHLESS = new Set(["unauthorized", "notfound"]);
/** How many random names are tried before giving up; each is one of 10^15. */
const RANDOM_TRIES = 5;

export class Session {
  /** @type {import("./vendor/signals-core.js").Signal<State>} */
  state = signal(initial());
  media = new Media();
  speakers = new Speakers();
  /** @type {import("./vendor/signals-core.js").Signal<Mesh | null>} */
  mesh = signal(null);

  /** @type {{roomName: string, username: string, password: string} | null} */ #wish = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #iceTimer;
  /** @type {((result: "ok" | "fail") => void) | null} */ #randomAnswer = null;
  #resume = "";
  #seat = "";
  /** What shows the HTTP API that we sit here. */
  #pass = "";
  /** What was shown at the door: nothing, what the address brought, what stands for an invitation used before, or that the room was made here. @type {"" | "invitation" | "return" | "host"} */ #shown = "";
  /** Host tokens that did not open the room of this name, during this visit. @type {Map<string, string>} */ #vain = new Map();
  #read = 0;
  /** @type {string[] | null} those who were here before us, from before a reload */ #elders = null;

  /** @param {object} options @param {string} options.url of the WebSocket @param {boolean} options.relayOnly @param {import("./api.js").Api} options.api @param {(name: string) => void} [options.onrenamed] the room we are in has another name */
  constructor({ url, relayOnly, api, onrenamed = () => {} }) {
    this.relayOnly = relayOnly;
    this.api = api;
    this.onrenamed = onrenamed;
    this.files = new Files({ room: () => this.state.peek().roomName, bearer: () => this.#pass, seated: () => this.state.peek().seated, api });
    this.socket = new Socket({ url, onmessage: (message) => this.#hear(message), onlink: (news) => this.#linked(news) });
    effect(() => this.#sendTracks());
    effect(() => this.#tellStatus());
    effect(() => this.media.fitTo(this.state.value.people.length));
    effect(() => this.#tellRead());
  }

  /** Asks the HTTP API as the room's maker, or as the host who sits here. @template T @param {(bearer: string) => Promise<T>} ask @returns {Promise<T>} */
  async asHost(ask) {
    const own = hostToken(this.state.peek().roomName);
    if (!own) return ask(this.#pass);
    return ask(own).catch((error) => {
      if (error.type !== "pass" && error.type !== "forbidden") throw error;
      return ask(this.#pass); // a token of a room that was there before this one
    });
  }

  /** @param {Act} what */
  happen(what) {
    this.state.value = act(this.state.peek(), what);
  }

  /** Goes to a screen that is not a room. @param {"went-home" | "went-to-test"} where */
  visit(where) {
    this.#leaveRoom();
    this.media.stop();
    this.happen({ type: where });
  }

  /** Stands before a room's door. @param {string} roomName */
  approach(roomName) {
    this.#leaveRoom();
    this.happen({ type: "went-to-room", roomName });
  }

  /** @param {{username: string, password?: string}} who */
  join({ username, password = "" }) {
    const { roomName } = this.state.peek();
    this.#wish = { roomName, username, password };
    this.happen({ type: "asked-to-join" });
    if (this.socket.isOpen) this.#login();
    else this.socket.open();
  }

  /** Goes back to a seat kept from before a reload; false when there is none. @param {string} roomName */
  return(roomName) {
    const seat = recall(roomName);
    if (!seat) return false;
    this.#resume = seat.resume;
    this.#seat = seat.sessionId;
    this.#elders = seat.elders;
    this.happen({ type: "remembered", chat: seat.chat, me: { sessionId: seat.sessionId, username: seat.username, role: "guest" } });
    if (seat.hand) this.happen({ type: "hand", hand: true });
    void this.media.start({ camera: seat.camera, mic: true }).then(() => this.media.setMic(seat.mic));
    this.join({ username: seat.username });
    return true;
  }

  leave() {
    this.files.stop(); // while we still sit there
    this.socket.send({ type: "logout", data: {} });
    this.#leaveRoom();
    this.media.stop();
    this.happen({ type: "left" });
  }

  /** @param {string} text @param {{to?: string, replyTo?: number}} [how] `to` one person alone; in answer to a line @returns {boolean} whether it went out */
  say(text, { to, replyTo } = {}) {
    this.#typed = 0;
    return this.socket.send({ type: "chat", data: { id: crypto.randomUUID(), text, ...(to ? { to } : {}), ...(replyTo ? { replyTo } : {}) } });
  }

  /** @param {number} seq @param {string} text @returns {boolean} whether it went out */
  correct(seq, text) {
    return this.socket.send({ type: "chat-edit", data: { seq, text } });
  }

  /** @param {number} seq */
  takeBack(seq) {
    this.socket.send({ type: "chat-delete", data: { seq } });
  }

  /** Puts a sign under a line, or takes it away. @param {number} seq @param {string} emoji @param {boolean} on */
  mark(seq, emoji, on) {
    this.socket.send({ type: "react", data: { seq, emoji, on } });
  }

  /** We are writing, to everyone or to one: told now and then. @param {string} to */
  tellTyping(to) {
    if (Date.now() - this.#typed < TYPING_EVERY) return;
    this.#typed = Date.now();
    this.socket.send({ type: "typing", ...(to ? { to } : {}), data: {} });
  }
  #typed = 0;

  /** Asks for lines older than the oldest we have. */
  askOlder() {
    const first = this.state.peek().chat.find((line) => line.kind === "said");
    this.socket.send({ type: "history", data: { limit: HISTORY_PAGE, ...(first?.kind === "said" ? { before: first.seq } : {}) } });
  }

  /** @param {string} emoji */
  react(emoji) {
    if (!this.socket.send({ type: "reaction", data: { emoji } })) return;
    this.#rise(() => this.happen({ type: "reacted", emoji }));
  }

  /** What a host does to the room or to someone; the server decides whether we may. @param {Extract<FromPage, {type: "admit" | "deny" | "mute" | "unmute" | "kick" | "lock" | "policy" | "role"}>} message */
  rule(message) {
    this.socket.send(message);
  }

  /** Turns our microphone or camera on or off, as far as the room allows it. @param {"mic" | "camera"} kind @param {boolean} on */
  async turn(kind, on) {
    if (on && !mayShow(this.state.peek(), kind)) {
      this.happen({ type: "problem", problem: { type: "unmute", text: "" } });
      return;
    }
    await (kind === "mic" ? this.media.setMic(on) : this.media.setCamera(on));
    if (kind === "mic") this.happen({ type: "mic", on });
  }

  /** Goes away from the door, where we wait. */
  giveUp() {
    this.socket.send({ type: "logout", data: {} });
    this.approach(this.state.peek().roomName);
  }

  /** @param {string} to @param {import("./message.js").Sizes} sizes how big someone is shown here */
  tellView(to, sizes) {
    this.socket.send({ type: "view", to, data: sizes });
  }

  /** Starts or stops sharing a screen. */
  async toggleScreen() {
    if (this.media.screen.peek()) this.media.stopScreen();
    else await this.media.shareScreen();
  }

  /** A room name nobody uses; the server keeps it for us while the socket stays open. @returns {Promise<string | null>} null without a server */
  async randomRoom() {
    this.socket.open();
    for (let i = 0; i < RANDOM_TRIES; i += 1) {
      const name = randomName();
      /** @type {Promise<"ok" | "fail" | "silent">} */
      const answer = new Promise((resolve) => {
        this.#randomAnswer = resolve;
        setTimeout(() => resolve("silent"), 4_000);
      });
      this.socket.send({ type: "randomCheck", data: name });
      this.#randomAsked = name;
      const result = await answer;
      this.#randomAnswer = null;
      if (result === "ok") return name;
      if (result === "silent") return null;
    }
    return null;
  }
  #randomAsked = "";

  /** The network or the page has come back. @param {{changed: boolean}} what whether the network is another one */
  nudge({ changed }) {
    this.socket.nudge();
    if (changed) this.mesh.peek()?.restart();
  }

  /** The page goes away, perhaps to come back: a reload keeps the seat. */
  keepSeat() {
    const { me, roomName, chat, hand, seated } = this.state.peek();
    const mesh = this.mesh.peek();
    if (!me || !mesh || !this.#resume || !this.#wish || !(seated || this.state.peek().screen === "room")) return;
    remember({
      roomName, resume: this.#resume, sessionId: me.sessionId, username: this.#wish.username, elders: mesh.elders,
      camera: this.media.camera.peek() !== null, mic: this.media.micOn.peek(), hand, chat,
    });
  }

  /** @param {FromServer} message */
  #hear(message) {
    const mesh = this.mesh.peek();
    switch (message.type) {
      case "room":
        this.#entered(message);
        return;
      case "login":
        this.#apply(message);
        mesh?.welcome(message.from);
        return;
      case "logout":
        this.#apply(message);
        mesh?.goodbye(message.data.sessionId);
        return;
      case "status":
        this.#apply(message);
        mesh?.told(message.from, message.data);
        return;
      case "offer":
      case "answer":
      case "candidate":
        mesh?.hear(message);
        return;
      case "view":
        mesh?.fit(message.from, message.data);
        return;
      case "ice":
        mesh?.configure(message.data);
        this.#pass = message.data.api?.token ?? this.#pass;
        this.#refreshIceIn(message.data.iceTtl);
        return;
      case "room-changed": {
        const before = this.state.peek().room?.name;
        this.#apply(message);
        const now = message.data.name;
        if (before === undefined || now === undefined || before === now) return;
        renameRoom(before, now);
        if (this.#wish) this.#wish.roomName = now;
        this.onrenamed(now);
        return;
      }
      case "randomCheckResult":
        this.#randomAnswer?.(message.data.result);
        return;
      case "reaction":
        if (message.from !== this.state.peek().me?.sessionId) this.#rise(() => this.#apply(message));
        return;
      case "mute":
        this.#silence(message.data.kind);
        this.#apply(message);
        return;
      case "unmute":
      case "knock":
        this.#apply(message);
        chime();
        return;
      case "role":
        this.#apply(message);
        if (this.state.peek().me?.role === "viewer") this.#showNothing();
        return;
      case "chat":
      case "file":
        this.#apply(message);
        if (!this.state.peek().watched && message.data.sessionId !== this.state.peek().me?.sessionId) chime();
        return;
      case "typing": {
        this.#apply(message);
        clearTimeout(this.#typists.get(message.from));
        this.#typists.set(message.from, setTimeout(() => {
          this.#typists.delete(message.from);
          this.happen({ type: "typing-over", sessionId: message.from });
        }, TYPING_FOR));
        return;
      }
      case "history":
        this.#apply(message);
        if (this.#olderFiles) void this.#listFiles(this.#olderFiles);
        return;
      case "error":
        this.#refused(message);
        return;
      default:
        this.#apply(message);
    }
  }

  /** When each of those who are writing counts as having stopped. @type {Map<string, ReturnType<typeof setTimeout>>} */ #typists = new Map();

  /** @param {Kind} kind */
  #silence(kind) {
    if (kind === "mic") void this.media.setMic(false);
    else if (kind === "camera") void this.media.setCamera(false);
    else this.media.stopScreen();
  }

  /** Viewers show and say nothing: their devices are given back. */
  #showNothing() {
    this.media.stop();
  }

  /** @param {FromServer} message */
  #apply(message) {
    this.state.value = reduce(this.state.peek(), message);
  }

  /** @param {Extract<FromServer, {type: "room"}>} message */
  #entered(message) {
    if (!this.#wish) return; // left while the server was answering
    const { you, participants, resume } = message.data;
    const again = this.#seat === you.sessionId;
    if (!again) this.#elders = null;
    let mesh = this.mesh.peek();
    if (!mesh) {
      mesh = new Mesh({
        relayOnly: this.relayOnly,
        send: (signal) => this.socket.send({ ...signal, ...(signal.type === "offer" ? { username: you.username } : {}) }),
        reaches: () => this.socket.isOpen,
        onlost: (sessionId) => this.happen({ type: "lost", sessionId }),
      });
      this.mesh.value = mesh;
      this.speakers.start(() => mesh?.peers ?? []);
    }
    this.#apply(message);
    this.#seat = you.sessionId;
    this.#resume = resume ?? "";
    if (message.data.invite) keepReturn(this.#wish.roomName, message.data.invite, invitationTo(this.#wish.roomName).invite);
    if (you.role === "viewer") this.#showNothing();
    // Newcomers begin silent where people may not unmute themselves; whoever comes back may go on speaking.
    else if (!again && !mayShow(this.state.peek(), "mic")) this.#silence("mic");
    this.#pass = message.data.api?.token ?? "";
    mesh.configure(message.data);
    this.#sendTracks();
    mesh.enter(participants, again ? this.#elders ?? mesh.elders : null);
    this.#elders = null;
    this.#refreshIceIn(message.data.iceTtl);
    if (!again) this.askOlder(); // what was said before we came
    void this.#listFiles(); // after a break too: what was shared meanwhile is told nobody twice
    this.files.nudge();
    this.#tellStatus();
  }

  /** @param {Extract<FromServer, {type: "error"}>} message */
  #refused(message) {
    const { seated } = this.state.peek();
    if (!seated && message.data.errorType === "resume") {
      this.#resume = this.#seat = "";
      this.#login();
      return;
    }
    if (!seated && this.#shown && WORTHLESS.has(message.data.errorType)) {
      const { screen, roomName } = this.state.peek();
      if (["joining", "waiting", "room"].includes(screen)) { // "room": on the way back into it
        // A room made anew under the same name is not ours, or ours is called something else by now: the token stays kept,
        // for what it does open. An invitation may be used up.
        const shown = this.#shown;
        this.#shown = "";
        if (shown === "host") {
          this.#vain.set(roomName, hostToken(roomName));
          this.#login();
          return;
        }
        if (shown === "return") {
          forgetReturn(roomName);
          this.#login();
          return;
        }
        forgetInvitation();
        message = { ...message, data: { ...message.data, errorType: "invitation" } };
      }
    }
    this.#apply(message);
    if (this.state.peek().screen === "prejoin") this.#leaveRoom();
  }

  /** What was shared before we came, as far back as the lines that are here. @param {string} [from] */
  async #listFiles(from) {
    const sessionId = this.state.peek().me?.sessionId;
    this.#olderFiles = "";
    for (let cursor = from, first = true; first || cursor; first = false) {
      const page = await this.files.list(cursor).catch(() => null);
      if (!page || this.state.peek().me?.sessionId !== sessionId) return;
      this.happen({ type: "files", files: page.files });
      cursor = page.next ?? "";
      const { chat, older } = this.state.peek();
      const begin = chat.find((line) => line.kind === "said");
      const reached = older && begin?.kind === "said" && (page.files[0]?.time ?? 0) < begin.time;
      if (reached || this.#filesBefore() >= FILES_MAX) {
        this.#olderFiles = cursor;
        return;
      }
    }
  }
  #olderFiles = "";

  #filesBefore() {
    return this.state.peek().chat.filter(({ kind }) => kind === "file").length;
  }

  /** Tells how far we have read, while the chat is looked at. */
  #tellRead() {
    const state = this.state.value;
    const seq = newestSeq(state);
    if (!state.seated || !isLooking(state) || seq <= this.#read) return;
    if (this.socket.send({ type: "read", data: { seq } })) this.#read = seq;
  }

  /** @param {import("./socket.js").LinkNews} news */
  #linked(news) {
    this.happen({ type: "link", ...news });
    if (news.link === "open") {
      if (this.#wish) this.#login();
      else if (this.#randomAnswer) this.socket.send({ type: "randomCheck", data: this.#randomAsked });
    }
    if (news.link === "ended") {
      forgetSeat();
      this.#leaveRoom({ keepSocket: true });
      this.media.stop();
    }
  }

  #login() {
    if (!this.#wish) return;
    const { roomName, username, password } = this.#wish;
    // A token says more than an invitation, which is not used up then.
    const kept = hostToken(roomName);
    const own = this.#vain.get(roomName) === kept ? "" : kept;
    const { invite: link = "", token = own } = invitationTo(roomName);
    const invite = returnTo(roomName, link) || link;
    this.#shown = token ? (token === own ? "host" : "invitation") : !invite ? "" : invite === link ? "invitation" : "return";
    const secrets = token ? { token } : invite ? { invite } : {};
    const resuming = this.#resume ? { resume: this.#resume, seq: lastSeq(this.state.peek().chat) } : {};
    this.socket.send({
      type: "login",
      data: { roomrequest: roomName, username, ...secrets, ...(password ? { password } : {}), ...resuming },
    });
  }

  /** @param {{keepSocket?: boolean}} [how] */
  #leaveRoom({ keepSocket = false } = {}) {
    clearTimeout(this.#iceTimer);
    const { screen } = this.state.peek();
    this.files.stop(); // shows our pass, so before that is forgotten
    this.#wish = null;
    this.#resume = this.#seat = "";
    this.#elders = null;
    this.#pass = this.#shown = this.#olderFiles = "";
    this.#read = 0;
    this.speakers.stop();
    this.mesh.peek()?.close();
    this.mesh.value = null;
    if (screen === "room" || screen === "joining" || screen === "waiting") forgetSeat();
    if (!keepSocket && screen !== "home" && screen !== "prejoin") this.socket.close();
  }

  /** @param {number} ttl seconds */
  #refreshIceIn(ttl) {
    clearTimeout(this.#iceTimer);
    // A break in the socket costs nothing: coming back brings new ones.
    this.#iceTimer = setTimeout(() => this.socket.send({ type: "ice", data: {} }), Math.max(10, ttl * ICE_REFRESH) * 1000);
  }

  #sendTracks() {
    const { camera, mic, screen } = this.media;
    const outgoing = { video: camera.value, audio: mic.value, screen: screen.value };
    this.mesh.peek()?.sendOut(outgoing);
  }

  #told = "";
  #tellStatus() {
    const { camera, micOn, screen } = this.media;
    const { seated, hand, me } = this.state.value;
    const mesh = this.mesh.value;
    const shared = screen.value;
    /** @type {Status} */
    const status = { mic: micOn.value, camera: camera.value !== null, screen: shared !== null, hand, streams: {} };
    if (!seated || !mesh || !me) {
      this.#told = "";
      return;
    }
    status.streams[mesh.ids.camera] = "camera";
    if (shared) status.streams[mesh.ids.screen] = "screen";
    const text = JSON.stringify([me.sessionId, status]);
    if (text === this.#told) return;
    if (this.socket.send({ type: "status", data: status })) this.#told = text;
  }

  /** Shows a reaction and takes it away again. @param {() => void} show */
  #rise(show) {
    show();
    const key = this.state.peek().reactions.at(-1)?.key;
    if (key) setTimeout(() => this.happen({ type: "reaction-over", key }), REACTION_FOR);
  }
}

/** The number of the last line we have; 0 before the first. @param {import("./state.js").Line[]} chat */
function lastSeq(chat) {
  const last = chat.findLast((line) => line.kind === "said");
  return last?.kind === "said" ? last.seq : 0;
}

/** Twelve letters in three groups, easy to read out; vowels are left out so that no words come up. */
function randomName() {
  const letters = "bcdfghjkmnpqrstvwxz";
  // 19 letters from bytes below 247 (13 × 19), so that each is equally likely.
  const picked = [];
  while (picked.length < 12) {
    for (const byte of crypto.getRandomValues(new Uint8Array(16))) if (byte < 247 && picked.length < 12) picked.push(letters[byte % 19]);
  }
  return [picked.slice(0, 4), picked.slice(4, 8), picked.slice(8)].map((group) => group.join("")).join("-");
}
