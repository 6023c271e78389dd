// @ts-check
// From a notification to an item of the buffer: when it came, by which clock, under which id.
import * as buffer from './buffer.js';
import { nudge } from './forward.js';
import { whoami } from './identity.js';
import { change } from './state.js';
/** @typedef {import('./buffer.js').Item} Item */

/** Clocks that were never set start somewhere before. */
const EARLIEST_STAMP = '2010';
const RETRY = 2000;

/** What could not be written: a full disk, a broken profile. @type {[Item, boolean][]} */
const unsaved = [];

/**
 * @typedef {object} Arrival
 * @property {string} sensor
 * @property {string} char
 * @property {DataView} view
 * @property {string} [stamp]       the device's own time of the measurement
 * @property {number} [clockAhead]  how far its clock is ahead of ours, ms, as local times
 * @property {string} [after]       the payload that this one belongs to
 */

/** @param {Arrival} arrival */
export async function take({ sensor, char, view, stamp, clockAhead, after }) {
  const device = whoami()?.device;
  if (!device) return;
  const hex = [...new Uint8Array(view.buffer, view.byteOffset, view.byteLength)].map((b) => b.toString(16).padStart(2, '0')).join('').toUpperCase();
  const now = Date.now();
  const once = after !== undefined || (stamp !== undefined && stamp >= EARLIEST_STAMP);
  const item = {
    id: once ? await derivedId([sensor, char, hex, after ?? '']) : crypto.randomUUID(),
    device, sensor, char, hex,
    receivedAt: zoned(now, char === '2A18' && stamp ? Date.parse(stamp) : now),
    ...(clockAhead === undefined ? {} : { deviceClock: local(now + clockAhead, now) }),
  };
  await store(item, once);
}

/** @param {Item} item @param {boolean} once */
async function store(item, once) {
  try {
    await buffer.add(item, once);
    nudge();
  } catch (error) {
    console.error(error);
    unsaved.push([item, once]);
    change({ unsaved: unsaved.length });
    if (unsaved.length === 1) setTimeout(again, RETRY);
  }
}

async function again() {
  const all = unsaved.splice(0);
  for (const [item, once] of all) await store(item, once);
  change({ unsaved: unsaved.length });
}

/** The same record read out of a sensor's memory twice has the same id: a UUID (version 8) of its content. @param {string[]} parts */
async function derivedId(parts) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(JSON.stringify(parts)))).slice(0, 16);
  digest[6] = (digest[6] & 0x0f) | 0x80;
  digest[8] = (digest[8] & 0x3f) | 0x80;
  const hex = [...digest].map((b) => b.toString(16).padStart(2, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/**
 * An instant with the offset of our zone. The server reads a meter's records as times in that zone, so for these it is
 * the offset that was in force when the record was made: summer or winter.
 * @param {number} ms @param {number} zoneAt
 */
function zoned(ms, zoneAt) {
  const east = -new Date(zoneAt).getTimezoneOffset();
  const two = (/** @type {number} */ n) => String(Math.floor(Math.abs(n))).padStart(2, '0');
  return `${shifted(ms, east).slice(0, 23)}${east < 0 ? '-' : '+'}${two(east / 60)}:${two(east % 60)}`;
}

/** The local time of day, to the second. @param {number} ms @param {number} zoneAt */
const local = (ms, zoneAt) => shifted(ms, -new Date(zoneAt).getTimezoneOffset()).slice(0, 19);

/** @param {number} ms @param {number} east minutes */
const shifted = (ms, east) => new Date(ms + east * 60_000).toISOString();
