// @ts-check
// How bad it is. What this page does not know it treats as the worst: an unknown word must never look calm.
import { has, t } from './i18n.js';
import { humanUnit, number } from './format.js';
/** @typedef {import('../types.js').Alert} Alert */

const RANKS = /** @type {Record<string, number>} */ ({ high: 3, moderate: 2, low: 1 });
const LEVELS = ['none', 'low', 'moderate', 'high'];

/** @param {Alert} alert */
export const rank = (alert) => RANKS[alert.severity] ?? 3;

/** @param {Alert} alert */
export const level = (alert) => LEVELS[rank(alert)];

/** @param {Alert[]} alerts */
export const worst = (alerts) => LEVELS[alerts.reduce((most, a) => Math.max(most, rank(a)), 0)];

/** @param {Alert} alert */
export const technical = (alert) => alert.type === 'technical';

/** @param {Alert} alert */
export const severityWord = (alert) =>
  has(`severity.${alert.severity}`) ? t(`severity.${alert.severity}`) : t('severity.unknown');

/** More severe first, clinical before technical, newer first. @param {Alert} a @param {Alert} b */
export const byUrgency = (a, b) =>
  rank(b) - rank(a) || Number(technical(a)) - Number(technical(b)) || (a.since < b.since ? 1 : a.since > b.since ? -1 : 0);

const LIMIT = /^(\S+) (-?[\d.]+)(?: (\S+))? ([<>≤≥]=?) (-?[\d.]+)(?: (\S+))?$/;

/** "HR 134 /min > 130 /min" in the reader's words; any other text stays as the server wrote it. @param {Alert} alert */
export function alertText(alert) {
  const hit = LIMIT.exec(alert.text ?? '');
  if (!hit || !has(`short.${hit[1]}`)) return alert.text || alert.code || t('alert.untold');
  const [, label, value, unit, op, limit] = hit;
  const sign = /** @type {Record<string, string>} */ ({ '<=': '≤', '>=': '≥' })[op] ?? op;
  return `${t(`short.${label}`)} ${number(value)} ${sign} ${number(limit)} ${humanUnit(unit, t(`code.${label}`))}`.trim();
}

const INTERPS = ['', 'L', 'LL', 'H', 'HH'];

/** What an interpretation looks like and says; an unknown one is abnormal. @param {string} interp */
export function interpretation(interp) {
  if (!interp || interp === 'N') return { level: 'none', word: '' };
  const known = INTERPS.includes(interp);
  return { level: known && interp.length === 1 ? 'moderate' : 'high', word: t(`interp.${known ? interp : 'other'}`) };
}
