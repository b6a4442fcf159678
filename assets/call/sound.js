/**
 * Plays what arrives. Browsers refuse sound until a person has touched the page; then the picture plays silently and
 * `blocked` says so, until `allow` is called from a touch.
 */
import { keep, kept } from "../kept.js";
import { effect, signal } from "../vendor/signals-core.js";

/** Where it is kept that somebody wants no sounds. */
const SOUNDS = "turnstone.sounds";
/** The two notes of the chime, Hz, and how loud they begin, 0–1. */
const NOTES = [660, 880];
const LOUDNESS = 0.08;
/** The least time between two chimes, ms: others decide how often there is a reason for one, and each takes an audio context. */
const CHIME_EVERY = 1_000;

/** Whether the browser keeps someone silent. */
export const blocked = signal(false);
/** The loudspeaker's device id; empty = the system's own choice. */
export const speaker = signal("");

/** Whether the page may make sounds of its own. */
export const sounds = signal(kept(SOUNDS) !== "off");

/** Elements that are to be heard. @type {Set<HTMLVideoElement>} */
const audible = new Set();

export const canChooseSpeaker = typeof HTMLMediaElement !== "undefined" && "setSinkId" in HTMLMediaElement.prototype;

/**
 * Shows a stream in an element, heard unless `silent`; null empties it.
 * @param {HTMLVideoElement} element @param {MediaStream | null} stream @param {boolean} silent
 */
export function play(element, stream, silent) {
  if (element.srcObject !== stream) element.srcObject = stream;
  if (!stream) return;
  element.muted = silent;
  if (silent) audible.delete(element);
  else {
    audible.add(element);
    void route(element);
  }
  void start(element, silent);
}

/** The element leaves the page. @param {HTMLVideoElement} element */
export function forget(element) {
  audible.delete(element);
  element.srcObject = null;
  if (audible.size === 0) blocked.value = false;
}

/** To be called from a touch or key: everyone is heard from now on. */
export function allow() {
  blocked.value = false;
  for (const element of audible) {
    element.muted = false;
    void start(element, false);
  }
}

/** @param {HTMLVideoElement} element @param {boolean} silent */
async function start(element, silent) {
  try {
    await element.play();
  } catch (error) {
    // Anything but a refusal is a new stream taking over, which plays by itself.
    if (silent || !(error instanceof DOMException) || error.name !== "NotAllowedError") return;
    blocked.value = true;
    element.muted = true;
    await element.play().catch(() => {});
  }
}

/** @param {HTMLVideoElement} element */
async function route(element) {
  if (!canChooseSpeaker || element.sinkId === speaker.peek()) return;
  await element.setSinkId(speaker.peek()).catch(() => {}); // unplugged meanwhile: the system's own choice stays
}

effect(() => {
  void speaker.value;
  for (const element of audible) void route(element);
});

/** Switches the page's own sounds. @param {boolean} on */
export function setSounds(on) {
  sounds.value = on;
  keep(SOUNDS, on ? "on" : "off");
}

/** When the last chime began, ms as `performance.now`. */
let chimed = -CHIME_EVERY;

/** Two soft notes: somebody wants something. */
export function chime() {
  if (!sounds.peek() || typeof AudioContext !== "function" || performance.now() - chimed < CHIME_EVERY) return;
  chimed = performance.now();
  const context = new AudioContext();
  NOTES.forEach((frequency, index) => {
    const [note, gain] = [new OscillatorNode(context, { frequency }), new GainNode(context, { gain: 0 })];
    const start = context.currentTime + index * 0.16;
    gain.gain.setValueAtTime(LOUDNESS, start);
    gain.gain.exponentialRampToValueAtTime(0.001, start + 0.4);
    note.connect(gain).connect(context.destination);
    note.start(start);
    note.stop(start + 0.4);
    if (index === NOTES.length - 1) note.onended = () => void context.close();
  });
  if (context.state === "suspended") void context.close(); // nobody has touched the page yet
}
