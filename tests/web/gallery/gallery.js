/** The page with a made-up state, for screenshots: `?scene=` names one of the scenes below. */
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
const app = new App();
const { session } = app;
const [scene = "home", option = ""] = (query.get("scene") ?? "home").split(":");

/** A moving picture with a colour of its own. */
function picture(text, hue, width = 640, height = 360) {
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
  setInterval(draw, 200);
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
    data: { room: { name: "Tea on the terrace", locked: false, capacity: 10, kept: false }, you: { sessionId: "me", username: "Kim", role: "guest" }, participants, iceServers: [], iceTtl: 3600 },
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
  apply({ type: "login", from: "late", data: { roomrequest: "x", username: "Zoë" } });
  apply({ type: "logout", data: { username: "Zoë", sessionId: "late" } });
}

switch (scene) {
  case "home": state({ screen: "home" }); break;
  case "offline": state({ screen: "home", online: false }); break;
  case "prejoin":
    state({ screen: "prejoin", roomName: "Tea on the terrace" });
    if (option === "password") state({ askPassword: true, problem: { type: "password", text: "" } });
    if (option === "full") state({ problem: { type: "full", text: "" } });
    if (option === "long") state({ roomName: "Averyveryverylongroomnamewithoutspaces".repeat(2).slice(0, 64) });
    break;
  case "joining": state({ screen: "joining", roomName: "Tea", link: "waiting", retryAt: Date.now() + 60000 }); break;
  case "room": enter(Number(option) - 1); break;
  case "screens": enter(3, Number(option)); break;
  case "screens-many": enter(9, Number(option)); break;
  case "chat": enter(3); talk(); state({ panel: "chat", unread: 0 }); break;
  case "chat-empty": enter(1); state({ panel: "chat" }); break;
  case "people": enter(Number(option || 10) - 1); state({ panel: "people" }); break;
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
  case "left": state({ screen: "left", roomName: "Tea" }); break;
  case "ended": state({ screen: "room", ended: option }); break;
  case "test": state({ screen: "test" }); break;
}
if (query.get("panel")) state({ panel: query.get("panel") });
render(html`<${Page} app=${app} />`, document.getElementById("app"));
document.documentElement.dataset.ready = "yes";
