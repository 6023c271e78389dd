// @ts-check
// Numbers, dates, ages and units as a reader expects them.
import { has, locale, t } from './i18n.js';

/** @type {Map<string, any>} */
const cache = new Map();

/** @template T @param {string} key @param {() => T} make @returns {T} */
function cached(key, make) {
  const full = `${locale()} ${key}`;
  if (!cache.has(full)) cache.set(full, make());
  return cache.get(full);
}

/** A decimal text in the reader's notation, with exactly the digits that were measured. @param {string} text */
export function number(text) {
  if (!/^-?\d{1,15}(\.\d{1,9})?$/.test(text)) return text;
  const digits = text.split('.')[1]?.length ?? 0;
  const format = cached(`n${digits}`, () =>
    new Intl.NumberFormat(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false }));
  return format.format(Number(text));
}

/** "120/80" keeps its slash, each side by its own. @param {string} text */
export const measured = (text) => String(text).split('/').map(number).join('/');

const HUMAN = /** @type {Record<string, string>} */ ({
  'mm[Hg]': 'mmHg', Cel: '°C', '[degF]': '°F', '[in_i]': 'in', '[lb_av]': 'lb', 'kg/m2': 'kg/m²', 'cm[H2O]': 'cmH₂O', 1: '',
});

/** A UCUM unit for human eyes; rates are named by what they count. @param {string} unit @param {string} [code] */
export function humanUnit(unit, code = '') {
  const plain = (unit ?? '').replace(/\{[^}]*\}/g, '');
  if (plain === '/min' && has(`unit.${code}`)) return t(`unit.${code}`);
  return HUMAN[plain] ?? plain;
}

/** "8 s", "12 min", "3 h", "2 d"; below five seconds a word, so that a fresh page does not flicker. @param {number} ms */
export function age(ms) {
  const s = Math.floor(ms / 1000);
  if (s < -30) return t('age.future');
  if (s < 5) return t('age.now');
  if (s < 60) return t('age.s', { v: s });
  if (s < 3600) return t('age.min', { v: Math.floor(s / 60) });
  if (s < 172800) return t('age.h', { v: Math.floor(s / 3600) });
  return t('age.d', { v: Math.floor(s / 86400) });
}

/** @param {number} ms */
export const clockTime = (ms) =>
  cached('clock', () => new Intl.DateTimeFormat(locale(), { hour: '2-digit', minute: '2-digit', second: '2-digit' })).format(ms);

/** @param {number} ms */
export const shortTime = (ms) =>
  cached('short', () => new Intl.DateTimeFormat(locale(), { hour: '2-digit', minute: '2-digit' })).format(ms);

/** @param {number} ms */
export const dateTime = (ms) =>
  cached('date', () => new Intl.DateTimeFormat(locale(), { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit' })).format(ms);

/** A birth date has no time zone: it is read and shown as UTC so that it never slips by a day. @param {string} text */
export function birthDate(text) {
  const ms = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) return text;
  return cached('birth', () => new Intl.DateTimeFormat(locale(), { day: '2-digit', month: '2-digit', year: 'numeric', timeZone: 'UTC' })).format(ms);
}

/** Age at the bedside: years, below two years months, below two months days. @param {string} birth @param {number} now */
export function patientAge(birth, now) {
  const born = Date.parse(birth);
  if (Number.isNaN(born) || born > now) return '';
  const a = new Date(born);
  const b = new Date(now);
  let months = (b.getUTCFullYear() - a.getUTCFullYear()) * 12 + b.getUTCMonth() - a.getUTCMonth();
  if (b.getUTCDate() < a.getUTCDate()) months -= 1;
  if (months >= 24) return t('years', { v: Math.floor(months / 12) });
  if (months >= 2) return t('months', { v: months });
  return t('days', { v: Math.floor((now - born) / 86400000) });
}

/** For the search field: without accents and case. @param {string} text */
export const fold = (text) => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
