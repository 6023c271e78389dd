// @ts-check
// What the app asks for: whose record, which rights; the user takes away what it shall not have, and answers.
import { html, useEffect, useRef, useState } from '../lib/html.js';
import { t } from '../lib/i18n.js';
import { warning } from '../view/icons.js';
import { Encounters, Patients } from './picker.js';
import { scopeText } from './scope.js';

/**
 * @typedef {'none' | 'choose' | { fixed: string }} Choice
 * @typedef {{ scope: string, context: string | null, resource_type: string | null, actions: string | null, conditions: string[] }} Offered
 * @typedef {{ client_name: string, returns_to: string, user: string, scopes: Offered[], patient: Choice, encounter: Choice }} Offer
 */

/** @param {Choice} choice */
const fixed = (choice) => (typeof choice === 'object' ? choice.fixed : undefined);
/** What says something about the login is told, not chosen: without it the app would not start. */
const plain = (/** @type {Offered} */ scope) => scope.context === null && scope.scope !== 'offline_access' && scope.scope !== 'online_access';

/** @param {{ offer: Offer, decide: (init: RequestInit) => Promise<string | undefined> }} props */
export function Ask({ offer, decide }) {
  const [patient, setPatient] = useState(fixed(offer.patient));
  const [encounter, setEncounter] = useState(fixed(offer.encounter));
  const [refused, setRefused] = useState(/** @type {Set<string>} */ (new Set()));
  const [problem, setProblem] = useState(/** @type {string | undefined} */ (undefined));
  const [busy, setBusy] = useState(false);
  const alert = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => void (problem && alert.current?.focus()), [problem]);
  const granted = offer.scopes.filter((scope) => !refused.has(scope.scope));
  const needsPatient = granted.some((scope) => scope.context === 'patient' || scope.scope === 'launch/patient');

  const answer = async (/** @type {RequestInit} */ init) => {
    if (busy) return;
    setBusy(true);
    const wrong = await decide(init);
    if (!wrong) return; // the app's page is loading
    setBusy(false);
    setProblem(wrong);
  };
  const agree = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (needsPatient && !patient) return setProblem('consent.needPatient');
    if (!granted.some((scope) => scope.context !== null)) return setProblem('consent.needScope');
    const scopes = granted.map((scope) => scope.scope);
    return answer({ method: 'POST', body: JSON.stringify({ scopes, patient: patient ?? null, encounter: encounter ?? null }) });
  };
  const toggle = (/** @type {string} */ scope) => {
    const next = new Set(refused);
    if (!next.delete(scope)) next.add(scope);
    setRefused(next);
  };

  return html`<form class="consent" onSubmit=${agree} aria-busy=${String(busy)}>
    <p>${t('consent.who', { user: offer.user, host: offer.returns_to })}</p>
    ${offer.patient === 'choose' && html`<${Patients} chosen=${patient} onChoose=${(/** @type {string} */ id) => { setPatient(id); setEncounter(fixed(offer.encounter)); setProblem(undefined); }} />`}
    ${typeof offer.patient === 'object' && html`<${Patients} only=${offer.patient.fixed} />`}
    ${offer.encounter === 'choose' && patient && html`<${Encounters} patient=${patient} chosen=${encounter} onChoose=${setEncounter} />`}
    <fieldset class="consent-scopes"><legend>${t('consent.may')}</legend>
      ${offer.scopes.filter((scope) => !plain(scope)).map((scope) => html`<label key=${scope.scope}>
        <input type="checkbox" checked=${!refused.has(scope.scope)} onChange=${() => toggle(scope.scope)} data-testid=${`scope-${scope.scope}`} />
        <span>${scopeText(scope)} <code>${scope.scope}</code></span>
      </label>`)}
    </fieldset>
    ${offer.scopes.some((scope) => plain(scope) && scope.scope.startsWith('openid')) && html`<p class="quiet">${t('consent.identity')}</p>`}
    <div class="login-problem" role="alert" tabindex="-1" ref=${alert} data-testid="consent-problem">${problem && html`${warning()}<span>${t(problem)}</span>`}</div>
    <div class="consent-answers">
      <button type="button" class="secondary" data-testid="consent-deny" onClick=${() => answer({ method: 'DELETE' })}>${t('consent.deny')}</button>
      <button type="submit" class="primary" aria-disabled=${String(busy)} data-testid="consent-allow">${t('consent.allow')}</button>
    </div>
  </form>`;
}
