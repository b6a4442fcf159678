/** Files in the chat: choosing them, ours on their way, and those that are there. */
import { useEffect, useRef, useState } from "../vendor/hooks.js";
import { html } from "./html.js";
import { Icon } from "./icon.js";
import { IconButton } from "./parts.js";
import { preview } from "../files.js";
import { mayShare } from "../state.js";
import { errorText, size, t } from "../strings/index.js";

/** @typedef {import("../state.js").Line & {kind: "file"}} FileLine */

/** Shares what was chosen, pasted or dropped, with everyone or whom we write to alone. @param {import("../page.js").App} app @param {FileList | null | undefined} files @returns {boolean} whether there was any that may go */
export function share(app, files) {
  if (!files || files.length === 0) return false;
  const { to } = app.writing.peek();
  const receiver = app.session.state.peek().people.find(({ sessionId }) => sessionId === to);
  if (!mayShare(app.session.state.peek())) {
    app.session.happen({ type: "problem", problem: { type: "filesoff", text: "" } });
    return false;
  }
  if (to && !receiver) app.session.happen({ type: "problem", problem: { type: "gone", text: "" } });
  else if (!app.session.files.share([...files], receiver ? { to: receiver.sessionId, toName: receiver.username } : {})) {
    app.session.happen({ type: "problem", problem: { type: "toomany", text: "" } });
  }
  return true;
}

/** Opens the device's own choosing. @param {{app: import("../page.js").App, receiver: string}} props */
export const FilePicker = ({ app, receiver }) => {
  const label = receiver ? t("file.addTo", { name: receiver }) : t("file.add");
  return html`
    <label class="icon-button chat-attach" title=${label}>
      <${Icon} name="clip" />
      <input type="file" multiple class="unseen" data-testid="file-input" aria-label=${label} onChange=${(/** @type {any} */ event) => {
        share(app, event.currentTarget.files);
        event.currentTarget.value = ""; // the same file can be chosen again
      }} />
    </label>`;
};

/** Files may be dropped anywhere on the call. @param {{app: import("../page.js").App}} props */
export function DropPlace({ app }) {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const holds = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") ?? false;
    const drag = (/** @type {DragEvent} */ event) => {
      if (!holds(event)) return;
      event.preventDefault(); // else the browser would leave the call and open the file
      setOver(true);
    };
    const leave = (/** @type {DragEvent} */ event) => event.relatedTarget === null && setOver(false);
    const drop = (/** @type {DragEvent} */ event) => {
      if (!holds(event)) return;
      event.preventDefault();
      setOver(false);
      if (share(app, event.dataTransfer?.files)) app.openPanel("chat");
    };
    document.addEventListener("dragover", drag);
    document.addEventListener("dragleave", leave);
    document.addEventListener("drop", drop);
    return () => {
      document.removeEventListener("dragover", drag);
      document.removeEventListener("dragleave", leave);
      document.removeEventListener("drop", drop);
    };
  }, []);
  const { to } = app.writing.value;
  const name = app.session.state.value.people.find(({ sessionId }) => sessionId === to)?.username;
  return over && mayShare(app.session.state.value) ? html`<div class="drop" aria-hidden="true"><p><${Icon} name="file" />${name ? t("file.dropTo", { name }) : t("file.drop")}</p></div>` : null;
}

/** Ours on their way. @param {{app: import("../page.js").App}} props */
export function Sendings({ app }) {
  const { files } = app.session;
  const sending = files.sending.value;
  if (sending.length === 0) return null;
  return html`
    <ul class="sendings" aria-label=${t("file.sending")} data-testid="sendings">
      ${sending.map(({ key, name, size: whole, sent, state, problem, waiting, toName }) => html`
        <li key=${key} data-state=${state} data-testid="sending">
          <span class="sending-name">${toName && html`<${Icon} name="lock" />`}${name}</span>
          ${state === "failed" ? html`<${IconButton} icon="close" label=${t("file.remove", { name })} onClick=${() => files.cancel(key)} />`
            : html`<${IconButton} icon="close" label=${t("file.cancel", { name })} data-testid="cancel-file" onClick=${() => files.cancel(key)} />`}
          ${state === "failed" ? html`
            <p class="sending-note field-error" role="alert"><${Icon} name="warn" /><span>${fileError(problem)}</span></p>
            <button type="button" class="button" data-kind="quiet" onClick=${() => files.again(key)}>${t("file.again")}</button>`
            : html`
            <progress max=${Math.max(1, whole)} value=${sent} aria-label=${t("file.progressName", { name })}></progress>
            <p class="sending-note" role=${state === "broken" ? "status" : null}>${state === "broken" ? t("file.broken") : waiting ? t("file.waiting") : t("file.progress", { sent: size(sent), size: size(whole) })}</p>`}
        </li>`)}
    </ul>`;
}

/** @param {string} problem */
const fileError = (problem) => (problem === "forbidden" ? t("file.off") : problem === "notfound" ? t("file.gone") : errorText({ type: problem, text: t("error.failed") }));

/** A file that is there. @param {{app: import("../page.js").App, line: FileLine}} props */
export function Shared({ app, line }) {
  const kind = preview(line.type);
  const [src, setSrc] = useState("");
  const [failed, setFailed] = useState(false);
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  // Only what comes into sight is asked for.
  useEffect(() => {
    if (!kind || !place.current) return undefined;
    let gone = false;
    const watch = new IntersectionObserver((seen) => {
      if (!seen.some(({ isIntersecting }) => isIntersecting)) return;
      // Without an answer it is asked for again the next time it comes into sight.
      app.session.files.link(line).then((url) => {
        watch.disconnect();
        if (!gone) setSrc(url);
      }, () => {});
    }, { rootMargin: "200px" });
    watch.observe(place.current);
    return () => { gone = true; watch.disconnect(); };
  }, [line.id]);
  const download = async () => {
    setFailed(false);
    try {
      const url = await app.session.files.link(line);
      const anchor = Object.assign(document.createElement("a"), { href: url, download: line.name });
      anchor.click();
    } catch {
      setFailed(true);
    }
  };
  // An address is good for some minutes: whoever opens the picture or plays on after that needs a new one.
  const freshen = (/** @type {any} */ { currentTarget }) => {
    app.session.files.link(line).then((url) => { currentTarget.href = url; }, () => {});
  };
  /** Where playing broke off. */
  const broke = useRef({ at: -1, playing: false });
  const renew = (/** @type {any} */ { currentTarget }) => {
    const { currentTime = 0, paused = true, error, dataset } = currentTarget;
    // A file that is broken itself, or breaks off at the same place again, gains nothing by another address.
    if (dataset.renewed || error?.code === MediaError.MEDIA_ERR_DECODE || currentTime === broke.current.at) return;
    dataset.renewed = "yes";
    broke.current = { at: currentTime, playing: !paused };
    app.session.files.renew(line).then(setSrc, () => {
      delete dataset.renewed;
      broke.current = { at: -1, playing: false };
    });
  };
  const goOn = (/** @type {any} */ { currentTarget }) => {
    const { at, playing } = broke.current;
    broke.current = { at, playing: false };
    delete currentTarget.dataset.renewed; // the next address has its time too
    if (at > 0) currentTarget.currentTime = at;
    if (playing) currentTarget.play().catch(() => {}); // the person starts it, where the browser wants that
  };
  return html`
    <div class="shared" data-testid="file-entry" data-file=${line.id} data-kind=${kind || "other"} ref=${place}>
      ${kind === "image" && src && html`<a href=${src} target="_blank" rel="noopener noreferrer" aria-label=${t("file.open", { name: line.name })} onPointerEnter=${freshen} onPointerDown=${freshen} onFocus=${freshen}><img src=${src} alt=${line.name} loading="lazy" onError=${renew} /></a>`}
      ${kind === "video" && src && html`<video src=${src} controls preload="metadata" playsinline aria-label=${line.name} onError=${renew} onLoadedMetadata=${goOn}></video>`}
      ${kind === "audio" && src && html`<audio src=${src} controls preload="metadata" aria-label=${line.name} onError=${renew} onLoadedMetadata=${goOn}></audio>`}
      <p class="shared-foot">
        <${Icon} name="file" /><span class="shared-name">${line.name}</span><span class="shared-size">${size(line.size)}</span>
        <${IconButton} icon="download" label=${t("file.download", { name: line.name })} data-testid="download" onClick=${download} />
      </p>
      ${failed && html`<p class="field-error" role="alert"><${Icon} name="warn" />${t("file.unlinked")}</p>`}
    </div>`;
}
