// @ts-check
// The page's head: which ward, is it live, what time is it at the server, find, filter, and the user's few choices.
import { html, useEffect, useRef, useState } from '../lib/html.js';
import { logout } from '../lib/api.js';
import { now, onTick } from '../lib/clock.js';
import { clockTime } from '../lib/format.js';
import { t } from '../lib/i18n.js';
import { useBoard, useLink } from '../lib/store.js';
import { exit, expand, mark, search, shrink } from './icons.js';
import { LanguageSwitch, ThemeSwitch } from './switches.js';

/** The server's clock; it stands still in nobody's favour, so it hides when the stream is lost. */
function LiveClock() {
  const link = useLink();
  const ref = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const show = (/** @type {number} */ time) => void (ref.current && (ref.current.textContent = clockTime(time)));
    show(now());
    return onTick(show);
  }, []);
  return html`<div class="live" data-link=${link}><span class="live-dot" aria-hidden="true"></span>
    <span class="live-word">${t(`link.${link}`)}</span><time class="clock" ref=${ref}></time></div>`;
}

function WallSwitch() {
  const [on, setOn] = useState(false);
  useEffect(() => {
    const follow = () => {
      const full = document.fullscreenElement !== null;
      document.documentElement.toggleAttribute('data-wall', full);
      setOn(full);
    };
    document.addEventListener('fullscreenchange', follow);
    return () => document.removeEventListener('fullscreenchange', follow);
  }, []);
  const label = t(on ? 'wall.off' : 'wall.on');
  const turn = () => void (on ? document.exitFullscreen() : document.documentElement.requestFullscreen()).catch(() => {});
  return html`<button type="button" class="tool wall" aria-label=${label} title=${label} onClick=${turn}>${on ? shrink() : expand()}</button>`;
}

/** @param {{ value: string, onInput: (text: string) => void }} props */
function Search({ value, onInput }) {
  const ref = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => {
    const onKey = (/** @type {KeyboardEvent} */ event) => {
      const typing = /** @type {Element} */ (event.target).closest?.('input, textarea, select');
      if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      ref.current?.focus();
      ref.current?.select();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
  return html`<label class="search">${search()}
    <span class="hide">${t('search.label')}</span>
    <input ref=${ref} type="search" autocomplete="off" spellcheck=${false} enterkeyhint="search" placeholder=${t('search.label')} value=${value} aria-keyshortcuts="/"
      data-testid="search" onInput=${(/** @type {any} */ e) => onInput(e.target.value)} onKeyDown=${(/** @type {KeyboardEvent} */ e) => e.key === 'Escape' && onInput('')} />
    <kbd aria-hidden="true">/</kbd>
  </label>`;
}

/** @typedef {{ text: string, alerts: boolean }} Filter */
/** @param {{ filter: Filter, onFilter: (next: Filter) => void, user: { name: string, username: string } | null }} props */
export function TopBar({ filter, onFilter, user }) {
  const { ward, order, open, ready } = useBoard();
  const [failed, setFailed] = useState(false);
  const ill = new Set(open.map((o) => o.patient.id)).size;
  const segment = (/** @type {boolean} */ alerts, /** @type {string} */ label, /** @type {number} */ n) =>
    html`<button type="button" aria-pressed=${String(filter.alerts === alerts)} onClick=${() => onFilter({ ...filter, alerts })}>${label} <b>${n}</b></button>`;
  return html`<header class="top">
    <a class="skip" href="#ward-main" onClick=${skip}>${t('skip')}</a>
    <div class="brand">${mark()}<span>Vigía</span></div>
    <h1 class="ward-name">${ward || t('ward.unnamed')} ${ready && html`<small>${t('ward.patients', { n: order.length })}</small>`}</h1>
    <${LiveClock} />
    <${Search} value=${filter.text} onInput=${(/** @type {string} */ text) => onFilter({ ...filter, text })} />
    <div class="segments filter" role="group" aria-label=${t('filter.label')}>
      ${segment(false, t('filter.all'), order.length)}${segment(true, t('filter.alerts'), ill)}
    </div>
    <div class="tools">
      <${WallSwitch} /><${ThemeSwitch} /><${LanguageSwitch} />
      ${user && html`<span class="user" title=${user.username}>${user.name || user.username}</span>`}
      <button type="button" class="tool" aria-label=${t('logout')} title=${t('logout')} data-testid="logout" onClick=${() => logout().catch(() => setFailed(true))}>${exit()}</button>
    </div>
    ${failed && html`<p class="top-error" role="alert">${t('logout.failed')}</p>`}
  </header>`;
}

/** Jumps by focus, not by address: the address names the open patient. @param {Event} event */
function skip(event) {
  event.preventDefault();
  /** @type {HTMLElement | null} */ (document.querySelector('.tile-open[tabindex="0"]') ?? document.querySelector('main'))?.focus();
}
