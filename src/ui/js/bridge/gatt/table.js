// @ts-check
// Which services and characteristics a sensor may have. Adding a kind is a row here, its form in decode.js, and words.

/**
 * @typedef {object} Kind
 * @property {string} id         names it in the messages: kind.ID
 * @property {number} service
 * @property {number[]} values   what is forwarded
 * @property {number} [control]  record access control point: stored records come only when they are asked for
 */

/** @type {Kind[]} */
export const KINDS = [
  { id: 'heart', service: 0x180d, values: [0x2a37] },
  { id: 'pressure', service: 0x1810, values: [0x2a35, 0x2a36] },
  { id: 'oximeter', service: 0x1822, values: [0x2a5e, 0x2a5f] },
  { id: 'thermometer', service: 0x1809, values: [0x2a1c] },
  { id: 'scale', service: 0x181d, values: [0x2a9d] },
  { id: 'composition', service: 0x181b, values: [0x2a9c] },
  { id: 'glucose', service: 0x1808, values: [0x2a18, 0x2a34], control: 0x2a52 },
  { id: 'cgm', service: 0x181f, values: [0x2aa7] },
];

/** ms between the values of what is worn; everything else is measured now and then */
export const EVERY = /** @type {Record<string, number>} */ ({ '2A37': 1000, '2A5F': 1000, '2AA7': 300_000 });

export const BATTERY = { service: 0x180f, level: 0x2a19 };
export const CLOCK = { service: 0x1805, now: 0x2a2b };

/** "all stored records" in the language of the control point */
export const ALL_RECORDS = new Uint8Array([1, 1]);

/** "00002a37-…" to "2A37". @param {string} uuid */
export const short = (uuid) => uuid.slice(4, 8).toUpperCase();

/** @param {number} number */
export const name = (number) => number.toString(16).toUpperCase().padStart(4, '0');
