/** Builds the parts and joins them. */
import { App } from "./page.js";
import { currentLanguage, load, pick } from "./strings/index.js";

await load(pick(new URLSearchParams(location.search).get("lang"), navigator.languages));
document.documentElement.lang = currentLanguage();
new App().start();
