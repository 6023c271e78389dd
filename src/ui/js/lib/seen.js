// @ts-check
// Which elements are on the screen, or nearly: one observer for all, and each element's own component is told.
import { useEffect, useState } from './html.js';

/** @type {WeakMap<Element, (seen: boolean) => void>} */
const told = new WeakMap();
const observer = new IntersectionObserver(
  (found) => {
    for (const { target, isIntersecting } of found) told.get(target)?.(isIntersecting);
  },
  { rootMargin: '300px' },
);

/** @param {{ current: Element | null }} ref */
export function useSeen(ref) {
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    const node = ref.current;
    if (!node) return;
    told.set(node, setSeen);
    observer.observe(node);
    return () => observer.unobserve(node);
  }, [ref.current]);
  return seen;
}
