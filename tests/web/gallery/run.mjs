/**
 * Photographs every screen with made-up state, phone and desktop, light and dark, into the folder given (default
 * `shots/` here, not kept), and asks axe-core about each. Ends with 1 when axe finds anything, when a script is refused
 * or fails, or when something hangs over the side. `node gallery/run.mjs [folder] [parts of scenes' names, comma-separated]`
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import puppeteer from "puppeteer-core";
import { serve } from "../serve.mjs";

const HERE = new URL(".", import.meta.url).pathname;
const [folder = join(HERE, "shots"), only = ""] = process.argv.slice(2);
/** How many people are in the call, for the screens where that changes something. */
const PEOPLE = [1, 2, 3, 5, 10];
const SCENES = [
  "home", "rooms", "rooms:empty", "rooms:none", "rooms:failed", "create", "create:wrong", "offline", "prejoin", "prejoin:invitation", "prejoin:password", "prejoin:full", "prejoin:long", "joining",
  ...["room", "screens", "people"].flatMap((scene) => PEOPLE.map((n) => `${scene}:${n}`)),
  // Beside the list of people the stage is as it is beside the chat.
  "chat:1", "chat:3", "screens:4:2", "long:2", "long:5", "chat-empty", "chat-menu", "chat-new", "chat-top", "chat-off", "writing:reply", "writing:edit", "writing:private", "unread", "broken", "troubles", "reactions",
  "waiting", "knocks:1", "knocks:6", "menu", "removal", "removal:ban", "rules", "news:mute:mic", "news:unmute:camera", "news:host", "news:viewer", "news:renamed", "files", "files:sending", "keeping", "keeping:delete", "keeping:failed", "invites", "invites:made", "left", "ended:replaced", "ended:removed", "ended:removed:kicked", "ended:deleted", "test",
];
const SIZES = /** @type {const} */ ([["desktop", 1280, 800], ["phone", 390, 844]]);
const LIGHTS = /** @type {const} */ (["light", "dark"]);
/** In how many pictures all must be still: ten seconds. */
const FRAMES = 600;
const axe = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

mkdirSync(folder, { recursive: true });
const server = await serve();
let faults = 0;
let looked = 0;
/** @param {...unknown} what */
const fault = (...what) => {
  faults += 1;
  console.error(...what);
};
try {
  const scenes = SCENES.filter((name) => only.split(",").some((part) => name.includes(part)));
  // A browser for each: a page that is not in front would not be drawn.
  await Promise.all(SIZES.map((size) => look(scenes, size)));
} finally {
  server.close();
}
console.log(`${looked} pictures, ${faults ? `${faults} faults` : "no faults"}`);
process.exitCode = faults || looked === 0 ? 1 : 0;

/** @param {string[]} scenes @param {(typeof SIZES)[number]} size */
async function look(scenes, [device, width, height]) {
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", pipe: true,
    args: ["--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--autoplay-policy=no-user-gesture-required"],
  });
  try {
    const page = await browser.newPage();
    let scene = "";
    page.on("console", (message) => message.type() === "error" && fault(scene, device, message.text()));
    page.on("pageerror", (error) => fault(scene, device, error));
    await page.setViewport({ width, height, hasTouch: device === "phone" });
    await page.goto(`${server.url}/gallery/index.html?lang=${process.env.GALLERY_LANG ?? "en"}`);
    await page.waitForSelector("[data-ready]");
    await page.evaluate(axe);
    for (scene of scenes) {
      await lit(page, "light");
      await page.evaluate(`show(${JSON.stringify(scene)})`);
      for (const light of LIGHTS) {
        await lit(page, light);
        await page.screenshot({ path: /** @type {`${string}.png`} */ (join(folder, `${scene.replaceAll(":", "-")}-${device}-${light}.png`)), optimizeForSpeed: true });
        // In the other light nothing but colours is different.
        const rules = light === "light" ? {} : { runOnly: ["color-contrast"] };
        const { violations } = /** @type {any} */ (await page.evaluate(`axe.run(${JSON.stringify({ ...rules, resultTypes: ["violations"] })})`));
        for (const violation of violations) fault(scene, device, light, violation.id, violation.help, violation.nodes.map((/** @type {any} */ node) => node.html.slice(0, 160)));
        looked += 1;
      }
      const over = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
      if (Number(over) > 0) fault(scene, device, `${over} px hang over the side`);
    }
  } finally {
    await browser.close();
  }
}

/** Changes the light, and waits until every colour has arrived. @param {import("puppeteer-core").Page} page @param {"light" | "dark"} light */
async function lit(page, light) {
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: light }, { name: "prefers-reduced-motion", value: "reduce" }]);
  await page.evaluate(async (frames) => {
    // Asks for each picture: a transition's own promise may wait for ever, since a browser without a screen draws when it must.
    const picture = () => new Promise((done) => requestAnimationFrame(done));
    await picture();
    do await picture(); while (document.getAnimations().some(({ playState }) => playState === "running") && (frames -= 1) > 0);
    if (frames === 0) throw new Error("something moves, and does not stop");
  }, FRAMES);
}
