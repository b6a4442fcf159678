/** Rooms that everyone may find, kept up to date by itself, and making one that is kept. */
import { useEffect, useState } from "../vendor/hooks.js";
import { html } from "./html.js";
import { Icon } from "./icon.js";
import { Expiry, PASSWORD_MAX, capacityOf } from "./keeping.js";
import { Dialog, Field, Problem, Switch } from "./parts.js";
import { name as tidyName } from "../message.js";
import { keepHostToken } from "../keys.js";
import { t } from "../strings/index.js";

/** @param {{app: import("../page.js").App, typed: () => void}} props `typed` keeps the name before we leave */
export function Lobby({ app, typed }) {
  const { lobby } = app;
  const { rooms, next, query, phase } = lobby.list.value;
  const [creating, setCreating] = useState(false);
  useEffect(() => {
    lobby.open();
    return () => lobby.close();
  }, []);
  const enter = (/** @type {MouseEvent} */ event) => {
    typed();
    app.follow(event);
  };
  return html`
    <section class="lobby" aria-labelledby="lobby-title">
      <header class="lobby-top">
        <h2 id="lobby-title">${t("lobby.title")}</h2>
        <button type="button" class="button" data-kind="quiet" data-testid="create-room" onClick=${() => setCreating(true)}><${Icon} name="plus" />${t("lobby.create")}</button>
        <label class="lobby-search"><${Icon} name="search" /><span class="unseen">${t("lobby.search")}</span>
          <input type="search" data-testid="room-search" value=${query} placeholder=${t("lobby.search")} maxlength="64" autocomplete="off" spellcheck="false"
            onInput=${(/** @type {any} */ event) => lobby.search(event.currentTarget.value)} /></label>
      </header>
      ${rooms.length > 0 && html`
        <ul class="lobby-list" data-testid="room-list" aria-label=${t("lobby.title")}>
          ${rooms.map((room) => html`<${Entry} key=${room.name} app=${app} room=${room} onenter=${enter} />`)}
        </ul>`}
      <div role="status" class="lobby-note">
        ${phase === "failed" ? html`<p class="notice"><${Icon} name="warn" /><span>${t("lobby.failed")}</span>
            <button type="button" class="button" data-kind="quiet" onClick=${() => lobby.load()}>${t("lobby.retry")}</button></p>`
          : phase === "loading" && rooms.length === 0 ? html`<p>${t("lobby.loading")}</p>`
          : rooms.length === 0 ? html`<p data-testid="no-rooms">${query.trim() ? t("lobby.none", { query: query.trim() }) : t("lobby.empty")}</p>` : null}
      </div>
      ${next && html`<button type="button" class="button lobby-more" data-kind="quiet" data-testid="more-rooms" onClick=${() => lobby.more()}>${t("lobby.more")}</button>`}
      ${creating && html`<${Creation} app=${app} typed=${typed} onclose=${() => setCreating(false)} />`}
    </section>`;
}

/** @param {{app: import("../page.js").App, room: import("../api.js").Listed, onenter: (event: MouseEvent) => void}} props */
function Entry({ app, room: { name, people, capacity, locked, password }, onenter }) {
  const full = people >= capacity;
  return html`
    <li>
      <a class="lobby-room" data-testid="listed-room" href=${app.href(`/r/${encodeURIComponent(name)}`)} onClick=${onenter}>
        <span class="lobby-name">${name}</span>
        ${locked && html`<span class="lobby-mark" title=${t("lobby.locked")}><${Icon} name="lock" /><span class="unseen">${t("lobby.locked")}</span></span>`}
        ${password && html`<span class="lobby-mark" title=${t("lobby.password")}><${Icon} name="key" /><span class="unseen">${t("lobby.password")}</span></span>`}
        <span class="lobby-people" data-full=${full} data-live=${people > 0}>
          <${Icon} name="people" /><span aria-hidden="true">${t("lobby.people", { n: people, max: capacity })}</span>
          <span class="unseen">${t("lobby.peopleLong", { n: people, max: capacity })}${full ? `, ${t("lobby.full")}` : ""}</span>
        </span>
      </a>
    </li>`;
}

/** Makes a room that is kept, and leads into it. @param {{app: import("../page.js").App, typed: () => void, onclose: () => void}} props */
function Creation({ app, typed, onclose }) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [capacity, setCapacity] = useState("");
  const [listed, setListed] = useState(true);
  const [waitingRoom, setWaitingRoom] = useState(false);
  const [expires, setExpires] = useState(/** @type {number | null} */ (null));
  const [wrong, setWrong] = useState(/** @type {{name?: string, capacity?: string, expires?: string}} */ ({}));
  const [problem, setProblem] = useState(/** @type {{type: string, text: string} | null} */ (null));
  const [busy, setBusy] = useState(false);

  const create = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const room = tidyName(name);
    const size = capacityOf(capacity);
    const mistakes = {
      ...(room ? {} : { name: name.trim() ? t("home.roomInvalid") : t("create.nameMissing") }),
      ...(size === null ? { capacity: t("create.capacityWrong") } : {}),
      ...(expires !== null && !(expires > Date.now()) ? { expires: t("expiry.past") } : {}),
    };
    setWrong(mistakes);
    if (!room || Object.keys(mistakes).length > 0 || busy) return;
    setBusy(true);
    setProblem(null);
    try {
      const made = await app.api.create({ name: room, ...(password ? { password } : {}), ...(size ? { capacity: size } : {}), listed, waitingRoom, ...(expires ? { expires } : {}) });
      keepHostToken(made.name, made.hostToken);
      typed();
      app.go(`/r/${encodeURIComponent(made.name)}`);
    } catch (error) {
      const { type = "failed", text = "" } = /** @type {any} */ (error);
      setBusy(false);
      if (type === "exists") setWrong({ name: t("create.exists") });
      else setProblem({ type: type === "pass" ? "operator" : type, text }); // nothing was shown, so a key is wanted
    }
  };
  return html`
    <${Dialog} title=${t("create.title")} onclose=${onclose}>
      <form class="dialog-form" onSubmit=${create} novalidate>
        <p class="dialog-hint">${t("create.hint")}</p>
        <${Problem} problem=${problem} />
        <${Field} label=${t("create.name")} hint=${t("home.roomHint")} testid="create-name" value=${name} error=${wrong.name} focus=${true} oninput=${setName} />
        <${Field} label=${t("create.password")} hint=${t("create.passwordHint")} testid="create-password" type="password" autocomplete="new-password" maxlength=${PASSWORD_MAX} value=${password} oninput=${setPassword} />
        <${Field} label=${t("create.capacity")} hint=${t("create.capacityHint")} testid="create-capacity" inputmode="numeric" value=${capacity} error=${wrong.capacity} oninput=${setCapacity} />
        <${Expiry} value=${expires} error=${wrong.expires} onchange=${setExpires} />
        <div class="switches">
          <${Switch} label=${t("create.listed")} testid="create-listed" on=${listed} onchange=${setListed} />
          <${Switch} label=${t("create.waitingRoom")} testid="create-waiting" on=${waitingRoom} onchange=${setWaitingRoom} />
        </div>
        <div class="dialog-buttons">
          <button type="button" class="button" data-kind="quiet" onClick=${onclose}>${t("create.cancel")}</button>
          <button type="submit" class="button" data-kind="main" data-testid="create-now" disabled=${busy}>${busy ? t("create.wait") : t("create.now")}</button>
        </div>
      </form>
    <//>`;
}
