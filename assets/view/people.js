/** Who is here, and what can be done to each: hosts can do more. The list is always on the page, so that it is found without being open. */
import { useState } from "../vendor/hooks.js";
import { html } from "./html.js";
import { Removal, hostActs } from "./host.js";
import { Icon } from "./icon.js";
import { Menu, hue, initials } from "./parts.js";
import { t } from "../strings/index.js";

/** @param {{app: import("../page.js").App, shown: boolean}} props */
export function People({ app, shown }) {
  const { people, me, hand } = app.session.state.value;
  const [leaving, setLeaving] = useState(/** @type {import("../state.js").Person | null} */ (null));
  const { micOn, camera, screen } = app.session.media;
  const self = { mic: micOn.value, camera: camera.value !== null, screen: screen.value !== null, hand, streams: {} };
  const host = me?.role === "host";
  // Who is about to be removed may go by themselves meanwhile.
  const removing = leaving && people.some(({ sessionId }) => sessionId === leaving.sessionId) ? leaving : null;
  return html`
    <section class="people" tabindex="0" hidden=${!shown} aria-label=${t("people.title")}>
      <ul data-testid="participants">
        ${me && html`<${Entry} key="self" sessionId=${me.sessionId} name=${me.username} label=${t("people.you", { name: me.username })} role=${me.role} status=${self} away=${false} acts=${[]} />`}
        ${people.map((person) => html`
          <${Entry} key=${person.sessionId} sessionId=${person.sessionId} name=${person.username} label=${person.username} role=${person.role} status=${person.status} away=${person.away}
            acts=${[{ label: t("chat.private"), icon: "chat", testid: "write-privately", onselect: () => app.write({ to: person.sessionId }) }, ...(host ? hostActs(app, person, () => setLeaving(person)) : [])]} />`)}
      </ul>
      ${removing && html`<${Removal} app=${app} sessionId=${removing.sessionId} name=${removing.username} onclose=${() => setLeaving(null)} />`}
    </section>`;
}

/** @param {{sessionId: string, name: string, label: string, role: string, status: import("../message.js").Status | null, away: boolean, acts: any[]}} props */
const Entry = ({ sessionId, name, label, role, status, away, acts }) => html`
  <li data-session=${sessionId}>
    <span class="face" data-hue=${hue(name)} aria-hidden="true">${initials(name)}</span>
    <span class="people-name">${label}</span>
    ${away && html`<span class="people-note">${t("people.away")}</span>`}
    ${role === "host" && html`<span class="people-note">${t("tile.host")}</span>`}
    ${role === "viewer" && html`<span class="people-note">${t("people.viewer")}</span>`}
    ${status && html`
      <span class="people-signs">
        ${status.hand && html`<${Sign} icon="hand" text=${t("tile.hand")} kind="hand" />`}
        ${status.screen && html`<${Sign} icon="screen" text=${t("people.screenOn")} />`}
        <${Sign} icon=${status.camera ? "camera" : "cameraOff"} text=${status.camera ? t("people.cameraOn") : t("people.cameraOff")} />
        <${Sign} icon=${status.mic ? "mic" : "micOff"} text=${status.mic ? t("people.micOn") : t("tile.muted")} kind=${status.mic ? "" : "muted"} />
      </span>`}
    ${acts.length > 0 && html`<${Menu} icon="more" label=${t("people.acts", { name })} beside=${true} items=${acts} />`}
  </li>`;

/** @param {{icon: string, text: string, kind?: string}} props */
const Sign = ({ icon, text, kind = "" }) => html`<span class="people-sign" data-sign=${kind}><${Icon} name=${icon} /><span class="unseen">${text}</span></span>`;
