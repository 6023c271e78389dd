// @ts-check
// The live stream's life: open, watch, reopen. The rule that everything serves: the page says "live" only while
// messages really come, in time. A short break is left to the browser's own reconnect, which carries Last-Event-ID;
// a long one is ended here and begun anew, with growing pauses, and a new stream begins with a snapshot.
import { request, toLogin } from './api.js';
import { now, observe, onTick } from './clock.js';
import { applyAlarm, applyPatient, applySnapshot, applyValues, setLink } from './store.js';

const SILENT_MS = 8000; // a heartbeat is due every 5 s
const BROKEN_MS = 2000; // an error that the browser mends sooner is not worth a banner
const NATIVE_MS = 6000; // after that its reconnect has had its chance

/** @type {EventSource | undefined} */
let source;
let heardAt = 0;
let openedAt = 0;
let brokenAt = 0;
let tries = 0;
let late = false;
let synced = false;
let retry = 0;

/** @param {string} name @param {(data: any) => void} apply */
function on(name, apply) {
  const own = source;
  own?.addEventListener(name, (event) => {
    if (own !== source) return;
    const data = JSON.parse(/** @type {MessageEvent} */ (event).data);
    if (name === 'snapshot') synced = true;
    if (name === 'snapshot' || name === 'hb') late = observe(data.time) > SILENT_MS;
    heardAt = performance.now();
    brokenAt = 0;
    tries = 0;
    apply(data);
    if (synced && !late) setLink('live');
  });
}

function open() {
  clearTimeout(retry);
  retry = 0;
  synced = false;
  openedAt = performance.now();
  source = new EventSource('/live');
  on('snapshot', applySnapshot);
  on('v', applyValues);
  on('alarm', applyAlarm);
  on('patient', applyPatient);
  on('hb', () => {});
  const own = source;
  source.onerror = () => {
    if (own !== source) return;
    brokenAt ||= performance.now();
    if (own.readyState === EventSource.CLOSED) reopen();
  };
}

function reopen() {
  source?.close();
  source = undefined;
  if (retry) return;
  const pause = Math.min(15_000, 500 * 2 ** tries) * (0.75 + Math.random() / 2);
  tries += 1;
  retry = window.setTimeout(async () => {
    // EventSource does not tell why it was refused; a plain request does.
    try {
      const reply = await request('/auth/me');
      if (reply.status === 401) return toLogin();
    } catch {
      // the server is away; the stream's own try will show when it is back
    }
    open();
  }, pause);
}

function check() {
  const time = performance.now();
  const broken = brokenAt > 0 && time - brokenAt > BROKEN_MS;
  if (time - heardAt > SILENT_MS || broken || late || !navigator.onLine) setLink('lost', now() - (time - heardAt));
  if (retry) return;
  const patience = brokenAt > 0 ? NATIVE_MS : SILENT_MS + BROKEN_MS;
  if (time - Math.max(heardAt, openedAt) > patience) reopen();
}

export function startStream() {
  heardAt = performance.now();
  onTick(check);
  document.addEventListener('visibilitychange', check);
  addEventListener('offline', check);
  open();
}
