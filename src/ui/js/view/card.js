// @ts-check
// A page with one thing to do: switches above, a card with the product's name, a heading and the thing.
import { html, useEffect, useState } from '../lib/html.js';
import { onLanguage, t } from '../lib/i18n.js';
import { mark } from './icons.js';
import { LanguageSwitch, ThemeSwitch } from './switches.js';

/** @param {{ title: () => string, children?: any }} props */
export function Card({ title, children }) {
  const [, again] = useState(0);
  useEffect(() => onLanguage(() => again((n) => n + 1)), []);
  useEffect(() => void (document.title = `${title()} · Vigía`));
  return html`<div class="login">
    <header class="login-tools"><${ThemeSwitch} /><${LanguageSwitch} /></header>
    <main class="login-card">
      <div class="login-brand">${mark()}<div><p class="login-name">Vigía</p><p>${t('app.tagline')}</p></div></div>
      <h1>${title()}</h1>
      ${children}
    </main>
  </div>`;
}
