/** What is happening with the connection to the server, while it is not simply there. */
import { useEffect, useState } from "../vendor/hooks.js";
import { html } from "./html.js";
import { t } from "../strings/index.js";

/** A break shorter than this is not worth a word, ms. */
const QUIET = 700;

/** @param {{app: import("../page.js").App}} props */
export function Banner({ app }) {
  const { link, retryAt, online, seated, restarting } = app.session.state.value;
  const broken = !seated || !online;
  const [shown, setShown] = useState(false);
  const [, tick] = useState(0);
  useEffect(() => {
    if (!broken) {
      setShown(false);
      return undefined;
    }
    const quiet = setTimeout(() => setShown(true), restarting || !online ? 0 : QUIET);
    const timer = setInterval(() => tick((n) => n + 1), 1_000);
    return () => { clearTimeout(quiet); clearInterval(timer); };
  }, [broken, restarting, online]);

  const seconds = Math.max(1, Math.ceil((retryAt - Date.now()) / 1000));
  const text = !online ? t("banner.offline") : restarting ? t("banner.restarting")
    : link === "waiting" && retryAt > Date.now() ? t("banner.waiting", { seconds }) : t("banner.again");
  return html`
    <div role="status" class="banner-place">
      ${broken && shown && html`
        <div class="notice" data-kind="offline" data-testid="banner">
          <span class="spinner" aria-hidden="true"></span><span>${text}</span>
          ${link === "waiting" && online && html`<button type="button" class="button" data-kind="quiet" onClick=${() => app.session.nudge({ changed: false })}>${t("banner.retry")}</button>`}
        </div>`}
    </div>`;
}
