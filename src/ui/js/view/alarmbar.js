// @ts-check
// Open alerts of the whole ward, most urgent first, always on top, whatever the filter below hides.
import { html } from '../lib/html.js';
import { t } from '../lib/i18n.js';
import { level } from '../lib/severity.js';
import { useBoard, useLink } from '../lib/store.js';
import { AlertWords, Mark } from './alert.js';

const SHOWN = 15;

/** @param {{ onOpen: (id: string) => void }} props */
export function AlarmBar({ onOpen }) {
  const { open, ready } = useBoard();
  const link = useLink();
  const counts = ['high', 'moderate', 'low'].map((of) => ({ of, n: open.filter((o) => level(o.alert) === of).length }));
  const top = counts.find((c) => c.n > 0)?.of ?? 'none';
  return html`<section class="bar" data-level=${top} data-testid="alarm-bar" aria-label=${t('bar.label')}>
    <div class="counts">
      ${counts.map(({ of, n }) => {
        const label = t('bar.count', { word: t(`severity.${of}`), v: n });
        return html`<span class="count" key=${of} data-level=${n ? of : 'none'} title=${label}>
          <span class="hide">${label}</span><${Mark} of=${of} /><span aria-hidden="true">${n}</span>
        </span>`;
      })}
    </div>
    ${link !== 'live' && html`<span class="bar-quiet bar-unknown">${t('bar.unknown')}</span>`}
    ${link === 'live' && ready && open.length === 0 && html`<span class="bar-quiet">${t('bar.none')}</span>`}
    ${open.length > 0 && html`<ul class="bar-list">
      ${open.slice(0, SHOWN).map(({ patient, alert }) => html`<li key=${alert.id}>
        <button type="button" class="bar-alert" data-level=${level(alert)} data-type=${alert.type} data-testid=${`bar-alert-${alert.id}`} onClick=${() => onOpen(patient.id)}>
          <span class="bar-bed">${patient.bed || t('bed.none')}</span>
          <span class="bar-name">${patient.name || t('patient.unnamed')}</span>
          <${AlertWords} alert=${alert} />
        </button>
      </li>`)}
      ${open.length > SHOWN && html`<li class="bar-quiet" key="more">${t('bar.more', { v: open.length - SHOWN })}</li>`}
    </ul>`}
  </section>`;
}
