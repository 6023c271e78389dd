// @ts-check
// Theme and language, on every page alike.
import { html, useState } from '../lib/html.js';
import { language, languages, setLanguage, t } from '../lib/i18n.js';
import { setPref } from '../lib/prefs.js';
import { moon, sun } from './icons.js';

export function ThemeSwitch() {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme);
  const next = theme === 'dark' ? 'light' : 'dark';
  const label = t(next === 'dark' ? 'theme.toDark' : 'theme.toLight');
  const choose = () => {
    setPref('theme', next);
    document.documentElement.dataset.theme = next;
    dispatchEvent(new Event('vigia-theme'));
    setTheme(next);
  };
  return html`<button type="button" class="tool" aria-label=${label} title=${label} onClick=${choose}>
    ${next === 'dark' ? moon() : sun()}
  </button>`;
}

export function LanguageSwitch() {
  return html`<div class="segments" role="group" aria-label=${t('lang.label')}>
    ${languages.map(({ id, name }) => html`<button type="button" key=${id} lang=${id} title=${name} aria-label=${`${id.toUpperCase()}: ${name}`}
      aria-pressed=${String(id === language())} onClick=${() => setLanguage(id)}>${id.toUpperCase()}</button>`)}
  </div>`;
}
