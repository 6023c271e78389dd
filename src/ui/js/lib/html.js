// @ts-check
// The one place that names the view library; everything else imports from here.
import { h, render } from '../../vendor/preact.mjs';
import htm from '../../vendor/htm.mjs';

export { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from '../../vendor/hooks.mjs';
export { render };
export const html = htm.bind(h);

/**
 * A component that is drawn again only when one of its properties is another object than before.
 * @template P
 * @param {(props: P) => any} draw
 */
export function memo(draw) {
  /** @param {P} props @this {any} */
  return function Memo(props) {
    this.shouldComponentUpdate = different;
    return h(draw, props);
  };
}

/** @this {{ props: Record<string, unknown> }} @param {Record<string, unknown>} next */
function different(next) {
  for (const key in next) if (next[key] !== this.props[key]) return true;
  for (const key in this.props) if (!(key in next)) return true;
  return false;
}
