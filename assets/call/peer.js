/**
 * One connection to one other person: what is sent, what arrives, the negotiation, and getting back on its feet.
 * Perfect negotiation (W3C WebRTC 1.0 §10.7): whoever joined later is polite. Whom to call is `mesh.js`.
 *
 * Two slots, sound and camera, are in the very first offer, filled or not, so that switching needs no negotiation
 * (`replaceTrack`). A screen gets slots of its own, or the camera's with people whose client cannot renegotiate.
 *
 * A browser stays on a path whose connectivity checks pass, whatever else that loses. Where no connection comes about, or
 * nothing gets here any more (`watch.js`), another one is begun with relays alone.
 *
 * @import { Description, FromServer, Marks, Size, Sizes } from "../message.js"
 * @typedef {{camera: MediaStream, shared: MediaStream, audio: MediaStreamTrack | null, video: MediaStreamTrack | null, screen: MediaStream | null}} Outgoing
 *   `camera` and `shared` only lend their ids, which stay: Chromium forgets a changed one at the next negotiation. The
 *   tracks beside them and of `screen` come and go
 * @typedef {{iceServers: RTCIceServer[], relayOnly: boolean}} IceSettings
 * @typedef {"connecting" | "connected" | "broken" | "failed"} Way how the connection is; `broken` may heal by itself
 */
import { Watch, sampleOf } from "./watch.js";

/** How long a new connection may take, ms; grows with each. Browsers give up by themselves on missing paths, never on deceptive ones. */
const CONNECT_WITHIN = 10_000;
/** How long a broken connection may heal by itself, ms: a lost path shows after about 5 s, most come back at once. */
const HEAL_WITHIN = 3_000;
/** The polite side lets the other one begin, ms: two restarts at once cost a rollback. */
const POLITE_DELAY = 1_000;
/** How long candidates may take to follow a description, ms. Relays alone fail at once as long as only addresses are known that a relay refuses, private ones for instance. */
const CANDIDATES_WITHIN = 3_000;
/** How long a restart may take before the next one, ms; grows with each. */
const RESTART_WITHIN = 8_000;
const LONGEST_RESTART = 30_000;
/** Restarts in vain after which only relays are tried, and after which every path is tried again. */
const RELAY_AFTER = 2;
/** How long a connection must hold, ms, before breaking again counts as a first time: one that comes and goes gets its turn with relays. */
const STEADY_AFTER = 10_000;
/** How long an answer may take before the offer is sent again, ms: it may have gone down with a socket. */
const ANSWER_WITHIN = 8_000;
/** Candidates kept for a description that is not here yet. A browser gathers a few dozen. */
const EARLY_CANDIDATES = 256;

/** Most a camera may use, bit/s, by its height: beyond that the picture gets no better. @param {number} others */
const cameraBitrate = (others) => (others <= 1 ? 1_500_000 : others <= 3 ? 700_000 : 300_000);
const SCREEN_BITRATE = 2_500_000;

export class Peer {
  /** @type {RTCPeerConnection} */ #pc;
  /** @type {RTCRtpTransceiver | null} */ #audio = null;
  /** @type {RTCRtpTransceiver | null} */ #video = null;
  /** @type {RTCRtpTransceiver | null} */ #screenVideo = null;
  /** @type {RTCRtpTransceiver | null} */ #screenAudio = null;
  /** @type {Promise<void>} */ #work = Promise.resolve();
  /** @type {(RTCIceCandidateInit | null)[]} */ #early = [];
  /** Tracks that came without a stream. */ #loose = new MediaStream();
  #making = false;
  #ignoring = false;
  #settingAnswer = false;
  #negotiated = false;
  /** An offer was due while their client did not renegotiate: the browser does not ask twice. */ #owed = false;
  #closed = false;
  /** When their last description came, ms as `performance.now`. */ #heardAt = 0;
  #restarts = 0;
  #relayTurn = false;
  /** Connections begun anew since the last that came about: a path deceived. */ #deceived = 0;
  /** Begun with relays alone: restarts try them first. */ #relaysFirst = false;
  /** A relay has given us an address. */ #hasRelay = false;
  /** @type {Watch} */ #watch;
  #looking = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #healing;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #answerDue;
  /** @type {Outgoing} */ #outgoing;
  /** @type {IceSettings} */ #ice;
  #others = 1;
  /** @type {Sizes | null} */ #wanted = null;

  /** This connection's name, and the other side's once it is known. */
  mark = crypto.randomUUID();
  /** @type {string | null} */ theirMark = null;
  /** What arrives, by stream id. @type {Map<string, MediaStream>} */ streams = new Map();
  /** @type {Way} */ way = "connecting";

  /**
   * @param {object} options
   * @param {string} options.id their session
   * @param {boolean} options.polite
   * @param {boolean} options.renegotiates whether their client understands a second offer
   * @param {Outgoing} options.outgoing
   * @param {IceSettings} options.ice
   * @param {(to: string, message: {type: "offer" | "answer" | "candidate", data: any} & Marks) => boolean} options.send
   * @param {(peer: Peer) => void} options.onchange streams or way have changed
   */
  constructor({ id, polite, renegotiates, outgoing, ice, send, onchange }) {
    this.id = id;
    this.polite = polite;
    this.renegotiates = renegotiates;
    this.#outgoing = outgoing;
    this.#ice = ice;
    this.send = send;
    this.onchange = onchange;
    this.#watch = new Watch({ polite });
    this.#pc = this.#open();
  }

  /** Makes the first offer: for those who were here already. */
  call() {
    if (this.#audio || this.#closed) return;
    const streams = [this.#outgoing.camera];
    this.#audio = this.#pc.addTransceiver("audio", { direction: "sendrecv", streams });
    this.#video = this.#pc.addTransceiver("video", { direction: "sendrecv", streams });
    this.#fill();
  }

  /** Takes what they sent, one after the other. @param {Extract<FromServer, {type: "offer" | "answer" | "candidate"}>} message */
  hear(message) {
    this.#work = this.#work.then(async () => {
      if (this.#closed) return;
      if (message.re && message.re !== this.mark) return; // meant for a connection that is no more
      if (message.type === "candidate") await this.#hearCandidate(message.data, message.pc);
      else await this.#hearDescription(message.data, message.pc);
    }).catch((error) => {
      // Strangers' descriptions may be nonsense; the connection then simply does not come about.
      if (!this.#closed) console.debug("negotiation", error instanceof Error ? error.name : error);
    });
  }

  /** Sends other tracks from now on. @param {Outgoing} outgoing */
  sendOut(outgoing) {
    this.#outgoing = outgoing;
    this.#fill();
  }

  /** @param {boolean} renegotiates */
  setRenegotiates(renegotiates) {
    if (this.renegotiates === renegotiates) return;
    this.renegotiates = renegotiates;
    this.#fill();
    if (renegotiates && this.#owed) void this.#offer(this.#pc);
  }

  /** @param {number} others how many people everything is sent to */
  share(others) {
    if (others === this.#others) return;
    this.#others = others;
    void this.#limit();
  }

  /** They told how big they show us. @param {Sizes} wanted */
  fit(wanted) {
    this.#wanted = wanted;
    void this.#limit();
  }

  /** @param {IceSettings} ice */
  configure(ice) {
    this.#ice = ice;
    this.#pc.setConfiguration(this.#configuration());
  }

  /** The network has changed: look for a path anew, whatever the browser still believes. */
  restart() {
    if (this.#closed || !this.renegotiates || !this.#negotiated) return;
    clearTimeout(this.#healing);
    this.#restarts += 1;
    this.#relayTurn = relayTurn(this.#restarts, this.#relaysFirst);
    this.#pc.setConfiguration(this.#configuration());
    this.#pc.restartIce();
    this.#healing = setTimeout(() => {
      if (this.way === "connected") this.#restarts = 0;
      else this.#retry();
    }, Math.min(LONGEST_RESTART, RESTART_WITHIN * this.#restarts));
  }

  /** The socket is back: what could not be sent meanwhile is sent now. */
  resend() {
    if (this.#closed) return;
    if (this.#pc.signalingState === "have-local-offer") this.#sendDescription();
    if (this.way !== "connected") this.restart();
  }

  /** Looks whether what they send gets here, and leaves a path that is hollow. @param {boolean} expected whether they send anything, and can be called anew */
  async look(expected) {
    if (!expected || !this.#hasRelay || !this.renegotiates || this.way !== "connected") this.#watch.forget();
    else if (!this.#looking) {
      this.#looking = true; // answers that were late and come together would look like one moment without end
      const pc = this.#pc;
      const stats = await pc.getStats().catch(() => null);
      this.#looking = false;
      if (!stats || pc !== this.#pc || this.#closed || this.way !== "connected") return;
      const sample = sampleOf(stats);
      if (sample && this.#watch.isHollow(sample)) this.#beginAnew(true);
    }
  }

  /** What is being received, for those who look at the sound's level. @returns {RTCRtpReceiver[]} */
  get receivers() {
    return this.#closed ? [] : this.#pc.getReceivers();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#healing);
    clearTimeout(this.#answerDue);
    this.#shut(this.#pc);
    this.streams = new Map();
  }

  #open() {
    const pc = new RTCPeerConnection(this.#configuration());
    pc.onnegotiationneeded = () => void this.#offer(pc);
    pc.onicecandidate = ({ candidate }) => {
      if (candidate?.type === "relay") this.#hasRelay = true;
      if (candidate) this.send(this.id, { type: "candidate", data: candidate.toJSON(), ...this.#marks() });
    };
    pc.ontrack = ({ track, streams }) => {
      const stream = streams[0] ?? this.#loose;
      if (stream === this.#loose) stream.addTrack(track);
      this.streams = new Map(this.streams).set(stream.id, stream);
      stream.onremovetrack = () => this.#removed(stream);
      track.onunmute = () => this.onchange(this);
      this.onchange(this);
    };
    pc.onconnectionstatechange = () => this.#moved(pc);
    return pc;
  }

  /** Nothing came about in time. */
  #retry() {
    if (this.#closed || !this.renegotiates || !this.#negotiated) return;
    if (deceives(this.way, this.#pc.iceConnectionState)) this.#beginAnew(!this.#relayTurn);
    else this.restart();
  }

  /** Leaves a path that deceives: told to use relays alone, a browser would stay on it all the same. @param {boolean} relaysFirst */
  #beginAnew(relaysFirst) {
    this.#deceived += 1;
    this.#reopen(relaysFirst);
    this.call();
  }

  /** Another connection in the place of this one, since the other side has begun anew, or we do. @param {boolean} [relaysFirst] */
  #reopen(relaysFirst = false) {
    this.#shut(this.#pc);
    clearTimeout(this.#healing);
    clearTimeout(this.#answerDue);
    this.#audio = this.#video = this.#screenVideo = this.#screenAudio = null;
    this.#making = this.#ignoring = this.#settingAnswer = this.#negotiated = false;
    this.#restarts = 0;
    this.#watch.forget();
    this.#relayTurn = this.#relaysFirst = relaysFirst;
    this.#early = [];
    this.#loose = new MediaStream();
    this.#owed = false;
    this.streams = new Map();
    this.mark = crypto.randomUUID();
    this.theirMark = null;
    this.way = "connecting";
    this.#pc = this.#open();
    this.onchange(this);
  }

  /** @param {RTCPeerConnection} pc */
  #shut(pc) {
    pc.onnegotiationneeded = pc.onicecandidate = pc.ontrack = pc.onconnectionstatechange = null;
    pc.close();
  }

  /** @returns {RTCConfiguration} */
  #configuration() {
    const hasRelay = this.#ice.iceServers.some(({ urls }) => [urls].flat().some((url) => url.startsWith("turn")));
    return {
      iceServers: this.#ice.iceServers,
      iceTransportPolicy: this.#ice.relayOnly || (this.#relayTurn && hasRelay) ? "relay" : "all",
      bundlePolicy: "max-bundle",
      iceCandidatePoolSize: 0,
    };
  }

  /** @returns {Marks} */
  #marks() {
    return this.theirMark ? { pc: this.mark, re: this.theirMark } : { pc: this.mark };
  }

  /** @param {RTCPeerConnection} pc */
  async #offer(pc) {
    if (this.#closed || pc !== this.#pc) return;
    this.#owed = this.#negotiated && !this.renegotiates;
    if (this.#owed) return;
    try {
      this.#making = true;
      await pc.setLocalDescription();
      if (pc === this.#pc) this.#sendDescription();
    } catch (error) {
      if (pc === this.#pc && !this.#closed) console.debug("offer", error instanceof Error ? error.name : error);
    } finally {
      if (pc === this.#pc) this.#making = false;
    }
  }

  #sendDescription() {
    const description = this.#pc.localDescription;
    if (!description || (description.type !== "offer" && description.type !== "answer")) return;
    this.send(this.id, { type: description.type, data: { type: description.type, sdp: description.sdp }, ...this.#marks() });
    clearTimeout(this.#answerDue);
    if (description.type === "offer") {
      this.#answerDue = setTimeout(() => this.#pc.signalingState === "have-local-offer" && this.#sendDescription(), ANSWER_WITHIN);
    }
  }

  /** @param {Description} description @param {string} [mark] */
  async #hearDescription(description, mark) {
    if (description.type === "offer" && isAnother(this.#pc.remoteDescription, description, this.theirMark, mark)) this.#reopen();
    const pc = this.#pc;
    const ready = !this.#making && (pc.signalingState === "stable" || this.#settingAnswer);
    const collision = description.type === "offer" && !ready;
    this.#ignoring = !this.polite && collision;
    if (this.#ignoring) return;
    if (description.type === "answer" && pc.signalingState !== "have-local-offer") return; // to an offer taken back, or twice
    if (mark) this.theirMark = mark;
    this.#settingAnswer = description.type === "answer";
    try {
      await pc.setRemoteDescription(description);
    } finally {
      this.#settingAnswer = false;
    }
    this.#heardAt = performance.now();
    const early = this.#early;
    this.#early = [];
    for (const candidate of early) await this.#add(candidate);
    if (description.type === "offer") {
      this.#adopt();
      await pc.setLocalDescription();
      this.#sendDescription();
    } else {
      clearTimeout(this.#answerDue);
    }
    if (!this.#negotiated && this.way === "connecting") {
      clearTimeout(this.#healing);
      const within = Math.min(LONGEST_RESTART, CONNECT_WITHIN * (1 + this.#deceived));
      this.#healing = setTimeout(() => this.way === "connecting" && this.#retry(), within + (this.polite ? POLITE_DELAY : 0));
    }
    this.#negotiated = true;
    this.#fill(); // what waited for the first negotiation, a screen for instance
    void this.#limit();
  }

  /** @param {RTCIceCandidateInit | null} candidate @param {string} [mark] */
  async #hearCandidate(candidate, mark) {
    if (mark && this.theirMark && mark !== this.theirMark) return; // of a connection we have not heard of, or no longer
    if (this.#pc.remoteDescription) await this.#add(candidate);
    else if (this.#early.length < EARLY_CANDIDATES) this.#early.push(candidate);
  }

  /** @param {RTCIceCandidateInit | null} candidate */
  async #add(candidate) {
    try {
      await this.#pc.addIceCandidate(candidate ?? undefined);
    } catch (error) {
      if (!this.#ignoring) console.debug("candidate", error instanceof Error ? error.name : error);
    }
  }

  /** Their offer made the slots: the first of each kind are sound and camera, and ours go there too. */
  #adopt() {
    // Slots of an offer we took back belong to nothing; theirs take their place.
    if (this.#audio?.mid === null) {
      this.#audio.stop();
      this.#audio = null;
    }
    if (this.#video?.mid === null) {
      this.#video.stop();
      this.#video = null;
    }
    for (const transceiver of this.#pc.getTransceivers()) {
      if (transceiver.mid === null || transceiver.direction === "stopped" || transceiver === this.#screenVideo || transceiver === this.#screenAudio) continue;
      const { kind } = transceiver.receiver.track;
      if (kind === "audio" && !this.#audio) this.#audio = transceiver;
      else if (kind === "video" && !this.#video) this.#video = transceiver;
      else continue;
      transceiver.direction = "sendrecv";
      transceiver.sender.setStreams?.(this.#outgoing.camera);
    }
    this.#fill();
  }

  /** Puts the tracks that are to be sent into the slots there are. */
  #fill() {
    if (this.#closed) return;
    const { audio, video, screen } = this.#outgoing;
    const screenTrack = screen?.getVideoTracks()[0] ?? null;
    put(this.#audio, audio);
    put(this.#video, !this.renegotiates && screenTrack ? screenTrack : video);
    if (!this.renegotiates || !this.#negotiated) return;
    this.#screenVideo = this.#fillScreen(this.#screenVideo, screenTrack);
    this.#screenAudio = this.#fillScreen(this.#screenAudio, screen?.getAudioTracks()[0] ?? null);
    void this.#limit();
  }

  /** @param {RTCRtpTransceiver | null} slot @param {MediaStreamTrack | null} track */
  #fillScreen(slot, track) {
    if (!track) {
      if (slot && slot.direction !== "inactive") {
        put(slot, null);
        slot.direction = "inactive";
      }
      return slot;
    }
    if (!slot) return this.#pc.addTransceiver(track, { direction: "sendonly", streams: [this.#outgoing.shared] });
    put(slot, track);
    if (slot.direction !== "sendonly") slot.direction = "sendonly";
    return slot;
  }

  /** Keeps each picture within what its receiver shows and what a mesh can carry. */
  async #limit() {
    const wanted = this.#wanted;
    await this.#limitOne(this.#video, cameraBitrate(this.#others), wanted?.camera);
    await this.#limitOne(this.#screenVideo, SCREEN_BITRATE, wanted?.screen);
  }

  /** @param {RTCRtpTransceiver | null} slot @param {number} maxBitrate @param {Size | undefined} size */
  async #limitOne(slot, maxBitrate, size) {
    const track = slot?.sender.track;
    if (!slot || !track || !this.#negotiated) return;
    const parameters = slot.sender.getParameters();
    const encoding = parameters.encodings?.[0];
    if (!encoding) return;
    const { width = 0, height = 0 } = track.getSettings();
    const active = !size || (size.w > 0 && size.h > 0);
    // Half steps: a picture scaled by every pixel of a resized window would be encoded anew each time.
    const ratio = size && active && width && height ? Math.max(1, Math.min(width / size.w, height / size.h, 8)) : 1;
    const scaleResolutionDownBy = Math.floor(ratio * 2) / 2;
    if (encoding.maxBitrate === maxBitrate && encoding.active === active && (encoding.scaleResolutionDownBy ?? 1) === scaleResolutionDownBy) return;
    Object.assign(encoding, { maxBitrate, active, scaleResolutionDownBy });
    await slot.sender.setParameters(parameters).catch(() => {}); // the next negotiation sets them again
  }

  /** @param {MediaStream} stream */
  #removed(stream) {
    if (stream.getTracks().length > 0) return;
    const streams = new Map(this.streams);
    streams.delete(stream.id);
    this.streams = streams;
    this.onchange(this);
  }

  /** @param {RTCPeerConnection} pc */
  #moved(pc) {
    switch (pc.connectionState) {
      case "connected":
        clearTimeout(this.#healing);
        this.way = "connected";
        this.#healing = setTimeout(() => { this.#restarts = 0; }, STEADY_AFTER);
        this.#deceived = 0;
        break;
      case "disconnected":
        this.way = "broken";
        clearTimeout(this.#healing);
        this.#healing = setTimeout(() => this.restart(), HEAL_WITHIN + (this.polite ? POLITE_DELAY : 0));
        break;
      case "failed":
        this.way = "failed";
        clearTimeout(this.#healing);
        this.#healing = setTimeout(() => this.#retry(), Math.max(this.#heardAt + CANDIDATES_WITHIN - performance.now(), 0) + (this.polite ? POLITE_DELAY : 0));
        break;
      default:
        return;
    }
    this.onchange(this);
  }
}

/** @param {RTCRtpTransceiver | null} slot @param {MediaStreamTrack | null} track */
function put(slot, track) {
  // A slot whose connection has just closed refuses; there is nobody to send to then.
  if (slot && slot.sender.track !== track) slot.sender.replaceTrack(track).catch(() => {});
}

/**
 * Whether the path in use lets small connectivity checks pass and nothing bigger, as a tunnel may: ICE is content, and no
 * connection comes about over it.
 * @param {Way} way @param {RTCIceConnectionState} ice
 */
export const deceives = (way, ice) => way !== "connected" && (ice === "connected" || ice === "completed");

/**
 * Whether a restart tries relays alone: in turns with every path.
 * @param {number} restarts in a row, from 1, this one included @param {boolean} relaysFirst whose turn is first
 */
export const relayTurn = (restarts, relaysFirst) => Math.floor((restarts - 1) / RELAY_AFTER) % 2 === (relaysFirst ? 0 : 1);

/**
 * Whether an offer belongs to another connection than the one we know: by its mark, or, from clients without marks,
 * by its certificate, which each connection makes for itself.
 * @param {{sdp: string} | null} before @param {{sdp: string}} offer @param {string | null} theirMark @param {string} [mark]
 */
export function isAnother(before, offer, theirMark, mark) {
  if (mark) return theirMark !== null && mark !== theirMark;
  return before !== null && fingerprint(before.sdp) !== fingerprint(offer.sdp);
}

/** @param {string} sdp */
const fingerprint = (sdp) => /^a=fingerprint:\S+ (\S+)/m.exec(sdp)?.[1]?.toUpperCase() ?? "";
