// @ts-check
// The full-width word that what is on the screen is not live. Nothing else on the page is louder.
import { html } from '../lib/html.js';
import { t } from '../lib/i18n.js';
import { lastHeard, useLink } from '../lib/store.js';
import { Age } from './age.js';
import { warning } from './icons.js';

export function LostBanner() {
  const link = useLink();
  if (link !== 'lost') return null;
  return html`<div class="lost" role="alert" data-testid="banner-lost">
    ${warning()}<strong>${t('lost.title')}</strong> <span>${t('lost.body')}</span>
    <span class="lost-since" aria-hidden="true">${t('lost.since')} <${Age} ms=${lastHeard()} /></span>
  </div>`;
}
