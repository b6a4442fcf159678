// Runs inside the page, before any of its scripts: keeps hold of the connections and sockets the page makes, so that a test can
// count what truly arrived. It changes one thing only, when asked: which of the server's ICE servers are left.

/**
 * @typedef {object} Watch
 * @property {RTCPeerConnection[]} connections
 * @property {RTCIceConnectionState[][]} states every state that ICE has been in, by connection
 * @property {WebSocket[]} sockets
 * @property {string | null} session
 * @property {any[]} received messages of the server, oldest first
 * @property {any[]} sent messages of the page, oldest first
 * @property {boolean} refusing new sockets fail while this is set
 */

/**
 * Installed by `evaluateOnNewDocument`, so it may use nothing from outside itself.
 * @param {{ servers: string | null }} options `servers`: the source of a pattern; only ICE servers matching it are used
 */
export function watchPage(options) {
  /** @type {Watch} */
  const watch = { connections: [], states: [], sockets: [], session: null, received: [], sent: [], refusing: false };
  Object.defineProperty(globalThis, "__watch", { value: watch });

  const wanted = options.servers === null ? null : new RegExp(options.servers);
  /** @param {RTCConfiguration | undefined} configuration */
  const filtered = (configuration) => {
    if (wanted === null || !configuration?.iceServers) return configuration;
    const iceServers = configuration.iceServers
      .map((server) => ({ ...server, urls: [server.urls].flat().filter((url) => wanted.test(url)) }))
      .filter((server) => server.urls.length > 0);
    return { ...configuration, iceServers };
  };

  const Connection = globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class RTCPeerConnection extends Connection {
    /** @param {RTCConfiguration} [configuration] */
    constructor(configuration) {
      super(filtered(configuration));
      watch.connections.push(this);
      /** @type {RTCIceConnectionState[]} */
      const states = [];
      watch.states.push(states);
      this.addEventListener("iceconnectionstatechange", () => states.push(this.iceConnectionState));
    }

    /** @param {RTCConfiguration} [configuration] */
    setConfiguration(configuration) {
      super.setConfiguration(filtered(configuration));
    }
  };

  const Socket = globalThis.WebSocket;
  globalThis.WebSocket = class WebSocket extends Socket {
    /** @param {string | URL} url @param {string | string[]} [protocols] */
    constructor(url, protocols) {
      // Port 9 of this machine answers nobody: the socket fails as it would without a network.
      super(watch.refusing ? "wss://127.0.0.1:9/" : url, protocols);
      watch.sockets.push(this);
      this.addEventListener("message", (event) => {
        const message = read(event.data);
        if (!message) return;
        watch.received.push(message);
        if (message.type === "joined") watch.session = message.data;
      });
    }

    /** @param {any} data */
    send(data) {
      const message = read(data);
      if (message) watch.sent.push(message);
      super.send(data);
    }
  };

  /** @param {unknown} data */
  function read(data) {
    try {
      return typeof data === "string" ? JSON.parse(data) : null;
    } catch {
      return null;
    }
  }
}

/**
 * What arrives from one other person, by the tracks that person's tile (or shared screen) shows.
 * Runs inside the page.
 * @param {string} session
 * @param {"tile" | "screen-tile"} kind
 */
export async function inboundMedia(session, kind) {
  const video = /** @type {HTMLVideoElement | null} */ (document.querySelector(`[data-testid="${kind}"][data-session="${session}"] video`));
  if (!video) return { shown: false };
  const stream = /** @type {MediaStream | null} */ (video.srcObject);
  const shown = new Set((stream?.getTracks() ?? []).map((track) => track.id));
  const connections = /** @type {{ __watch: Watch }} */ (/** @type {unknown} */ (globalThis)).__watch.connections
    .filter((connection) => connection.connectionState !== "closed")
    .filter((connection) => connection.getReceivers().some((receiver) => shown.has(receiver.track.id)));

  const total = { shown: true, frames: 0, packets: 0, energy: 0, lit: 0, playing: !video.paused && video.readyState >= 2, audible: false, width: video.videoWidth, height: video.videoHeight, state: connections.map((c) => c.connectionState).join() };
  for (const connection of connections) {
    for (const receiver of connection.getReceivers()) {
      // The person's voice travels on the connection of their picture, wherever the page plays it.
      if (receiver.track.kind === "video" && !shown.has(receiver.track.id)) continue;
      for (const report of (await receiver.getStats()).values()) {
        if (report.type !== "inbound-rtp") continue;
        if (report.kind === "video") total.frames += report.framesDecoded ?? 0;
        if (report.kind === "audio") {
          total.packets += report.packetsReceived ?? 0;
          total.energy += report.totalAudioEnergy ?? 0;
        }
      }
      if (receiver.track.kind === "audio" && heard(receiver.track)) total.audible = true;
    }
  }
  total.lit = lit(video);
  return total;

  /** @param {MediaStreamTrack} track */
  function heard(track) {
    return [...document.querySelectorAll("audio, video")].some((element) => {
      const player = /** @type {HTMLMediaElement} */ (element);
      const source = /** @type {MediaStream | null} */ (player.srcObject);
      return !player.muted && !player.paused && player.volume > 0 && (source?.getTracks() ?? []).some(({ id }) => id === track.id);
    });
  }

  /** The share of the picture that is not black, 0–1. @param {HTMLVideoElement} element */
  function lit(element) {
    if (element.videoWidth === 0) return 0;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [32, 24];
    const context = canvas.getContext("2d");
    if (!context) return 0;
    context.drawImage(element, 0, 0, 32, 24);
    const { data } = context.getImageData(0, 0, 32, 24);
    let bright = 0;
    for (let at = 0; at < data.length; at += 4) if (data[at] + data[at + 1] + data[at + 2] > 60) bright += 1;
    return bright / (32 * 24);
  }
}

/** The candidate pairs that carry the page's open connections. Runs inside the page. */
export async function selectedPairs() {
  const pairs = [];
  for (const connection of /** @type {{ __watch: Watch }} */ (/** @type {unknown} */ (globalThis)).__watch.connections) {
    if (connection.connectionState !== "connected") continue;
    /** @type {Map<string, any>} */
    const stats = new Map(/** @type {any} */ (await connection.getStats()));
    const all = [...stats.values()];
    const chosen = all.find((report) => report.type === "transport")?.selectedCandidatePairId;
    const pair = chosen ? stats.get(chosen) : all.find((report) => report.type === "candidate-pair" && report.selected);
    if (!pair) continue;
    const [local, remote] = [stats.get(pair.localCandidateId), stats.get(pair.remoteCandidateId)];
    pairs.push({
      local: { type: local?.candidateType, protocol: local?.protocol, relayProtocol: local?.relayProtocol, url: local?.url, ufrag: local?.usernameFragment },
      remote: { type: remote?.candidateType },
    });
  }
  return pairs;
}
