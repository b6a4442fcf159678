// A client of the older protocol, which nobody here wrote for this server: a raw WebSocket on `/`, offer, answer and candidates
// as that client sends them. Its peer connection is a real one, in a page that knows nothing of this project.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { WebSocket } from "ws";
import { Server, chromium, journey, until } from "./harness.js";

/** @type {Server} */
let server;
/** @type {import("puppeteer-core").Browser} */
let browser;

before(async () => {
  server = await Server.start({ name: "seed" });
  browser = await chromium();
});

after(async () => {
  await browser?.close();
  assert.equal(await server?.stop(), 0, "the server ends well");
});

/** The older client: its socket here, its peer connection in an empty page. */
class OlderClient {
  /** @type {any[]} */
  received = [];
  /** @type {any[]} */
  sent = [];

  /** @param {string} name @param {string} room */
  static async join(name, room) {
    const client = new OlderClient();
    client.name = name;
    client.context = await browser.createBrowserContext();
    client.page = await client.context.newPage();
    await client.page.exposeFunction("sendCandidate", (/** @type {string} */ to, /** @type {any} */ data) => client.send({ type: "candidate", from: client.session, to, data }));
    await client.page.evaluate(prepareCalls);
    client.socket = new WebSocket(`wss://127.0.0.1:${server.port("https")}/`, { rejectUnauthorized: false });
    client.socket.on("message", (text) => client.onMessage(JSON.parse(String(text))));
    await new Promise((resolve, reject) => client.socket.once("open", resolve).once("error", reject));
    client.send({ type: "login", from: "", to: "", data: { roomrequest: room, username: name } });
    client.session = await until("the older client has joined", () => client.received.find(({ type }) => type === "joined")?.data);
    return client;
  }

  /** @param {any} message */
  send(message) {
    this.sent.push(message);
    this.socket.send(JSON.stringify(message));
  }

  /** @param {any} message */
  async onMessage(message) {
    this.received.push(message);
    const { type, from, data } = message;
    if (type === "login") {
      const offer = await this.page.evaluate((peer) => globalThis.calls.offer(peer), from);
      this.send({ type: "offer", from: this.session, to: from, data: offer, username: this.name });
    } else if (type === "offer") {
      const answer = await this.page.evaluate((peer, offer) => globalThis.calls.answer(peer, offer), from, data);
      this.send({ type: "answer", from: this.session, to: from, data: answer });
    } else if (type === "answer") {
      await this.page.evaluate((peer, answer) => globalThis.calls.answered(peer, answer), from, data);
    } else if (type === "candidate") {
      await this.page.evaluate((peer, candidate) => globalThis.calls.candidate(peer, candidate), from, data);
    }
  }

  /** @param {string} type */
  of(type) {
    return this.received.filter((message) => message.type === type);
  }

  async close() {
    this.socket.close();
    await this.context.close();
  }
}

/** Runs in the empty page: peer connections as the older client makes them, with a drawn picture and a tone for media. */
function prepareCalls() {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [320, 240];
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  let hue = 0;
  setInterval(() => {
    pen.fillStyle = `hsl(${hue = (hue + 7) % 360} 90% 60%)`;
    pen.fillRect(0, 0, 320, 240);
  }, 50);
  const sound = new AudioContext();
  const tone = sound.createOscillator();
  const sink = sound.createMediaStreamDestination();
  tone.connect(sink);
  tone.start();
  const stream = new MediaStream([...canvas.captureStream(20).getTracks(), ...sink.stream.getTracks()]);

  /** @type {Map<string, { connection: RTCPeerConnection, early: any[] }>} */
  const peers = new Map();
  /** @param {string} peer */
  const open = (peer) => {
    const connection = new RTCPeerConnection();
    const channel = connection.createDataChannel("chat");
    channel.onmessage = (event) => globalThis.calls.chat.push(event.data);
    connection.ontrack = ({ streams: [remote] }) => {
      const video = document.createElement("video");
      Object.assign(video, { srcObject: remote, autoplay: true });
      document.body.append(video);
    };
    connection.onicecandidate = ({ candidate }) => {
      if (candidate) void globalThis.sendCandidate(peer, candidate.toJSON());
    };
    for (const track of stream.getTracks()) connection.addTrack(track, stream);
    const entry = { connection, early: [] };
    peers.set(peer, entry);
    return entry;
  };
  /** @param {{ connection: RTCPeerConnection, early: any[] }} entry @param {any} description */
  const remote = async (entry, description) => {
    await entry.connection.setRemoteDescription(description);
    for (const candidate of entry.early.splice(0)) await entry.connection.addIceCandidate(candidate);
  };
  globalThis.calls = {
    chat: [],
    async offer(/** @type {string} */ peer) {
      const { connection } = open(peer);
      await connection.setLocalDescription(await connection.createOffer());
      return connection.localDescription?.toJSON();
    },
    async answer(/** @type {string} */ peer, /** @type {any} */ offer) {
      const entry = peers.get(peer) ?? open(peer);
      await remote(entry, offer);
      await entry.connection.setLocalDescription(await entry.connection.createAnswer());
      return entry.connection.localDescription?.toJSON();
    },
    async answered(/** @type {string} */ peer, /** @type {any} */ answer) {
      await remote(/** @type {any} */ (peers.get(peer)), answer);
    },
    async candidate(/** @type {string} */ peer, /** @type {any} */ candidate) {
      const entry = peers.get(peer) ?? open(peer);
      if (entry.connection.remoteDescription) await entry.connection.addIceCandidate(candidate);
      else entry.early.push(candidate);
    },
    async arrived(/** @type {string} */ peer) {
      const total = { frames: 0, energy: 0, state: peers.get(peer)?.connection.connectionState };
      for (const report of (await peers.get(peer)?.connection.getStats() ?? new Map()).values()) {
        if (report.type !== "inbound-rtp") continue;
        total.frames += report.framesDecoded ?? 0;
        total.energy += report.totalAudioEnergy ?? 0;
      }
      return total;
    },
  };
}

/** @param {OlderClient} client @param {{ session?: string, name: string }} person */
async function olderClientSeesAndHears(client, person) {
  const arrived = () => client.page.evaluate((peer) => globalThis.calls.arrived(peer), person.session);
  await until(`the older client sees and hears ${person.name}`, async () => {
    const { frames, energy } = await arrived();
    return frames > 20 && energy > 0;
  }).catch(async (error) => Promise.reject(new Error(`${error.message}: ${JSON.stringify(await arrived())}`)));
}

journey("the page is there first: it offers, the older client answers", async (scene) => {
  const alice = await scene.person(browser, server, "Alice");
  await alice.join("seed-second");
  const older = scene.own(await OlderClient.join("Min", "seed-second"));
  await alice.seesTilesOf(older);
  await alice.seesAndHears(older);
  await olderClientSeesAndHears(older, alice);
  assert(older.of("offer").every(({ from, to }) => from === alice.session && to === older.session), "the envelope names both");
  assert.equal(older.of("offer").length, 1, "who did not come by /ws is offered once, and never again");
  assert.deepEqual(Object.keys(older.of("offer")[0].data).sort(), ["sdp", "type"]);
  assert(older.of("candidate").every(({ data }) => typeof data.candidate === "string"), "candidates as browsers write them, never null");
  assert(older.sent.some(({ type }) => type === "answer"));
  assert(older.sent.some(({ type }) => type === "candidate"));

  // Switching tracks on the page's side must not need a new offer.
  await alice.click("toggle-camera");
  await alice.click("toggle-camera");
  await olderClientSeesAndHears(older, alice);
  assert.equal(older.of("offer").length, 1, "still one offer");

  await alice.leave();
  const goodbye = await until("the older client hears of the leaving", () => older.of("logout")[0]);
  assert.deepEqual(goodbye.data, { username: "Alice", sessionId: alice.session });
});

journey("the older client is there first: it offers, the page answers", async (scene) => {
  const older = scene.own(await OlderClient.join("Min", "seed-first"));
  const alice = await scene.person(browser, server, "Alice");
  await alice.join("seed-first");
  const login = await until("the older client hears of the newcomer", () => older.of("login")[0]);
  assert.deepEqual(login, { type: "login", from: alice.session, to: "", data: { roomrequest: "seed-first", username: "Alice" } });
  await alice.seesTilesOf(older);
  await alice.seesAndHears(older);
  await olderClientSeesAndHears(older, alice);
  const [answer] = older.of("answer");
  assert.equal(answer.to, older.session);
  assert.equal(answer.data.type, "answer");
  assert.equal(older.of("room").length, 0, "room is for people on /ws");
  older.socket.close();
  await alice.seesTilesOf();
});

journey("a page and an older client with one more page make a mesh of three", async (scene) => {
  const alice = await scene.person(browser, server, "Alice");
  await alice.join("seed-mesh");
  const older = scene.own(await OlderClient.join("Min", "seed-mesh"));
  const bob = await scene.person(browser, server, "Bob");
  await bob.join("seed-mesh");
  for (const [one, other] of [[alice, bob], [bob, alice]]) await one.seesAndHears(other);
  for (const person of [alice, bob]) {
    await person.seesAndHears(older);
    await olderClientSeesAndHears(older, person);
  }
});
