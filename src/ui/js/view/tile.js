// @ts-check
// One patient on the ward board.
import { html, memo, useEffect, useRef, useState } from '../lib/html.js';
import { now, onTick } from '../lib/clock.js';
import { patientAge } from '../lib/format.js';
import { has, t } from '../lib/i18n.js';
import { worst } from '../lib/severity.js';
import { useSeen } from '../lib/seen.js';
import { usePatient } from '../lib/store.js';
import { extras, inSlot, isStale, SLOTS } from '../lib/vitals.js';
import { AlertRow } from './alert.js';
import { warning } from './icons.js';
import { VitalCell } from './vital.js';
/** @typedef {import('../types.js').Patient} Patient */

const SHOWN = 2;

/** "MRN-0001 · 76 y · female": a name alone does not identify anybody. @param {Patient} p */
export function identity(p) {
  const sex = has(`gender.${p.gender}`) ? t(`gender.${p.gender}`) : '';
  return [p.identifier, patientAge(p.birthDate, now()), sex].filter(Boolean).join(' · ');
}

/** True when nothing of this patient is fresh; looked at once a second, because silence sends no event. @param {Patient | undefined} patient */
function useSilent(patient) {
  const [silent, setSilent] = useState(false);
  const latest = useRef(patient);
  latest.current = patient;
  useEffect(() => {
    const look = (/** @type {number} */ time) => setSilent(!Object.values(latest.current?.vitals ?? {}).some((v) => !isStale(v, time)));
    look(now());
    return onTick(look);
  }, []);
  return silent;
}

/** @param {{ patient: Patient, silent: boolean }} props */
function Alerts({ patient, silent }) {
  const { alerts, vitals } = patient;
  const calm = Object.keys(vitals).length === 0 ? 'alert.nodata' : silent ? 'alert.silent' : 'alert.none';
  return html`<ul class="alerts">
    ${alerts.slice(0, SHOWN).map((alert) => html`<${AlertRow} key=${alert.id} alert=${alert} />`)}
    ${alerts.length > SHOWN && html`<li class="alert-more" key="more">${t('alert.more', { v: alerts.length - SHOWN })}</li>`}
    ${(!alerts.length || silent) && html`<li class="calm" key="calm" data-silent=${calm === 'alert.none' ? null : ''}>${calm !== 'alert.none' && warning()}${t(calm)}</li>`}
  </ul>`;
}

/** @typedef {{ id: string, current: boolean, selected: boolean, onOpen: (id: string) => void }} Props */

export const Tile = memo((/** @type {Props} */ { id, current, selected, onOpen }) => {
  const root = useRef(/** @type {Element | null} */ (null));
  const seen = useSeen(root);
  const patient = usePatient(id, seen);
  const silent = useSilent(patient);
  if (!patient) return null;
  const { vitals } = patient;
  const more = extras(vitals);
  return html`<article class="tile" ref=${root} data-id=${id} data-level=${worst(patient.alerts)} data-selected=${selected ? '' : null} data-testid=${`tile-${id}`} aria-labelledby=${`name-${id}`}>
    <header class="tile-head">
      <span class="bed">${patient.bed || t('bed.none')}</span>
      <h2 class="who" id=${`name-${id}`}>
        <button type="button" class="tile-open" tabindex=${current ? 0 : -1} aria-expanded=${String(selected)} onClick=${() => onOpen(id)}>${patient.name || t('patient.unnamed')}</button>
      </h2>
      <span class="identity">${identity(patient)}</span>
      <span class="tile-lost">${warning()}${t('lost.tile')}</span>
    </header>
    <${Alerts} patient=${patient} silent=${silent} />
    <div class="vitals">
      ${SLOTS.map((slot) => {
        const vital = inSlot(vitals, slot);
        return html`<${VitalCell} key=${slot.key} vital=${vital} code=${vital?.code ?? slot.codes[0]} size=${slot.size} patient=${id} seen=${seen} />`;
      })}
      ${more.length > 0 && html`<${VitalCell} key="extra" vital=${more[0]} code=${more[0].code} size="m" patient=${id} seen=${seen} />`}
      ${more.length > 1 && html`<span class="vital-more">+${more.length - 1}</span>`}
    </div>
  </article>`;
});
