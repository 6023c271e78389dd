// @ts-check
// One open alert in one line: how bad (mark and word), what, since when.
import { html } from '../lib/html.js';
import { alertText, level, severityWord, technical } from '../lib/severity.js';
import { t } from '../lib/i18n.js';
import { Age } from './age.js';
import { plug } from './icons.js';
/** @typedef {import('../types.js').Alert} Alert */

const MARKS = /** @type {Record<string, string>} */ ({ high: '!!!', moderate: '!!', low: '!' });

/** The mark of a severity: its number of bars can be told without colour. @param {{ of: string }} props */
export const Mark = ({ of }) => html`<span class="bang" aria-hidden="true">${MARKS[of] ?? ''}</span>`;

/** @param {{ alert: Alert }} props */
export const AlertWords = ({ alert }) => html`
  <${Mark} of=${level(alert)} />
  <span class="hide">${severityWord(alert)}: </span>
  ${technical(alert) && html`<span class="technical">${plug()}${t('alert.technical')}</span>`}
  <span class="alert-text">${alertText(alert)}</span>
  <${Age} ms=${Date.parse(alert.since)} />`;

/** @param {{ alert: Alert, testid?: string }} props */
export const AlertRow = ({ alert, testid = `alert-${alert.id}` }) => html`
  <li class="alert" data-level=${level(alert)} data-type=${alert.type} data-testid=${testid}><${AlertWords} alert=${alert} /></li>`;
