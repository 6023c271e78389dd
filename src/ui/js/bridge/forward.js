// @ts-check
// The way from the buffer to the server: oldest first, in batches, one tab at a time, again and again until each item
// has its receipt. A reading is sent more than once if need be; its id makes the server store it once.
import { getPref, setPref } from '../lib/prefs.js';
import * as buffer from './buffer.js';
import { Trouble, ask, clockBehind, dropToken, load, token, trouble } from './identity.js';
import { sort } from './receipts.js';
import { change, state } from './state.js';
/** @typedef {import('./buffer.js').Waiting} Waiting */

const MOST = 200;
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 60_000;
/** Readings that come together go together. */
const GATHER = 250;

let most = MOST;
let wait = FIRST_WAIT;
let running = false;
let again = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** Something new waits. After a failure it waits for its turn like everything before it. */
export function nudge() {
  if (running) again = true;
  else if (timer === undefined) plan(GATHER);
}

/** Now, whatever failed before: the network is back, or somebody pressed the button. */
export function force() {
  wait = FIRST_WAIT;
  if (running) again = true;
  else plan(0);
}

export function start() {
  change({ lastSent: Number(getPref('bridge.lastSent')) || 0 });
  addEventListener('online', force);
  addEventListener('offline', () => change({ link: 'offline' }));
  document.addEventListener('visibilitychange', () => document.hidden || force());
  force();
}

/** @param {number} ms */
function plan(ms) {
  clearTimeout(timer);
  timer = setTimeout(run, ms);
}

async function run() {
  running = true;
  again = false;
  timer = undefined;
  const pause = await turn().catch(failed);
  running = false;
  if (pause !== undefined) plan(pause);
  else if (again) plan(GATHER);
}

/** One batch; answers in how many ms the next is due, if one is. */
async function turn() {
  const me = await load(); // another tab may have registered anew
  change({ me });
  if (!me) return void change({ link: 'unclaimed' });
  return navigator.locks.request('vigia-bridge-forward', async () => {
    const items = await buffer.next(me.device, most);
    if (items.length) {
      change({ link: 'sending' });
      await send(items);
    }
    wait = FIRST_WAIT;
    change({ link: navigator.onLine ? 'idle' : 'offline', status: 0, retryAt: 0, behind: clockBehind() });
    return (await buffer.next(me.device, 1)).length ? GATHER : undefined;
  });
}

/** @param {unknown} error */
function failed(error) {
  const known = error instanceof Trouble ? error : new Trouble(-1);
  if (!(error instanceof Trouble)) console.error(error);
  const pause = Math.max(known.after, wait * (0.75 + Math.random() / 2));
  wait = Math.min(wait * 2, LONGEST_WAIT);
  const link = known.refused ? 'refused' : known.status === 0 ? 'offline' : 'trouble';
  change({ link, status: known.status, retryAt: Date.now() + pause, behind: clockBehind() });
  return pause;
}

/** @param {Waiting[]} items */
async function send(items) {
  const body = JSON.stringify({ items: items.map(({ char, hex, receivedAt, deviceClock, id }) => ({ char, hex, receivedAt, deviceClock, id })) });
  let reply = await post(body);
  if (reply.status === 401) {
    dropToken();
    reply = await post(body);
  }
  const receipts = reply.ok || reply.status === 422 ? await receiptsOf(reply.clone()) : undefined;
  if (receipts) return settle(items, receipts);
  const why = await trouble(reply, reply.status === 401 || reply.status === 403);
  // The server understood who asks, but not the batch. Smaller ones find the item that is to blame.
  if (![400, 413, 422].includes(why.status) || !why.reason) throw why;
  if (items.length === 1) return buffer.settle([], [{ item: items[0], reason: why.reason }]);
  most = Math.max(1, Math.floor(items.length / 2));
}

function sent() {
  change({ lastSent: Date.now() });
  setPref('bridge.lastSent', String(state.lastSent)); // outlives a reload
}

/** @param {string} body */
const post = async (body) =>
  ask('/device/v1/gatt', { headers: { Authorization: `Bearer ${await token()}`, 'Content-Type': 'application/json' }, body });

/** @param {Response} reply */
async function receiptsOf(reply) {
  const answer = await reply.json().catch(() => undefined);
  return Array.isArray(answer?.items) ? answer.items : undefined;
}

/** @param {Waiting[]} items @param {import('./receipts.js').Receipt[]} receipts */
async function settle(items, receipts) {
  const { done, refused, created, quarantined } = sort(items, receipts);
  await buffer.settle(done, refused);
  if (done.length) sent();
  if (quarantined) change({ quarantined: state.quarantined + quarantined });
  else if (created) change({ quarantined: 0 }); // it is known whose they are, and the server gives back what it held
  most = Math.min(MOST, most * 2);
  // Receipts that name nothing would be asked for again at once, for ever.
  if (!done.length && !refused.length) throw new Trouble(-1);
}
