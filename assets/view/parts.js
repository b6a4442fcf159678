/** Small things several views use. */
import { useEffect, useId, useLayoutEffect, useRef, useState } from "../vendor/hooks.js";
import { html } from "./html.js";
import { Icon } from "./icon.js";
import { LANGUAGES, currentLanguage, errorText, t } from "../strings/index.js";

/** About how wide a menu may get, CSS px. */
const MENU = 250;

/**
 * A labelled text field with its hint and error.
 * @param {{label: string, testid: string, value: string, oninput: (value: string) => void, error?: string, hint?: string, type?: string,
 *   autocomplete?: string, maxlength?: number, inputmode?: string, focus?: boolean, children?: any}} props
 */
export function Field({ label, testid, value, oninput, error = "", hint = "", type = "text", autocomplete = "off", maxlength = 128, inputmode, focus = false, children }) {
  const id = useId();
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => {
    if (focus || error) input.current?.focus();
  }, [focus, error]);
  return html`
    <div class="field" data-wrong=${Boolean(error)}>
      <label for=${id}>${label}</label>
      <div class="field-row">
        <input ref=${input} id=${id} data-testid=${testid} type=${type} value=${value} autocomplete=${autocomplete} maxlength=${maxlength} inputmode=${inputmode} autofocus=${focus} spellcheck="false"
          placeholder=${hint} aria-invalid=${Boolean(error)} aria-describedby=${error ? `${id}-error` : null}
          onInput=${(/** @type {any} */ event) => oninput(event.currentTarget.value)} />
        ${children}
      </div>
      ${error && html`<p class="field-error" role="alert" id=${`${id}-error`}><${Icon} name="warn" />${error}</p>`}
    </div>`;
}

/** A button that is an icon with a name. @param {Record<string, any> & {icon: string, label: string}} props */
export const IconButton = ({ icon, label, children, class: extra = "", ...rest }) => html`
  <button type="button" class=${`icon-button ${extra}`} aria-label=${label} title=${label} ...${rest}><${Icon} name=${icon} />${children}</button>`;

/** An error of the server, in words. @param {{problem: {type: string, text: string} | null, onclose?: () => void}} props */
export const Problem = ({ problem, onclose }) => html`
  <div role="alert" class="alert-place">
    ${problem && html`
      <p class="notice" data-kind="problem" data-error=${problem.type}>
        <${Icon} name="warn" /><span>${errorText(problem)}</span>
        ${onclose && html`<${IconButton} icon="close" label=${t("error.close")} onClick=${onclose} />`}
      </p>`}
  </div>`;

/**
 * Keeps a dialogue open while it is on the page, with the browser's own focus handling. What one that has left the page says of its
 * end comes late, when another may be open in its place: it is not listened to.
 * @param {{title: string, onclose: () => void, children?: any}} props
 */
export function Dialog({ title, onclose, children }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const id = useId();
  // At once, not after the next picture: whoever opened it has the focus still.
  useLayoutEffect(() => {
    const element = dialog.current;
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    element?.showModal();
    return () => {
      element?.close();
      before?.focus(); // the browser does so only for a dialogue that is still on the page
    };
  }, []);
  return html`
    <dialog ref=${dialog} class="dialog" aria-labelledby=${id} onClose=${() => dialog.current && onclose()}
      onClick=${(/** @type {any} */ event) => event.target === dialog.current && onclose()}>
      <div class="dialog-body">
        <header><h2 id=${id}>${title}</h2><${IconButton} icon="close" label=${t("room.close")} onClick=${onclose} /></header>
        ${children}
      </div>
    </dialog>`;
}

/**
 * A button with a menu above it, or, for one in a list that scrolls, beside it over everything. Arrow keys move, Escape and a
 * click elsewhere close.
 * @param {{icon: string, label: string, text?: string, kind?: string, beside?: boolean, tabindex?: number, items: {label: string, icon?: string, text?: string, testid?: string, checked?: boolean, onselect: () => void}[]}} props
 */
export function Menu({ icon, label, text, kind = "list", beside = false, tabindex = 0, items }) {
  const [open, setOpen] = useState(false);
  const [spot, setSpot] = useState({});
  const place = useRef(/** @type {HTMLDivElement | null} */ (null));
  useEffect(() => {
    if (!open) return undefined;
    /** @type {HTMLElement | null | undefined} */ (place.current?.querySelector("[role^=menuitem]"))?.focus();
    const outside = (/** @type {Event} */ event) => !place.current?.contains(/** @type {Node} */ (event.target)) && setOpen(false);
    const away = () => beside && setOpen(false);
    document.addEventListener("pointerdown", outside);
    addEventListener("resize", away);
    return () => { document.removeEventListener("pointerdown", outside); removeEventListener("resize", away); };
  }, [open]);
  const close = () => {
    setOpen(false);
    /** @type {HTMLElement | null | undefined} */ (place.current?.querySelector("[aria-haspopup]"))?.focus();
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (!open) return;
    const entries = /** @type {HTMLElement[]} */ ([...(place.current?.querySelectorAll("[role^=menuitem]") ?? [])]);
    const now = entries.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") { close(); event.stopPropagation(); }
    else if (event.key === "Tab") setOpen(false);
    else if (step) entries.at((now + step) % entries.length)?.focus();
    else return;
    if (event.key !== "Tab") event.preventDefault();
  };
  const toggle = (/** @type {any} */ event) => {
    const { top, bottom, left, right } = event.currentTarget.getBoundingClientRect();
    const under = bottom < innerHeight / 2;
    const room = (under ? innerHeight - bottom : top) - 16;
    if (beside) setSpot({ ...(right < MENU ? { left: `${Math.max(8, left)}px`, right: "auto" } : { right: `${Math.max(8, innerWidth - right)}px` }), maxHeight: `${room}px`, ...(under ? { top: `${bottom + 4}px` } : { bottom: `${innerHeight - top + 4}px` }) });
    setOpen(!open);
  };
  return html`
    <div class="menu-place" ref=${place} onKeyDown=${onKeyDown}>
      <button type="button" class=${beside ? "icon-button" : "control"} tabindex=${tabindex} aria-haspopup="menu" aria-expanded=${open} aria-label=${label} title=${label} onClick=${toggle}>
        <${Icon} name=${icon} />${text && html`<span class="control-text">${text}</span>`}
      </button>
      ${open && html`
        <div class="menu" role="menu" aria-label=${label} data-kind=${kind} data-beside=${beside} style=${beside ? spot : null}>
          ${items.map((item) => html`
            <button type="button" role=${item.checked === undefined ? "menuitem" : "menuitemcheckbox"} aria-checked=${item.checked}
              tabindex="-1" key=${item.label} data-testid=${item.testid} aria-label=${item.label} onClick=${() => { close(); item.onselect(); }}>
              ${item.icon && html`<${Icon} name=${item.icon} />`}<span>${item.text ?? item.label}</span>
            </button>`)}
        </div>`}
    </div>`;
}

/** A switch with its name. @param {{label: string, on: boolean, onchange: (on: boolean) => void, testid?: string}} props */
export const Switch = ({ label, on, onchange, testid }) => html`
  <label class="switch">
    <span>${label}</span>
    <input type="checkbox" role="switch" data-testid=${testid} checked=${on} onChange=${(/** @type {any} */ event) => {
      const wanted = event.currentTarget.checked;
      event.currentTarget.checked = on; // it turns when the server says so
      onchange(wanted);
    }} />
  </label>`;

/** One of a few. @param {{label: string, value: string, options: readonly (readonly [string, string])[], onchange: (value: any) => void, testid: string}} props `options` are values with their words */
export function Choice({ label, value, options, onchange, testid }) {
  const id = useId();
  return html`
    <div class="field">
      <label for=${id}>${label}</label>
      <select id=${id} data-testid=${testid} value=${value} onChange=${(/** @type {any} */ event) => onchange(event.currentTarget.value)}>
        ${options.map(([one, words]) => html`<option key=${one} value=${one} selected=${one === value}>${words}</option>`)}
      </select>
    </div>`;
}

/** Chooses the language; the address carries it, so that a link can too. */
export const LanguageSwitch = () => html`
  <nav class="languages" aria-label=${t("app.language")}>
    ${Object.entries(LANGUAGES).map(([code, name]) => {
      const query = new URLSearchParams(location.search);
      query.set("lang", code);
      return html`<a key=${code} href=${`?${query}`} lang=${code} hreflang=${code} aria-current=${code === currentLanguage() ? "true" : null}>${name}</a>`;
    })}
  </nav>`;

/** Up to two letters that stand for a person without a picture. @param {string} name */
export function initials(name) {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0] ?? "?"];
  return letters.map((word) => [...(word ?? "")][0] ?? "").join("").toLocaleUpperCase();
}

/** One of the avatars' colours, the same for the same name everywhere. @param {string} name */
export function hue(name) {
  let sum = 7;
  for (const letter of name) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 9973;
  return sum % 8;
}
