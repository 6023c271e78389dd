// @ts-check
// Entry of the page that asks a user what an app may do. The request stands in the fragment, which no log sees.
import { html, render, useEffect, useState } from './lib/html.js';
import { request } from './lib/api.js';
import { learn, t } from './lib/i18n.js';
import en from '../messages/consent/en.js';
import es from '../messages/consent/es.js';
import { Ask } from './consent/ask.js';
import { Card } from './view/card.js';
import { warning } from './view/icons.js';
import { SignIn } from './view/signin.js';
/** @typedef {import('./consent/ask.js').Offer} Offer */

learn({ en, es });
const address = `/auth/authorize/${encodeURIComponent(location.hash.slice(1))}`;

/** @returns {Promise<{ offer?: Offer, problem?: string }>} nothing: nobody is signed in */
async function load() {
  try {
    const reply = await request(address);
    if (reply.ok) return { offer: await reply.json() };
    if (reply.status === 401) return {};
    return { problem: reply.status === 403 ? 'consent.otherUser' : 'consent.over' };
  } catch {
    return { problem: 'login.away' };
  }
}

/** Tells the server; answers with what went wrong, or undefined when the app's page is on its way. @param {RequestInit} init */
async function decide(init) {
  try {
    const reply = await request(address, { ...init, headers: { 'Content-Type': 'application/json' } });
    if (reply.ok) return void location.replace((await reply.json()).location);
    if (reply.status === 401) return 'consent.signedOut';
    return reply.status === 409 ? 'consent.over' : 'consent.failed';
  } catch {
    return 'login.away';
  }
}

function Consent() {
  const [state, setState] = useState(/** @type {{ offer?: Offer, problem?: string } | undefined} */ (undefined));
  const again = () => load().then(setState);
  useEffect(() => void again(), []);
  if (!state) return html`<${Card} title=${() => t('consent.title')}><p class="quiet" role="status">${t('panel.loading')}</p><//>`;
  if (state.problem) {
    return html`<${Card} title=${() => t('consent.title')}>
      <div class="login-problem" role="alert" data-testid="consent-problem">${warning()}<span>${t(state.problem)}</span></div>
    <//>`;
  }
  const { offer } = state;
  if (!offer) return html`<${Card} title=${() => t('login.title')}><${SignIn} onDone=${again} /><//>`;
  return html`<${Card} title=${() => t('consent.heading', { app: offer.client_name })}><${Ask} offer=${offer} decide=${decide} /><//>`;
}

const root = document.getElementById('app');
if (root) {
  root.textContent = '';
  render(html`<${Consent} />`, root);
}
