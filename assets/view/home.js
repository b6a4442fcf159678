/** The first page: a name, a room, and in; and the rooms that everyone may find. */
import { useState } from "../vendor/hooks.js";
import { html } from "./html.js";
import { Bird, Icon } from "./icon.js";
import { Lobby } from "./lobby.js";
import { Field, LanguageSwitch } from "./parts.js";
import { name as tidyName } from "../message.js";
import { t } from "../strings/index.js";

/** @param {{app: import("../page.js").App}} props */
export function Home({ app }) {
  const [username, setUsername] = useState(app.rememberedName());
  const [roomName, setRoomName] = useState("");
  const [problem, setProblem] = useState("");
  const [random, setRandom] = useState(/** @type {"" | "asking" | "failed" | "done"} */ (""));
  const { online } = app.session.state.value;

  const join = (/** @type {Event} */ event) => {
    event.preventDefault();
    const room = tidyName(roomName);
    if (!room) {
      setProblem(roomName.trim() ? t("home.roomInvalid") : t("home.roomMissing"));
      return;
    }
    app.rememberName(username.trim());
    app.go(`/r/${encodeURIComponent(room)}`);
  };
  const takeRandom = async () => {
    setRandom("asking");
    const free = await app.session.randomRoom();
    setRandom(free ? "done" : "failed");
    if (free) {
      setRoomName(free);
      setProblem("");
    }
  };
  const note = { "": "", asking: t("home.randomWait"), failed: t("home.randomFailed"), done: t("home.randomDone", { room: roomName }) }[random];

  return html`
    <div class="home">
      <header class="home-top"><span class="wordmark"><${Bird} />${t("app.name")}</span><${LanguageSwitch} /></header>
      <main class="home-main" id="main" tabindex="-1">
        <section class="home-words">
          <${Bird} />
          <h1>${t("app.tagline")}</h1>
          <p>${t("app.about")}</p>
        </section>
        <form class="card home-form" onSubmit=${join} novalidate>
          ${!app.canCall && html`<p class="notice" role="alert" data-kind="problem"><${Icon} name="warn" /><span>${t("app.unsupported")}</span></p>`}
          <div role="status">${!online && html`<p class="notice" data-kind="offline"><${Icon} name="warn" /><span>${t("home.offline")}</span></p>`}</div>
          <${Field} label=${t("home.name")} hint=${t("home.nameHint")} testid="name-input" value=${username} oninput=${setUsername} autocomplete="nickname" />
          <${Field} label=${t("home.room")} hint=${t("home.roomHint")} testid="room-input" value=${roomName} error=${problem}
            oninput=${(/** @type {string} */ value) => { setRoomName(value); setProblem(""); setRandom(""); }}>
            <button type="button" class="button" data-kind="quiet" data-testid="random-room" disabled=${random === "asking"} onClick=${takeRandom}>
              <${Icon} name="random" />${t("home.random")}
            </button>
          <//>
          <p class="home-note" role="status">${note}</p>
          <button type="submit" class="button" data-kind="main" data-testid="join">${t("home.join")}</button>
        </form>
        <${Lobby} app=${app} typed=${() => app.rememberName(username.trim())} />
      </main>
      <footer class="home-foot"><a href=${app.href("/test")} onClick=${app.follow}>${t("home.test")}</a></footer>
      <div class="shore" aria-hidden="true"></div>
    </div>`;
}
