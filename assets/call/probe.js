/**
 * What a call needs from this browser, device and network, tried for real. Relays are tried one by one: one that
 * hands out an address works. Credentials come with a seat, so a seat in a room of its own is taken for the while.
 *
 * @typedef {"wait" | "ok" | "bad" | "part"} Outcome `part` = this server does not offer it
 * @typedef {"browser" | "server" | "stun" | "udp" | "tcp" | "tls" | "camera" | "mic"} Step
 */
import { Socket } from "../socket.js";

/** In the order they are tried and shown. @type {Step[]} */
export const STEPS = ["browser", "camera", "mic", "server", "stun", "udp", "tcp", "tls"];
/** How long the server may take, ms. */
const SERVER_WITHIN = 8_000;
/** How long one path may take, ms: TCP and TLS cost some round trips, a lost UDP packet its repetitions. */
const PATH_WITHIN = 10_000;

/** @param {string} url of the WebSocket @param {(step: Step, outcome: Outcome) => void} tell */
export async function probe(url, tell) {
  const able = typeof RTCPeerConnection === "function" && Boolean(navigator.mediaDevices?.getUserMedia);
  tell("browser", able ? "ok" : "bad");
  if (!able) return;
  // As in a call, the devices are in use meanwhile: browsers show fewer paths to pages that may not use them.
  const streams = await probeDevices(tell);
  let leave = () => {};
  try {
    const { servers, socket } = await takeSeat(url);
    leave = () => socket.close();
    tell("server", servers ? "ok" : "bad");
    if (!servers) return;
    const all = servers.flatMap((server) => [server.urls].flat().map((address) => ({ ...server, urls: address })));
    await Promise.all([
      tryPath(all.filter(({ urls }) => urls.startsWith("stun")), "srflx").then((outcome) => tell("stun", outcome)),
      tryPath(all.filter(({ urls }) => urls.startsWith("turn:") && !urls.includes("transport=tcp")), "relay").then((outcome) => tell("udp", outcome)),
      tryPath(all.filter(({ urls }) => urls.startsWith("turn:") && urls.includes("transport=tcp")), "relay").then((outcome) => tell("tcp", outcome)),
      tryPath(all.filter(({ urls }) => urls.startsWith("turns:")), "relay").then((outcome) => tell("tls", outcome)),
    ]);
  } finally {
    leave(); // not earlier: the relay's credentials end with the seat
    for (const stream of streams) for (const track of stream.getTracks()) track.stop();
  }
}

/** @param {string} url @returns {Promise<{servers: RTCIceServer[] | null, socket: Socket}>} */
function takeSeat(url) {
  return new Promise((resolve) => {
    /** @param {RTCIceServer[] | null} servers */
    const finish = (servers) => {
      clearTimeout(timer);
      resolve({ servers, socket });
    };
    const socket = new Socket({
      url,
      onlink: ({ link }) => {
        if (link === "open") socket.send({ type: "login", data: { roomrequest: `test-${crypto.randomUUID()}`, username: "test" } });
      },
      onmessage: (message) => {
        if (message.type === "room") finish(message.data.iceServers);
        if (message.type === "error") finish(null);
      },
    });
    const timer = setTimeout(() => finish(null), SERVER_WITHIN);
    socket.open();
  });
}

/** @param {RTCIceServer[]} iceServers @param {"srflx" | "relay"} wanted @returns {Promise<Outcome>} */
async function tryPath(iceServers, wanted) {
  if (iceServers.length === 0) return "part";
  const pc = new RTCPeerConnection({ iceServers, iceTransportPolicy: wanted === "relay" ? "relay" : "all", bundlePolicy: "max-bundle" });
  try {
    return await new Promise((resolve) => {
      const timer = setTimeout(() => resolve("bad"), PATH_WITHIN);
      let failed = false;
      pc.onicecandidateerror = () => { failed = true; };
      pc.onicecandidate = ({ candidate }) => {
        if (candidate && candidate.type !== wanted) return;
        clearTimeout(timer);
        // An outer address that is the inner one is not told apart: the server answered, and that is what counts.
        resolve(candidate || (wanted === "srflx" && !failed) ? "ok" : "bad");
      };
      pc.createDataChannel("test");
      pc.setLocalDescription().catch(() => resolve("bad"));
    });
  } finally {
    pc.close();
  }
}

/** @param {(step: Step, outcome: Outcome) => void} tell @returns {Promise<MediaStream[]>} */
async function probeDevices(tell) {
  /** @type {MediaStream[]} */
  const streams = [];
  for (const [step, constraints] of /** @type {const} */ ([["camera", { video: true }], ["mic", { audio: true }]])) {
    try {
      streams.push(await navigator.mediaDevices.getUserMedia(constraints));
      tell(step, "ok");
    } catch {
      tell(step, "bad");
    }
  }
  return streams;
}
