// @ts-check
// Entry of the ward page.
import { html, render } from './lib/html.js';
import { startStream } from './lib/stream.js';
import { App } from './view/app.js';

const root = document.getElementById('app');
if (root) {
  root.textContent = '';
  render(html`<${App} />`, root);
  startStream();
}
