// @ts-check
// What a ward tile knows of each measurement: its place, its usual span for the little curve, when it grows old.
import { has, t } from './i18n.js';
/** @typedef {import('../types.js').Vital} Vital */
/** @typedef {import('../types.js').WireVital} WireVital */

/** Fixed places, so that the eye finds heart rate in the same corner of every tile. */
export const SLOTS = [
  { key: 'hr', codes: ['8867-4', '8889-8'], size: 'l' },
  { key: 'spo2', codes: ['59408-5', '2708-6'], size: 'l' },
  { key: 'bp', codes: ['85354-9', '8480-6'], size: 'l' },
  { key: 'rr', codes: ['9279-1'], size: 'm' },
  { key: 'temp', codes: ['8310-5'], size: 'm' },
];

const MIN = 60_000;
const HOUR = 60 * MIN;

/** [low, high] of the curve, and the age at which a spot reading counts as old. */
const KNOWN = /** @type {Record<string, { span: [number, number], old: number }>} */ ({
  '8867-4': { span: [40, 140], old: 10 * MIN },
  '8889-8': { span: [40, 140], old: 10 * MIN },
  '59408-5': { span: [84, 100], old: 10 * MIN },
  '2708-6': { span: [84, 100], old: 10 * MIN },
  '85354-9': { span: [60, 180], old: 4 * HOUR },
  '8480-6': { span: [60, 180], old: 4 * HOUR },
  '8462-4': { span: [40, 110], old: 4 * HOUR },
  '8478-0': { span: [50, 120], old: 4 * HOUR },
  '9279-1': { span: [6, 32], old: 10 * MIN },
  '8310-5': { span: [35, 40], old: 12 * HOUR },
});

/** @param {string} code */
export const span = (code) => KNOWN[code]?.span;
/** @param {string} code */
export const shortLabel = (code) => (has(`short.${code}`) ? t(`short.${code}`) : code);
/** @param {string} code */
export const longLabel = (code) => (has(`long.${code}`) ? t(`long.${code}`) : shortLabel(code));

/** A measurement in one number: the systolic of "120/80"; NaN when there is none. @param {unknown} value */
export const leading = (value) => Number.parseFloat(String(value));

/**
 * Twice the rhythm at which this value has been coming, but never below 20 s nor above the age at which even a
 * reading taken by hand is old.
 * @param {string} code @param {[number, number][]} points @param {number} told seconds, 0 when the server is silent
 */
function staleMs(code, points, told) {
  if (told > 0) return told * 1000;
  const old = KNOWN[code]?.old ?? 6 * HOUR;
  if (points.length < 4) return old;
  const gaps = points.slice(-10).map((p, i, all) => (i ? p[0] - all[i - 1][0] : 0)).slice(1).sort((a, b) => a - b);
  return Math.min(old, Math.max(20_000, 2 * gaps[gaps.length >> 1]));
}

/**
 * The vital after a message: newer replaces older, never the other way round.
 * @param {string} code @param {WireVital} wire @param {Vital} [before]
 * @returns {Vital | undefined} what to keep; `before` itself when the message was older
 */
export function merge(code, wire, before) {
  const ms = Date.parse(wire.time);
  if (before && !wire.recent && ms < before.ms) return before;
  /** @type {[number, number][]} */
  let points;
  if (wire.recent) {
    points = wire.recent.map(([at, v]) => /** @type {[number, number]} */ ([at, leading(v)])).filter((p) => !Number.isNaN(p[1]));
  } else {
    points = before?.points ?? [];
    const value = leading(wire.value);
    if (!Number.isNaN(value) && !(ms <= (points.at(-1)?.[0] ?? 0))) points = [...points.slice(-59), [ms, value]];
  }
  const staleAfter = wire.staleAfter ?? before?.staleAfter ?? 0;
  return {
    code, ms, points, staleAfter, value: String(wire.value ?? ''), unit: wire.unit ?? '', interp: wire.interp ?? '',
    trend: wire.trend ?? 0, staleMs: staleMs(code, points, staleAfter),
  };
}

/** @param {Vital} vital @param {number} now */
export const isStale = (vital, now) => Number.isNaN(vital.ms) || now - vital.ms > vital.staleMs || vital.ms - now > 30_000;

/** The vital that stands in a slot: its first code that is there; codes of the same thing, the newest. @param {Record<string, Vital>} vitals @param {{ key: string, codes: string[] }} slot */
export function inSlot(vitals, slot) {
  const there = slot.codes.map((c) => vitals[c]).filter(Boolean);
  if (slot.key === 'spo2') there.sort((a, b) => b.ms - a.ms);
  return there[0];
}

/** Everything that no slot shows, the abnormal first. @param {Record<string, Vital>} vitals @returns {Vital[]} */
export function extras(vitals) {
  const shown = new Set(SLOTS.map((s) => inSlot(vitals, s)));
  const panel = vitals['85354-9'];
  const part = (/** @type {Vital} */ v) => panel && ['8480-6', '8462-4'].includes(v.code) && v.ms <= panel.ms;
  const twin = (/** @type {Vital} */ v) => SLOTS[1].codes.includes(v.code);
  return Object.values(vitals)
    .filter((v) => !shown.has(v) && !part(v) && !twin(v))
    .sort((a, b) => b.interp.length - a.interp.length || (a.code < b.code ? -1 : 1));
}
