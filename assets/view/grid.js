/**
 * Where each tile goes. Pure: sizes in, rectangles out, all in CSS pixels. Tiles are placed, never moved to another
 * parent, so that no `<video>` is made again when a screen is shared or somebody comes.
 *
 * @typedef {{left: number, top: number, width: number, height: number}} Rect
 */

const GAP = 10;
/** Cameras are shown between these shapes, width by height: beyond them too much would be cropped away. */
const NARROWEST = 3 / 4;
const NARROWEST_LYING = 6 / 5;
const WIDEST = 16 / 9;
/** The same for screens, which are shown whole: about what shapes there are. */
const SCREEN_NARROWEST = 1.2;
const SCREEN_WIDEST = 2.4;

/**
 * @param {object} options
 * @param {number} options.width @param {number} options.height of the stage
 * @param {number} options.others how many other people
 * @param {number} options.screens how many shared screens
 * @returns {{others: Rect[], self: Rect, invite: Rect | null, screens: Rect[], floating: boolean}}
 */
export function arrange({ width, height, others, screens }) {
  const whole = { left: 0, top: 0, width, height };
  const narrowest = width > height ? NARROWEST_LYING : NARROWEST;
  if (screens > 0) {
    const [main, strip] = split(whole);
    const rects = grid(others + 1, strip, narrowest, WIDEST);
    return { others: rects.slice(0, others), self: at(rects, others), invite: null, screens: screens > 1 ? grid(screens, main, SCREEN_NARROWEST, SCREEN_WIDEST) : [main], floating: false };
  }
  if (others === 0) {
    const [self, invite] = grid(2, whole, 0.7, WIDEST);
    return { others: [], self: self ?? whole, invite: invite ?? whole, screens: [], floating: false };
  }
  if (others === 1) {
    const [one] = grid(1, whole, 0.5, 2.2);
    return { others: [one ?? whole], self: corner(one ?? whole), invite: null, screens: [], floating: true };
  }
  const rects = grid(others + 1, whole, narrowest, WIDEST);
  return { others: rects.slice(0, others), self: at(rects, others), invite: null, screens: [], floating: false };
}

/** @param {Rect[]} rects @param {number} index @returns {Rect} */
const at = (rects, index) => rects[index] ?? { left: 0, top: 0, width: 0, height: 0 };

/**
 * The columns that give the largest tiles, and the tiles, centred row by row.
 * @param {number} n @param {Rect} area @param {number} narrowest @param {number} widest @returns {Rect[]}
 */
export function grid(n, area, narrowest, widest) {
  let best = { columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= n; columns += 1) {
    const rows = Math.ceil(n / columns);
    const cell = { width: Math.max(0, (area.width - GAP * (columns - 1)) / columns), height: Math.max(0, (area.height - GAP * (rows - 1)) / rows) };
    const width = Math.min(cell.width, cell.height * widest);
    const height = Math.min(cell.height, cell.width / narrowest);
    if (width * height > best.width * best.height) best = { columns, width, height };
  }
  const { columns } = best;
  const width = Math.floor(best.width);
  const height = Math.floor(best.height);
  const rows = Math.ceil(n / columns);
  const top = area.top + (area.height - rows * height - (rows - 1) * GAP) / 2;
  return Array.from({ length: n }, (_, index) => {
    const row = Math.floor(index / columns);
    const inRow = row === rows - 1 ? n - row * columns : columns;
    const left = area.left + (area.width - inRow * width - (inRow - 1) * GAP) / 2;
    return { left: Math.round(left + (index % columns) * (width + GAP)), top: Math.round(top + row * (height + GAP)), width, height };
  });
}

/** The large part for screens and the strip for people: beside it when there is more width, else below. @param {Rect} area @returns {[Rect, Rect]} */
function split({ left, top, width, height }) {
  if (width > height) {
    const strip = Math.min(300, Math.max(150, width * 0.24));
    return [{ left, top, width: width - strip - GAP, height }, { left: left + width - strip, top, width: strip, height }];
  }
  const strip = Math.max(90, height * 0.3);
  return [{ left, top, width, height: height - strip - GAP }, { left, top: top + height - strip, width, height: strip }];
}

/** Our own picture over the other person's. @param {Rect} over @returns {Rect} */
function corner(over) {
  const upright = over.height > over.width;
  const width = Math.round(upright ? Math.min(110, over.width * 0.3) : Math.min(240, Math.max(120, over.width * 0.22)));
  const height = Math.round(upright ? width * 1.33 : (width * 9) / 16);
  const inset = 12;
  return { left: over.left + over.width - width - inset, top: over.top + over.height - height - inset, width, height };
}
