// @ts-check
// The form that makes this browser a gateway: a code typed, or brought by the address that a QR code holds.
import { html, useEffect, useRef, useState } from '../../lib/html.js';
import { t } from '../../lib/i18n.js';
import { force } from '../forward.js';
import { Trouble, claim } from '../identity.js';
import { change, useBridge } from '../state.js';
import { alert } from './icons.js';
/** @typedef {{ key: string, v?: string | number }} Problem */

/** @param {unknown} error @returns {Problem} */
function problemOf(error) {
  if (!(error instanceof Trouble)) return { key: 'bridge.claim.failed', v: '?' };
  if (error.status === 0) return { key: 'bridge.claim.away' };
  if (error.status === 429) return { key: 'bridge.claim.slow' };
  if ([400, 401, 403, 404, 409, 410, 422].includes(error.status)) return { key: 'bridge.claim.wrong' };
  return { key: 'bridge.claim.failed', v: error.status };
}

export function Claim() {
  const { me, code, link, bluetooth } = useBridge();
  const [problem, setProblem] = useState(/** @type {Problem | undefined} */ (undefined));
  const [busy, setBusy] = useState(false);
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => {
    if (input.current && code) input.current.value = code;
  }, [code]);
  if (bluetooth === 'insecure' || (me && !code && link !== 'refused')) return null;

  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const typed = input.current?.value.trim() ?? '';
    if (busy) return;
    if (!typed) {
      input.current?.focus();
      return setProblem({ key: 'bridge.claim.empty' });
    }
    setBusy(true);
    try {
      const registered = await claim(typed);
      change({ me: registered, code: '' });
      force();
    } catch (error) {
      if (!(error instanceof Trouble)) console.error(error);
      setProblem(problemOf(error));
      input.current?.focus();
      input.current?.select();
    } finally {
      setBusy(false);
    }
  };

  return html`<section class="card claim" aria-labelledby="claim-title" data-testid="claim">
    <h2 id="claim-title">${t('bridge.claim.title')}</h2>
    <p class="soft">${t('bridge.claim.why')}${me && ` ${t('bridge.claim.again', { v: me.device })}`}</p>
    <form onSubmit=${submit} novalidate aria-busy=${String(busy)}>
      <label for="code">${t('bridge.claim.label')}</label>
      <div class="claim-row">
        <input id="code" ref=${input} name="code" autocomplete="off" autocapitalize="characters" spellcheck=${false} maxlength="40" required placeholder="ABCD-EFGH"
          aria-invalid=${problem ? 'true' : null} aria-describedby="claim-problem" data-testid="claim-code" />
        <button type="submit" class="primary" aria-disabled=${String(busy)} data-testid="claim-submit">${t(busy ? 'bridge.claim.busy' : 'bridge.claim.submit')}</button>
      </div>
      <p class="claim-problem" id="claim-problem" role="alert" data-testid="claim-problem">${problem && html`${alert()}<span>${t(problem.key, { v: problem.v ?? '' })}</span>`}</p>
    </form>
  </section>`;
}
