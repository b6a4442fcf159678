/** The chat: what was said, and saying, correcting and answering something. Text is text, never HTML. */
import { useEffect, useLayoutEffect, useRef, useState } from "../vendor/hooks.js";
import { FilePicker, Sendings, Shared, share } from "./file.js";
import { html } from "./html.js";
import { Icon } from "./icon.js";
import { hue, IconButton, Menu } from "./parts.js";
import { CHAT_BYTES } from "../session.js";
import { isLooking, mayShare, mayWrite, readBy, shownLines } from "../state.js";
import { clock, list, t } from "../strings/index.js";

/** So near the end of the log, px, new lines keep it at the end; further up, somebody is reading. */
const NEAR_END = 80;
/** The signs offered for a line. */
const SIGNS = ["👍", "❤️", "😂", "🎉"];
/** So much of a line is shown where it is answered, in characters. */
const QUOTE = 90;

/** @typedef {import("../state.js").Line & {kind: "said"}} Said */

/** @param {{app: import("../page.js").App, shown: boolean}} props */
export function Chat({ app, shown }) {
  const { older, typing, people, newFrom } = app.session.state.value;
  const chat = shownLines(app.session.state.value);
  const read = readBy(app.session.state.value);
  const log = useRef(/** @type {HTMLElement | null} */ (null));
  const atEnd = useRef(true);
  /** Where the end of the log was before older lines came, px from its top. */
  const held = useRef(-1);

  useLayoutEffect(() => {
    const element = log.current;
    if (!shown || !element) return;
    if (held.current >= 0) element.scrollTop = element.scrollHeight - held.current;
    else if (atEnd.current) element.scrollTop = element.scrollHeight;
    held.current = -1;
  }, [app.session.state.value.chat, read.names.length, shown]);

  // What is new is read from its beginning, however much it is.
  const looking = isLooking(app.session.state.value);
  useLayoutEffect(() => {
    const element = log.current;
    const begin = element?.querySelector(".chat-new");
    if (!looking || !element || !begin) return;
    const above = element.getBoundingClientRect().top - begin.getBoundingClientRect().top;
    if (above <= 0) return;
    element.scrollTop -= above;
    atEnd.current = false;
  }, [looking]);

  // Pictures come later than their lines, and what is on its way takes its place from the log.
  const keepEnd = () => {
    if (log.current && atEnd.current) log.current.scrollTop = log.current.scrollHeight;
  };
  useEffect(() => {
    if (!log.current) return undefined;
    const watch = new ResizeObserver(keepEnd);
    watch.observe(log.current);
    return () => watch.disconnect();
  }, []);

  const more = () => {
    held.current = (log.current?.scrollHeight ?? 0) - (log.current?.scrollTop ?? 0);
    app.session.askOlder();
  };
  const newest = chat.findLast(({ kind }) => kind === "said");
  // One stop for the Tab key, however long the chat: the arrows go from line to line.
  const step = (/** @type {any} */ event) => {
    if (!event.target.matches("[aria-haspopup][aria-expanded=false]") || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    const buttons = /** @type {HTMLElement[]} */ ([...(log.current?.querySelectorAll("[aria-haspopup]") ?? [])]);
    buttons[buttons.indexOf(event.target) + (event.key === "ArrowUp" ? -1 : 1)]?.focus();
  };
  const writers = people.filter(({ sessionId }) => typing.includes(sessionId)).map(({ username }) => username);

  return html`
    <section class="chat" hidden=${!shown} aria-label=${t("chat.title")}>
      <div class="chat-log" data-testid="chat-log" role="log" aria-label=${t("chat.log")} aria-live="polite" tabindex="0" ref=${log} onKeyDown=${step}
        onLoadCapture=${keepEnd} onLoadedMetadataCapture=${keepEnd}
        onScroll=${() => { if (log.current) atEnd.current = log.current.scrollHeight - log.current.scrollTop - log.current.clientHeight < NEAR_END; }}>
        ${older && html`<button type="button" class="button chat-more" data-kind="quiet" data-testid="history-more" onClick=${more}>${t("chat.more")}</button>`}
        ${chat.length === 0 && html`<p class="chat-empty"><${Icon} name="chat" />${t("chat.empty")}</p>`}
        ${chat.flatMap((line, index) => [
          line.key === newFrom && html`<div key="new" class="chat-new" role="separator" aria-label=${t("chat.newLong")}><span>${t("chat.new")}</span></div>`,
          html`<${Line} key=${line.key} app=${app} line=${line} first=${line.key === newFrom || begins(chat, index)} newest=${line === newest} />`,
        ])}
        ${read.names.length > 0 && html`<p class="chat-read" data-testid="read-by">${read.names.length === people.length ? t("chat.readByAll") : t("chat.readBy", { names: list(read.names) })}</p>`}
      </div>
      <p class="chat-typing" aria-live="off">${writers.length === 1 ? t("chat.typing", { name: writers[0] ?? "" }) : writers.length > 1 ? t("chat.typingSome") : ""}</p>
      <${Sendings} app=${app} />
      ${mayWrite(app.session.state.value) ? html`<${Form} app=${app} shown=${shown} onsent=${() => { atEnd.current = true; }} />`
        : html`
          <div class="chat-off">
            ${mayShare(app.session.state.value) && html`<${FilePicker} app=${app} receiver=${people.find(({ sessionId }) => sessionId === app.writing.value.to)?.username ?? ""} />`}
            <p>${t("chat.off")}</p>
          </div>`}
    </section>`;
}

/** @param {{app: import("../page.js").App, shown: boolean, onsent: () => void}} props */
function Form({ app, shown, onsent }) {
  const { chat, people } = app.session.state.value;
  const { to, replyTo, edit } = app.writing.value;
  const [text, setText] = useState("");
  const [problem, setProblem] = useState("");
  const input = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const bySeq = (/** @type {number | undefined} */ seq) => /** @type {Said | undefined} */ (seq === undefined ? undefined : chat.findLast((line) => line.kind === "said" && line.seq === seq));
  const edited = bySeq(edit);
  const answered = bySeq(replyTo);
  const receiver = people.find(({ sessionId }) => sessionId === to);

  const asked = app.chatFocus.value;
  useEffect(() => {
    if (shown && asked > 0) input.current?.focus();
  }, [asked, shown]);
  useEffect(() => {
    if (edit !== undefined) setText(edited?.text ?? "");
  }, [edit]);

  const usual = () => {
    if (edit !== undefined) setText("");
    app.writing.value = {};
  };
  const send = (/** @type {Event} */ event) => {
    event.preventDefault();
    const tidy = text.trim();
    if (!tidy) return;
    if (to && !receiver) setProblem(t("chat.gone"));
    else if (new TextEncoder().encode(tidy).length > CHAT_BYTES) setProblem(t("chat.long"));
    else if (edit === undefined ? app.session.say(tidy, { to, replyTo }) : app.session.correct(edit, tidy)) {
      setText("");
      setProblem("");
      app.writing.value = to ? { to } : {}; // a talk of two goes on until it is ended
      onsent();
    } else setProblem(t("chat.unsent"));
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const own = chat.findLast((line) => line.kind === "said" && line.mine);
    // While a syllable is being composed, Enter belongs to the keyboard.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
    else if (event.key === "Escape" && Object.keys(app.writing.peek()).length > 0) {
      event.stopPropagation(); // the panel stays open
      usual();
    } else if (event.key === "ArrowUp" && text === "" && own?.kind === "said") {
      event.preventDefault();
      app.write({ edit: own.seq });
    }
  };
  const onInput = (/** @type {any} */ event) => {
    setText(event.currentTarget.value);
    setProblem("");
    if (event.currentTarget.value && edit === undefined) app.session.tellTyping(to ?? "");
  };
  // Office programs put a picture of the text beside the text, plain and as HTML: then the text is meant. Beside a file some systems
  // put its name alone, and beside a picture from a page browsers put HTML alone.
  const onPaste = (/** @type {ClipboardEvent} */ event) => {
    const types = event.clipboardData?.types ?? [];
    const isText = types.includes("text/plain") && types.includes("text/html");
    if (!isText && share(app, event.clipboardData?.files)) event.preventDefault();
  };
  const label = to ? t("chat.placeholderTo", { name: receiver?.username ?? "?" }) : t("chat.placeholder");
  const manner = edit !== undefined ? t("chat.editing") : answered ? t("chat.answering", { name: answered.username, text: answered.text.slice(0, QUOTE) })
    : to ? t("chat.privately", { name: receiver?.username ?? "?" }) : "";
  return html`
    <form class="chat-form" onSubmit=${send}>
      ${problem && html`<p class="field-error" role="alert"><${Icon} name="warn" />${problem}</p>`}
      ${manner && html`
        <p class="chat-manner"><${Icon} name=${edit !== undefined ? "edit" : answered ? "reply" : "lock"} /><span>${manner}</span>
          <${IconButton} icon="close" label=${t("chat.usual")} onClick=${() => { usual(); input.current?.focus(); }} /></p>`}
      <div class="chat-row">
        ${mayShare(app.session.state.value) && edit === undefined && html`<${FilePicker} app=${app} receiver=${receiver?.username ?? ""} />`}
        <textarea ref=${input} data-testid="chat-input" rows="1" value=${text} aria-label=${label} placeholder=${label} onInput=${onInput} onKeyDown=${onKeyDown}
          onPaste=${onPaste}></textarea>
        <${IconButton} type="submit" class="chat-send" icon=${edit === undefined ? "send" : "check"} label=${edit === undefined ? t("chat.send") : t("chat.save")} data-testid="chat-send" />
      </div>
    </form>`;
}

/** Whether a line starts a new group: another person, or a while later. @param {import("../state.js").Line[]} chat @param {number} index */
function begins(chat, index) {
  const line = chat[index];
  const before = chat[index - 1];
  const isBy = (/** @type {typeof line} */ one) => one?.kind === "said" || one?.kind === "file";
  return !(isBy(line) && isBy(before) && before.sessionId === line.sessionId && before.to === line.to && line.time - before.time < 180_000);
}

/** @param {{app: import("../page.js").App, line: import("../state.js").Line, first: boolean, newest: boolean}} props */
function Line({ app, line, first, newest }) {
  if (line.kind === "file") {
    return html`
      <div class="chat-line" data-mine=${line.mine} data-first=${first}>
        ${first && html`<${Who} line=${line} />`}
        <${Shared} app=${app} line=${line} />
      </div>`;
  }
  if (line.kind !== "said") return html`<p class="chat-event">${t(line.kind === "came" ? "chat.came" : "chat.went", { name: line.username })}</p>`;
  const me = app.session.state.value.me?.sessionId ?? "";
  const reactions = line.reactions ?? [];
  return html`
    <div class="chat-line" data-mine=${line.mine} data-first=${first} data-seq=${line.seq}>
      ${first && html`<${Who} line=${line} />`}
      <div class="chat-said">
        <div class="chat-text">
          ${line.replyTo !== undefined && html`<${Quote} app=${app} seq=${line.replyTo} />`}
          ${linked(line.text)}${line.edited && html` <span class="chat-edited">${t("chat.edited")}</span>`}
        </div>
        <${Menu} icon="more" label=${t("chat.acts", { name: line.mine ? t("chat.you") : line.username })} kind="mixed" beside=${true} tabindex=${newest ? 0 : -1} items=${acts(app, line)} />
      </div>
      ${reactions.length > 0 && html`
        <p class="chat-signs">
          ${reactions.map(({ emoji, sessionIds }) => html`
            <button type="button" key=${emoji} aria-pressed=${sessionIds.includes(me)} aria-label=${t("chat.sign", { emoji, n: sessionIds.length })}
              onClick=${() => app.session.mark(line.seq, emoji, !sessionIds.includes(me))}>${emoji} ${sessionIds.length}</button>`)}
        </p>`}
    </div>`;
}

/** @param {{line: Said | import("./file.js").FileLine}} props */
const Who = ({ line }) => html`
  <p class="chat-who">
    <span class="chat-name" data-hue=${hue(line.username)}>${line.mine ? t("chat.you") : line.username}</span>
    ${line.to && html`<span class="chat-private"><${Icon} name="lock" />${line.mine ? t("chat.privately", { name: line.toName || "?" }) : t("chat.toYou")}</span>`}
    <time datetime=${new Date(line.time).toISOString()}>${clock(line.time)}</time>
  </p>`;

/** The line that is answered. @param {{app: import("../page.js").App, seq: number | string}} props */
function Quote({ app, seq }) {
  const found = app.session.state.value.chat.findLast((line) => line.kind === "said" && (line.seq === seq || line.id === seq));
  return html`<span class="chat-quote">${found?.kind === "said" ? html`<strong>${found.username}</strong> ${found.text.slice(0, QUOTE)}` : t("chat.earlier")}</span>`;
}

/** What can be done with a line; the signs last. @param {import("../page.js").App} app @param {Said} line */
function acts(app, line) {
  const { me, people } = app.session.state.value;
  const there = people.some(({ sessionId }) => sessionId === line.sessionId);
  const other = line.mine ? line.to : line.sessionId;
  return [
    { label: t("chat.reply"), icon: "reply", testid: "reply", onselect: () => app.write({ replyTo: line.seq, ...(line.to && other ? { to: other } : {}) }) },
    ...(!line.mine && there ? [{ label: t("chat.private"), icon: "lock", testid: "write-privately", onselect: () => app.write({ to: line.sessionId }) }] : []),
    ...(line.mine ? [{ label: t("chat.edit"), icon: "edit", testid: "edit", onselect: () => app.write({ edit: line.seq }) }] : []),
    ...(line.mine || (me?.role === "host" && !line.to) ? [{ label: t("chat.delete"), icon: "bin", testid: "delete", onselect: () => { app.session.takeBack(line.seq); app.openChat(); } }] : []),
    ...SIGNS.map((emoji) => ({ label: `${t("room.react")} ${emoji}`, text: emoji, onselect: () => app.session.mark(line.seq, emoji, true) })),
  ];
}

/** The text with its addresses as links. @param {string} text */
export function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]])/).map((part, index) =>
    index % 2 ? html`<a key=${index} href=${part} target="_blank" rel="noopener noreferrer nofollow">${part}</a>` : part);
}
