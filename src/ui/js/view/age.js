// @ts-check
// An age that ticks. The text is written straight into the element, once a second for all of them together: two
// thousand ages are no reason to draw five hundred tiles again.
import { html, useLayoutEffect, useRef } from '../lib/html.js';
import { now, onTick } from '../lib/clock.js';
import { age } from '../lib/format.js';
import { t } from '../lib/i18n.js';

/** @typedef {{ node: HTMLElement, ms: number, staleMs: number, host: Element | null, slow: boolean }} Entry */
/** @type {Map<HTMLElement, Entry>} */
const entries = new Map();

/** @param {Entry} entry @param {number} time */
function write({ node, ms, staleMs, host }, time) {
  const passed = time - ms;
  const stale = !(passed <= staleMs && passed > -30_000);
  const text = Number.isNaN(ms) ? t('age.future') : age(passed);
  const full = stale ? t('stale', { v: text }) : text;
  if (node.textContent !== full) node.textContent = full;
  if (host && host.hasAttribute('data-stale') !== stale) host.toggleAttribute('data-stale', stale);
}

onTick((time, slowTurn) => {
  for (const entry of entries.values()) if (slowTurn || !entry.slow) write(entry, time);
});

/**
 * @param {{ ms: number, staleMs?: number, within?: string, slow?: boolean }} props
 *   within: selector of the element around that is to carry data-stale; slow: off the screen, every fifth second will do
 */
export function Age({ ms, staleMs = Infinity, within, slow = false }) {
  const ref = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(() => {
    const node = ref.current;
    if (!node) return;
    const entry = { node, ms, staleMs, host: within ? node.closest(within) : null, slow };
    entries.set(node, entry);
    write(entry, now());
  });
  useLayoutEffect(() => {
    const node = ref.current;
    return () => void (node && entries.delete(node));
  }, []);
  return html`<span class="age" ref=${ref}></span>`;
}
