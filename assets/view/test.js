/** The connection test: what works, and what it means when something does not. */
import { useState } from "../vendor/hooks.js";
import { html } from "./html.js";
import { Bird, Icon } from "./icon.js";
import { LanguageSwitch } from "./parts.js";
import { probe, STEPS } from "../call/probe.js";
import { t } from "../strings/index.js";

/** @typedef {import("../call/probe.js").Outcome} Outcome @typedef {import("../call/probe.js").Step} Step */

/** @param {{app: import("../page.js").App}} props */
export function Test({ app }) {
  const [outcomes, setOutcomes] = useState(/** @type {Partial<Record<Step, Outcome>>} */ ({}));
  const [state, setState] = useState(/** @type {"idle" | "running" | "done"} */ ("idle"));
  const start = async () => {
    setOutcomes({});
    setState("running");
    await probe(app.session.socket.url, (step, outcome) => setOutcomes((before) => ({ ...before, [step]: outcome })));
    setState("done");
  };
  const begun = state !== "idle";
  return html`
    <div class="test">
      <header class="home-top">
        <a class="wordmark" href=${app.href("/")} onClick=${app.follow}><${Bird} />${t("app.name")}</a><${LanguageSwitch} />
      </header>
      <main class="card test-card" id="main" tabindex="-1">
        <h1>${t("test.title")}</h1>
        <p>${t("test.intro")}</p>
        <ul class="test-list" data-testid="test-results">
          ${STEPS.map((step) => html`<${Result} key=${step} step=${step} outcome=${begun ? outcomes[step] ?? "wait" : ""} done=${state === "done"} />`)}
        </ul>
        <p class="test-verdict" role="status">${state === "running" ? t("test.running") : state === "done" ? verdict(outcomes) : ""}</p>
        <button type="button" class="button" data-kind="main" data-testid="test-start" disabled=${state === "running"} onClick=${start}>
          ${state === "idle" ? t("test.start") : state === "running" ? t("test.running") : t("test.again")}
        </button>
      </main>
    </div>`;
}

/** @param {{step: Step, outcome: Outcome | "", done: boolean}} props */
const Result = ({ step, outcome, done }) => {
  const shown = outcome === "wait" && done ? "" : outcome;
  return html`
    <li data-step=${step} data-outcome=${shown}>
      <span class="test-sign" aria-hidden="true">${shown === "wait" ? html`<span class="spinner"></span>` : html`<${Icon} name=${shown === "ok" ? "check" : shown === "bad" ? "warn" : "more"} />`}</span>
      <span class="test-step">${t(`test.${step}`)}</span>
      <span class="test-word">${shown && t(`test.${shown}`)}</span>
      ${shown === "bad" && html`<span class="test-hint">${t(`test.hint.${step}`)}</span>`}
    </li>`;
};

/** @param {Partial<Record<Step, Outcome>>} outcomes */
function verdict(outcomes) {
  const bad = (/** @type {Step[]} */ ...steps) => steps.some((step) => outcomes[step] === "bad" || outcomes[step] === undefined);
  const path = ["stun", "udp", "tcp", "tls"].some((step) => outcomes[/** @type {Step} */ (step)] === "ok");
  if (bad("browser", "server") || !path) return t("test.poor");
  return bad("stun", "udp", "camera", "mic") ? t("test.fair") : t("test.good");
}
