// @ts-check
// What the page knows, and who wants to hear when it changes. A value wakes only its patient's tile; an alert or a
// bed change wakes also the board (order and open alerts). The stream writes here, the views read here.
import { onTick } from './clock.js';
import { useEffect, useReducer, useRef } from './html.js';
import { byUrgency, rank } from './severity.js';
import { merge } from './vitals.js';
/** @typedef {import('../types.js').Patient} Patient */
/** @typedef {import('../types.js').WirePatient} WirePatient */
/** @typedef {import('../types.js').Alert} Alert */

/** @type {Map<string, Patient>} */
const patients = new Map();
/** @type {import('../types.js').Board} */
let board = { ward: '', ready: false, order: [], open: [] };
/** @type {import('../types.js').Link} */
let link = 'connecting';
let lostSince = 0;

/** @type {Map<string, Set<(calm: boolean) => void>>} */
const watchers = new Map();
const beds = new Intl.Collator(undefined, { numeric: true });

/** @param {string} topic @param {boolean} [calm]  only a value changed: who is off the screen may wait */
const wake = (topic, calm = false) => watchers.get(topic)?.forEach((fn) => fn(calm));

/** @param {string} topic @param {(calm: boolean) => void} fn */
function watch(topic, fn) {
  const set = watchers.get(topic) ?? new Set();
  watchers.set(topic, set.add(fn));
  return () => void set.delete(fn);
}

/**
 * What `read` gives, and the calling component drawn again when that has become another object.
 * @template T
 * @param {string} topic @param {() => T} read
 * @param {boolean} [prompt]  false: new values alone may wait for the next slow turn of the clock
 * @returns {T}
 */
function useTopic(topic, read, prompt = true) {
  const [, again] = useReducer((/** @type {number} */ n, /** @type {void} */ _) => n + 1, 0);
  const drawn = useRef(read());
  drawn.current = read();
  useEffect(() => {
    const look = () => void (read() !== drawn.current && again());
    look(); // something may have come between drawing and listening
    const stop = watch(topic, (calm) => void (calm && !prompt ? 0 : look()));
    const stopTicks = prompt ? () => {} : onTick((_, slow) => void (slow && look()));
    return () => (stop(), stopTicks());
  }, [topic, prompt]);
  return drawn.current;
}

/** @param {string} id @param {boolean} [prompt] */
export const usePatient = (id, prompt) => useTopic(`patient ${id}`, () => patients.get(id), prompt);
export const useBoard = () => useTopic('board', () => board);
export const useLink = () => useTopic('link', () => link);

/** @param {string} id */
export const patient = (id) => patients.get(id);

export const lastHeard = () => lostSince;

/** @param {import('../types.js').Link} next @param {number} [since]  server time of the last message, when it is lost */
export function setLink(next, since = 0) {
  if (next === link) return;
  lostSince = since;
  link = next;
  document.documentElement.dataset.link = next;
  wake('link');
}

/** @param {WirePatient} wire @returns {Patient} */
function toPatient(wire) {
  /** @type {Patient['vitals']} */
  const vitals = {};
  for (const [code, v] of Object.entries(wire.vitals ?? {})) {
    const vital = merge(code, v);
    if (vital) vitals[code] = vital;
  }
  return {
    id: wire.id, name: wire.name ?? '', identifier: wire.identifier ?? '', birthDate: wire.birthDate ?? '',
    gender: wire.gender ?? '', bed: wire.bed ?? '', encounter: wire.encounter ?? '', vitals,
    alerts: (wire.alerts ?? []).filter((a) => a.state !== 'resolved').sort(byUrgency),
  };
}

/** Works out order and open alerts anew; cheap enough to do at every alert. */
function arrange() {
  const all = [...patients.values()];
  const worst = (/** @type {Patient} */ p) => p.alerts.reduce((most, a) => Math.max(most, rank(a)), 0);
  const ranked = all.map((p) => ({ p, rank: worst(p) }));
  ranked.sort((a, b) => b.rank - a.rank || Number(!a.p.bed) - Number(!b.p.bed) || beds.compare(a.p.bed, b.p.bed) || (a.p.id < b.p.id ? -1 : 1));
  const open = all.flatMap((p) => p.alerts.map((alert) => ({ patient: p, alert })));
  open.sort((a, b) => byUrgency(a.alert, b.alert));
  board = { ...board, order: ranked.map((r) => r.p.id), open };
  wake('board');
}

/** @param {{ ward?: string | null, patients?: WirePatient[] }} data */
export function applySnapshot(data) {
  patients.clear();
  for (const wire of data.patients ?? []) patients.set(wire.id, toPatient(wire));
  board = { ...board, ward: data.ward ?? '', ready: true };
  arrange();
  for (const topic of watchers.keys()) if (topic.startsWith('patient ')) wake(topic);
}

/** @param {{ patients?: Record<string, Record<string, import('../types.js').WireVital>> }} data */
export function applyValues(data) {
  for (const [id, changed] of Object.entries(data.patients ?? {})) {
    const before = patients.get(id);
    if (!before) continue; // the patient's own message comes first; without it there is no name to show
    const vitals = { ...before.vitals };
    for (const [code, v] of Object.entries(changed)) {
      const vital = merge(code, v, vitals[code]);
      if (vital) vitals[code] = vital;
    }
    patients.set(id, { ...before, vitals });
    wake(`patient ${id}`, true);
  }
}

/** @param {{ patient: string, alert: Alert }} data */
export function applyAlarm(data) {
  // An alarm of somebody not yet announced is shown all the same, under the id alone.
  const before = patients.get(data.patient) ?? toPatient({ id: data.patient });
  const alerts = before.alerts.filter((a) => a.id !== data.alert.id);
  if (data.alert.state !== 'resolved') alerts.push(data.alert);
  patients.set(before.id, { ...before, alerts: alerts.sort(byUrgency) });
  arrange();
  wake(`patient ${before.id}`);
}

/** @param {WirePatient} wire  whole, so that nothing of a bed's previous patient can stay */
export function applyPatient(wire) {
  if (wire.gone) patients.delete(wire.id);
  else patients.set(wire.id, toPatient(wire));
  arrange();
  wake(`patient ${wire.id}`);
}
