// @ts-check
// What the page shows, in one object; who changes it says so, and the page is drawn again once a frame at most.
import { useEffect, useReducer } from '../lib/html.js';
/** @typedef {import('./sensors.js').Sensor} Sensor */
/** @typedef {import('./buffer.js').Refused} Refused */

/**
 * @typedef {'unclaimed' | 'idle' | 'sending' | 'offline' | 'trouble' | 'refused'} Link
 *   idle: nothing waits; trouble: the server answers, but takes nothing; refused: it does not know this gateway any more
 */

export const state = {
  ready: false,
  /** @type {'yes' | 'off' | 'insecure' | 'none'} */
  bluetooth: 'yes',
  /** @type {{ device: string, clientId: string } | null} */
  me: null,
  code: '',
  /** @type {Link} */
  link: 'idle',
  status: 0,
  retryAt: 0,
  lastSent: 0,
  waiting: 0,
  /** readings of a registration that this browser had before */
  stranded: 0,
  /** readings that could not be written to the browser's storage and are in memory only */
  unsaved: 0,
  quarantined: 0,
  /** how far the clock of this phone is behind the server's, ms */
  behind: 0,
  /** whether the screen is kept on; null: nobody has asked for it @type {boolean | null} */
  awake: null,
  rejected: { count: 0, latest: /** @type {Refused[]} */ ([]) },
  /** @type {Sensor[]} */
  sensors: [],
  /** names of sensors that were connected before the page was loaded again */
  missed: /** @type {string[]} */ ([]),
  /** a message key: why the last attempt to choose a sensor failed */
  problem: '',
};

/** @type {Set<() => void>} */
const watchers = new Set();
let due = false;

/** @param {Partial<typeof state>} [news] */
export function change(news) {
  Object.assign(state, news);
  if (due) return;
  due = true;
  // not requestAnimationFrame: it stands still while the page is hidden
  setTimeout(() => {
    due = false;
    for (const fn of watchers) fn();
  }, 16);
}

export function useBridge() {
  const [, again] = useReducer((/** @type {number} */ n) => n + 1, 0);
  useEffect(() => {
    const fn = () => again(undefined);
    watchers.add(fn);
    return () => void watchers.delete(fn);
  }, []);
  return state;
}
