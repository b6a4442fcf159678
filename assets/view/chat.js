/** The chat: what was said, and saying something. Text is text, never HTML. */
import { useEffect, useLayoutEffect, useRef, useState } from "../vendor/hooks.js";
import { html } from "./html.js";
import { Icon } from "./icon.js";
import { hue, IconButton } from "./parts.js";
import { CHAT_BYTES } from "../session.js";
import { clock, t } from "../strings/index.js";

/** So near the end of the log, px, new lines keep it at the end; further up, somebody is reading. */
const NEAR_END = 80;

/** @param {{app: import("../page.js").App, shown: boolean}} props */
export function Chat({ app, shown }) {
  const { chat } = app.session.state.value;
  const [text, setText] = useState("");
  const [problem, setProblem] = useState("");
  const log = useRef(/** @type {HTMLElement | null} */ (null));
  const input = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const atEnd = useRef(true);

  useLayoutEffect(() => {
    if (shown && atEnd.current && log.current) log.current.scrollTop = log.current.scrollHeight;
  }, [chat, shown]);
  const asked = app.chatFocus.value;
  useEffect(() => {
    if (shown && asked > 0) input.current?.focus();
  }, [asked, shown]);

  const send = (/** @type {Event} */ event) => {
    event.preventDefault();
    const tidy = text.trim();
    if (!tidy) return;
    if (new TextEncoder().encode(tidy).length > CHAT_BYTES) setProblem(t("chat.long"));
    else if (app.session.say(tidy)) {
      setText("");
      setProblem("");
      atEnd.current = true;
    } else setProblem(t("chat.unsent"));
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    // While a syllable is being composed, Enter belongs to the keyboard.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
  };

  return html`
    <section class="chat" hidden=${!shown} aria-label=${t("chat.title")}>
      <div class="chat-log" data-testid="chat-log" role="log" aria-label=${t("chat.log")} aria-live="polite" tabindex="0" ref=${log}
        onScroll=${() => { if (log.current) atEnd.current = log.current.scrollHeight - log.current.scrollTop - log.current.clientHeight < NEAR_END; }}>
        ${chat.length === 0 && html`<p class="chat-empty"><${Icon} name="chat" />${t("chat.empty")}</p>`}
        ${chat.map((line, index) => html`<${Line} key=${line.key} line=${line} first=${begins(chat, index)} />`)}
      </div>
      <form class="chat-form" onSubmit=${send}>
        ${problem && html`<p class="field-error" role="alert"><${Icon} name="warn" />${problem}</p>`}
        <div class="chat-row">
          <textarea ref=${input} data-testid="chat-input" rows="1" value=${text} aria-label=${t("chat.placeholder")} placeholder=${t("chat.placeholder")}
            onInput=${(/** @type {any} */ event) => { setText(event.currentTarget.value); setProblem(""); }} onKeyDown=${onKeyDown}></textarea>
          <${IconButton} type="submit" class="chat-send" icon="send" label=${t("chat.send")} data-testid="chat-send" />
        </div>
      </form>
    </section>`;
}

/** Whether a line starts a new group: another person, or a while later. @param {import("../state.js").Line[]} chat @param {number} index */
function begins(chat, index) {
  const line = chat[index];
  const before = chat[index - 1];
  return !(line?.kind === "said" && before?.kind === "said" && before.sessionId === line.sessionId && line.time - before.time < 180_000);
}

/** @param {{line: import("../state.js").Line, first: boolean}} props */
function Line({ line, first }) {
  if (line.kind !== "said") return html`<p class="chat-event">${t(line.kind === "came" ? "chat.came" : "chat.went", { name: line.username })}</p>`;
  return html`
    <div class="chat-line" data-mine=${line.mine} data-first=${first}>
      ${first && html`
        <p class="chat-who">
          <span class="chat-name" data-hue=${hue(line.username)}>${line.mine ? t("chat.you") : line.username}</span>
          <time datetime=${new Date(line.time).toISOString()}>${clock(line.time)}</time>
        </p>`}
      <p class="chat-text">${linked(line.text)}</p>
    </div>`;
}

/** The text with its addresses as links. @param {string} text */
export function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]])/).map((part, index) =>
    index % 2 ? html`<a key=${index} href=${part} target="_blank" rel="noopener noreferrer nofollow">${part}</a>` : part);
}
