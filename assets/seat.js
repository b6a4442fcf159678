/**
 * A seat in a room kept across a reload, in this tab alone (`sessionStorage`).
 *
 * @import { Line } from "./state.js"
 * @typedef {{roomName: string, resume: string, sessionId: string, username: string, elders: string[],
 *   camera: boolean, mic: boolean, hand: boolean, chat: Line[]}} Seat
 */

const KEY = "turnstone.seat";
/** The server keeps a seat this long after the socket broke, ms; a tab restored tomorrow stands before the door. */
const KEPT_FOR = 60_000;
/** Lines of chat kept: a screenful to go on from, well below what a tab may store. */
const LINES = 200;

/** @param {Seat} seat */
export function remember(seat) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ ...seat, chat: seat.chat.slice(-LINES), at: Date.now() }));
  } catch { /* a browser that keeps nothing: a reload then stands before the door */ }
}

/** @param {string} roomName @returns {Seat | null} */
export function recall(roomName) {
  try {
    const seat = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    if (!seat || seat.roomName !== roomName || !(Date.now() - seat.at < KEPT_FOR)) return null;
    return seat;
  } catch {
    return null;
  }
}

export function forgetSeat() {
  try {
    sessionStorage.removeItem(KEY);
  } catch { /* nothing was kept */ }
}
