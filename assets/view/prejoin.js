/** Before the door: how we look and sound, our name, the room's password when there is one. */
import { useEffect, useRef, useState } from "../vendor/hooks.js";
import { html } from "./html.js";
import { Devices } from "./devices.js";
import { Bird, Icon } from "./icon.js";
import { Field, IconButton, LanguageSwitch, Problem, hue, initials } from "./parts.js";
import { measure } from "../call/level.js";
import { play } from "../call/sound.js";
import { name as tidyName } from "../message.js";
import { t } from "../strings/index.js";

/** @param {{app: import("../page.js").App}} props */
export function Prejoin({ app }) {
  const { session } = app;
  const { state, media } = session;
  const { roomName, screen, problem, askPassword, link, online } = state.value;
  const [username, setUsername] = useState(app.rememberedName());
  const [password, setPassword] = useState("");
  const [wrong, setWrong] = useState("");
  const [tried, setTried] = useState(false); // a password
  const joining = screen === "joining";
  const refused = problem?.type === "password" && tried && !joining;

  useEffect(() => {
    if (!joining) void media.start(app.rememberedSwitches()); // back from a reload, the session has asked already
  }, []);

  const join = (/** @type {Event} */ event) => {
    event.preventDefault();
    const tidy = tidyName(username);
    if (!tidy) {
      setWrong(username.trim() ? t("prejoin.nameInvalid") : t("prejoin.nameMissing"));
      return;
    }
    app.rememberName(tidy);
    setTried(password !== "");
    session.join({ username: tidy, password });
  };

  return html`
    <div class="prejoin">
      <header class="home-top">
        <a class="wordmark" href=${app.href("/")} onClick=${app.follow}><${Bird} />${t("app.name")}</a><${LanguageSwitch} />
      </header>
      <main class="prejoin-main" id="main" tabindex="-1">
        <section class="prejoin-picture" aria-label=${t("media.camera")}>
          <${Preview} app=${app} name=${username} />
          <${Troubles} media=${media} />
        </section>
        <form class="card prejoin-form" onSubmit=${join} novalidate>
          <div><h1>${t("prejoin.title")}</h1><p class="prejoin-room">${t("prejoin.room", { room: roomName })}</p></div>
          <${Problem} problem=${refused ? null : problem} />
          <div role="status">
            ${!online ? html`<p class="notice" data-kind="offline"><${Icon} name="warn" /><span>${t("home.offline")}</span></p>`
              : joining && link === "waiting" ? html`<p class="notice" data-kind="offline"><${Icon} name="warn" /><span>${t("error.server")}</span></p>` : null}
          </div>
          <${Field} label=${t("home.name")} hint=${t("home.nameHint")} testid="name-input" value=${username} error=${wrong} autocomplete="nickname"
            oninput=${(/** @type {string} */ value) => { setUsername(value); setWrong(""); }} />
          ${askPassword && html`<${Field} label=${t("prejoin.password")} testid="password-input" type="password" autocomplete="off" value=${password} focus=${true}
            error=${refused ? t("prejoin.passwordWrong") : ""} oninput=${(/** @type {string} */ value) => { setPassword(value); setTried(false); }} />`}
          <button type="submit" class="button" data-kind="main" data-testid="join" disabled=${joining}>${joining ? t("prejoin.joining") : t("prejoin.join")}</button>
          <details class="prejoin-devices">
            <summary>${t("prejoin.devices")}</summary>
            <${Devices} media=${media} />
          </details>
        </form>
      </main>
    </div>`;
}

/** How we look and sound. @param {{app: import("../page.js").App, name: string}} props */
export function Preview({ app, name }) {
  const { media } = app.session;
  const video = useRef(/** @type {HTMLVideoElement | null} */ (null));
  const camera = media.camera.value;
  useEffect(() => {
    if (video.current) play(video.current, camera && new MediaStream([camera]), true);
  }, [camera]);
  const shownName = name.trim();
  return html`
    <div class="preview" data-camera=${camera !== null}>
      <video ref=${video} data-testid="self-view" class="mirrored" autoplay playsinline muted aria-label=${t("media.camera")}></video>
      ${!camera && html`
        <div class="preview-off">
          <span class="face" data-hue=${hue(shownName)} aria-hidden="true">${shownName ? initials(shownName) : html`<${Bird} />`}</span>
          <p>${media.asking.value ? t("prejoin.asking") : t("prejoin.cameraOff")}</p>
        </div>`}
      <div class="preview-controls">
        <${MicSwitch} app=${app} />
        <${CameraSwitch} app=${app} />
      </div>
      <${Meter} media=${media} />
    </div>`;
}

/** @param {{app: import("../page.js").App}} props */
export const MicSwitch = ({ app }) => {
  const on = app.session.media.micOn.value;
  if (app.session.state.value.me?.role === "viewer") return null;
  return html`<${IconButton} class="control" icon=${on ? "mic" : "micOff"} label=${on ? t("media.micOff") : t("media.micOn")} data-testid="toggle-mic"
    data-off=${!on} aria-keyshortcuts="Control+D" onClick=${() => app.toggleMic()} />`;
};

/** @param {{app: import("../page.js").App}} props */
export const CameraSwitch = ({ app }) => {
  const on = app.session.media.camera.value !== null;
  if (app.session.state.value.me?.role === "viewer") return null;
  return html`<${IconButton} class="control" icon=${on ? "camera" : "cameraOff"} label=${on ? t("media.cameraOff") : t("media.cameraOn")} data-testid="toggle-camera"
    data-off=${!on} aria-keyshortcuts="Control+E" onClick=${() => app.toggleCamera()} />`;
};

/** @param {{media: import("../call/media.js").Media}} props */
function Meter({ media }) {
  const mic = media.mic.value;
  const on = media.micOn.value;
  const [level, setLevel] = useState(0);
  useEffect(() => {
    setLevel(0);
    return mic && on ? measure(mic, setLevel) : undefined;
  }, [mic, on]);
  // `value` of a meter is read out by screen readers when asked for, never by itself.
  return html`<meter class="level" min="0" max="1" value=${level} aria-label=${t("prejoin.level")}></meter>`;
}

/** Why camera or microphone are missing, in words; during a call they can be put away. @param {{media: import("../call/media.js").Media, closable?: boolean}} props */
export const Troubles = ({ media, closable = false }) => {
  const camera = media.cameraTrouble.value;
  const mic = media.micTrouble.value;
  return html`
    <div role="status" class="troubles">
      ${camera && html`<p class="notice" data-kind="trouble"><${Icon} name="cameraOff" /><span>${t(`trouble.camera.${camera}`)}</span>
        ${closable && html`<${IconButton} icon="close" label=${t("error.close")} onClick=${() => { media.cameraTrouble.value = ""; }} />`}</p>`}
      ${mic && html`<p class="notice" data-kind="trouble"><${Icon} name="micOff" /><span>${t(`trouble.mic.${mic}`)}</span>
        ${closable && html`<${IconButton} icon="close" label=${t("error.close")} onClick=${() => { media.micTrouble.value = ""; }} />`}</p>`}
    </div>`;
};
