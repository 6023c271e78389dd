// @ts-check
// The drawer of one patient: who, open alerts, trends of the last hours, the readings as a table. It stands beside
// the board and under the alarm bar, never over it.
import { html, useEffect, useRef, useState } from '../lib/html.js';
import { birthDate, dateTime, humanUnit, measured } from '../lib/format.js';
import { t } from '../lib/i18n.js';
import { interpretation } from '../lib/severity.js';
import { usePatient } from '../lib/store.js';
import { extras, inSlot, longLabel, SLOTS } from '../lib/vitals.js';
import { Age } from './age.js';
import { AlertRow } from './alert.js';
import { Apps } from './apps.js';
import { cross } from './icons.js';
import { identity } from './tile.js';
import { Trend } from './trend.js';
/** @typedef {import('../types.js').Vital} Vital */

const HOURS = [1, 8, 24];

/** @param {{ vital: Vital, patient: string, hours: number }} props */
function VitalTrend({ vital, patient, hours }) {
  const out = interpretation(vital.interp);
  return html`<section class="trend" data-testid=${`trend-${vital.code}`}>
    <header class="trend-head vital" data-level=${out.level}>
      <h4>${longLabel(vital.code)}</h4>
      ${out.word && html`<span class="flag">${out.word}</span>`}
      <span class="trend-now"><b class="value">${measured(vital.value)}</b> ${humanUnit(vital.unit, vital.code)}</span>
      <${Age} ms=${vital.ms} staleMs=${vital.staleMs} within=".trend-head" />
    </header>
    <${Trend} vital=${vital} patient=${patient} hours=${hours} />
  </section>`;
}

/** @param {{ id: string, known: boolean, onClose: () => void }} props */
export function Panel({ id, onClose }) {
  const patient = usePatient(id);
  const [hours, setHours] = useState(HOURS[0]);
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => heading.current?.focus(), []);
  useEffect(() => {
    const onKey = (/** @type {KeyboardEvent} */ event) => {
      const searching = /** @type {Element} */ (event.target).closest?.('.search');
      if (event.key === 'Escape' && !searching) onClose();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);

  const shut = html`<button type="button" class="tool" aria-label=${t('close')} title=${t('close')} data-testid="panel-close" onClick=${onClose}>${cross()}</button>`;
  if (!patient) {
    return html`<aside class="panel" data-testid="panel"><header class="panel-head"><p ref=${heading} tabindex="-1">${t('patient.gone')}</p>${shut}</header></aside>`;
  }
  const vitals = /** @type {Vital[]} */ ([...SLOTS.map((s) => inSlot(patient.vitals, s)), ...extras(patient.vitals)].filter(Boolean));
  return html`<aside class="panel" aria-labelledby="panel-name" data-testid="panel">
    <header class="panel-head">
      <span class="bed">${patient.bed || t('bed.none')}</span>
      <div class="panel-who">
        <h2 id="panel-name" ref=${heading} tabindex="-1">${patient.name || t('patient.unnamed')}</h2>
        <p>${identity(patient)}${patient.birthDate && ` · ${t('patient.born', { v: birthDate(patient.birthDate) })}`}</p>
      </div>
      ${shut}
    </header>
    <div class="panel-body">
      <h3>${t('panel.alerts')}</h3>
      ${patient.alerts.length === 0
        ? html`<p class="quiet">${t('alert.none')}</p>`
        : html`<ul class="alerts panel-alerts">${patient.alerts.map((alert) => html`<${AlertRow} key=${alert.id} alert=${alert} testid=${`panel-alert-${alert.id}`} />
            <li class="alert-since" key=${`${alert.id} since`}>${t('panel.since', { v: dateTime(Date.parse(alert.since)) })}</li>`)}</ul>`}
      <div class="panel-row"><h3>${t('panel.trends')}</h3>
        <div class="segments" role="group" aria-label=${t('panel.hoursLabel')}>
          ${HOURS.map((h) => html`<button type="button" key=${h} aria-pressed=${String(h === hours)} onClick=${() => setHours(h)}>${t('panel.hours', { v: h })}</button>`)}
        </div>
      </div>
      ${vitals.length === 0 && html`<p class="quiet">${t('alert.nodata')}</p>`}
      ${vitals.map((vital) => html`<${VitalTrend} key=${vital.code} vital=${vital} patient=${id} hours=${hours} />`)}
      <${Apps} patient=${id} />
    </div>
  </aside>`;
}
