/**
 * What a call needs from this browser, device and network, tried for real. Relays are tried one by one: one that
 * hands out an address works. Credentials come with a seat, so a seat in a room of its own is taken for the while.
 *
 * @typedef {"wait" | "ok" | "bad" | "part"} Outcome `part` = this server does not offer it
 * @typedef {"browser" | "server" | "stun" | "udp" | "tcp" | "tls" | "camera" | "mic"} Step
 */
import { Socket } from "../socket.js";

/** In the order they are tried and shown. @type {Step[]} */
export const STEPS = ["browser", "server", "stun", "udp", "tcp", "tls", "camera", "mic"];
/** How long the server may take, ms. */
const SERVER_WITHIN = 8_000;
/** How long one path may take, ms: TCP and TLS cost some round trips, a lost UDP packet its repetitions. */
const PATH_WITHIN = 10_000;

/** @param {string} url of the WebSocket @param {(step: Step, outcome: Outcome) => void} tell */
export async function probe(url, tell) {
  const able = typeof RTCPeerConnection === "function" && Boolean(navigator.mediaDevices?.getUserMedia);
  tell("browser", able ? "ok" : "bad");
  if (!able) return;
  const devices = probeDevices(tell);
  const servers = await iceServers(url);
  tell("server", servers ? "ok" : "bad");
  if (servers) {
    const all = servers.flatMap((server) => [server.urls].flat().map((address) => ({ ...server, urls: address })));
    await Promise.all([
      tryPath(all.filter(({ urls }) => urls.startsWith("stun")), "srflx").then((outcome) => tell("stun", outcome)),
      tryPath(all.filter(({ urls }) => urls.startsWith("turn:") && !urls.includes("transport=tcp")), "relay").then((outcome) => tell("udp", outcome)),
      tryPath(all.filter(({ urls }) => urls.startsWith("turn:") && urls.includes("transport=tcp")), "relay").then((outcome) => tell("tcp", outcome)),
      tryPath(all.filter(({ urls }) => urls.startsWith("turns:")), "relay").then((outcome) => tell("tls", outcome)),
    ]);
  }
  await devices;
}

/** @param {string} url @returns {Promise<RTCIceServer[] | null>} */
function iceServers(url) {
  return new Promise((resolve) => {
    /** @param {RTCIceServer[] | null} result */
    const finish = (result) => {
      clearTimeout(timer);
      socket.close();
      resolve(result);
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

      pc.onicecandidate = ({ candidate }) => {

        if (candidate?.type === wanted) {
          clearTimeout(timer);
          resolve("ok");
        } else if (!candidate) {
          clearTimeout(timer);
          resolve("bad");
        }
      };
      pc.createDataChannel("test");
      pc.setLocalDescription().catch(() => resolve("bad"));
    });
  } finally {
    pc.close();
  }
}

/** @param {(step: Step, outcome: Outcome) => void} tell */
async function probeDevices(tell) {
  for (const [step, constraints] of /** @type {const} */ ([["camera", { video: true }], ["mic", { audio: true }]])) {
    try {
      const stream = await navigator.mediaDevices.getUserMedia(constraints);
      for (const track of stream.getTracks()) track.stop();
      tell(step, "ok");
    } catch {
      tell(step, "bad");
    }
  }
}
