/**
 * The page with a made-up state, for screenshots: `?scene=` names one of the scenes below, and `show(scene)` changes to
 * another, with everything made anew. A scene is a name and what varies it, joined by colons: `room:5`.
 */
import { signal } from "/v/dev/vendor/signals-core.js";
import { render } from "/v/dev/vendor/preact.js";
import { App, Page } from "/v/dev/page.js";
import { initial, reduce } from "/v/dev/state.js";
import { load } from "/v/dev/strings/index.js";
import { html } from "/v/dev/view/html.js";

const NAMES = ["Ana", "Boris Petrov", "김서연", "Maximiliana-Konstantina von und zu Hohenlohe-Langenburg", "d", "Émile", "Fatima", "Großmutter Hildegard", "李雷", "Zoë"];
const query = new URLSearchParams(location.search);
await load(query.get("lang") ?? "en");
document.documentElement.lang = query.get("lang") ?? "en";
const root = document.getElementById("app");
/** @type {App} */
let app;
/** @type {App["session"]} */
let session;
/** @type {ReturnType<typeof setInterval>[]} */
let drawing = [];

/** A picture with a colour of its own. A few frames are enough to be shown; more would only keep the machine busy. */
function picture(text, hue, width = 480, height = 270) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const pen = canvas.getContext("2d");
  const draw = () => {
    const sky = pen.createLinearGradient(0, 0, width, height);
    sky.addColorStop(0, `hsl(${hue} 30% 72%)`);
    sky.addColorStop(1, `hsl(${hue + 40} 35% 40%)`);
    pen.fillStyle = sky;
    pen.fillRect(0, 0, width, height);
    pen.fillStyle = `hsl(${hue} 25% 25%)`;
    pen.beginPath();
    pen.arc(width / 2, height * 0.42, height * 0.17, 0, 7);
    pen.ellipse(width / 2, height * 0.95, height * 0.36, height * 0.36, 0, 0, 7);
    pen.fill();
    pen.fillStyle = "#fff";
    pen.font = "20px sans-serif";
    pen.fillText(text, 16, 30);
  };
  draw();
  const timer = setInterval(() => (frames -= 1) > 0 ? draw() : clearInterval(timer), 100);
  let frames = 5;
  drawing.push(timer);
  return canvas.captureStream(5);
}

function people(n) {
  return Array.from({ length: n }, (_, index) => ({
    sessionId: `s${index}`, username: NAMES[index % NAMES.length], role: index === 0 ? "host" : "guest", joined: index,
    status: { mic: index % 3 !== 1, camera: index % 4 !== 2, screen: false, hand: index === 3, streams: {} },
  }));
}

function enter(n, screens = 0) {
  const participants = people(n);
  for (let index = 0; index < screens; index += 1) participants[index].status.screen = true;
  session.state.value = { ...initial(), screen: "joining", roomName: "Tea on the terrace", link: "open" };
  apply({
    type: "room",
    data: { room: { name: "Tea on the terrace", locked: false, capacity: 10, kept: false, policy: POLICY }, you: { sessionId: "me", username: "Kim", role: "guest" }, participants, iceServers: [], iceTtl: 3600 },
  });
  const received = new Map(participants.map((one, index) => [one.sessionId, {
    camera: one.status.camera ? picture(one.username, index * 36) : null, screen: one.status.screen ? picture("A shared screen", 200, 1280, 800) : null, way: "connected",
  }]));
  session.mesh.value = { received: signal(received), sendOut() {}, ids: { camera: "c", screen: "s" }, peers: [], close() {} };
  session.media.camera.value = picture("me", 150).getVideoTracks()[0];
  session.media.micOn.value = true;
  session.speakers.now.value = new Set(["s0"]);
  return participants;
}

const apply = (message) => { session.state.value = reduce(session.state.value, message); };
const state = (changes) => { session.state.value = { ...session.state.value, ...changes }; };

function talk() {
  const lines = [["s0", "Ana", "Good morning!"], ["s0", "Ana", "Is the sound fine now?"], ["me", "Kim", "Yes, loud and clear 👍"],
    ["s1", "Boris Petrov", "Here is the agenda: https://example.org/a/very/long/address/that/goes/on/and/on?with=parameters&and=more"],
    ["s1", "Boris Petrov", "<b>not bold</b>\n  indented line\nlast line"], ["s3", NAMES[3], "Averyveryverylongwordwithoutanyspacesthatmustbebrokensomewhereorelse".repeat(2)], ["me", "Kim", "See you at 10."]];
  lines.forEach(([sessionId, username, text], index) => apply({ type: "chat", data: { seq: index + 1, sessionId, username, text, time: 1763712000000 + index * 60000 } }));
  apply({ type: "chat", data: { seq: 8, sessionId: "s0", username: "Ana", text: "Until then! The door code is with me.", time: 1763712500000, to: "me", replyTo: 7, edited: 1, reactions: [{ emoji: "👍", sessionIds: ["me"] }, { emoji: "🎉", sessionIds: ["s1", "s2"] }] } });
  apply({ type: "chat", data: { seq: 9, sessionId: "me", username: "Kim", text: "Thank you", time: 1763712510000, to: "s0", reactions: [{ emoji: "👍", sessionIds: ["s0"] }] } });
  apply({ type: "typing", from: "s0" });
  state({ older: true, newFrom: "" });
  apply({ type: "login", from: "late", data: { roomrequest: "x", username: "Zoë" } });
  apply({ type: "logout", data: { username: "Zoë", sessionId: "late" } });
}

/** @param {string} wanted */
async function show(wanted) {
  delete document.documentElement.dataset.ready;
  drawing.forEach(clearInterval);
  drawing = [];
  session?.speakers.stop();
  render(null, root);
  localStorage.clear();
  app = new App();
  session = app.session;
  made(app);
  const [scene = "home", option = "", more = ""] = wanted.split(":");
  stage(scene, option, more);
  render(html`<${Page} app=${app} />`, root);
  await new Promise((done) => setTimeout(done, 30));
  await press(scene, option);
  // Pictures that are shown have a first frame; a second is enough for that on any machine.
  const late = Date.now() + 1000;
  const blank = () => [...document.querySelectorAll("video")].some((video) => video.srcObject && video.readyState < 2);
  do await new Promise((done) => setTimeout(done, 60)); while (blank() && Date.now() < late);
  document.documentElement.dataset.ready = wanted;
}

const ROOMS = [["Afternoon tea", 3, 10], ["Book club", 0, 20], ["김서연의 방", 1, 4], ["Maximiliana-Konstantina’s very long-winded reading circle", 12, 12, "locked"], ["Team stand-up", 5, 10, "password"], ["Terrace", 0, 10]];
const PICTURE = `data:image/svg+xml,${encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg" width="640" height="400"><rect width="640" height="400" fill="#7fb3b8"/><circle cx="320" cy="170" r="90" fill="#e2702a"/></svg>')}`;
/** What the server would answer. */
let answers = {};
/** @param {App} app */
function made({ api, lobby }) {
  answers = { rooms: { rooms: [] }, details: { name: "Tea on the terrace", capacity: 10, listed: true, password: true, expires: null }, invites: { invites: [] } };
  lobby.listen = () => Object.assign(new EventTarget(), { close() {}, onopen: null });
  for (const what of ["rooms", "details", "invites"]) api[what] = async () => answers[what] ?? Promise.reject({ type: "away", text: "" });
  api.invite = async () => ({ id: "i3", url: "https://call.example/r/Tea%20on%20the%20terrace#invite=Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4" });
  api.create = async () => Promise.reject({ type: "exists", text: "" });
  api.link = async () => PICTURE;
}

/** Files in the chat. @param {string} option */
function files(option) {
  talk();
  const file = (id, name, size, type, more = {}) => apply({ type: "file", from: "s1", data: { id, name, size, type, url: `/api/v1/files/${id}`, sessionId: "s1", username: "Boris Petrov", time: 1763712600000 + Number(id) * 1000, ...more } });
  if (option === "sending") {
    const one = { key: "u1", name: "holiday.mp4", size: 734003200, sent: 262144000, state: "sending", problem: "", waiting: false, to: "", toName: "" };
    session.files.sending.value = [one, { ...one, key: "u2", name: "A very long name of a file that somebody gave it long ago.tar.gz", sent: 30000000, state: "broken", toName: "Ana" },
      { ...one, key: "u3", name: "disk.img", state: "failed", problem: "filesize" }, { ...one, key: "u4", name: "notes.txt", size: 812, sent: 0, waiting: true }];
    return;
  }
  file("1", "minutes of the long meeting about the terrace and everything else.pdf", 182000, "application/pdf");
  file("2", "terrace.png", 2410000, "image/png");
  file("3", "keys.txt", 120, "text/plain", { sessionId: "me", username: "Kim", to: "s0" });
  file("4", "recording.txt", 64000, "text/plain", { sessionId: "me", username: "Kim" });
  apply({ type: "chat", data: { seq: 10, sessionId: "me", username: "Kim", text: "There it is.", time: 1763712700000 } });
  apply({ type: "read", from: "s0", data: { seq: 10 } });
  apply({ type: "read", from: "s1", data: { seq: 10 } });
}

/** What opens only by a click. @param {string} scene @param {string} option */
async function press(scene, option) {
  const way = { menu: [".people [aria-haspopup]"], removal: [".people [aria-haspopup]", "[data-testid=remove]"], rules: ["[data-testid=room-settings]"], create: ["[data-testid=create-room]", ...(option === "wrong" ? ["[data-testid=create-now]"] : [])],
    keeping: ["[data-testid=room-settings]", "[data-testid=open-keeping]", ...(option === "delete" ? ["[data-testid=delete-room]"] : [])],
    invites: ["[data-testid=room-settings]", "[data-testid=open-invite]", ...(option === "made" ? ["[data-testid=invite-make]"] : [])], "chat-menu": [".chat-line:nth-last-of-type(1) [aria-haspopup]"] }[scene] ?? [];
  for (const step of way) {
    await new Promise((done) => setTimeout(done, 80));
    document.querySelector(step)?.click();
  }
  if (scene === "rooms" || scene === "create") await new Promise((done) => setTimeout(done, 60));
  if (scene === "rooms") document.querySelector(".lobby").scrollIntoView();
  if (scene === "rooms" && option === "none") app.lobby.list.value = { ...app.lobby.list.value, query: "sailing" };
  if (scene === "chat-top") document.querySelector("[data-testid=chat-log]").scrollTop = 0;
  if (scene === "removal" && option === "ban") {
    await new Promise((done) => setTimeout(done, 80));
    document.querySelector("[data-testid=ban]")?.click();
  }
}

const POLICY = { chat: true, files: true, screen: true, unmute: true, waitingRoom: false };
const host = () => apply({ type: "role", data: { sessionId: "me", role: "host" } });

/** @param {string} scene @param {string} option @param {string} more */
function stage(scene, option, more) {
  switch (scene) {
    case "home": state({ screen: "home" }); break;
    case "rooms": case "create":
      state({ screen: "home" });
      answers.rooms = option === "failed" ? null : { rooms: option ? [] : ROOMS.map(([name, people, capacity, mark]) => ({ name, people, capacity, locked: mark === "locked", password: mark === "password" })), ...(option ? {} : { next: "more" }) };
      break;
    case "files": enter(3); files(option); state({ panel: "chat", unread: 0, newFrom: "" }); break;
    case "keeping": case "invites":
      enter(2);
      host();
      state({ panel: "", news: null, room: { ...session.state.value.room, kept: true } });
      if (option) answers.invites = { invites: [{ id: "i1", role: "guest", uses: 1, used: 0, expires: 1763800000000 }, { id: "i2", role: "host", uses: null, used: 4, expires: null }] };
      if (option === "failed") answers.details = null;
      break;
    case "offline": state({ screen: "home", online: false }); break;
    case "prejoin":
      state({ screen: "prejoin", roomName: "Tea on the terrace" });
      if (option === "password") state({ askPassword: true, problem: { type: "password", text: "" } });
      if (option === "invitation") state({ problem: { type: "invitation", text: "" } });
      if (option === "full") state({ problem: { type: "full", text: "" } });
      if (option === "long") state({ roomName: "Averyveryverylongroomnamewithoutspaces".repeat(2).slice(0, 64) });
      break;
    case "joining": state({ screen: "joining", roomName: "Tea", link: "waiting", retryAt: Date.now() + 60000 }); break;
    case "room": enter(Number(option) - 1); state({ panel: "" }); break;
    case "long": enter(Number(option) - 1); state({ panel: "", people: session.state.value.people.map((one) => ({ ...one, username: NAMES[3] })) }); break;
    // Alone, the shared screen is one's own.
    case "screens":
      enter(Number(option) - 1, Math.min(Number(option) - 1, Number(more || 1)));
      if (option === "1") session.media.screen.value = picture("My own screen", 200, 1280, 800);
      break;
    case "chat": enter(Number(option) - 1); talk(); state({ panel: "chat", unread: 0 }); break;
    case "writing":
      enter(3);
      talk();
      state({ panel: "chat", unread: 0 });
      app.writing.value = { reply: { replyTo: 4 }, edit: { edit: 7 }, private: { to: "s0" } }[option] ?? {};
      break;
    case "chat-menu": case "chat-top": enter(3); talk(); state({ panel: "chat", unread: 0 }); break;
    case "chat-new": enter(3); talk(); state({ newFrom: session.state.value.chat[4].key }); session.happen({ type: "panel", panel: "chat" }); break;
    case "chat-off": enter(3); talk(); state({ panel: "chat", unread: 0, room: { ...session.state.value.room, policy: { ...POLICY, chat: false } } }); break;
    case "chat-empty": enter(1); state({ panel: "chat" }); break;
    case "people": enter(Number(option) - 1); state({ panel: "people" }); break;
    case "unread": enter(2); state({ panel: "" }); talk(); break;
    case "broken": {
      enter(2);
      state({ seated: false, link: "waiting", retryAt: Date.now() + 8000 });
      const received = new Map(session.mesh.value.received.value);
      received.set("s0", { ...received.get("s0"), way: "broken" });
      received.set("s1", { camera: null, screen: null, way: "failed" });
      session.mesh.value.received.value = received;
      break;
    }
    case "troubles":
      enter(2);
      session.media.camera.value = null;
      session.media.micOn.value = false;
      session.media.cameraTrouble.value = "denied";
      session.media.micTrouble.value = "missing";
      state({ problem: { type: "rate", text: "" } });
      break;
    case "reactions": enter(4); for (const from of ["s0", "s1", "me"]) apply({ type: "reaction", from, data: { emoji: "🎉" } }); state({ hand: true }); break;
    case "waiting": state({ screen: "waiting", roomName: "Tea on the terrace", link: "open" }); session.media.camera.value = picture("me", 150).getVideoTracks()[0]; break;
    case "knocks":
      enter(3);
      host();
      state({ panel: "", news: null });
      for (let index = 0; index < Number(option); index += 1) apply({ type: "knock", data: { sessionId: `k${index}`, username: NAMES[(index + 3) % NAMES.length] } });
      break;
    case "menu": case "removal": enter(4); host(); state({ panel: "people", news: null }); break;
    case "rules": enter(2); host(); state({ panel: "", news: null, room: { ...session.state.value.room, locked: true, policy: { ...POLICY, waitingRoom: true, chat: false } } }); break;
    case "news":
      enter(2);
      state({ panel: "" });
      if (option === "renamed") apply({ type: "room-changed", data: { name: "Coffee in the garden" } });
      else if (option === "host" || option === "viewer") apply({ type: "role", data: { sessionId: "me", role: option } });
      else apply({ type: option, data: { by: "s0", kind: more } });
      break;
    case "left": state({ screen: "left", roomName: "Tea" }); break;
    case "ended": state({ screen: "room", ended: option, ...(more ? { problem: { type: more, text: "" } } : {}) }); break;
    case "test": state({ screen: "test" }); break;
  }
}

globalThis.show = show;
await show(query.get("scene") ?? "home");
