// @ts-check
// What the server's receipts mean for what waits. Only what a receipt names is let go.
import { reasonOf } from './identity.js';
/** @typedef {import('./buffer.js').Waiting} Waiting */
/** @typedef {{ place: string, outcome: string, reason?: unknown }} Receipt */

const STORED = ['created', 'duplicate', 'quarantined'];

/**
 * One payload may give several readings, each with a receipt of its own: it is done when all of them are stored, and
 * refused when one of them is. What no receipt names, or names with a word that is not known, goes on waiting.
 * @param {Waiting[]} items  as they were sent
 * @param {Receipt[]} receipts
 */
export function sort(items, receipts) {
  const verdicts = /** @type {Map<number, Receipt[]>} */ (new Map());
  for (const receipt of receipts) {
    const place = placeOf(receipt.place);
    verdicts.set(place, [...(verdicts.get(place) ?? []), receipt]);
  }
  const done = /** @type {number[]} */ ([]);
  const refused = /** @type {{ item: Waiting, reason: string }[]} */ ([]);
  let [created, quarantined] = [0, 0];
  for (const [place, item] of items.entries()) {
    const about = verdicts.get(place) ?? [];
    const bad = about.filter((r) => r.outcome === 'rejected');
    if (bad.length) refused.push({ item, reason: [...new Set(bad.map((r) => reasonOf(r.reason)))].filter(Boolean).join('; ') });
    else if (about.length && about.every((r) => STORED.includes(r.outcome))) done.push(item.seq);
    if (about.some((r) => r.outcome === 'quarantined')) quarantined += 1;
    else if (about.some((r) => r.outcome === 'created')) created += 1;
  }
  return { done, refused, created, quarantined };
}

/** "[3]" and what may stand around it. @param {string} place */
const placeOf = (place) => Number(/\[(\d+)\]/.exec(place)?.[1] ?? -1);
