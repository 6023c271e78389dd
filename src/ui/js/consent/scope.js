// @ts-check
// A scope in words. What is not known by name is told by its FHIR name.
import { has, t } from '../lib/i18n.js';
/** @typedef {import('./ask.js').Offered} Offered */

/** @param {Offered} scope */
export function scopeText({ scope, context, resource_type: type, actions, conditions }) {
  if (context === null) return has(`scope.${scope}`) ? t(`scope.${scope}`) : scope;
  const kind = type ?? '*';
  const what = has(`type.${kind}`) ? t(`type.${kind}`) : kind;
  const letters = actions ?? '';
  const verbs = [/[rs]/.test(letters) && t('can.read'), letters.includes('c') && t('can.create'), letters.includes('u') && t('can.update'), letters.includes('d') && t('can.delete')];
  const only = conditions.length ? ` (${t('consent.only', { v: conditions.join(', ') })})` : '';
  return `${verbs.filter(Boolean).join(', ')}: ${what}${only} – ${t(`whose.${context}`)}`;
}
