// @ts-check
// The gateway page as a whole.
import { html, useEffect, useState } from '../../lib/html.js';
import { onLanguage, t } from '../../lib/i18n.js';
import { LanguageSwitch, ThemeSwitch } from '../../view/switches.js';
import { wipe } from '../buffer.js';
import { force } from '../forward.js';
import { choose, release } from '../sensors.js';
import { state, useBridge } from '../state.js';
import { Claim } from './claim.js';
import { alert, bluetooth as bluetoothMark, mark } from './icons.js';
import { Rejected } from './rejected.js';
import { MissedCard, SensorCard } from './sensor.js';
import { Status } from './status.js';

/** Why there is nothing to connect with, in words. @param {{ why: string }} props */
const NoBluetooth = ({ why }) => html`<section class="card" role="status" data-testid="no-bluetooth">
  <h2 class="with-mark">${alert()}${t(`bridge.bt.${why}`)}</h2><p>${t(`bridge.bt.${why}Hint`)}</p>
</section>`;

function Sensors() {
  const { sensors, missed, bluetooth, me, problem } = useBridge();
  const may = me && (bluetooth === 'yes' || bluetooth === 'off'); // some systems say "off" and can
  const press = (/** @type {{ all?: boolean }} */ how) => () => {
    if (may) choose(how);
    else if (!me) document.getElementById('code')?.focus();
  };
  return html`<section aria-labelledby="sensors-title">
    <h2 id="sensors-title" class=${sensors.length + missed.length ? 'hide' : ''}>${sensors.length + missed.length ? t('bridge.sensors') : t('bridge.none')}</h2>
    ${!sensors.length && !missed.length && html`<p class="soft none-hint">${t('bridge.noneHint')}</p>`}
    <ul class="sensors">
      ${missed.map((name) => html`<${MissedCard} key=${`missed ${name}`} name=${name} />`)}
      ${sensors.map((sensor) => html`<${SensorCard} key=${sensor.device.id} sensor=${sensor} />`)}
    </ul>
    <div class="connect">
      <button type="button" class="primary" aria-disabled=${String(!may)} onClick=${press({})} data-testid="connect">${bluetoothMark()}${t('bridge.connect')}</button>
      <button type="button" class="link" aria-disabled=${String(!may)} onClick=${press({ all: true })} data-testid="connect-all">${t('bridge.connectAll')}</button>
      <p class="claim-problem" role="alert">${problem && html`${alert()}<span>${t(problem)}</span>`}</p>
    </div>
  </section>`;
}

async function forget() {
  const n = state.waiting + state.stranded + state.unsaved;
  if (!confirm(n ? t('bridge.forgetConfirm', { n }) : t('bridge.forgetConfirm0'))) return;
  for (const sensor of [...state.sensors]) release(sensor);
  await wipe();
  force();
}

function About() {
  const { me } = useBridge();
  return html`<footer class="about">
    <p>${t('bridge.keepOpen')}</p>
    ${me && html`<p><span data-testid="registered">${t('bridge.registered', { v: me.device })}</span> <button type="button" class="link" onClick=${forget} data-testid="forget">${t('bridge.forget')}</button></p>`}
  </footer>`;
}

function Page() {
  const { ready, bluetooth } = useBridge();
  useEffect(() => void (document.title = `${t('bridge.title')} · Vigía`), []);
  return html`<a class="skip" href="#sensors-title">${t('bridge.skip')}</a>
    <header class="bar-top"><p class="brand">${mark()}<span class="hide">Vigía</span></p><h1>${t('bridge.title')}</h1><${ThemeSwitch} /><${LanguageSwitch} /></header>
    ${ready && html`<main id="bridge-main" tabindex="-1">
      <${Status} /><${Claim} />
      ${bluetooth !== 'yes' && html`<${NoBluetooth} why=${bluetooth} />`}
      <${Sensors} /><${Rejected} /><${About} />
    </main>`}`;
}

/** @param {{ broken?: boolean }} props */
export function App({ broken = false }) {
  const [turn, setTurn] = useState(0);
  useEffect(() => onLanguage(() => setTurn((n) => n + 1)), []);
  if (broken) return html`<main><p class="warn loud" role="alert" data-testid="no-storage">${alert()}<span>${t('bridge.noStorage')}</span></p></main>`;
  return html`<${Page} key=${turn} />`;
}
