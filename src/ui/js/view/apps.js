// @ts-check
// Apps that are started for the patient on the page (SMART EHR launch); nothing is shown where none is registered.
import { html, useEffect, useState } from '../lib/html.js';
import { getJson, request } from '../lib/api.js';
import { t } from '../lib/i18n.js';

/** @typedef {{ client_id: string, name: string }} App */

/** Opens the app's page in a tab of its own. @param {App} app @param {string} patient */
async function launch(app, patient) {
  // Opened at once: later the browser would take it for a pop-up that nobody asked for.
  const tab = window.open('', '_blank');
  if (tab) tab.opener = null;
  const body = JSON.stringify({ client_id: app.client_id, patient });
  const reply = await request('/auth/launch', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body }).catch(() => undefined);
  const told = reply?.ok ? await reply.json() : undefined;
  if (told?.url && tab) tab.location.replace(told.url);
  else tab?.close();
  return Boolean(told?.url && tab);
}

/** @param {{ patient: string }} props */
export function Apps({ patient }) {
  const [apps, setApps] = useState(/** @type {App[]} */ ([]));
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    const leave = new AbortController();
    // Without the list the page is as good as before.
    getJson('/auth/apps', leave.signal).then(setApps, () => {});
    return () => leave.abort();
  }, []);
  if (apps.length === 0) return null;
  const start = (/** @type {App} */ app) => launch(app, patient).then((fine) => setFailed(!fine));
  return html`<section class="apps"><h3>${t('panel.apps')}</h3>
    ${apps.map((app) => html`<button type="button" class="secondary" key=${app.client_id} data-testid=${`app-${app.client_id}`} onClick=${() => start(app)}>${app.name}</button>`)}
    <p class="quiet" role="alert">${failed ? t('panel.appFailed') : ''}</p>
  </section>`;
}
