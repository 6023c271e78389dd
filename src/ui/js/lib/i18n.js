// @ts-check
// Words by language. No sentence that a user reads stands anywhere but in messages/.
import en from '../../messages/en.js';
import es from '../../messages/es.js';
import { setPref } from './prefs.js';

/** @type {Record<string, Record<string, string>>} */
const catalogues = { en, es };
export const languages = [
  { id: 'es', name: 'Español' },
  { id: 'en', name: 'English' },
];

let lang = document.documentElement.lang === 'es' ? 'es' : 'en';
/** @type {Set<() => void>} */
const watchers = new Set();

export const language = () => lang;

/** The reader's regional variant of the page's language: es-MX writes 37.2 where es-ES writes 37,2. */
export const locale = () => navigator.languages.find((l) => l.slice(0, 2) === lang) ?? lang;

/** @param {string} next */
export function setLanguage(next) {
  if (!(next in catalogues)) return;
  lang = next;
  document.documentElement.lang = next;
  setPref('lang', next);
  for (const fn of watchers) fn();
}

/** Adds the words of a page that has more to say. @param {Record<string, Record<string, string>>} more  by language */
export function learn(more) {
  for (const [id, words] of Object.entries(more)) Object.assign(catalogues[id], words);
}

/** @param {() => void} fn */
export function onLanguage(fn) {
  watchers.add(fn);
  return () => void watchers.delete(fn);
}

/** @param {string} key */
export const has = (key) => key in catalogues[lang];

/**
 * The message, with `{name}` filled in. With a number `n`, `key.one` and `key.other` are tried first.
 * @param {string} key
 * @param {Record<string, string | number>} [args]
 */
export function t(key, args = {}) {
  const words = catalogues[lang];
  let text = words[key];
  if (typeof args.n === 'number') text = words[`${key}.${new Intl.PluralRules(lang).select(args.n)}`] ?? words[`${key}.other`] ?? text;
  return (text ?? key).replace(/\{(\w+)\}/g, (_, name) => String(args[name] ?? ''));
}
