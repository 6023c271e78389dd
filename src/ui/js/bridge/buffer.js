// @ts-check
// What was received and is not yet known to be stored by the server: in IndexedDB, written through to the disk, so that
// neither a lost network nor a closed page loses a reading. Knows nothing of Bluetooth, nor of the server.

/**
 * @typedef {object} Item
 * @property {string} id          UUID
 * @property {string} device      the registration under which it was received: nothing is ever sent as another's
 * @property {string} sensor      the sensor's name, for the eye
 * @property {string} char
 * @property {string} hex
 * @property {string} receivedAt  with the zone's offset
 * @property {string} [deviceClock]
 * @typedef {Item & { seq: number }} Waiting
 * @typedef {{ seq: number, item: Waiting, reason: string, at: number }} Refused
 */

/** @type {IDBDatabase | undefined} */
let database;
const others = new BroadcastChannel('vigia-bridge');
/** @type {() => void} */
let onChange = () => {};

/** @param {() => void} changed  called when what is kept has changed, here or in another tab */
export async function open(changed) {
  onChange = changed;
  others.onmessage = changed;
  const request = indexedDB.open('vigia-bridge', 1);
  request.onupgradeneeded = () => {
    const db = request.result;
    const waiting = db.createObjectStore('waiting', { keyPath: 'seq', autoIncrement: true });
    waiting.createIndex('device', 'device');
    db.createObjectStore('rejected', { keyPath: 'seq', autoIncrement: true });
    db.createObjectStore('seen', { keyPath: 'id' });
    db.createObjectStore('kept');
  };
  database = await result(request);
  // a browser that runs out of room asks before it takes this away
  await navigator.storage?.persist?.().catch(() => false);
}

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
const result = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** @param {string[]} stores @param {IDBTransactionMode} mode */
function begin(stores, mode) {
  if (!database) throw new Error('the buffer is not open');
  return database.transaction(stores, mode, { durability: 'strict' });
}

/**
 * Does `work` in one transaction and answers when it is on the disk.
 * @template T @param {string[]} stores @param {(tx: IDBTransaction) => T | Promise<T>} work @returns {Promise<T>}
 */
async function write(stores, work) {
  const tx = begin(stores, 'readwrite');
  const done = new Promise((resolve, reject) => {
    tx.oncomplete = resolve;
    tx.onabort = () => reject(tx.error ?? new Error('aborted'));
  });
  done.catch(() => {}); // told below, unless the work itself fails first
  const answer = await work(tx);
  await done;
  others.postMessage('changed');
  onChange();
  return answer;
}

/**
 * Keeps an item. `once`: it comes out of a sensor's memory, which may give the same record again.
 * @param {Item} item @param {boolean} once
 */
export const add = (item, once) =>
  write(['waiting', 'seen'], async (tx) => {
    if (once) {
      if (await result(tx.objectStore('seen').get(item.id))) return;
      tx.objectStore('seen').add({ id: item.id });
    }
    tx.objectStore('waiting').add(item);
  });

/** The oldest that wait. @param {string} device @param {number} most @returns {Promise<Waiting[]>} */
export const next = (device, most) =>
  result(begin(['waiting'], 'readonly').objectStore('waiting').index('device').getAll(IDBKeyRange.only(device), most));

/** Forgets what the server has, and lays aside what it refused. @param {number[]} done @param {{ item: Waiting, reason: string }[]} refused */
export const settle = (done, refused) =>
  write(['waiting', 'rejected'], (tx) => {
    for (const seq of done) tx.objectStore('waiting').delete(seq);
    for (const { item, reason } of refused) {
      tx.objectStore('waiting').delete(item.seq);
      tx.objectStore('rejected').add({ item, reason, at: Date.now() });
    }
  });

/** Has everything that was refused sent once more. */
export const retryRejected = () =>
  write(['waiting', 'rejected'], async (tx) => {
    for (const { item } of await result(tx.objectStore('rejected').getAll())) tx.objectStore('waiting').put(item);
    tx.objectStore('rejected').clear();
  });

export const clearRejected = () => write(['rejected'], (tx) => void tx.objectStore('rejected').clear());

/** Removes what waits for other registrations than this. @param {string} device */
export const clearStranded = (device) =>
  write(['waiting'], async (tx) => {
    for (const item of await result(tx.objectStore('waiting').getAll())) if (item.device !== device) tx.objectStore('waiting').delete(item.seq);
  });

/** @param {string} device @param {number} most */
export async function look(device, most) {
  const tx = begin(['waiting', 'rejected'], 'readonly');
  const waiting = tx.objectStore('waiting');
  const [all, own, rejected, latest] = await Promise.all([
    result(waiting.count()),
    result(waiting.index('device').count(IDBKeyRange.only(device))),
    result(tx.objectStore('rejected').count()),
    newest(tx.objectStore('rejected'), most),
  ]);
  return { waiting: own, stranded: all - own, rejected: { count: rejected, latest } };
}

/** @param {IDBObjectStore} store @param {number} most @returns {Promise<Refused[]>} */
function newest(store, most) {
  return new Promise((resolve, reject) => {
    const found = /** @type {Refused[]} */ ([]);
    const request = store.openCursor(null, 'prev');
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const cursor = request.result;
      if (!cursor || found.length >= most) return resolve(found);
      found.push(cursor.value);
      cursor.continue();
    };
  });
}

/** @param {string} key */
export const recall = (key) => result(begin(['kept'], 'readonly').objectStore('kept').get(key));

/** @param {string} key @param {unknown} value */
export const keep = (key, value) => write(['kept'], (tx) => void tx.objectStore('kept').put(value, key));

/** Leaves nothing behind. */
export const wipe = () =>
  write(['waiting', 'rejected', 'seen', 'kept'], (tx) => {
    for (const store of tx.objectStoreNames) tx.objectStore(store).clear();
  });
