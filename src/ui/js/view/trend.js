// @ts-check
// The trend of one measurement, drawn by uPlot on a canvas, with the same readings as a table for those who cannot
// see a canvas. New readings are added as they come; the library is loaded when the first chart is opened.
import { html, useEffect, useMemo, useRef, useState } from '../lib/html.js';
import { now, onTick } from '../lib/clock.js';
import { dateTime, humanUnit, number, shortTime } from '../lib/format.js';
import { t } from '../lib/i18n.js';
import { columns, curvesOf, loadAll } from '../lib/series.js';
import { leading, shortLabel, span } from '../lib/vitals.js';
/** @typedef {import('../types.js').Vital} Vital */
/** @typedef {import('../lib/series.js').Points} Points */

const HEIGHT = 132;
const ROWS = 12;

/** @param {string} name */
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** @param {string} code @param {number} width @param {{ current: number }} hours */
function options(code, width, hours) {
  const usual = span(curvesOf(code)[0]);
  const low = span(curvesOf(code).at(-1) ?? code)?.[0] ?? usual?.[0];
  const axis = { stroke: token('--muted'), font: `12px ${token('--font')}`, grid: { stroke: token('--line'), width: 1 }, ticks: { show: false } };
  return {
    width, height: HEIGHT, padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: 'patient' }, drag: { x: false, y: false }, points: { size: 6 } },
    scales: {
      x: { time: true, range: () => [now() / 1000 - hours.current * 3600, now() / 1000] },
      y: { range: (/** @type {unknown} */ _, /** @type {number} */ min, /** @type {number} */ max) => [Math.min(min ?? low ?? 0, low ?? min) - 1, Math.max(max ?? usual?.[1] ?? 1, usual?.[1] ?? max) + 1] },
    },
    axes: [
      { ...axis, size: 24, space: 70, values: (/** @type {unknown} */ _, /** @type {number[]} */ at) => at.map((s) => shortTime(s * 1000)) },
      { ...axis, size: 40, space: 26, values: (/** @type {unknown} */ _, /** @type {number[]} */ at) => at.map((v) => number(String(v))) },
    ],
    series: [{}, ...curvesOf(code).map((_, i) => ({ stroke: token(i ? '--curve-2' : '--curve'), width: 2, spanGaps: false, points: { size: 4 } }))],
  };
}

/** The readings fetched once for this stretch of time, and what has come live since. @param {Vital} vital @param {string} patient @param {number} hours */
function useSeries(vital, patient, hours) {
  const [curves, setCurves] = useState(/** @type {Points[] | null} */ (null));
  const [failed, setFailed] = useState(false);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    setFailed(false);
    setCurves(null);
    loadAll(patient, vital.code, hours, stop.signal).then(setCurves, () => stop.signal.aborted || setFailed(true));
    return () => stop.abort();
  }, [patient, vital.code, hours, attempt]);
  useEffect(() => {
    const sides = vital.value.split('/').map(leading);
    setCurves((old) => old && old.map((points, i) => {
      const v = sides[i] ?? Number.NaN;
      return Number.isNaN(v) || vital.ms <= (points.at(-1)?.[0] ?? 0) ? points : [...points, [vital.ms, v]];
    }));
  }, [vital, curves === null]);
  return { curves, failed, again: () => setAttempt((n) => n + 1) };
}

/** @param {{ curves: Points[], code: string, hours: number }} props */
function Chart({ curves, code, hours }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const plot = useRef(/** @type {import('../../vendor/uplot.mjs').default | null} */ (null));
  const length = useRef(hours);
  const data = useMemo(() => columns(curves, now() - hours * 3600_000), [curves, hours]);
  const latest = useRef(data);
  length.current = hours;
  latest.current = data;

  useEffect(() => {
    let gone = false;
    const build = async () => {
      const { default: UPlot } = await import('../../vendor/uplot.mjs');
      if (gone || !box.current) return;
      plot.current?.destroy();
      plot.current = new UPlot(options(code, box.current.clientWidth, length), latest.current, box.current);
    };
    const resize = new ResizeObserver(() => box.current && plot.current?.setSize({ width: box.current.clientWidth, height: HEIGHT }));
    if (box.current) resize.observe(box.current);
    // Without new readings the window moves on all the same: a curve that ends before the right edge shows silence.
    const stopTicks = onTick((_, slow) => void (slow && plot.current?.setData(latest.current)));
    addEventListener('vigia-theme', build);
    build();
    return () => {
      gone = true;
      stopTicks();
      removeEventListener('vigia-theme', build);
      resize.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [code]);
  useEffect(() => plot.current?.setData(data), [data]);
  return html`<div class="chart" ref=${box} aria-hidden="true"></div>`;
}

/** @param {{ vital: Vital, patient: string, hours: number }} props */
export function Trend({ vital, patient, hours }) {
  const { curves, failed, again } = useSeries(vital, patient, hours);
  if (failed) return html`<p class="quiet" role="status">${t('panel.failed')} <button type="button" class="link" onClick=${again}>${t('panel.again')}</button></p>`;
  if (!curves) return html`<p class="quiet chart">${t('panel.loading')}</p>`;
  if (!curves.some((points) => points.length)) return html`<p class="quiet">${t('panel.nopoints')}</p>`;
  const codes = curvesOf(vital.code);
  const times = [...new Set(curves.flatMap((points) => points.slice(-ROWS).map((p) => p[0])))].sort((a, b) => b - a).slice(0, ROWS);
  const at = curves.map((points) => new Map(points.slice(-ROWS)));
  return html`<${Chart} curves=${curves} code=${vital.code} hours=${hours} />
    <details class="readings"><summary>${t('panel.table')}</summary>
      <table>
        <thead><tr><th scope="col">${t('panel.time')}</th>${codes.map((c) => html`<th scope="col" key=${c}>${shortLabel(c)} <small>${humanUnit(vital.unit, c)}</small></th>`)}</tr></thead>
        <tbody>${times.map((ms) => html`<tr key=${ms}><th scope="row">${dateTime(ms)}</th>${at.map((points, i) => html`<td key=${i}>${points.has(ms) ? number(String(points.get(ms))) : '–'}</td>`)}</tr>`)}</tbody>
      </table>
    </details>`;
}
