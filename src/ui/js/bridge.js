// @ts-check
// Entry of the gateway page.
import en from '../messages/bridge/en.js';
import es from '../messages/bridge/es.js';
import { keepScreen } from './bridge/awake.js';
import * as buffer from './bridge/buffer.js';
import * as forward from './bridge/forward.js';
import { load, whoami } from './bridge/identity.js';
import * as sensors from './bridge/sensors.js';
import { change } from './bridge/state.js';
import { App } from './bridge/view/app.js';
import { html, render } from './lib/html.js';
import { learn } from './lib/i18n.js';

const SHOWN_REFUSALS = 20;

learn({ en, es });

/** The code that a QR code brought. It does not stay in the address: a code is a secret for its time. */
function takeCode() {
  const code = new URLSearchParams(location.hash.slice(1)).get('code');
  if (!code) return;
  history.replaceState(null, '', location.pathname);
  change({ code });
}

let looking = false;
let lookAgain = false;

/** Counts what is kept; a change during the count is counted after it. */
async function look() {
  lookAgain = true;
  if (looking) return;
  looking = true;
  while (lookAgain) {
    lookAgain = false;
    change(await buffer.look(whoami()?.device ?? '', SHOWN_REFUSALS).catch(() => ({})));
  }
  looking = false;
}

async function start() {
  await buffer.open(look);
  change({ me: await load() });
  await look();
  takeCode();
  addEventListener('hashchange', takeCode);
  await sensors.start();
  change({ ready: true });
  if (isSecureContext) forward.start();
  else change({ link: 'unclaimed' }); // no keys, and nothing to collect: the page says why
  document.addEventListener('visibilitychange', keepScreen);
  setInterval(keepScreen, 5000);
  // so that the page opens where there is no network
  navigator.serviceWorker?.register('/bridge-worker.js', { scope: '/bridge' }).catch(console.info);
}

const root = document.getElementById('app');
if (root) {
  root.textContent = '';
  render(html`<${App} />`, root);
  start().catch((error) => {
    console.error(error);
    render(html`<${App} broken />`, root);
  });
}
