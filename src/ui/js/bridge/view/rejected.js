// @ts-check
// What the server would not take, with its reasons: nothing is dropped without somebody having seen it.
import { html } from '../../lib/html.js';
import { dateTime, humanUnit, measured } from '../../lib/format.js';
import { has, t } from '../../lib/i18n.js';
import { clearRejected, retryRejected } from '../buffer.js';
import { force } from '../forward.js';
import { decode } from '../gatt/decode.js';
import { useBridge } from '../state.js';
/** @typedef {import('../buffer.js').Refused} Refused */

/** @param {Refused['item']} item */
function wordsOf({ char, hex }) {
  const bytes = Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const [first] = decode(char, new DataView(bytes.buffer))?.readings ?? [];
  if (!first || first.absent) return `${char} ${hex}`;
  const name = t(has(`long.${first.code}`) ? `long.${first.code}` : `short.${first.code}`);
  return `${name} ${measured(first.value)} ${humanUnit(first.unit, first.code)}`;
}

export function Rejected() {
  const { rejected } = useBridge();
  const { count, latest } = rejected;
  if (!count) return null;
  const again = () => retryRejected().then(force);
  return html`<section class="card rejected" aria-labelledby="rejected-title" data-testid="rejected">
    <h2 id="rejected-title">${t('bridge.rejected', { n: count })}</h2>
    <p>${t('bridge.rejectedHint')}${count > latest.length && ` ${t('bridge.rejectedLatest', { v: latest.length })}`}</p>
    <ul class="rejected-list">${latest.map(({ seq, item, reason }) => html`<li key=${seq}>
      <strong>${wordsOf(item)}</strong> <span class="soft">${item.sensor} · ${dateTime(Date.parse(item.receivedAt))}</span>
      <p lang=${reason ? 'en' : null}>${reason || t('bridge.rejectedNoReason')}</p>
    </li>`)}</ul>
    <p class="row"><button type="button" class="quiet" onClick=${again} data-testid="rejected-retry">${t('bridge.rejectedRetry')}</button>
      <button type="button" class="quiet" onClick=${clearRejected} data-testid="rejected-clear">${t('bridge.rejectedClear')}</button></p>
  </section>`;
}
