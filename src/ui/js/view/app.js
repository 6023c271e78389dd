// @ts-check
// The ward page as a whole.
import { html, useCallback, useEffect, useRef, useState } from '../lib/html.js';
import { getJson } from '../lib/api.js';
import { onLanguage, t } from '../lib/i18n.js';
import { patient, useBoard } from '../lib/store.js';
import { AlarmBar } from './alarmbar.js';
import { Announcer } from './announcer.js';
import { LostBanner } from './banner.js';
import { Grid, matching } from './grid.js';
import { Panel } from './panel.js';
import { TopBar } from './topbar.js';
/** @typedef {import('./topbar.js').Filter} Filter */

/** The open patient stands in the address (#id), so that "back" closes the panel on a phone. */
function useOpenPatient() {
  const read = () => decodeURIComponent(location.hash.slice(1));
  const [id, setId] = useState(read);
  useEffect(() => {
    const follow = () => setId(read());
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  const open = useCallback((/** @type {string} */ next) => {
    location.hash = encodeURIComponent(next);
  }, []);
  return /** @type {const} */ ([id, open]);
}

/** What stands under the bar when not everybody is shown: a filter must not hide an alarm without saying so. @param {{ ids: string[], filter: Filter, onClear: () => void }} props */
function FilterNote({ ids, filter, onClear }) {
  const { order, open } = useBoard();
  if (ids.length === order.length) return null;
  const shown = new Set(ids);
  const hidden = open.filter((o) => !shown.has(o.patient.id)).length;
  return html`<div class="filter-note" role="status">
    <span>${ids.length ? t('filter.shown', { v: ids.length, n: order.length }) : t('ward.nomatch', { v: filter.text })}</span>
    ${hidden > 0 && html`<strong>${t('filter.hidden', { n: hidden })}</strong>`}
    <button type="button" class="link" onClick=${onClear}>${t('ward.clear')}</button>
  </div>`;
}

function Ward() {
  const { ready, order } = useBoard();
  const [filter, setFilter] = useState(/** @type {Filter} */ ({ text: '', alerts: false }));
  const [user, setUser] = useState(null);
  const [openId, openPatient] = useOpenPatient();
  const last = useRef('');
  useEffect(() => void getJson('/auth/me').then(setUser, () => {}), []);

  const close = useCallback(() => openPatient(''), []);
  useEffect(() => {
    if (openId) last.current = openId;
    else if (last.current) /** @type {HTMLElement | null} */ (document.querySelector(`[data-id="${CSS.escape(last.current)}"] .tile-open`))?.focus();
  }, [openId]);

  const ids = matching(order, filter);
  const panel = openId && ready;
  return html`<${TopBar} filter=${filter} onFilter=${setFilter} user=${user} />
    <div class="sticky"><${LostBanner} /><${AlarmBar} onOpen=${openPatient} /></div>
    <div class="room" data-panel=${panel ? '' : null}>
      <main id="ward-main" tabindex="-1">
        ${!ready && html`<p class="empty">${t('ward.connecting')}</p>`}
        ${ready && !order.length && html`<div class="empty"><p>${t('ward.empty')}</p><p>${t('ward.emptyHint')}</p></div>`}
        <${FilterNote} ids=${ids} filter=${filter} onClear=${() => setFilter({ text: '', alerts: false })} />
        <${Grid} ids=${ids} total=${order.length} open=${openId} onOpen=${openPatient} />
      </main>
      ${panel && html`<${Panel} key=${openId} id=${openId} known=${patient(openId) !== undefined} onClose=${close} />`}
    </div>
    <${Announcer} />`;
}

export function App() {
  const [turn, setTurn] = useState(0);
  useEffect(() => onLanguage(() => setTurn((n) => n + 1)), []);
  return html`<${Ward} key=${turn} />`;
}
