// @ts-check
// What a screen reader is told unasked: new high alarms at once (assertive), nothing else. Also the tab's title,
// which is all that shows of this page when another one is in front.
import { html, useEffect, useRef, useState } from '../lib/html.js';
import { t } from '../lib/i18n.js';
import { alertText, level, severityWord } from '../lib/severity.js';
import { useBoard, useLink } from '../lib/store.js';

export function Announcer() {
  const { open, ready, ward } = useBoard();
  const link = useLink();
  const known = useRef(/** @type {Set<string> | null} */ (null));
  const [words, setWords] = useState('');
  const high = open.filter((o) => level(o.alert) === 'high');

  useEffect(() => {
    if (!ready) return;
    const before = known.current;
    known.current = new Set(high.map((o) => o.alert.id));
    const fresh = before ? high.filter((o) => !before.has(o.alert.id)) : [];
    if (!before && high.length) setWords(t('alert.saymany', { v: high.length }));
    else if (fresh.length > 3) setWords(t('alert.saymany', { v: high.length }));
    else if (fresh.length) {
      setWords(fresh.map(({ patient, alert }) => t('alert.say', {
        word: severityWord(alert), bed: patient.bed || t('bed.none'), name: patient.name || t('patient.unnamed'), text: alertText(alert),
      })).join(' '));
    }
  }, [open, ready]);

  useEffect(() => {
    const name = `${ward || t('ward.unnamed')} · Vigía`;
    document.title = link === 'lost' ? `⚠ ${t('lost.title')} · ${name}` : high.length ? `(${high.length} !!!) ${name}` : name;
  }, [open, link, ward]);

  return html`<div class="hide" role="alert" aria-live="assertive" aria-atomic="true">${words}</div>`;
}
