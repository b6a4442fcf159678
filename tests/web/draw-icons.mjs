/** Draws the PNG icons of `assets/` from their SVGs, with Chromium. Run by hand when a drawing changes: `node draw-icons.mjs`. */
import { readFileSync, writeFileSync } from "node:fs";
import puppeteer from "puppeteer-core";

const ASSETS = new URL("../../assets/", import.meta.url);
const browser = await puppeteer.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", pipe: true, args: ["--no-sandbox"] });
try {
  const page = await browser.newPage();
  /** @param {string} drawing @param {number} size */
  const draw = async (drawing, size) => {
    const svg = readFileSync(new URL(`${drawing}.svg`, ASSETS), "utf8").replace("<svg ", `<svg width="${size}" height="${size}" `);
    await page.setViewport({ width: size, height: size });
    await page.setContent(`<body style="margin:0">${svg.replace("<svg ", '<svg style="display:block" ')}`);
    return Buffer.from(await page.screenshot({ omitBackground: true }));
  };
  for (const drawing of ["icon", "icon-maskable"]) {
    for (const size of [192, 512]) writeFileSync(new URL(`${drawing}-${size}.png`, ASSETS), await draw(drawing, size));
  }
  // One picture in an ICO: a header of 6 bytes, an entry of 16, then the PNG itself.
  const png = await draw("icon", 48);
  const head = Buffer.alloc(22);
  head.writeUInt16LE(1, 2);
  head.writeUInt16LE(1, 4);
  head.set([48, 48, 0, 0, 1, 0, 32, 0], 6);
  head.writeUInt32LE(png.length, 14);
  head.writeUInt32LE(head.length, 18);
  writeFileSync(new URL("favicon.ico", ASSETS), Buffer.concat([head, png]));
} finally {
  await browser.close();
}
