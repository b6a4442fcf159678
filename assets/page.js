/** The page around a visit: its address, the window's events, what is remembered between visits, and which screen is shown. */
import { computed, effect, signal } from "./vendor/signals-core.js";
import { render } from "./vendor/preact.js";
import { speaker } from "./call/sound.js";
import { Api } from "./api.js";
import { keepInvitation, readInvitation } from "./keys.js";
import { Lobby } from "./lobby.js";
import { Session } from "./session.js";
import { keep, kept } from "./kept.js";
import { keepFiles, watchServer } from "./offline.js";
import { t } from "./strings/index.js";
import { html } from "./view/html.js";
import { Ended, Returning, Waiting } from "./view/ended.js";
import { Home } from "./view/home.js";
import { Prejoin } from "./view/prejoin.js";
import { Room } from "./view/room.js";
import { Test } from "./view/test.js";

/** Narrower than this, the chat covers the call instead of standing beside it, CSS px. */
const SHEET = 800;
/** From this width on there is room for the chat beside the call from the start, CSS px. */
const WIDE = 1100;
const NAME = "turnstone.name";
const SWITCHES = "turnstone.switches";

/** @typedef {{to?: string, replyTo?: number, edit?: number}} Writing sessions and numbers of lines */

export class App {
  api = new Api();
  lobby = new Lobby(this.api);
  width = signal(innerWidth);
  /** Counts how often the chat was asked for: each time its input takes the focus. */
  chatFocus = signal(0);
  /** What is being written in the chat: to one person alone, in answer to a line, or anew in a line's place. @type {import("./vendor/signals-core.js").Signal<Writing>} */
  writing = signal({});
  /** Whether somebody is shown in a picture of their own, over all windows. */
  pictured = signal(false);
  canCall = typeof RTCPeerConnection === "function" && typeof WebSocket === "function";
  #views = new Map();
  #path = "";
  /** @type {WakeLockSentinel | null} */ #lock = null;

  constructor() {
    const query = new URLSearchParams(location.search);
    this.session = new Session({
      url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`, relayOnly: query.get("relay") === "1", api: this.api,
      onrenamed: (name) => {
        history.replaceState(null, "", this.href(`/r/${encodeURIComponent(name)}`));
        this.#path = location.pathname;
      },
    });
    speaker.value = this.session.media.chosen.value.speaker;
  }

  start() {
    this.#listen();
    this.#route();
    this.#keepTitle();
    void keepFiles();
    void watchServer((online) => this.session.happen({ type: "network", online }));
    const root = document.getElementById("app");
    if (root) render(html`<${Page} app=${this} />`, root);
  }

  /** An address of ours with what the visit depends on kept: language and relay. @param {string} path */
  href(path) {
    const now = new URLSearchParams(location.search);
    const kept = new URLSearchParams();
    for (const key of ["lang", "relay"]) {
      const value = now.get(key);
      if (value) kept.set(key, value);
    }
    return `${path}${kept.size ? `?${kept}` : ""}`;
  }

  /** @param {string} path */
  go(path) {
    history.pushState(null, "", this.href(path));
    this.#route();
    scrollTo(0, 0);
  }

  /** Follows a link within the page. */
  follow = (/** @type {any} */ event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button > 0) return;
    event.preventDefault();
    this.go(new URL(event.currentTarget.href).pathname);
  };

  again() {
    this.session.approach(this.session.state.peek().roomName);
  }

  roomLink() {
    return `${location.origin}/r/${encodeURIComponent(this.session.state.peek().roomName)}`;
  }

  get canShareLink() {
    return typeof navigator.share === "function" && matchMedia("(pointer: coarse)").matches;
  }

  /** @returns {Promise<"" | "copied" | "shown">} */
  async shareLink() {
    const url = this.roomLink();
    if (this.canShareLink) {
      await navigator.share({ title: t("app.name"), url }).catch(() => {}); // closing the phone's dialogue is an answer
      return "";
    }
    try {
      await navigator.clipboard.writeText(url);
      return "copied";
    } catch {
      return "shown";
    }
  }

  /** Writes in a certain way, or with `{}` as usual. @param {Writing} how */
  write(how) {
    this.writing.value = how;
    this.openChat();
  }

  openChat() {
    this.openPanel("chat");
    this.chatFocus.value += 1;
    if (this.isSheet) void this.#picture();
  }

  /** @param {"chat" | "people"} panel */
  openPanel(panel) {
    this.session.happen({ type: "panel", panel });
  }

  /** @param {"chat" | "people"} panel */
  togglePanel(panel) {
    if (this.session.state.peek().panel === panel) this.closePanel();
    else this.openPanel(panel);
  }

  closePanel() {
    this.session.happen({ type: "panel", panel: "" });
    if (document.pictureInPictureElement) void document.exitPictureInPicture().catch(() => {});
    /** @type {HTMLElement | null} */ (document.querySelector("[data-testid=open-chat]"))?.focus();
  }

  /** Whether panels cover the call. */
  get isSheet() {
    return innerWidth < SHEET || innerWidth <= innerHeight;
  }

  toggleMic() {
    void this.session.turn("mic", !this.session.media.micOn.peek()).then(() => this.#rememberSwitches());
  }

  toggleCamera() {
    void this.session.turn("camera", this.session.media.camera.peek() === null).then(() => this.#rememberSwitches());
  }

  toggleHand() {
    this.session.happen({ type: "hand", hand: !this.session.state.peek().hand });
  }

  /** @param {string} sessionId @param {import("./message.js").Sizes} sizes */
  tellView(sessionId, sizes) {
    const text = JSON.stringify(sizes);
    if (this.#views.get(sessionId) === text) return;
    this.#views.set(sessionId, text);
    this.session.tellView(sessionId, sizes);
  }

  rememberedName() {
    return kept(NAME) ?? "";
  }

  /** @param {string} name */
  rememberName(name) {
    keep(NAME, name);
  }

  /** @returns {{camera: boolean, mic: boolean}} */
  rememberedSwitches() {
    const text = kept(SWITCHES) ?? "";
    return { camera: !text.includes("no camera"), mic: !text.includes("no mic") };
  }

  #rememberSwitches() {
    const { media } = this.session;
    keep(SWITCHES, `${media.camera.peek() ? "camera" : "no camera"}, ${media.micOn.peek() ? "mic" : "no mic"}`);
  }

  /** A phone's screen stays on during a call. @param {boolean} wanted */
  async #stayAwake(wanted) {
    await this.#lock?.release().catch(() => {});
    this.#lock = null;
    if (wanted && "wakeLock" in navigator) this.#lock = await navigator.wakeLock.request("screen").catch(() => null);
  }

  /** While writing on a phone, the others stay in sight in a picture of their own, where the browser offers it. */
  async #picture() {
    if (!document.pictureInPictureEnabled || document.pictureInPictureElement) return;
    const videos = /** @type {HTMLVideoElement[]} */ ([...document.querySelectorAll("[data-testid=screen-tile] video, [data-testid=tile][data-camera=true] video")]);
    const video = videos.find((one) => one.videoWidth > 0);
    await video?.requestPictureInPicture().catch(() => {});
  }

  #route() {
    const { session } = this;
    const query = new URLSearchParams(location.search);
    const asked = query.get("roomrequest");
    if (location.pathname === "/" && asked) history.replaceState(null, "", this.href(`/r/${encodeURIComponent(asked)}`));
    this.#path = location.pathname;
    const room = /^\/r\/([^/]+)\/?$/.exec(location.pathname)?.[1];
    if (room) {
      const roomName = decoded(room);
      this.#takeInvitation(roomName);
      session.approach(roomName);
      session.return(roomName);
    } else {
      session.visit(location.pathname === "/test" ? "went-to-test" : "went-home");
    }
  }

  /** Secrets stay behind the #, which no server sees; and here neither the address bar nor the history keeps them. @param {string} roomName */
  #takeInvitation(roomName) {
    const { invitation, rest } = readInvitation(location.hash);
    if (!invitation.invite && !invitation.token) return;
    keepInvitation(roomName, invitation);
    history.replaceState(null, "", `${location.pathname}${location.search}${rest ? `#${rest}` : ""}`);
  }

  #listen() {
    const { session } = this;
    addEventListener("popstate", () => {
      // What follows a # is no place of ours, unless it is an invitation that was put there by hand.
      const { invite, token } = readInvitation(location.hash).invitation;
      if (location.pathname !== this.#path || invite || token) this.#route();
    });
    addEventListener("enterpictureinpicture", () => (this.pictured.value = true));
    addEventListener("leavepictureinpicture", () => (this.pictured.value = false));
    addEventListener("resize", () => (this.width.value = innerWidth));
    addEventListener("online", () => {
      session.happen({ type: "network", online: true });
      session.nudge({ changed: true });
      session.files.nudge();
      this.lobby.nudge();
    });
    addEventListener("offline", () => session.happen({ type: "network", online: false }));
    session.happen({ type: "network", online: navigator.onLine });
    /** @type {any} */ (navigator).connection?.addEventListener?.("change", () => session.nudge({ changed: true }));
    const watch = () => {
      const watched = document.visibilityState === "visible";
      session.happen({ type: "watched", watched });
      if (!watched) return;
      session.nudge({ changed: false });
      void this.#stayAwake(session.state.peek().screen === "room"); // the browser takes the lock while we are hidden
    };
    document.addEventListener("visibilitychange", watch);
    watch();
    addEventListener("pagehide", () => session.keepSeat());
    addEventListener("keydown", (event) => {
      if (!event.ctrlKey || event.altKey || event.shiftKey || event.metaKey) return;
      const { screen } = session.state.peek();
      if (!["room", "waiting", "prejoin"].includes(screen)) return;
      if (event.key === "d") this.toggleMic();
      else if (event.key === "e") this.toggleCamera();
      else return;
      event.preventDefault();
    });
    // The chat stands beside the call where there is room for it.
    effect(() => {
      const { screen } = session.state.value;
      if (screen === this.#lastScreen) return;
      this.#lastScreen = screen;
      this.#views.clear();
      this.writing.value = {};
      void this.#stayAwake(screen === "room");
      if (screen === "room") session.happen({ type: "panel", panel: !this.isSheet && innerWidth >= WIDE ? "chat" : "" });
    });
  }
  #lastScreen = "";

  #keepTitle() {
    const title = computed(() => {
      const { screen, room, roomName, unread } = this.session.state.value;
      const place = screen === "test" ? t("test.title") : screen === "home" ? "" : room?.name ?? roomName;
      return `${unread ? `(${unread}) ` : ""}${place ? `${place} · ` : ""}${t("app.name")}`;
    });
    effect(() => {
      document.title = title.value;
    });
  }
}

/** @param {{app: App}} props */
export function Page({ app }) {
  const { screen, ended } = app.session.state.value;
  if (ended || screen === "left") return html`<${Ended} app=${app} />`;
  switch (screen) {
    case "home":
      return html`<${Home} app=${app} />`;
    case "prejoin":
    case "joining":
      if (screen === "joining" && app.session.state.value.me) return html`<${Returning} app=${app} />`;
      return html`<${Prejoin} key=${app.session.state.value.roomName} app=${app} />`;
    case "waiting":
      return html`<${Waiting} app=${app} />`;
    case "room":
      return html`<${Room} app=${app} />`;
    case "test":
      return html`<${Test} app=${app} />`;
  }
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray % in an address someone typed
  }
}
