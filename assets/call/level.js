/** How loud it is: our own microphone, and who is speaking. */
import { signal } from "../vendor/signals-core.js";

/** Louder than this counts as speaking; 0–1, linear. Breathing and fans stay below. */
const SPEAKING = 0.02;
/** How often we look, ms. */
const EVERY = 200;
/** How long someone counts as speaking after the last sound, in looks: pauses between words do not flicker. */
const HOLD = 4;

/**
 * Measures a track. @param {MediaStreamTrack} track @param {(level: number) => void} onlevel 0–1, about five times a second
 * @returns {() => void} ends it
 */
export function measure(track, onlevel) {
  const context = new AudioContext();
  // A copy: the meter must not depend on whether others hear the original.
  const source = context.createMediaStreamSource(new MediaStream([track]));
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    if (context.state === "suspended") void context.resume().catch(() => {});
    analyser.getFloatTimeDomainData(samples);
    let sum = 0;
    for (const sample of samples) sum += sample * sample;
    // Speech lies between -50 and -10 dB; shown evenly over the whole meter.
    const decibel = 20 * Math.log10(Math.sqrt(sum / samples.length) || 1e-5);
    onlevel(Math.max(0, Math.min(1, (decibel + 50) / 40)));
  }, EVERY);
  return () => {
    clearInterval(timer);
    source.disconnect();
    void context.close().catch(() => {});
  };
}

/** Watches who speaks among the connections of a mesh. */
export class Speakers {
  /** Sessions speaking now. @type {import("../vendor/signals-core.js").Signal<ReadonlySet<string>>} */
  now = signal(new Set());
  /** @type {Map<string, number>} */ #held = new Map();
  /** @type {ReturnType<typeof setInterval> | undefined} */ #timer;

  /** @param {() => Iterable<[string, {receivers: RTCRtpReceiver[]}]>} connections */
  start(connections) {
    this.stop();
    this.#timer = setInterval(() => this.#look(connections()), EVERY);
  }

  stop() {
    clearInterval(this.#timer);
    this.#held.clear();
    this.now.value = new Set();
  }

  /** @param {Iterable<[string, {receivers: RTCRtpReceiver[]}]>} connections */
  #look(connections) {
    const held = new Map();
    for (const [id, { receivers }] of connections) {
      const loud = receivers.some((receiver) => receiver.track.kind === "audio" && loudness(receiver) > SPEAKING);
      const left = loud ? HOLD : (this.#held.get(id) ?? 0) - 1;
      if (left > 0) held.set(id, left);
    }
    const changed = held.size !== this.#held.size || [...held.keys()].some((id) => !this.#held.has(id));
    this.#held = held;
    if (changed) this.now.value = new Set(held.keys());
  }
}

/** @param {RTCRtpReceiver} receiver */
const loudness = (receiver) => receiver.getSynchronizationSources?.()[0]?.audioLevel ?? 0;
