// @ts-check
// Choosing a patient, and one of the patient's stays. Found by the FHIR API under the user's own rights: nobody can be
// chosen who could not be seen.
import { html, useEffect, useState } from '../lib/html.js';
import { getJson } from '../lib/api.js';
import { birthDate, dateTime } from '../lib/format.js';
import { t } from '../lib/i18n.js';

const PAGE = 10;

/** @typedef {{ id: string, title: string, note: string }} Line */

/** @param {any} patient @returns {Line} */
function patientLine(patient) {
  const name = patient.name?.[0] ?? {};
  const title = name.text ?? [name.family, (name.given ?? []).join(' ')].filter(Boolean).join(', ');
  const number = patient.identifier?.[0]?.value;
  const notes = [patient.birthDate && birthDate(patient.birthDate), patient.gender && t(`gender.${patient.gender}`), number];
  return { id: patient.id, title: title || t('patient.unnamed'), note: notes.filter(Boolean).join(' · ') };
}

/** @param {any} encounter @returns {Line} */
function encounterLine(encounter) {
  const place = encounter.location?.[0]?.location?.display;
  const kind = encounter.type?.[0]?.text ?? encounter.class?.display ?? encounter.class?.code ?? t('consent.encounter');
  const since = encounter.period?.start && dateTime(Date.parse(encounter.period.start));
  return { id: encounter.id, title: [kind, place].filter(Boolean).join(', '), note: [since, encounter.status].filter(Boolean).join(' · ') };
}

/** A page of hits, and the address of the next one. @param {string} path @param {(resource: any) => Line} line @param {AbortSignal} signal */
async function hits(path, line, signal) {
  const bundle = await getJson(path, signal);
  const next = bundle.link?.find((/** @type {any} */ link) => link.relation === 'next')?.url;
  const to = next && new URL(next);
  const own = (/** @type {any} */ entry) => entry.search?.mode !== 'outcome';
  return { lines: (bundle.entry ?? []).filter(own).map((/** @type {any} */ entry) => line(entry.resource)), next: to && to.pathname + to.search };
}

/** What is found under an address, growing by a page at a time. @param {string} path @param {(resource: any) => Line} line */
function useHits(path, line) {
  const [found, setFound] = useState(/** @type {{ lines: Line[], next?: string, state: 'busy' | 'done' | 'failed' }} */ ({ lines: [], state: 'busy' }));
  useEffect(() => {
    const leave = new AbortController();
    const timer = setTimeout(() => {
      hits(path, line, leave.signal)
        .then((page) => setFound({ ...page, state: 'done' }))
        .catch((error) => error.name !== 'AbortError' && setFound({ lines: [], state: 'failed' }));
    }, 150);
    return () => { clearTimeout(timer); leave.abort(); };
  }, [path]);
  const more = () => found.next && hits(found.next, line, new AbortController().signal)
    .then((page) => setFound({ lines: [...found.lines, ...page.lines], next: page.next, state: 'done' }))
    .catch(() => setFound({ ...found, state: 'failed' }));
  return { ...found, more };
}

/** @param {{ name: string, found: ReturnType<typeof useHits>, chosen?: string, onChoose: (id: string) => void }} props */
function Lines({ name, found, chosen, onChoose }) {
  return html`<ul class="picker">
    ${found.lines.map((line) => html`<li key=${line.id}><label>
      <input type="radio" name=${name} value=${line.id} checked=${chosen === line.id} onChange=${() => onChoose(line.id)} data-testid=${`${name}-${line.id}`} />
      <span><b>${line.title}</b><small>${line.note}</small></span>
    </label></li>`)}
  </ul>
  <p class="quiet" role="status">${found.state === 'failed' ? t('consent.searchFailed') : found.state === 'done' && found.lines.length === 0 ? t('consent.nobody') : ''}</p>
  ${found.next && html`<button type="button" class="secondary" data-testid=${`${name}-more`} onClick=${found.more}>${t('consent.more')}</button>`}`;
}

/** @param {{ only?: string, chosen?: string, onChoose?: (id: string) => void }} props */
export function Patients({ only, chosen, onChoose = () => {} }) {
  const [text, setText] = useState('');
  const words = text.trim();
  // A number is looked for as a record number, anything else as a name.
  const by = !words ? '' : /\d/.test(words) ? `&identifier=${encodeURIComponent(words)}` : `&name=${encodeURIComponent(words)}`;
  const found = useHits(only ? `/fhir/Patient?_id=${only}` : `/fhir/Patient?_count=${PAGE}&_sort=family${by}`, patientLine);
  if (only) {
    const [line] = found.lines;
    return html`<p class="consent-patient" data-testid="consent-patient">${t('consent.patient')}: <b>${line?.title ?? '…'}</b> <small>${line?.note}</small></p>`;
  }
  return html`<fieldset class="consent-patients"><legend>${t('consent.choosePatient')}</legend>
    <label for="find">${t('consent.find')}</label>
    <input id="find" type="search" autocomplete="off" value=${text} data-testid="patient-search"
      onInput=${(/** @type {any} */ event) => setText(event.target.value)} onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === 'Enter' && event.preventDefault()} />
    <${Lines} name="patient" found=${found} chosen=${chosen} onChoose=${onChoose} />
  </fieldset>`;
}

/** @param {{ patient: string, chosen?: string, onChoose: (id: string) => void }} props */
export function Encounters({ patient, chosen, onChoose }) {
  const found = useHits(`/fhir/Encounter?patient=${patient}&_count=${PAGE}`, encounterLine);
  return html`<fieldset class="consent-patients"><legend>${t('consent.chooseEncounter')}</legend>
    <${Lines} name="encounter" found=${found} chosen=${chosen} onChoose=${onChoose} />
  </fieldset>`;
}
