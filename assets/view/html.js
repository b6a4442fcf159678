/** The page's markup: htm over Preact, with signals read by whatever draws them. */
import "../vendor/signals.js";
import htm from "../vendor/htm.js";
import { h } from "../vendor/preact.js";

export const html = htm.bind(h);
