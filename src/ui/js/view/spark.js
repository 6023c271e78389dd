// @ts-check
// The little curve under a value: the recent points on the measurement's usual span, so that noise looks like noise.
import { html, memo } from '../lib/html.js';
import { span } from '../lib/vitals.js';

const W = 100;
const H = 24;

/** @param {[number, number][]} points @param {string} code */
function path(points, code) {
  let [low, high] = span(code) ?? [Infinity, -Infinity];
  for (const [, v] of points) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  const start = points[0][0];
  const dx = W / (points[points.length - 1][0] - start || 1);
  const dy = (H - 2) / (high - low || 1);
  let d = '';
  for (const [ms, v] of points) d += `${d ? 'L' : 'M'}${((ms - start) * dx).toFixed(1)} ${(H - 1 - (v - low) * dy).toFixed(1)}`;
  return d;
}

export const Spark = memo((/** @type {{ points: [number, number][], code: string }} */ { points, code }) =>
  points.length > 1 &&
  html`<svg class="spark" viewBox=${`0 0 ${W} ${H}`} preserveAspectRatio="none" aria-hidden="true" focusable="false">
    <path d=${path(points, code)} />
  </svg>`);
