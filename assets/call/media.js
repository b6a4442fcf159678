/**
 * Camera, microphone and screen of this person: asked for, switched, changed, given back. What is sent to others
 * is `call/mesh.js`; what is shown is the view. Everything readable here is a signal.
 *
 * @typedef {"" | "denied" | "missing" | "busy" | "insecure" | "failed"} Trouble why a device cannot be used
 */
import { keep, kept } from "../kept.js";
import { signal } from "../vendor/signals-core.js";

/** How big a camera picture is asked for, by how many others it is sent to: a mesh sends it once to each. @param {number} others */
export const pictureFor = (others) => (others <= 1 ? { width: 960, height: 540, frameRate: 24 }
  : others <= 3 ? { width: 640, height: 360, frameRate: 24 } : { width: 480, height: 270, frameRate: 20 });

/** Where the choice of devices is kept between visits. */
const REMEMBERED = "turnstone.devices";

/** @param {unknown} error @returns {Trouble} */
export function troubleOf(error) {
  switch (error instanceof Error || error instanceof DOMException ? error.name : "") {
    case "NotAllowedError":
    case "SecurityError":
      return "denied";
    case "NotFoundError":
    case "OverconstrainedError":
      return "missing";
    case "NotReadableError":
    case "AbortError":
      return "busy";
    default:
      return "failed";
  }
}

export class Media {
  /** @type {import("../vendor/signals-core.js").Signal<MediaStreamTrack | null>} null while the camera is off */
  camera = signal(null);
  /** @type {import("../vendor/signals-core.js").Signal<MediaStreamTrack | null>} null without a microphone; a muted one stays, disabled */
  mic = signal(null);
  micOn = signal(false);
  /** @type {import("../vendor/signals-core.js").Signal<MediaStream | null>} */
  screen = signal(null);
  /** @type {import("../vendor/signals-core.js").Signal<Trouble>} */
  cameraTrouble = signal("");
  /** @type {import("../vendor/signals-core.js").Signal<Trouble>} */
  micTrouble = signal("");
  /** @type {import("../vendor/signals-core.js").Signal<MediaDeviceInfo[]>} */
  devices = signal([]);
  /** Device ids chosen; empty = the system's own choice. */
  chosen = signal(remembered());
  /** Whether asking is under way: people then look at the browser's question. */
  asking = signal(false);

  #others = 0;

  constructor() {
    globalThis.navigator?.mediaDevices?.addEventListener?.("devicechange", () => void this.list());
  }

  /** Asks for camera and microphone together, so that there is one question, and finds out which of them is missing. @param {{camera: boolean, mic: boolean}} wish */
  async start({ camera, mic }) {
    if (!navigator.mediaDevices?.getUserMedia) {
      this.cameraTrouble.value = this.micTrouble.value = "insecure";
      return;
    }
    this.asking.value = true;
    try {
      if (camera && mic) {
        const stream = await navigator.mediaDevices.getUserMedia({ video: this.#wantCamera(), audio: this.#wantMic() }).catch(() => null);
        if (stream) {
          this.#takeCamera(stream.getVideoTracks()[0]);
          this.#takeMic(stream.getAudioTracks()[0], true);
          return;
        }
      }
      if (mic) await this.setMic(true);
      if (camera) await this.setCamera(true);
    } finally {
      this.asking.value = false;
      await this.list();
    }
  }

  /** Switches the camera. Off gives the device back, so its light goes out. @param {boolean} on */
  async setCamera(on) {
    if (!on) {
      this.#takeCamera(null);
      return;
    }
    try {
      const stream = await this.#ask({ video: this.#wantCamera() });
      this.#takeCamera(stream.getVideoTracks()[0]);
    } catch (error) {
      this.cameraTrouble.value = navigator.mediaDevices ? troubleOf(error) : "insecure";
    }
    await this.list();
  }

  /** Switches the microphone. Off keeps the device, so that speaking again is instant. @param {boolean} on */
  async setMic(on) {
    const track = this.mic.value;
    if (track?.readyState === "live") {
      track.enabled = on;
      this.micOn.value = on;
      return;
    }
    if (!on) {
      this.micOn.value = false;
      return;
    }
    try {
      const stream = await this.#ask({ audio: this.#wantMic() });
      this.#takeMic(stream.getAudioTracks()[0], true);
    } catch (error) {
      this.micTrouble.value = navigator.mediaDevices ? troubleOf(error) : "insecure";
    }
    await this.list();
  }

  /** Shares a screen, with its sound where the browser offers that; false when nothing was chosen. @returns {Promise<boolean>} */
  async shareScreen() {
    try {
      const options = { video: { frameRate: { max: 15 }, width: { max: 1920 }, height: { max: 1200 } }, audio: true, selfBrowserSurface: "exclude", surfaceSwitching: "include", systemAudio: "include" };
      const stream = await navigator.mediaDevices.getDisplayMedia(/** @type {DisplayMediaStreamOptions} */ (options));
      const [track] = stream.getVideoTracks();
      if (!track) return false;
      track.contentHint = "detail"; // text must stay readable
      track.addEventListener("ended", () => this.screen.value === stream && this.stopScreen());
      this.screen.value = stream;
      return true;
    } catch {
      return false; // closing the browser's dialogue is an answer, not a fault
    }
  }

  stopScreen() {
    const stream = this.screen.value;
    this.screen.value = null;
    stream?.getTracks().forEach((track) => track.stop());
  }

  static get canShareScreen() {
    return Boolean(globalThis.navigator?.mediaDevices && "getDisplayMedia" in navigator.mediaDevices);
  }

  /** Takes another device. @param {"camera" | "mic" | "speaker"} kind @param {string} deviceId */
  async choose(kind, deviceId) {
    this.chosen.value = { ...this.chosen.value, [kind]: deviceId };
    keep(REMEMBERED, JSON.stringify(this.chosen.value));
    if (kind === "camera" && this.camera.value) {
      this.#takeCamera(null); // some phones open one camera at a time
      await this.setCamera(true);
    }
    if (kind === "mic" && this.mic.value) {
      const on = this.micOn.value;
      this.#takeMic(null, false);
      await this.setMic(true);
      if (!on) await this.setMic(false);
    }
  }

  /** Fits the camera's picture to how many others get it. @param {number} others */
  fitTo(others) {
    const before = pictureFor(this.#others);
    this.#others = others;
    const now = pictureFor(others);
    if (now.width !== before.width) this.camera.value?.applyConstraints(asIdeal(now)).catch(() => {});
  }

  async list() {
    try {
      this.devices.value = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    } catch {
      this.devices.value = [];
    }
  }

  /** Gives every device back. */
  stop() {
    this.#takeCamera(null);
    this.#takeMic(null, false);
    this.stopScreen();
  }

  /** @param {MediaStreamConstraints} constraints @returns {Promise<MediaStream>} */
  async #ask(constraints) {
    this.asking.value = true;
    try {
      return await navigator.mediaDevices.getUserMedia(constraints);
    } catch (error) {
      // The device chosen last time may be in a drawer now: any other is better than none.
      const [kind] = /** @type {("audio" | "video")[]} */ (Object.keys(constraints));
      const constraint = kind && constraints[kind];
      if (troubleOf(error) !== "missing" || !kind || typeof constraint !== "object" || !constraint.deviceId) throw error;
      return await navigator.mediaDevices.getUserMedia({ [kind]: { ...constraint, deviceId: undefined } });
    } finally {
      this.asking.value = false;
    }
  }

  /** @returns {MediaTrackConstraints} */
  #wantCamera() {
    const { camera } = this.chosen.value;
    return { ...asIdeal(pictureFor(this.#others)), ...(camera ? { deviceId: { exact: camera } } : { facingMode: "user" }) };
  }

  /** @returns {MediaTrackConstraints} */
  #wantMic() {
    const { mic } = this.chosen.value;
    return { echoCancellation: true, noiseSuppression: true, autoGainControl: true, ...(mic ? { deviceId: { exact: mic } } : {}) };
  }

  /** @param {MediaStreamTrack | null | undefined} track */
  #takeCamera(track) {
    const before = this.camera.value;
    this.camera.value = track ?? null;
    before?.stop();
    if (!track) return;
    this.cameraTrouble.value = "";
    track.addEventListener("ended", () => this.camera.value === track && this.#lostCamera());
  }

  /** @param {MediaStreamTrack | null | undefined} track @param {boolean} on */
  #takeMic(track, on) {
    const before = this.mic.value;
    if (track) track.enabled = on;
    this.mic.value = track ?? null;
    this.micOn.value = Boolean(track && on);
    before?.stop();
    if (!track) return;
    this.micTrouble.value = "";
    track.addEventListener("ended", () => this.mic.value === track && void this.#lostMic());
  }

  /** Pulled out, or taken away by the system. */
  #lostCamera() {
    this.#takeCamera(null);
    this.cameraTrouble.value = "missing";
  }

  async #lostMic() {
    const on = this.micOn.value;
    this.#takeMic(null, false);
    await this.setMic(true); // the system has most likely another one
    if (!on) await this.setMic(false);
  }
}

/** @param {{width: number, height: number, frameRate: number}} size @returns {MediaTrackConstraints} */
const asIdeal = ({ width, height, frameRate }) => ({ width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: frameRate, max: 30 } });

/** @returns {{camera: string, mic: string, speaker: string}} */
function remembered() {
  try {
    const { camera, mic, speaker } = JSON.parse(kept(REMEMBERED) ?? "{}");
    return { camera: String(camera ?? ""), mic: String(mic ?? ""), speaker: String(speaker ?? "") };
  } catch {
    return { camera: "", mic: "", speaker: "" };
  }
}
