// @ts-check
// How the way to the server is, in a place of fixed size: what waits, what went, and what is wrong.
import { html, useEffect, useRef } from '../../lib/html.js';
import { onTick } from '../../lib/clock.js';
import { age } from '../../lib/format.js';
import { t } from '../../lib/i18n.js';
import { Age } from '../../view/age.js';
import { clearStranded } from '../buffer.js';
import { force } from '../forward.js';
import { useBridge } from '../state.js';
import { alert, check, cloud, cloudOff } from './icons.js';

const BACKLOG = 5;
const CLOCK_OFF = 60_000;
const MARKS = /** @type {Record<string, () => any>} */ ({ sent: check, idle: cloud, sending: cloud, offline: cloudOff });

/** Sending a reading a second is no news: only a backlog is. @param {ReturnType<typeof useBridge>} state */
function wordOf({ link, waiting, lastSent }) {
  if (link !== 'idle' && link !== 'sending') return link;
  if (waiting > BACKLOG) return 'sending';
  return lastSent ? 'sent' : 'idle';
}

/** @param {{ at: number }} props */
function Countdown({ at }) {
  const ref = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const write = () => {
      if (ref.current) ref.current.textContent = t('bridge.retry', { v: Math.max(0, Math.ceil((at - Date.now()) / 1000)) });
    };
    write();
    return onTick(write);
  }, [at]);
  return html`<span ref=${ref} class="countdown"></span>`;
}

export function Status() {
  const state = useBridge();
  const { link, status, waiting, lastSent, retryAt, awake } = state;
  const word = wordOf(state);
  const calm = word === 'sent' || word === 'idle' || word === 'sending';
  const hint = calm ? 'bridge.hint.idle' : `bridge.hint.${link}`;
  const answer = status > 0 ? status : '?';
  return html`<section class="way" data-way=${calm ? 'calm' : word} aria-label=${t('bridge.link.label')} data-testid="status">
    <div class="way-head">
      ${(MARKS[word] ?? alert)()}
      <p class="way-word" role="status" data-testid="link" data-link=${word}>${t(`bridge.link.${word}`)}</p>
      ${!calm && link !== 'unclaimed' && html`<button type="button" class="quiet" onClick=${force}>${t('bridge.retryNow')}</button>`}
    </div>
    <p class="way-hint">${t(hint, { v: answer })}${' '}${!calm && retryAt > 0 && html`<${Countdown} at=${retryAt} />`}</p>
    <dl class="facts">
      <div data-some=${waiting > 0 ? '' : null}><dt>${t('bridge.waiting')}</dt><dd data-testid="waiting" data-n=${waiting}>${t('bridge.waiting.n', { n: waiting })}</dd></div>
      <div><dt>${t('bridge.lastSent')}</dt><dd data-testid="last-sent">${lastSent ? html`<${Age} ms=${lastSent} />` : t('bridge.never')}</dd></div>
      <div><dt>${t('bridge.screen')}</dt><dd>${t(awake ? 'bridge.awake' : 'bridge.sleeps')}</dd></div>
    </dl>
    <${Warnings} state=${state} />
    ${awake === false && html`<p class="warn">${alert()}<span>${t('bridge.sleepsHint')}</span></p>`}
  </section>`;
}

/** What is rare, and must be seen. @param {{ state: ReturnType<typeof useBridge> }} props */
function Warnings({ state }) {
  const { unsaved, stranded, quarantined, behind, me } = state;
  return html`
    ${unsaved > 0 && html`<p class="warn loud" role="alert" data-testid="unsaved">${alert()}<span>${t('bridge.unsaved', { n: unsaved })}</span></p>`}
    ${stranded > 0 && me && html`<p class="warn" data-testid="stranded">${alert()}<span>${t('bridge.stranded', { n: stranded })}
      <button type="button" class="link" onClick=${() => clearStranded(me.device)}>${t('bridge.strandedRemove')}</button></span></p>`}
    ${quarantined > 0 && html`<p class="warn" data-testid="quarantined">${alert()}<span>${t('bridge.quarantined', { n: quarantined })}</span></p>`}
    ${Math.abs(behind) > CLOCK_OFF && html`<p class="warn" data-testid="clock">${alert()}<span>${t('bridge.clock', { v: age(Math.abs(behind)) })}</span></p>`}`;
}
