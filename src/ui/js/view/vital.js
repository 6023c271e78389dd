// @ts-check
// One measurement in a tile: label, word when out of limits, value, trend, unit, age, curve.
import { html, memo } from '../lib/html.js';
import { humanUnit, measured } from '../lib/format.js';
import { t } from '../lib/i18n.js';
import { interpretation } from '../lib/severity.js';
import { longLabel, shortLabel } from '../lib/vitals.js';
import { Age } from './age.js';
import { arrow } from './icons.js';
import { Spark } from './spark.js';
/** @typedef {import('../types.js').Vital} Vital */

/** @typedef {{ vital?: Vital, code: string, size: string, patient: string, seen: boolean }} Props */

export const VitalCell = memo((/** @type {Props} */ { vital, code, size, patient, seen }) => {
  const testid = `vital-${patient}-${code}`;
  const label = html`<abbr class="label" title=${longLabel(code)}>${shortLabel(code)}</abbr>`;
  if (!vital) {
    return html`<div class="vital" data-size=${size} data-none data-testid=${testid}>
      <div class="vital-head">${label}</div>
      <div class="reading"><span class="value" aria-hidden="true">–</span></div>
      <div class="vital-foot">${t('vital.none')}</div>
    </div>`;
  }
  const out = interpretation(vital.interp);
  const text = measured(vital.value);
  return html`<div class="vital" data-size=${size} data-level=${out.level} data-testid=${testid}>
    <div class="vital-head">${label}${out.word && html`<span class="flag">${out.word}</span>`}</div>
    <div class="reading" data-long=${text.length > 6 ? '' : null}>
      <span class="value">${text}</span>
      ${arrow(vital.trend)}<span class="hide">${t(`trend.${vital.trend}`)}</span>
    </div>
    ${size === 'l' && html`<div class="spark-box">${seen && html`<${Spark} points=${vital.points} code=${code} />`}</div>`}
    <div class="vital-foot"><span class="unit">${humanUnit(vital.unit, code)}</span> <${Age} ms=${vital.ms} staleMs=${vital.staleMs} within=".vital" slow=${!seen} /></div>
  </div>`;
});
