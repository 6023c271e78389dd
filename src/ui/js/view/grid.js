// @ts-check
// The board of tiles: who is shown, arrow keys, focus that survives a reordering.
import { html, useCallback, useEffect, useLayoutEffect, useRef, useState } from '../lib/html.js';
import { fold } from '../lib/format.js';
import { t } from '../lib/i18n.js';
import { patient } from '../lib/store.js';
import { Tile } from './tile.js';

/** @param {string[]} order @param {{ text: string, alerts: boolean }} filter */
export function matching(order, filter) {
  const words = fold(filter.text).split(/\s+/).filter(Boolean);
  if (!words.length && !filter.alerts) return order;
  return order.filter((id) => {
    const p = patient(id);
    if (!p || (filter.alerts && !p.alerts.length)) return false;
    const hay = fold(`${p.bed} ${p.name} ${p.identifier}`);
    return words.every((w) => hay.includes(w));
  });
}

const FIRST = 60;

/** How many tiles to draw: a screenful at once, the rest in steps, so that a big ward is readable early. @param {number} total */
function useSteps(total) {
  const [limit, setLimit] = useState(FIRST);
  useEffect(() => {
    if (!total || limit >= total) return;
    const next = setTimeout(() => setLimit(limit + FIRST));
    return () => clearTimeout(next);
  }, [limit, total]);
  return limit;
}

const button = (/** @type {Element | null | undefined} */ tile) => /** @type {HTMLElement | null} */ (tile?.querySelector('.tile-open') ?? null);

/** @param {{ ids: string[], total: number, open: string, onOpen: (id: string) => void }} props */
export function Grid({ ids, total, open, onOpen }) {
  const root = useRef(/** @type {HTMLElement | null} */ (null));
  const [current, setCurrent] = useState('');
  const focused = useRef('');
  const limit = useSteps(ids.length);
  const entry = ids.includes(current) ? current : ids[0];

  // A tile that rises to the top is moved in the page, and a moved element loses the focus: give it back.
  useLayoutEffect(() => {
    if (!focused.current || document.activeElement !== document.body) return;
    button(root.current?.querySelector(`[data-id="${CSS.escape(focused.current)}"]`))?.focus({ preventScroll: true });
  }, [ids]);

  const onKeyDown = useCallback((/** @type {KeyboardEvent} */ event) => {
    const tiles = [...(root.current?.children ?? [])];
    const at = tiles.findIndex((tile) => tile.contains(document.activeElement));
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const top = tiles[0].getBoundingClientRect().top;
    const wrap = tiles.findIndex((tile) => tile.getBoundingClientRect().top > top + 4);
    const columns = wrap < 0 ? tiles.length : wrap;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + columns, ArrowUp: at - columns, Home: 0, End: tiles.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    button(tiles[to])?.focus();
  }, []);

  const onFocusIn = useCallback((/** @type {FocusEvent} */ event) => {
    const id = /** @type {Element} */ (event.target).closest('.tile')?.getAttribute('data-id') ?? '';
    focused.current = id;
    setCurrent(id);
  }, []);
  const onFocusOut = useCallback((/** @type {FocusEvent} */ event) => {
    if (event.relatedTarget) focused.current = '';
  }, []);

  const crowd = total <= 4 ? 'few' : total <= 9 ? 'some' : total <= 20 ? 'many' : 'crowd';
  return html`<section class="grid" ref=${root} data-crowd=${crowd} data-testid="ward" aria-label=${t('app.title')}
    onKeyDown=${onKeyDown} onFocusIn=${onFocusIn} onFocusOut=${onFocusOut}>
    ${ids.slice(0, limit).map((id) => html`<${Tile} key=${id} id=${id} current=${id === entry} selected=${id === open} onOpen=${onOpen} />`)}
  </section>`;
}
