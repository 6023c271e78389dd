// @ts-check
// The board of tiles: who is shown, arrow keys, focus that survives a reordering, curves only where they can be seen.
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

/** Which tiles are on the screen, or nearly. @param {{ current: HTMLElement | null }} root @param {unknown} ids */
function useSeen(root, ids) {
  const [seen, setSeen] = useState(/** @type {ReadonlySet<string>} */ (new Set()));
  useEffect(() => {
    const watcher = new IntersectionObserver((found) => setSeen((old) => {
      const next = new Set(old);
      for (const { target, isIntersecting } of found) {
        const id = /** @type {HTMLElement} */ (target).dataset.id ?? '';
        if (isIntersecting) next.add(id);
        else next.delete(id);
      }
      return next;
    }), { rootMargin: '200px' });
    for (const tile of root.current?.children ?? []) watcher.observe(tile);
    return () => watcher.disconnect();
  }, [ids]);
  return seen;
}

const button = (/** @type {Element | null | undefined} */ tile) => /** @type {HTMLElement | null} */ (tile?.querySelector('.tile-open') ?? null);

/** @param {{ ids: string[], total: number, open: string, onOpen: (id: string) => void }} props */
export function Grid({ ids, total, open, onOpen }) {
  const root = useRef(/** @type {HTMLElement | null} */ (null));
  const [current, setCurrent] = useState('');
  const focused = useRef('');
  const seen = useSeen(root, ids.slice().sort().join());
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
    ${ids.map((id) => html`<${Tile} key=${id} id=${id} seen=${seen.has(id)} current=${id === entry} selected=${id === open} onOpen=${onOpen} />`)}
  </section>`;
}
