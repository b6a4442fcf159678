/** The room's link, on its way to somebody else. */
import { useEffect, useState } from "../vendor/hooks.js";
import { html } from "./html.js";
import { Icon } from "./icon.js";
import { Dialog } from "./parts.js";
import { t } from "../strings/index.js";

/** Copies the room's link, or hands it to the phone's own sharing. @param {{app: import("../page.js").App, wide?: boolean}} props */
export function CopyLink({ app, wide = false }) {
  const [state, setState] = useState(/** @type {"" | "copied" | "shown"} */ (""));
  useEffect(() => {
    if (state !== "copied") return undefined;
    const timer = setTimeout(() => setState(""), 2_500);
    return () => clearTimeout(timer);
  }, [state]);
  const shares = app.canShareLink;
  return html`
    <span class="copy-link">
      <button type="button" class="button" data-kind=${wide ? "main" : "quiet"} data-testid=${wide ? "copy-link-invite" : "copy-link"} aria-label=${shares ? t("room.shareLink") : t("room.link")} onClick=${async () => setState(await app.shareLink())}>
        <${Icon} name=${state === "copied" ? "check" : shares ? "share" : "link"} />
        <span class="copy-link-text">${state === "copied" ? t("room.linkCopied") : shares ? t("room.shareLink") : t("room.link")}</span>
      </button>
      <span class="unseen" role="status">${state === "copied" ? t("room.linkCopied") : ""}</span>
      ${state === "shown" && html`
        <${Dialog} title=${t("room.link")} onclose=${() => setState("")}>
          <p>${t("room.linkShown")}</p><p class="link-text">${app.roomLink()}</p>
        <//>`}
    </span>`;
}
