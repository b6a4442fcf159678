import assert from "node:assert/strict";
import { test } from "node:test";
import { arrange } from "./typed/view/grid.js";

/** @import { Rect } from "./typed/view/grid.js" */

const STAGES = [[1256, 660], [900, 660], [374, 690], [374, 280], [812, 250], [320, 480], [2500, 1200]];

/** @param {Rect} a @param {Rect} b */
const overlap = (a, b) => a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;

for (const [width = 0, height = 0] of STAGES) {
  test(`on ${width}×${height} every tile of up to 10 people and 3 screens is on the stage and covers no other`, () => {
    for (let others = 0; others <= 9; others += 1) {
      for (let screens = 0; screens <= 3; screens += 1) {
        const places = arrange({ width, height, others, screens });
        assert.equal(places.others.length, others);
        assert.equal(places.screens.length, screens);
        const all = [...places.others, ...places.screens, ...(places.invite ? [places.invite] : []), places.self];
        for (const rect of all) {
          assert.ok(rect.width >= 20 && rect.height >= 20, `${others} others, ${screens} screens: ${JSON.stringify(rect)}`);
          assert.ok(rect.left >= -1 && rect.top >= -1 && rect.left + rect.width <= width + 1 && rect.top + rect.height <= height + 1, JSON.stringify(rect));
        }
        const apart = places.floating ? all.slice(0, -1) : all;
        apart.forEach((one, index) => apart.slice(index + 1).forEach((other) => assert.ok(!overlap(one, other), `${others} others, ${screens} screens`)));
      }
    }
  });
}

test("tiles fill the stage well", () => {
  for (const [width, height] of [[1256, 660], [374, 690]]) {
    for (let others = 1; others <= 9; others += 1) {
      const places = arrange({ width: width ?? 0, height: height ?? 0, others, screens: 0 });
      const tiles = places.floating ? places.others : [...places.others, places.self];
      const used = tiles.reduce((sum, rect) => sum + rect.width * rect.height, 0) / ((width ?? 1) * (height ?? 1));
      assert.ok(used > 0.55, `${others} others on ${width}×${height}: ${used}`);
    }
  }
});

test("a shared screen gets most of the stage", () => {
  const { screens } = arrange({ width: 1256, height: 660, others: 9, screens: 1 });
  const [screen] = screens;
  assert.ok(screen && screen.width * screen.height > 0.6 * 1256 * 660);
});

test("a stage without a size yet breaks nothing", () => {
  for (const rect of arrange({ width: 0, height: 0, others: 3, screens: 1 }).others) assert.ok(Number.isFinite(rect.width) && rect.width >= 0);
});
