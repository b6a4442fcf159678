/** One tile of the stage. The video element belongs to the tile, the stream to the call. */
import { useEffect, useRef } from "../vendor/hooks.js";
import { html } from "./html.js";
import { Icon } from "./icon.js";
import { CopyLink } from "./link.js";
import { IconButton, hue, initials } from "./parts.js";
import { forget, play } from "../call/sound.js";
import { t } from "../strings/index.js";

/** @param {import("./grid.js").Rect | undefined} rect */
const place = (rect) => (rect ? { left: `${rect.left}px`, top: `${rect.top}px`, width: `${rect.width}px`, height: `${rect.height}px` } : {});

/** A video element that shows a stream. @param {MediaStream | null} stream @param {boolean} silent */
function useStream(stream, silent) {
  const video = useRef(/** @type {HTMLVideoElement | null} */ (null));
  useEffect(() => {
    if (video.current) play(video.current, stream, silent);
  }, [stream, silent]);
  useEffect(() => {
    const element = video.current;
    return () => element && forget(element);
  }, []);
  return video;
}

/**
 * One other person.
 * @param {{person: import("../state.js").Person, received: import("../call/mesh.js").Received | null, speaking: boolean,
 *   reaction: {key: string, emoji: string} | null, rect: import("./grid.js").Rect | undefined}} props
 */
export function Tile({ person, received, speaking, reaction, rect }) {
  const { status, username, sessionId } = person;
  // Whoever is muted is silent at once, whatever their own client does.
  const video = useStream(received?.camera ?? null, status ? !status.mic : false);
  // A client that tells no status is believed to show its camera.
  const seen = Boolean(received?.camera && (status ? status.camera : true));
  const way = received?.way ?? "connecting";
  const trouble = way === "failed" ? t("tile.failed", { name: username }) : person.away || way === "broken" ? t("tile.reconnecting") : way === "connecting" ? t("tile.connecting") : "";
  return html`
    <li class="tile" data-testid="tile" data-session=${sessionId} data-speaking=${speaking} data-camera=${seen} data-muted=${status ? !status.mic : false} data-way=${way} style=${place(rect)}>
      <video ref=${video} autoplay playsinline aria-label=${username}></video>
      ${!seen && html`<${Face} name=${username} />`}
      ${trouble && html`<p class="tile-trouble" role="status"><span class="spinner" aria-hidden="true"></span>${trouble}</p>`}
      <${Foot} name=${username} muted=${status ? !status.mic : false} hand=${status?.hand ?? false} />
      <${Reaction} reaction=${reaction} name=${username} />
    </li>`;
}

/** Ourselves, mirrored as in a mirror. @param {{app: import("../page.js").App, name: string, hand: boolean, reaction: {key: string, emoji: string} | null, rect: import("./grid.js").Rect, floating: boolean}} props */
export function SelfTile({ app, name, hand, reaction, rect, floating }) {
  const { media } = app.session;
  const camera = media.camera.value;
  const video = useRef(/** @type {HTMLVideoElement | null} */ (null));
  useEffect(() => {
    if (video.current) play(video.current, camera && new MediaStream([camera]), true);
  }, [camera]);
  return html`
    <li class="tile tile-self" data-camera=${camera !== null} data-floating=${floating} style=${place(rect)}>
      <video ref=${video} data-testid="self-view" class="mirrored" autoplay playsinline muted aria-label=${t("tile.you")}></video>
      ${!camera && html`<${Face} name=${name} />`}
      <${Foot} name=${t("tile.you")} muted=${!media.micOn.value} hand=${hand} />
      <${Reaction} reaction=${reaction} name=${t("tile.you")} />
    </li>`;
}

/** A shared screen; ours has no name. @param {{sessionId: string, name: string, stream: MediaStream | null, rect: import("./grid.js").Rect | undefined}} props */
export function Screen({ sessionId, name, stream, rect }) {
  const video = useStream(stream, !name);
  return html`
    <li class="tile tile-screen" data-testid="screen-tile" data-session=${sessionId} data-camera="true" style=${place(rect)}>
      <video ref=${video} autoplay playsinline aria-label=${name ? t("tile.screen", { name }) : t("tile.yourScreen")}></video>
      <p class="tile-foot"><span class="tile-name">${name ? t("tile.screen", { name }) : t("tile.yourScreen")}</span></p>
      ${name && document.fullscreenEnabled && html`
        <${IconButton} class="tile-button" icon="expand" label=${t("tile.fullscreen")} onClick=${() => video.current?.requestFullscreen().catch(() => {})} />`}
    </li>`;
}

/** While nobody else is here. @param {{app: import("../page.js").App, rect: import("./grid.js").Rect}} props */
export const Invite = ({ app, rect }) => html`
  <li class="tile-invite" style=${place(rect)}>
    <h2>${t("room.alone")}</h2>
    <p>${t("room.aloneHint")}</p>
    <p class="link-text">${app.roomLink()}</p>
    <${CopyLink} app=${app} wide=${true} />
  </li>`;

/** @param {{name: string}} props */
const Face = ({ name }) => html`<div class="tile-face" aria-hidden="true"><span class="face" data-hue=${hue(name)}>${initials(name)}</span></div>`;

/** @param {{name: string, muted: boolean, hand: boolean}} props */
const Foot = ({ name, muted, hand }) => html`
  <p class="tile-foot">
    ${hand && html`<span class="tile-sign" data-sign="hand"><${Icon} name="hand" /><span class="unseen">${t("tile.hand")}</span></span>`}
    ${muted && html`<span class="tile-sign" data-sign="muted"><${Icon} name="micOff" /><span class="unseen">${t("tile.muted")}</span></span>`}
    <span class="tile-name">${name}</span>
  </p>`;

/** @param {{reaction: {key: string, emoji: string} | null, name: string}} props */
const Reaction = ({ reaction, name }) => html`
  <div class="tile-reaction" role="status">
    ${reaction && html`<span key=${reaction.key} class="reaction" aria-label=${t("tile.reaction", { name, emoji: reaction.emoji })} role="img">${reaction.emoji}</span>`}
  </div>`;
