/**
 * The connections to everyone in the room: who calls whom, who is polite, who has come back. What each connection
 * does is `peer.js`; who is in the room is told from outside.
 *
 * Members already there offer, the newcomer answers. Whoever joined later is polite. People whose client never told a
 * status did not come by this page's way: they get no second offer.
 *
 * @import { FromServer, Ice, Marks, Participant, Sizes, Status } from "../message.js"
 * @import { Outgoing, Way } from "./peer.js"
 * @typedef {{camera: MediaStream | null, screen: MediaStream | null, way: Way}} Received what arrives from one person
 */
import { signal } from "../vendor/signals-core.js";
import { Peer } from "./peer.js";
import { LOOK_EVERY } from "./watch.js";

/** How long a newcomer waits to be called before calling, ms: those who should may be reconnecting. */
const CALLED_WITHIN = 8_000;
/** How long those are kept whom a restarted server does not know yet, ms: as long as it lets them come back. */
const STRAYS_FOR = 60_000;

export class Mesh {
  /** @type {Map<string, Peer>} */ #peers = new Map();
  /** @type {Map<string, Status | null>} who is in the room by the server's word, and what they share */ #present = new Map();
  /** Those who were here before us: we are polite to them. @type {Set<string>} */ #elders = new Set();
  /** @type {Set<ReturnType<typeof setTimeout>>} */ #timers = new Set();
  /** @type {ReturnType<typeof setInterval>} */ #looks;
  /** @type {Outgoing} */ #outgoing;
  /** @type {{iceServers: RTCIceServer[], relayOnly: boolean}} */ #ice;

  /** What arrives, by session. @type {import("../vendor/signals-core.js").Signal<ReadonlyMap<string, Received>>} */
  received = signal(new Map());

  /**
   * @param {object} options
   * @param {boolean} options.relayOnly
   * @param {(message: {type: "offer" | "answer" | "candidate", to: string, data: any} & Marks) => boolean} options.send
   * @param {() => boolean} options.reaches whether what is sent now goes out
   * @param {(sessionId: string) => void} options.onlost someone the server does not know is gone
   */
  constructor({ relayOnly, send, reaches, onlost }) {
    this.send = send;
    this.reaches = reaches;
    this.onlost = onlost;
    this.#ice = { iceServers: [], relayOnly };
    this.#outgoing = { camera: new MediaStream(), shared: new MediaStream(), audio: null, video: null, screen: null };
    this.#looks = setInterval(() => this.#look(), LOOK_EVERY);
  }

  /** Our MediaStream ids, for `status.streams`. */
  get ids() {
    return { camera: this.#outgoing.camera.id, screen: this.#outgoing.shared.id };
  }

  /** Those who were here before us, to be kept across a reload. @returns {string[]} */
  get elders() {
    return [...this.#elders];
  }

  /** @param {Ice} ice */
  configure({ iceServers }) {
    this.#ice = { ...this.#ice, iceServers };
    for (const peer of this.#peers.values()) peer.configure(this.#ice);
  }

  /** @param {Partial<Omit<Outgoing, "camera" | "shared">>} outgoing */
  sendOut(outgoing) {
    this.#outgoing = { ...this.#outgoing, ...outgoing };
    for (const peer of this.#peers.values()) peer.sendOut(this.#outgoing);
  }

  /**
   * We have entered. `elders` is null for a new seat; for one we come back to it names who was there before us.
   * @param {Participant[]} participants @param {string[] | null} elders
   */
  enter(participants, elders) {
    if (!elders) for (const id of [...this.#peers.keys()]) this.#drop(id);
    this.#present = new Map(participants.map((one) => [one.sessionId, one.status ?? null]));
    this.#elders = new Set(elders ?? participants.map((one) => one.sessionId));
    for (const peer of [...this.#peers.values()]) {
      if (this.#present.has(peer.id)) peer.resend();
      else this.#stray(peer);
    }
    for (const [id, status] of this.#present) {
      this.#peers.get(id)?.setRenegotiates(Boolean(status));
      // Nobody offers to someone who is back, and whoever came meanwhile waits for us.
      if (elders && !this.#peers.has(id)) this.#call(id);
    }
    this.#later(CALLED_WITHIN, () => {
      for (const id of this.#present.keys()) if (!this.#peers.has(id)) this.#call(id);
    });
    this.#count();
  }

  /** Somebody has come: we were here before. Or somebody is back after a restart of the server, and the connection lives. @param {string} id */
  welcome(id) {
    if (this.#present.has(id)) return;
    this.#present.set(id, null);
    const peer = this.#peers.get(id);
    if (peer) peer.resend();
    else this.#call(id);
    this.#count();
  }

  /** @param {string} id */
  goodbye(id) {
    this.#present.delete(id);
    this.#elders.delete(id);
    this.#drop(id);
    this.#count();
  }

  /** What someone shares: it also tells that their client negotiates as ours does. @param {string} id @param {Status} status */
  told(id, status) {
    if (!this.#present.has(id)) return;
    this.#present.set(id, status);
    this.#peers.get(id)?.setRenegotiates(true);
    this.#show();
  }

  /** @param {string} id @param {Sizes} wanted */
  fit(id, wanted) {
    this.#peers.get(id)?.fit(wanted);
  }

  /** @param {Extract<FromServer, {type: "offer" | "answer" | "candidate"}>} message */
  hear(message) {
    const { from } = message;
    if (!this.#present.has(from)) return;
    let peer = this.#peers.get(from);
    if (!peer) {
      if (message.type === "answer") return;
      peer = this.#make(from);
    }
    peer.hear(message);
  }

  /** The network has changed: every path may be another now. */
  restart() {
    for (const peer of this.#peers.values()) peer.restart();
  }

  /** The connections as they are, for tests, levels and statistics. @returns {ReadonlyMap<string, Peer>} */
  get peers() {
    return this.#peers;
  }

  close() {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    clearInterval(this.#looks);
    for (const peer of this.#peers.values()) peer.close();
    this.#peers.clear();
    this.#present.clear();
    this.received.value = new Map();
  }

  /** @param {string} id */
  #call(id) {
    const peer = this.#peers.get(id) ?? this.#make(id);
    peer.call();
  }

  /** @param {string} id */
  #make(id) {
    const peer = new Peer({
      id, polite: this.#elders.has(id), renegotiates: Boolean(this.#present.get(id)), outgoing: this.#outgoing, ice: this.#ice,
      send: (to, message) => this.send({ ...message, to }), onchange: (changed) => this.#changed(changed),
    });
    this.#peers.set(id, peer);
    this.#show();
    return peer;
  }

  /** @param {string} id */
  #drop(id) {
    const peer = this.#peers.get(id);
    this.#peers.delete(id);
    peer?.close();
    this.#show();
  }

  /** @param {Peer} peer */
  #changed(peer) {
    const stray = !this.#present.has(peer.id);
    if (stray && (peer.way === "failed" || peer.way === "broken")) this.#lose(peer);
    this.#show();
  }

  /** The server does not know them: it has restarted and they are on their way, or they have left. Their media tell. @param {Peer} peer */
  #stray(peer) {
    if (peer.way !== "connected") this.#lose(peer);
    else this.#later(STRAYS_FOR, () => this.#peers.get(peer.id) === peer && !this.#present.has(peer.id) && this.#lose(peer));
  }

  /** @param {Peer} peer */
  #lose(peer) {
    const { id } = peer;
    this.#drop(id);
    this.onlost(id);
  }

  #look() {
    for (const [id, peer] of this.#peers) {
      const status = this.#present.get(id);
      const sends = Boolean(status && !status.away && (status.mic || status.camera || status.screen));
      void peer.look(sends && this.reaches());
    }
  }

  #count() {
    for (const peer of this.#peers.values()) peer.share(this.#present.size);
  }

  /** @param {number} wait @param {() => void} what */
  #later(wait, what) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      what();
    }, wait);
    this.#timers.add(timer);
  }

  /** Sorts what arrives into camera and screen. */
  #show() {
    /** @type {Map<string, Received>} */
    const received = new Map();
    for (const [id, peer] of this.#peers) {
      const streams = this.#present.get(id)?.streams ?? {};
      received.set(id, { ...sorted(peer.streams, streams), way: peer.way });
    }
    this.received.value = received;
  }
}

/**
 * Which of the streams is the camera and which the screen: by what their sender says, else the first is the camera.
 * @template S @param {ReadonlyMap<string, S>} arrived @param {Record<string, "camera" | "screen">} told
 * @returns {{camera: S | null, screen: S | null}}
 */
export function sorted(arrived, told) {
  let camera = null;
  let screen = null;
  for (const [id, stream] of arrived) {
    if (told[id] === "screen") screen = stream;
    else if (told[id] === "camera" || !camera) camera = stream;
  }
  return { camera, screen };
}
