// @ts-check
// The server's time, as far as this page knows it. Ages are counted from it: a bedside PC's clock may be wrong.
// performance.now() carries it between heartbeats; of the last offsets seen the greatest is the truest, because
// a message can only arrive late, never early.

/** @type {number[]} */
const offsets = [];
let offset = Number.NaN;

/**
 * Takes in a time that the server has just sent; answers by how many ms this message was late.
 * @param {string} iso
 */
export function observe(iso) {
  const seen = Date.parse(iso) - performance.now();
  if (Number.isNaN(seen)) return 0;
  offsets.push(seen);
  if (offsets.length > 12) offsets.shift();
  offset = Math.max(...offsets);
  return offset - seen;
}

/** The server's time now, in ms since 1970. */
export function now() {
  return Number.isNaN(offset) ? Date.now() : performance.now() + offset;
}

/** @typedef {(now: number, slow: boolean) => void} Ticker */
/** @type {Set<Ticker>} */
const tickers = new Set();

/**
 * Calls `fn` once a second with the server's time, until the returned function is called; every fifth time is a
 * slow turn, good enough for what is off the screen.
 * @param {Ticker} fn
 */
export function onTick(fn) {
  tickers.add(fn);
  return () => void tickers.delete(fn);
}

let turn = 0;

function tick() {
  const time = now();
  turn = (turn + 1) % 5;
  for (const fn of tickers) fn(time, turn === 0);
}

setInterval(tick, 1000);
document.addEventListener('visibilitychange', () => document.hidden || tick());
