// @ts-check
// Points of one measurement over time, as the chart wants them.
import { getJson } from './api.js';
import { leading } from './vitals.js';
/** @typedef {[number, number][]} Points */

/** Codes whose curves are drawn together: a blood pressure is its two sides. @param {string} code */
export const curvesOf = (code) => (code === '85354-9' ? ['8480-6', '8462-4'] : [code]);

/** @param {string} patient @param {string} code @param {number} hours @param {AbortSignal} signal @returns {Promise<Points>} */
async function load(patient, code, hours, signal) {
  const query = new URLSearchParams({ patient, code, hours: String(hours) });
  const { points } = await getJson(`/live/series?${query}`, signal);
  return points.map((/** @type {[number, unknown]} */ [ms, v]) => [ms, leading(v)]).filter((/** @type {[number, number]} */ p) => !Number.isNaN(p[1]));
}

/** @param {string} patient @param {string} code @param {number} hours @param {AbortSignal} signal */
export const loadAll = (patient, code, hours, signal) =>
  Promise.all(curvesOf(code).map((c) => load(patient, c, hours, signal)));

/**
 * Columns for uPlot: common times in seconds, one value column a curve. A pause longer than five times the usual
 * rhythm becomes a hole: a line across it would claim readings that nobody took.
 * @param {Points[]} curves @param {number} from ms
 */
export function columns(curves, from) {
  const kept = curves.map((points) => points.filter((p) => p[0] >= from));
  const times = new Set(/** @type {number[]} */ ([]));
  for (const points of kept) {
    for (const [ms] of points) times.add(ms);
    const gaps = points.map((p, i) => (i ? p[0] - points[i - 1][0] : 0)).slice(1).sort((a, b) => a - b);
    const wide = Math.max(60_000, 5 * (gaps[gaps.length >> 1] ?? 0));
    points.forEach((p, i) => i && p[0] - points[i - 1][0] > wide && times.add(points[i - 1][0] + 1));
  }
  const axis = [...times].sort((a, b) => a - b);
  const rows = kept.map((points) => {
    const at = new Map(points);
    const holes = new Set(points.filter((p, i) => !points[i + 1] || times.has(p[0] + 1)).map((p) => p[0] + 1));
    // undefined is "no reading of this curve here" (joined over), null is a hole (not joined)
    return axis.map((ms) => at.get(ms) ?? (holes.has(ms) ? null : undefined));
  });
  return [axis.map((ms) => ms / 1000), ...rows];
}
