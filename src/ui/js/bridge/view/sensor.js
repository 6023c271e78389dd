// @ts-check
// One sensor: how it is connected, and its latest readings, the first of them to be read from across the room.
import { html } from '../../lib/html.js';
import { has, locale, t } from '../../lib/i18n.js';
import { humanUnit, measured } from '../../lib/format.js';
import { Age } from '../../view/age.js';
import { choose, release, unmiss } from '../sensors.js';
import { alert, bluetooth, moonRest, plug, turning } from './icons.js';
/** @typedef {import('../sensors.js').Sensor} Sensor */
/** @typedef {import('../sensors.js').Shown} Shown */

const LOW_BATTERY = 20;
/** A worn sensor's value is old after this many of its intervals, and never before this many ms. */
const OLD_AFTER = 3;
const OLD_AT_LEAST = 15_000;
/** What is said in large type; the others stand beside it. */
const FIRST = ['85354-9', 'cuff', '59408-5', '8867-4', '8310-5', '2339-0', '15074-8', '99504-3', '29463-7', '41982-0'];
/** These measure more than one thing: there is room for it before it comes. */
const MANY = ['pressure', 'oximeter', 'scale', 'composition'];
const MARKS = { connecting: turning, connected: bluetooth, lost: turning, asleep: moonRest, foreign: alert };

/** @param {string} code */
const nameOf = (code) => t(has(`long.${code}`) ? `long.${code}` : `short.${code}`);
/** @param {string} code */
const shortOf = (code) => (has(`short.${code}`) ? html`<abbr title=${nameOf(code)}>${t(`short.${code}`)}</abbr>` : nameOf(code));

/** @param {{ shown: Shown, large?: boolean }} props */
function Reading({ shown, large = false }) {
  const stale = shown.every ? Math.max(OLD_AFTER * shown.every, OLD_AT_LEAST) : Infinity;
  return html`<div class=${large ? 'reading large' : 'reading'} data-testid=${`reading-${shown.code}`}>
    <p class="reading-name">${large ? nameOf(shown.code) : shortOf(shown.code)} <${Age} ms=${shown.ms} staleMs=${stale} within=".reading" /></p>
    ${shown.absent
      ? html`<p class="reading-none">${large && html`<span class="reading-value" aria-hidden="true">—</span>`}<span>${t(`bridge.absent.${shown.absent}`)}</span></p>`
      : html`<p class="reading-line"><span class="reading-value" data-long=${shown.value.length > 5 ? '' : null}>${measured(shown.value)}</span> <span class="reading-unit">${humanUnit(shown.unit, shown.code)}</span></p>`}
  </div>`;
}

/** @param {{ level: number }} props */
function Battery({ level }) {
  const low = level <= LOW_BATTERY;
  const text = new Intl.NumberFormat(locale(), { style: 'percent' }).format(level / 100);
  return html`<span class="battery" data-low=${low ? '' : null} data-testid="battery">${low && alert()}${t(low ? 'bridge.batteryLow' : 'bridge.battery', { v: text })}</span>`;
}

/** @param {{ sensor: Sensor }} props */
export function SensorCard({ sensor }) {
  const { link, notes, battery } = sensor;
  const name = sensor.name || t('bridge.unnamed');
  const order = (/** @type {Shown} */ r) => (FIRST.includes(r.code) ? FIRST.indexOf(r.code) : FIRST.length);
  const [first, ...others] = [...sensor.readings.values()].sort((a, b) => order(a) - order(b));
  const many = [...sensor.kinds].some((kind) => MANY.includes(kind.id));
  const kinds = [...sensor.kinds].map((kind) => t(`kind.${kind.id}`)).join(', ');
  return html`<li class="card sensor" data-link=${link} data-testid="sensor">
    <div class="sensor-head">
      <div class="sensor-title"><h3>${name}</h3><p class="soft">${kinds}${' '}</p></div>
      <button type="button" class="tool" aria-label=${t('bridge.releaseNamed', { v: name })} title=${t('bridge.release')} onClick=${() => release(sensor)} data-testid="release">${plug()}</button>
    </div>
    <p class="sensor-state">
      <span class="chip" role="status" data-testid="sensor-link">${MARKS[link]()}<span>${t(`bridge.sensor.${link}`)}</span></span>
      ${link === 'lost' && html`<span class="soft"><${Age} ms=${sensor.since} /></span>`}
      ${battery !== null && html`<${Battery} level=${battery} />`}
    </p>
    ${link === 'foreign' ? html`<p class="soft">${t('bridge.sensor.foreignHint')}</p>` : html`<div class="readings">
      ${first ? html`<${Reading} shown=${first} large />` : html`<div class="reading large"><p class="reading-name">${t('bridge.wait')}</p><p class="reading-line"><span class="reading-value" aria-hidden="true">—</span></p></div>`}
      <div class="others" data-many=${many ? '' : null}>${others.map((shown) => html`<${Reading} key=${shown.code} shown=${shown} />`)}</div>
    </div>`}
    <ul class="notes">${notes.map((note) => html`<li key=${note}>${alert()}<span>${t(`bridge.note.${note}`)}</span></li>`)}</ul>
  </li>`;
}

/** @param {{ name: string }} props */
export function MissedCard({ name }) {
  const shown = name || t('bridge.unnamed');
  return html`<li class="card sensor" data-link="lost" data-testid="missed">
    <h3>${shown}</h3>
    <p class="warn">${alert()}<span>${t('bridge.missed')}</span></p>
    <p class="row">
      <button type="button" class="primary" aria-label=${t('bridge.missedConnectNamed', { v: shown })} onClick=${() => choose(name ? { named: name } : {})}>${t('bridge.missedConnect')}</button>
      <button type="button" class="quiet" aria-label=${t('bridge.missedRemoveNamed', { v: shown })} onClick=${() => unmiss(name)}>${t('bridge.missedRemove')}</button>
    </p>
  </li>`;
}
