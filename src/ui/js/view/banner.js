// @ts-check
// The full-width word that what is on the screen is not live. Nothing else on the page is louder.
import { html, useEffect, useState } from '../lib/html.js';
import { t } from '../lib/i18n.js';
import { now } from '../lib/clock.js';
import { useLink } from '../lib/store.js';
import { Age } from './age.js';
import { warning } from './icons.js';

export function LostBanner() {
  const link = useLink();
  const [since, setSince] = useState(0);
  useEffect(() => setSince(link === 'lost' ? now() : 0), [link]);
  if (link !== 'lost') return null;
  return html`<div class="lost" role="alert" data-testid="banner-lost">
    ${warning()}<strong>${t('lost.title')}</strong> <span>${t('lost.body')}</span>
    ${since > 0 && html`<span class="lost-since" aria-hidden="true"><${Age} ms=${since} /></span>`}
  </div>`;
}
