/** Which camera, microphone and speaker. */
import { useId } from "../vendor/hooks.js";
import { html } from "./html.js";
import { canChooseSpeaker, speaker } from "../call/sound.js";
import { t } from "../strings/index.js";

/** @param {{media: import("../call/media.js").Media}} props */
export const Devices = ({ media }) => html`
  <div class="devices">
    <${Choice} media=${media} kind="camera" of="videoinput" label=${t("media.camera")} />
    <${Choice} media=${media} kind="mic" of="audioinput" label=${t("media.mic")} />
    ${canChooseSpeaker && html`<${Choice} media=${media} kind="speaker" of="audiooutput" label=${t("media.speaker")} />`}
  </div>`;

/** @param {{media: import("../call/media.js").Media, kind: "camera" | "mic" | "speaker", of: MediaDeviceKind, label: string}} props */
function Choice({ media, kind, of, label }) {
  const id = useId();
  // Browsers list nameless devices until one was allowed; "default" repeats another entry.
  const devices = media.devices.value.filter((device) => device.kind === of && device.deviceId && device.deviceId !== "default" && device.deviceId !== "communications");
  const chosen = media.chosen.value[kind];
  const choose = (/** @type {any} */ event) => {
    if (kind === "speaker") speaker.value = event.currentTarget.value;
    void media.choose(kind, event.currentTarget.value);
  };
  return html`
    <div class="field">
      <label for=${id}>${label}</label>
      <select id=${id} data-testid=${`choose-${kind}`} value=${devices.some((device) => device.deviceId === chosen) ? chosen : ""} onChange=${choose}>
        <option value="">${t("media.system")}</option>
        ${devices.map((device, index) => html`
          <option key=${device.deviceId} value=${device.deviceId} selected=${device.deviceId === chosen}>
            ${device.label || t("media.numbered", { kind: label, number: index + 1 })}
          </option>`)}
      </select>
    </div>`;
}
