/** Outside a call: left, taken over or removed, on the way back in, and waiting at the door. */
import { html } from "./html.js";
import { Bird } from "./icon.js";
import { Preview } from "./prejoin.js";
import { t } from "../strings/index.js";

/** @param {{app: import("../page.js").App}} props */
export function Ended({ app }) {
  const { ended, problem } = app.session.state.value;
  const why = ended === "removed" && problem?.type === "banned" ? "banned" : ended;
  const kicked = why === "removed" && problem?.type === "kicked"; // put out, not kept out
  const title = why ? t(`ended.${why}`) : t("left.title");
  const hint = why ? t(`ended.${why}Hint`) : t("left.hint");
  const mayReturn = kicked || why === "" || why === "replaced" || why === "abuse";
  return html`
    <div class="ended">
      <main class="card" id="main" tabindex="-1">
        <span class="ended-bird"><${Bird} /></span>
        <h1>${title}</h1>
        <p role="status">${hint}</p>
        <div class="ended-buttons">
          ${mayReturn && html`<button type="button" class="button" data-kind="main" onClick=${() => app.again()}>${t("left.again")}</button>`}
          <a class="button" data-kind="quiet" href=${app.href("/")} onClick=${app.follow}>${t("left.home")}</a>
        </div>
      </main>
    </div>`;
}

/** After a reload: the seat is kept, so nobody is asked anything. @param {{app: import("../page.js").App}} props */
export const Returning = ({ app }) => html`
  <div class="ended">
    <main class="card" id="main" tabindex="-1">
      <span class="ended-bird"><${Bird} /></span>
      <h1>${t("returning.title")}</h1>
      <p role="status" class="returning"><span class="spinner" aria-hidden="true"></span>${app.session.state.value.link === "waiting" ? t("error.server") : t("prejoin.joining")}</p>
      <a class="button" data-kind="quiet" href=${app.href("/")} onClick=${app.follow}>${t("left.home")}</a>
    </main>
  </div>`;

/** A host decides who comes in. @param {{app: import("../page.js").App}} props */
export function Waiting({ app }) {
  const { roomName, link } = app.session.state.value;
  return html`
    <div class="ended">
      <main class="card waiting" id="main" tabindex="-1">
        <h1>${t("waiting.title")}</h1>
        <p role="status" class="returning"><span class="spinner" aria-hidden="true"></span><span>${link === "open" ? t("waiting.hint", { room: roomName }) : t("error.server")}</span></p>
        <${Preview} app=${app} name=${app.rememberedName()} />
        <button type="button" class="button" data-kind="quiet" onClick=${() => app.session.giveUp()}>${t("waiting.cancel")}</button>
      </main>
    </div>`;
}
