/** What hosts do: let people in, act on someone, lock the room and say what people may do in it. And what the others see of it. */
import { useState } from "../vendor/hooks.js";
import { html } from "./html.js";
import { Icon } from "./icon.js";
import { Dialog, IconButton, Switch } from "./parts.js";
import { t } from "../strings/index.js";

/** Who waits at the door, for hosts. @param {{app: import("../page.js").App}} props */
export function WaitingList({ app }) {
  const { waiting, me } = app.session.state.value;
  const rule = app.session.rule.bind(app.session);
  const shown = me?.role === "host" && waiting.length > 0;
  return html`
    <div role="status" class="waiting-place">
      ${shown && html`
        <ul class="waiting-list" data-testid="waiting-list" aria-label=${t("host.waiting")}>
          ${waiting.map(({ sessionId, username }) => html`
            <li class="notice" data-kind="knock" key=${sessionId} data-session=${sessionId}>
              <${Icon} name="person" /><span>${t("host.knocks", { name: username })}</span>
              <button type="button" class="button" data-kind="quiet" data-testid="deny" aria-label=${t("host.denyOne", { name: username })} onClick=${() => rule({ type: "deny", data: { sessionId } })}>${t("host.deny")}</button>
              <button type="button" class="button" data-kind="main" data-testid="admit" aria-label=${t("host.admitOne", { name: username })} onClick=${() => rule({ type: "admit", data: { sessionId } })}>${t("host.admit")}</button>
            </li>`)}
        </ul>`}
    </div>`;
}

/** What a host has done to us or asks of us. @param {{app: import("../page.js").App}} props */
export function News({ app }) {
  const { news } = app.session.state.value;
  const seen = () => app.session.happen({ type: "news-seen" });
  const accept = () => {
    if (news?.type !== "unmute") return;
    seen();
    if (news.kind === "screen") void app.session.toggleScreen();
    else void app.session.turn(news.kind, true);
  };
  return html`
    <div role="status" class="news-place">
      ${news && html`
        <div class="notice" data-kind="news" data-testid="news">
          <${Icon} name=${signOf(news)} />
          <span>${wordsOf(news)}</span>
          ${news.type === "unmute" && html`
            <button type="button" class="button" data-kind="main" data-testid="accept" onClick=${accept}>${news.kind === "screen" ? t("room.share") : t("news.accept")}</button>`}
          <${IconButton} icon="close" label=${news.type === "unmute" ? t("news.later") : t("error.close")} onClick=${seen} />
        </div>`}
    </div>`;
}

/** @param {import("../state.js").News} news */
function signOf(news) {
  switch (news.type) {
    case "role":
      return { viewer: "eye", host: "host", guest: "person" }[news.role];
    case "mute":
      return `${news.kind}Off`;
    case "unmute":
      return news.kind;
    case "renamed":
      return "edit";
    case "capacity":
      return "people";
  }
}

/** @param {import("../state.js").News} news */
function wordsOf(news) {
  switch (news.type) {
    case "role":
      return t(`news.role.${news.role}`);
    case "mute":
    case "unmute":
      return t(`news.${news.type}.${news.kind}`, { name: news.name || t("news.host") });
    case "renamed":
      return t("news.renamed", { name: news.name });
    case "capacity":
      return t("news.capacity", { n: news.n });
  }
}

/** Lock and policy; from here on to what is set of a kept room. @param {{app: import("../page.js").App, onclose: () => void, onkeeping: () => void, oninvite: () => void}} props */
export function RoomSettings({ app, onclose, onkeeping, oninvite }) {
  const { room } = app.session.state.value;
  const policy = room?.policy;
  const rule = app.session.rule.bind(app.session);
  return html`
    <${Dialog} title=${t("rules.title")} onclose=${onclose}>
      <div class="switches">
        <${Switch} label=${t("rules.locked")} testid="lock-room" on=${room?.locked ?? false} onchange=${(/** @type {boolean} */ locked) => rule({ type: "lock", data: { locked } })} />
        ${policy && SWITCHES.map((key) => html`
          <${Switch} key=${key} label=${t(`rules.${key}`)} testid=${`policy-${key}`} on=${policy[key]} onchange=${(/** @type {boolean} */ on) => rule({ type: "policy", data: { [key]: on } })} />`)}
      </div>
      <button type="button" class="button" data-kind="quiet" data-testid="mute-all" onClick=${() => rule({ type: "mute", data: { sessionId: "*", kind: "mic" } })}><${Icon} name="micOff" />${t("rules.muteAll")}</button>
      ${room?.kept && html`
        <button type="button" class="button" data-kind="quiet" data-testid="open-invite" onClick=${oninvite}><${Icon} name="link" />${t("invite.open")}</button>
        <button type="button" class="button" data-kind="quiet" data-testid="open-keeping" onClick=${onkeeping}><${Icon} name="edit" />${t("keeping.open")}</button>`}
      <button type="button" class="button" data-kind="main" onClick=${onclose}>${t("settings.close")}</button>
    <//>`;
}

/** What the dialogue switches, in its order. */
const SWITCHES = /** @type {const} */ (["waitingRoom", "chat", "files", "screen", "unmute"]);

/**
 * What a host can do to someone, for a menu.
 * @param {import("../page.js").App} app @param {import("../state.js").Person} person @param {() => void} onremove
 */
export function hostActs(app, { sessionId, role, status }, onremove) {
  const rule = app.session.rule.bind(app.session);
  /** @param {"mic" | "camera"} kind @param {boolean} on */
  const turn = (kind, on) => send(kind, on ? "mute" : "unmute", t(`acts.${on ? "mute" : "unmute"}.${kind}`));
  /** @param {import("../message.js").Kind} kind @param {"mute" | "unmute"} type @param {string} label */
  const send = (kind, type, label) => ({
    label, icon: type === "mute" ? `${kind}Off` : kind, testid: `${type}-${kind}`, onselect: () => rule({ type, data: { sessionId, kind } }),
  });
  /** @param {import("../message.js").Role} wanted @param {string} icon */
  const make = (wanted, icon) => ({ label: t(`acts.role.${wanted}`), icon, testid: `make-${wanted}`, onselect: () => rule({ type: "role", data: { sessionId, role: wanted } }) });
  return [
    // Whoever tells no status has a client of the older protocol, which knows of none of this.
    ...(status && role !== "viewer" ? [turn("mic", status.mic), turn("camera", status.camera)] : []),
    ...(status?.screen ? [send("screen", "mute", t("acts.mute.screen"))] : []),
    ...(role === "host" ? [] : [make("host", "host")]),
    ...(role === "guest" ? [] : [make("guest", "person")]),
    ...(role === "viewer" ? [] : [make("viewer", "eye")]),
    { label: t("acts.remove"), icon: "remove", testid: "remove", onselect: onremove },
  ];
}

/** Asks before somebody is removed. @param {{app: import("../page.js").App, sessionId: string, name: string, onclose: () => void}} props */
export function Removal({ app, sessionId, name, onclose }) {
  const [ban, setBan] = useState(false);
  const remove = () => {
    app.session.rule({ type: "kick", data: { sessionId, ...(ban ? { ban } : {}) } });
    onclose();
  };
  return html`
    <${Dialog} title=${t("remove.title", { name })} onclose=${onclose}>
      <p>${ban ? t("remove.banHint") : t("remove.hint")}</p>
      <label class="switch"><span>${t("remove.ban")}</span><input type="checkbox" data-testid="ban" checked=${ban} onChange=${(/** @type {any} */ event) => setBan(event.currentTarget.checked)} /></label>
      <div class="dialog-buttons">
        <button type="button" class="button" data-kind="quiet" onClick=${onclose}>${t("remove.cancel")}</button>
        <button type="button" class="button" data-kind="danger" data-testid="confirm-remove" onClick=${remove}>${ban ? t("remove.banNow") : t("remove.now")}</button>
      </div>
    <//>`;
}
