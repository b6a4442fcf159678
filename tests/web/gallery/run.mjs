/**
 * Photographs every screen with made-up state, phone and desktop, light and dark, into the folder given (default
 * `shots/` here, not kept), and asks axe-core about each. Ends with 1 when axe finds anything or a script is refused.
 * `node gallery/run.mjs [folder] [parts of scenes' names, comma-separated]`
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import puppeteer from "puppeteer-core";
import { serve } from "../serve.mjs";

const HERE = new URL(".", import.meta.url).pathname;
const [folder = join(HERE, "shots"), only = ""] = process.argv.slice(2);
const SCENES = [
  "home", "offline", "prejoin", "prejoin:password", "prejoin:full", "prejoin:long", "joining", "room:1", "room:2", "room:3", "room:5", "room:10", "screens:1", "screens:2", "screens-many:1",
  "chat", "chat-empty", "people", "unread", "broken", "troubles", "reactions", "left", "ended:replaced", "ended:removed", "test",
];
const SIZES = /** @type {const} */ ([["desktop", 1280, 800], ["phone", 390, 844]]);
const axe = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

mkdirSync(folder, { recursive: true });
const server = await serve();
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", pipe: true,
  args: ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--autoplay-policy=no-user-gesture-required"],
});
let faults = 0;
try {
  for (const scene of SCENES.filter((name) => only.split(",").some((part) => name.includes(part)))) {
    for (const [device, width, height] of SIZES) {
      for (const light of ["light", "dark"]) {
        const page = await browser.newPage();
        page.on("console", (message) => {
          if (message.type() === "error") { faults += 1; console.error(scene, device, message.text()); }
        });
        page.on("pageerror", (error) => { faults += 1; console.error(scene, device, error); });
        await page.setBypassCSP(false);
        await page.setViewport({ width, height, hasTouch: device === "phone" });
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: light }, { name: "prefers-reduced-motion", value: "reduce" }]);
        await page.goto(`${server.url}/gallery/index.html?scene=${scene}&lang=${process.env.GALLERY_LANG ?? "en"}`);
        await page.waitForSelector("[data-ready]");
        await new Promise((resolve) => setTimeout(resolve, 500));
        await page.screenshot({ path: /** @type {`${string}.png`} */ (join(folder, `${scene.replace(":", "-")}-${device}-${light}.png`)) });
        await page.evaluate(axe);
        const { violations } = /** @type {any} */ (await page.evaluate("axe.run()"));
        for (const violation of violations) {
          faults += 1;
          console.error(scene, device, light, violation.id, violation.help, violation.nodes.map((/** @type {any} */ node) => node.html.slice(0, 160)));
        }
        await page.close();
      }
    }
  }
} finally {
  await browser.close();
  server.close();
}
console.log(faults ? `${faults} faults` : "no faults");
process.exitCode = faults ? 1 : 0;
