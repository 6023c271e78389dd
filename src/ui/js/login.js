// @ts-check
// Entry of the sign-in page.
import { html, render } from './lib/html.js';
import { t } from './lib/i18n.js';
import { Card } from './view/card.js';
import { SignIn } from './view/signin.js';

const root = document.getElementById('app');
if (root) {
  root.textContent = '';
  render(html`<${Card} title=${() => t('login.title')}><${SignIn} onDone=${() => location.replace('/')} /><//>`, root);
}
