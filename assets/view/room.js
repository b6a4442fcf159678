/** The call itself: who is here, what they show, and what we can do. */
import { useEffect, useLayoutEffect, useRef, useState } from "../vendor/hooks.js";
import { html } from "./html.js";
import { Banner } from "./banner.js";
import { Chat } from "./chat.js";
import { Devices } from "./devices.js";
import { DropPlace } from "./file.js";
import { arrange } from "./grid.js";
import { Bird, Icon } from "./icon.js";
import { News, RoomSettings, WaitingList } from "./host.js";
import { Invitations, Keeping } from "./keeping.js";
import { CopyLink } from "./link.js";
import { Dialog, IconButton, Menu, Problem, Switch } from "./parts.js";
import { People } from "./people.js";
import { CameraSwitch, MicSwitch, Troubles } from "./prejoin.js";
import { Invite, Screen, SelfTile, Tile } from "./tile.js";
import { Media } from "../call/media.js";
import { allow, blocked, setSounds, sounds } from "../call/sound.js";
import { mayShow } from "../state.js";
import { count, t } from "../strings/index.js";

/** Narrower than this, the controls that are used least go into a menu, CSS px. */
const PHONE = 640;
/** The reactions offered. */
const EMOJI = ["👍", "❤️", "😂", "👏", "🎉", "😮", "😢", "👋"];

/** @param {{app: import("../page.js").App}} props */
export function Room({ app }) {
  const { session } = app;
  const { room, panel, people, problem, unread, hand, roomName, me } = session.state.value;
  const [settings, setSettings] = useState(false);
  const [rules, setRules] = useState(/** @type {"" | "rules" | "keeping" | "invite"} */ (""));
  const host = me?.role === "host";
  const phone = app.width.value < PHONE;
  const shown = panel !== "";
  return html`
    <div class="room" data-panel=${panel} data-pictured=${app.pictured.value}>
      <header class="room-top">
        <span class="wordmark" aria-hidden="true"><${Bird} /></span>
        <span class="room-name">${room?.name ?? roomName}</span>
        <button type="button" class="room-count" aria-expanded=${panel === "people"} onClick=${() => app.togglePanel("people")}>
          <${Icon} name="people" /><span>${count("room.count", people.length + 1)}</span>
        </button>
        ${!host && room?.locked && html`<span class="room-locked" title=${t("rules.isLocked")}><${Icon} name="lock" /><span class="unseen">${t("rules.isLocked")}</span></span>`}
        <span class="room-top-end">
          ${host && html`<${IconButton} icon=${room?.locked ? "lock" : "host"} label=${room?.locked ? t("rules.openLocked") : t("rules.title")} data-testid="room-settings" onClick=${() => setRules("rules")} />`}
          <${CopyLink} app=${app} />
        </span>
      </header>
      <div class="room-notices">
        <${Banner} app=${app} />
        <${WaitingList} app=${app} />
        <${News} app=${app} />
        <${Problem} problem=${problem} onclose=${() => session.happen({ type: "problem-seen" })} />
        <${Troubles} media=${session.media} closable=${true} />
        ${blocked.value && html`
          <button type="button" class="notice hear" data-testid="hear" onClick=${allow}>
            <${Icon} name="sound" /><span><strong>${t("room.hear")}</strong> ${t("room.hearWhy")}</span>
          </button>`}
      </div>
      <main class="room-main" id="main" tabindex="-1">
        <h1 class="unseen">${t("prejoin.room", { room: room?.name ?? roomName })}</h1>
        <${Stage} app=${app} />
      </main>
      <aside class="side" hidden=${!shown} aria-label=${t("room.panel")}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Escape" && app.closePanel()}>
        <header class="side-top">
          <div class="side-tabs">
            <button type="button" aria-pressed=${panel === "chat"} onClick=${() => app.openPanel("chat")}>${t("chat.title")}</button>
            <button type="button" aria-pressed=${panel === "people"} onClick=${() => app.openPanel("people")}>${t("people.title")}</button>
          </div>
          <${IconButton} icon="close" label=${t("room.close")} onClick=${() => app.closePanel()} />
        </header>
        <${Chat} app=${app} shown=${panel === "chat"} />
        <${People} app=${app} shown=${panel === "people"} />
      </aside>
      <section class="controls" aria-label=${t("room.controls")}>
        <${MicSwitch} app=${app} />
        <${CameraSwitch} app=${app} />
        <${ShareScreen} app=${app} />
        ${!phone && html`
          <${IconButton} class="control" icon="hand" label=${hand ? t("room.handDown") : t("room.hand")} data-active=${hand} onClick=${() => app.toggleHand()} />
          <${Menu} icon="react" label=${t("room.react")} kind="emoji" items=${reactions(app)} />`}
        <button type="button" class="control" data-testid="open-chat" aria-label=${unread ? `${t("room.chat")}, ${count("room.unread", unread)}` : t("room.chat")}
          title=${t("room.chat")} aria-expanded=${panel === "chat"} data-active=${panel === "chat"} onClick=${() => app.openChat()}>
          <${Icon} name="chat" />${unread > 0 && html`<span class="badge" aria-hidden="true">${unread > 99 ? "99+" : unread}</span>`}
        </button>
        ${phone
          ? html`<${Menu} icon="more" label=${t("room.more")} items=${[
              { icon: "hand", label: hand ? t("room.handDown") : t("room.hand"), onselect: () => app.toggleHand() },
              { icon: "people", label: t("room.people"), onselect: () => app.openPanel("people") },
              { icon: "settings", label: t("room.settings"), onselect: () => setSettings(true) },
              ...reactions(app).slice(0, 4),
            ]} kind="mixed" />`
          : html`<${IconButton} class="control" icon="settings" label=${t("room.settings")} onClick=${() => setSettings(true)} />`}
        <button type="button" class="control leave" data-testid="leave" aria-label=${t("room.leave")} title=${t("room.leave")} onClick=${() => session.leave()}>
          <${Icon} name="leave" />${!phone && html`<span class="control-text">${t("room.leave")}</span>`}
        </button>
      </section>
      ${settings && html`
        <${Dialog} title=${t("settings.title")} onclose=${() => setSettings(false)}>
          <${Devices} media=${session.media} />
          <${Switch} label=${t("settings.sounds")} testid="sounds" on=${sounds.value} onchange=${setSounds} />
          <button type="button" class="button" data-kind="main" onClick=${() => setSettings(false)}>${t("settings.close")}</button>
        <//>`}
      ${rules === "rules" && host && html`<${RoomSettings} app=${app} onclose=${() => setRules("")} onkeeping=${() => setRules("keeping")} oninvite=${() => setRules("invite")} />`}
      ${rules === "keeping" && host && html`<${Keeping} app=${app} onclose=${() => setRules("")} />`}
      ${rules === "invite" && host && html`<${Invitations} app=${app} onclose=${() => setRules("")} />`}
      <${DropPlace} app=${app} />
    </div>`;
}

/** @param {import("../page.js").App} app */
const reactions = (app) => EMOJI.map((emoji) => ({ label: `${t("room.react")} ${emoji}`, text: emoji, onselect: () => app.session.react(emoji) }));

/** @param {{app: import("../page.js").App}} props */
const ShareScreen = ({ app }) => {
  const sharing = app.session.media.screen.value !== null;
  const allowed = mayShow(app.session.state.value, "screen");
  const possible = Media.canShareScreen && allowed;
  const label = sharing ? t("room.shareStop") : !allowed ? t("room.shareForbidden") : possible ? t("room.share") : t("room.shareMissing");
  if (app.session.state.value.me?.role === "viewer") return null;
  return html`<${IconButton} class="control" icon=${sharing ? "screenOff" : "screen"} label=${label} data-testid="share-screen" data-active=${sharing}
    aria-disabled=${!possible} onClick=${() => possible && app.session.toggleScreen()} />`;
};

/** All tiles, placed side by side; nothing moves to another parent. @param {{app: import("../page.js").App}} props */
function Stage({ app }) {
  const { session } = app;
  const { people, me, reactions: rising, hand } = session.state.value;
  const received = session.mesh.value?.received.value;
  const speaking = session.speakers.now.value;
  const stage = useRef(/** @type {HTMLElement | null} */ (null));
  const [size, setSize] = useState({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const element = stage.current;
    if (!element) return undefined;
    const look = () => setSize({ width: element.clientWidth, height: element.clientHeight });
    look();
    const observer = new ResizeObserver(look);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const screens = people.filter((person) => person.status?.screen && received?.get(person.sessionId)?.screen);
  const own = session.media.screen.value;
  const places = arrange({ ...size, others: people.length, screens: screens.length + (own ? 1 : 0) });
  useEffect(() => tellViews(app, people, places, screens), [people, size.width, size.height, screens.length]);

  return html`
    <ul class="stage" ref=${stage} aria-label=${t("room.stage")} data-count=${people.length + 1} data-floating=${places.floating}>
      ${screens.map((person, index) => html`
        <${Screen} key=${`screen-${person.sessionId}`} sessionId=${person.sessionId} name=${person.username} stream=${received?.get(person.sessionId)?.screen ?? null} rect=${places.screens[index]} />`)}
      ${own && html`<${Screen} key="screen-self" sessionId=${me?.sessionId ?? ""} name="" stream=${own} rect=${places.screens.at(-1)} />`}
      ${people.map((person, index) => html`
        <${Tile} key=${person.sessionId} person=${person} received=${received?.get(person.sessionId) ?? null} speaking=${speaking.has(person.sessionId)}
          reaction=${lastReaction(rising, person.sessionId)} rect=${places.others[index]} />`)}
      <${SelfTile} key="self" app=${app} name=${me?.username ?? ""} hand=${hand} reaction=${lastReaction(rising, me?.sessionId ?? "")} rect=${places.self} floating=${places.floating} />
      ${places.invite && html`<${Invite} key="invite" app=${app} rect=${places.invite} />`}
    </ul>`;
}

/** @param {import("../state.js").State["reactions"]} rising @param {string} sessionId */
const lastReaction = (rising, sessionId) => rising.findLast((one) => one.sessionId === sessionId) ?? null;

/**
 * Tells each person how big they are shown here, once things have settled: nobody sends more than is looked at.
 * @param {import("../page.js").App} app @param {import("../state.js").Person[]} people @param {ReturnType<typeof arrange>} places @param {import("../state.js").Person[]} screens
 */
function tellViews(app, people, places, screens) {
  const timer = setTimeout(() => {
    // In a picture of their own they are shown bigger than the stage knows.
    if (app.pictured.peek()) return;
    const scale = Math.min(2, devicePixelRatio || 1);
    const sized = (/** @type {import("./grid.js").Rect | undefined} */ rect) => ({ w: Math.round((rect?.width ?? 0) * scale), h: Math.round((rect?.height ?? 0) * scale) });
    people.forEach((person, index) => {
      if (!person.status || person.away) return;
      const which = screens.indexOf(person);
      app.tellView(person.sessionId, { camera: sized(places.others[index]), screen: which < 0 ? { w: 1920, h: 1080 } : sized(places.screens[which]) });
    });
  }, 400);
  return () => clearTimeout(timer);
}
