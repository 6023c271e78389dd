// @ts-check
// Drawn marks. All decorative: the word beside them, or the button's label, says the same.
import { html } from '../lib/html.js';

/** @param {string} path @param {string} [cls] */
export const stroke = (path, cls = '') =>
  html`<svg class=${`icon ${cls}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d=${path} /></svg>`;

export const search = () => stroke('M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13ZM15.5 15.5 21 21');
export const sun = () => stroke('M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM12 2v2M12 20v2M2 12h2M20 12h2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M19.1 4.9l-1.4 1.4M6.3 17.7l-1.4 1.4');
export const moon = () => stroke('M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5Z');
export const expand = () => stroke('M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5');
export const shrink = () => stroke('M9 4v5H4M15 4v5h5M9 20v-5H4M15 20v-5h5');
export const exit = () => stroke('M10 4H5v16h5M14 8l4 4-4 4M18 12H9');
export const cross = () => stroke('M6 6l12 12M18 6 6 18');
export const eye = () => stroke('M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12ZM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z');
export const eyeOff = () => stroke('M4 4l16 16M9.9 5.7A9.6 9.6 0 0 1 12 5.5c6 0 9.5 6.5 9.5 6.5a16 16 0 0 1-3 3.7M6 7.5A15.5 15.5 0 0 0 2.5 12S6 18.5 12 18.5a9 9 0 0 0 4-.9M10 10a3 3 0 0 0 4 4');
export const plug = () => stroke('M9 3v5M15 3v5M6 8h12v3a6 6 0 0 1-12 0ZM12 17v4');
export const warning = () => stroke('M12 4 2.5 20h19ZM12 10v5M12 17.5v.5');

const ARROWS = /** @type {Record<string, string>} */ ({ 1: 'M3 13 13 3M6 3h7v7', 0: 'M2 8h12M10 4l4 4-4 4', '-1': 'M3 3l10 10M13 6v7H6' });

/** @param {number} direction */
export const arrow = (direction) =>
  html`<svg class=${direction ? 'arrow' : 'arrow flat'} viewBox="0 0 16 16" aria-hidden="true" focusable="false"><path d=${ARROWS[direction] ?? ARROWS[0]} /></svg>`;

/** The mark of Vigía: a watch light and its two beams over a horizon. */
export const mark = () => html`<svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
  <path class="mark-beam" d="M14 10 3 5v10ZM18 10l11-5v10Z" />
  <path class="mark-tower" d="M13 7h6v6h-6ZM13.5 15h5l2 12h-9Z" />
</svg>`;
