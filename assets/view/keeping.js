/** A kept room's own dialogues, for its hosts: what is set of it, its end, and invitations into it. */
import { useEffect, useId, useState } from "../vendor/hooks.js";
import { html } from "./html.js";
import { Icon } from "./icon.js";
import { Choice, Dialog, Field, Problem, Switch } from "./parts.js";
import { name as tidyName } from "../message.js";
import { forgetHostToken } from "../keys.js";
import { date, t } from "../strings/index.js";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** How long the choices of an end are, ms. */
const ENDS = { day: DAY, week: 7 * DAY, month: 30 * DAY };
/** How long the choices of an invitation are, ms. */
const GOOD_FOR = { never: 0, hour: HOUR, day: DAY, week: 7 * DAY };

/** What the server holds a room to, in people, and a password, in characters. */
const CAPACITY_MAX = 1000;
export const PASSWORD_MAX = 64;

/** A capacity as typed: null when it is none, undefined when nothing is typed. @param {string} typed */
export function capacityOf(typed) {
  if (typed.trim() === "") return undefined;
  const n = Number(typed);
  return Number.isInteger(n) && n >= 1 && n <= CAPACITY_MAX ? n : null;
}

/** Until when something holds. @param {{value: number | null, error?: string, onchange: (expires: number | null) => void}} props */
export function Expiry({ value, error = "", onchange }) {
  const id = useId();
  const [kind, setKind] = useState(value === null ? "never" : "date");
  const choose = (/** @type {string} */ wanted) => {
    setKind(wanted);
    const length = wanted === "date" ? ENDS.week : ENDS[/** @type {keyof typeof ENDS} */ (wanted)];
    onchange(length === undefined ? null : Math.ceil((Date.now() + length) / 60_000) * 60_000);
  };
  return html`
    <${Choice} label=${t("expiry.label")} testid="expiry" value=${kind} onchange=${choose}
      options=${[["never", t("expiry.never")], ["day", t("expiry.day")], ["week", t("expiry.week")], ["month", t("expiry.month")], ["date", t("expiry.date")]]} />
    ${kind === "date" && html`
      <div class="field" data-wrong=${Boolean(error)}>
        <label for=${id}>${t("expiry.when")}</label>
        <input id=${id} type="datetime-local" data-testid="expiry-date" value=${local(value ?? Date.now())} aria-invalid=${Boolean(error)} aria-describedby=${error ? `${id}-error` : null}
          onChange=${(/** @type {any} */ event) => onchange(Date.parse(event.currentTarget.value) || 0)} />
        ${error && html`<p class="field-error" id=${`${id}-error`}><${Icon} name="warn" />${error}</p>`}
      </div>`}`;
}

/** A time as the browser's own field writes it, in this place's hours. @param {number} time Unix ms */
function local(time) {
  const here = new Date(time - new Date(time).getTimezoneOffset() * 60_000);
  return Number.isFinite(here.valueOf()) ? here.toISOString().slice(0, 16) : "";
}

/** What is set of the room, and deleting it. @param {{app: import("../page.js").App, onclose: () => void}} props */
export function Keeping({ app, onclose }) {
  const { api, session } = app;
  const room = session.state.value.room?.name ?? "";
  const [details, setDetails] = useState(/** @type {import("../api.js").Details | null} */ (null));
  const [problem, setProblem] = useState(/** @type {{type: string, text: string} | null} */ (null));
  const [deleting, setDeleting] = useState(false);
  const refused = (/** @type {any} */ { type = "failed", text = "" }) => setProblem({ type, text });
  const load = () => {
    setProblem(null);
    session.asHost((bearer) => api.details(room, bearer)).then(setDetails, refused);
  };
  useEffect(load, []);
  const remove = async () => {
    try {
      await session.asHost((bearer) => api.remove(room, bearer));
      forgetHostToken(room);
      onclose();
    } catch (error) {
      refused(error);
    }
  };
  if (deleting) {
    return html`
      <${Dialog} key="delete" title=${t("keeping.deleteTitle", { name: room })} onclose=${() => setDeleting(false)}>
        <p>${t("keeping.deleteHint")}</p>
        <${Problem} problem=${problem} />
        <div class="dialog-buttons">
          <button type="button" class="button" data-kind="quiet" onClick=${() => setDeleting(false)}>${t("create.cancel")}</button>
          <button type="button" class="button" data-kind="danger" data-testid="confirm-delete" onClick=${remove}>${t("keeping.deleteNow")}</button>
        </div>
      <//>`;
  }
  return html`
    <${Dialog} key="set" title=${t("keeping.title")} onclose=${onclose}>
      <${Problem} problem=${problem} />
      ${details ? html`<${Details} app=${app} room=${room} details=${details} onsaved=${onclose} ondelete=${() => { setProblem(null); setDeleting(true); }} />`
        : problem ? html`<button type="button" class="button" data-kind="quiet" onClick=${load}>${t("lobby.retry")}</button>`
        : html`<p role="status" class="returning"><span class="spinner" aria-hidden="true"></span>${t("keeping.loading")}</p>`}
    <//>`;
}

/** @param {{app: import("../page.js").App, room: string, details: import("../api.js").Details, onsaved: () => void, ondelete: () => void}} props */
function Details({ app, room, details, onsaved, ondelete }) {
  const [name, setName] = useState(details.name);
  const [password, setPassword] = useState("");
  const [open, setOpen] = useState(false);
  const [capacity, setCapacity] = useState(String(details.capacity));
  const [listed, setListed] = useState(details.listed);
  const [expires, setExpires] = useState(details.expires ?? null);
  const [wrong, setWrong] = useState(/** @type {{name?: string, capacity?: string, expires?: string}} */ ({}));
  const [problem, setProblem] = useState(/** @type {{type: string, text: string} | null} */ (null));

  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const tidy = tidyName(name);
    const size = capacityOf(capacity);
    const mistakes = {
      ...(tidy ? {} : { name: t("home.roomInvalid") }),
      ...(size ? {} : { capacity: t("create.capacityWrong") }),
      ...(expires !== null && expires !== details.expires && !(expires > Date.now()) ? { expires: t("expiry.past") } : {}),
    };
    setWrong(mistakes);
    if (!tidy || !size || Object.keys(mistakes).length > 0) return;
    const changes = {
      ...(tidy === details.name ? {} : { name: tidy }),
      ...(open && details.password ? { password: null } : password ? { password } : {}),
      ...(size === details.capacity ? {} : { capacity: size }),
      ...(listed === details.listed ? {} : { listed }),
      ...(expires === (details.expires ?? null) ? {} : { expires }),
    };
    try {
      if (Object.keys(changes).length > 0) await app.session.asHost((bearer) => app.api.change(room, bearer, changes));
      onsaved();
    } catch (error) {
      const { type = "failed", text = "" } = /** @type {any} */ (error);
      if (type === "exists") setWrong({ name: t("create.exists") });
      else setProblem({ type, text });
    }
  };
  return html`
    <form class="dialog-form" onSubmit=${save} novalidate>
      <${Problem} problem=${problem} />
      <${Field} label=${t("create.name")} testid="keeping-name" value=${name} error=${wrong.name} oninput=${setName} />
      ${!open && html`<${Field} label=${t("keeping.passwordIs")} hint=${details.password ? t("keeping.passwordSet") : t("keeping.passwordNone")} testid="keeping-password" type="password" autocomplete="new-password" maxlength=${PASSWORD_MAX} value=${password} oninput=${setPassword} />`}
      ${details.password && html`<${Switch} label=${t("keeping.passwordOff")} testid="keeping-open" on=${open} onchange=${setOpen} />`}
      <${Field} label=${t("create.capacity")} testid="keeping-capacity" inputmode="numeric" value=${capacity} error=${wrong.capacity} oninput=${setCapacity} />
      <${Expiry} value=${expires} error=${wrong.expires} onchange=${setExpires} />
      <${Switch} label=${t("create.listed")} testid="keeping-listed" on=${listed} onchange=${setListed} />
      <div class="dialog-buttons">
        <button type="button" class="button" data-kind="quiet" data-testid="delete-room" onClick=${ondelete}><${Icon} name="bin" />${t("keeping.delete")}</button>
        <button type="submit" class="button" data-kind="main" data-testid="keeping-save">${t("keeping.save")}</button>
      </div>
    </form>`;
}

/** Makes links for those who are invited, and takes them back. @param {{app: import("../page.js").App, onclose: () => void}} props */
export function Invitations({ app, onclose }) {
  const { api, session } = app;
  const room = session.state.value.room?.name ?? "";
  const [role, setRole] = useState(/** @type {"guest" | "host"} */ ("guest"));
  const [uses, setUses] = useState("once");
  const [good, setGood] = useState(/** @type {keyof typeof GOOD_FOR} */ ("day"));
  const [url, setUrl] = useState("");
  const [copied, setCopied] = useState(false);
  const [invites, setInvites] = useState(/** @type {import("../api.js").Invite[]} */ ([]));
  const [problem, setProblem] = useState(/** @type {{type: string, text: string} | null} */ (null));
  const refused = (/** @type {any} */ { type = "failed", text = "" }) => setProblem({ type, text });
  const list = () => session.asHost((bearer) => api.invites(room, bearer)).then((page) => setInvites(page.invites.filter(isGood)), refused);
  useEffect(() => { void list(); }, []);

  const make = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setCopied(false);
    setProblem(null);
    try {
      const made = await session.asHost((bearer) => api.invite(room, bearer, { role, ...(uses === "once" ? { uses: 1 } : {}), ...(GOOD_FOR[good] ? { expires: Date.now() + GOOD_FOR[good] } : {}) }));
      setUrl(made.url);
      await list();
    } catch (error) {
      refused(error);
    }
  };
  const hand = async () => {
    if (app.canShareLink) await navigator.share({ title: t("app.name"), url }).catch(() => {});
    else await navigator.clipboard.writeText(url).then(() => setCopied(true), () => {}); // the link stands there to be marked
  };
  const revoke = async (/** @type {string} */ id) => {
    try {
      await session.asHost((bearer) => api.revoke(room, bearer, id));
      await list();
    } catch (error) {
      refused(error);
    }
  };
  const shares = app.canShareLink;
  return html`
    <${Dialog} title=${t("invite.title")} onclose=${onclose}>
      <form class="dialog-form" onSubmit=${make}>
        <p class="dialog-hint">${t("invite.hint")}</p>
        <${Problem} problem=${problem} />
        <${Choice} label=${t("invite.role")} testid="invite-role" value=${role} onchange=${setRole} options=${[["guest", t("invite.role.guest")], ["host", t("invite.role.host")]]} />
        <${Choice} label=${t("invite.uses")} testid="invite-uses" value=${uses} onchange=${setUses} options=${[["once", t("invite.uses.once")], ["any", t("invite.uses.any")]]} />
        <${Choice} label=${t("invite.expiry")} testid="invite-expiry" value=${good} onchange=${setGood}
          options=${/** @type {const} */ (["hour", "day", "week", "never"]).map((key) => [key, t(`invite.expiry.${key}`)])} />
        <button type="submit" class="button" data-kind=${url ? "quiet" : "main"} data-testid="invite-make"><${Icon} name="link" />${t("invite.make")}</button>
      </form>
      <div role="status" class="invite-made">
        ${url && html`
          <p>${t("invite.made")}</p>
          <p class="link-text" data-testid="invite-link">${url}</p>
          <button type="button" class="button" data-kind="main" data-testid="invite-copy" onClick=${hand}>
            <${Icon} name=${copied ? "check" : shares ? "share" : "link"} />${copied ? t("invite.copied") : shares ? t("invite.share") : t("invite.copy")}</button>`}
      </div>
      <section class="invites" aria-labelledby="invites-title">
        <h3 id="invites-title">${t("invite.list")}</h3>
        ${invites.length === 0 ? html`<p class="dialog-hint">${t("invite.none")}</p>` : html`
          <ul data-testid="invites">
            ${invites.map((invite) => html`
              <li key=${invite.id}><span>${words(invite)}</span>
                <button type="button" class="button" data-kind="quiet" data-testid="revoke" aria-label=${t("invite.revokeOne", { what: words(invite) })} onClick=${() => revoke(invite.id)}>${t("invite.revoke")}</button></li>`)}
          </ul>`}
      </section>
    <//>`;
}

/** One that is used up still lets those back in who have used it. @param {import("../api.js").Invite} invite */
const isGood = ({ expires, revoked }) => revoked === null && (expires === null || expires > Date.now());

/** @param {import("../api.js").Invite} invite */
const words = ({ role, uses, used, expires }) => [
  role === "viewer" ? t("people.viewer") : t(`invite.role.${role}`), uses !== 1 ? t("invite.any") : used ? t("invite.usedUp") : t("invite.once"), ...(used && uses !== 1 ? [t("invite.used", { n: used })] : []), ...(expires ? [t("invite.until", { date: date(expires) })] : []),
].join(" · ");
