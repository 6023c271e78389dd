// @ts-check
// The sensors that this page holds on to: found by the person, connected, listened to, and connected again whenever
// they go away. What they say is taken before it is shown.
import { keepScreen } from './awake.js';
import * as buffer from './buffer.js';
import { take } from './collect.js';
import { decode } from './gatt/decode.js';
import { ALL_RECORDS, BATTERY, CLOCK, EVERY, KINDS, name, short } from './gatt/table.js';
import { change, state } from './state.js';
/** @typedef {import('./gatt/decode.js').Reading & { ms: number, every: number }} Shown */
/** @typedef {import('./gatt/table.js').Kind} Kind */

/**
 * @typedef {object} Sensor
 * @property {any} device         BluetoothDevice
 * @property {string} name
 * @property {Set<Kind>} kinds
 * @property {'connecting' | 'connected' | 'lost' | 'asleep' | 'foreign'} link
 *   lost: it is worn, and should be here; asleep: it measures now and then; foreign: it has nothing that we know
 * @property {number} since
 * @property {number | null} battery
 * @property {Map<string, Shown>} readings
 * @property {string[]} notes     what it says of itself, and 'unreadable'
 * @property {boolean} wanted
 * @property {boolean} worn       values come all the time; others measure now and then
 * @property {number | undefined} clockAhead
 * @property {string} glucose     the last record of a meter: the next context belongs to it
 */

const WAITS = [500, 1000, 2000, 3000, 5000];
const BATTERY_AGAIN = 300_000;
const SERVICES = [...KINDS.map((kind) => kind.service), BATTERY.service, CLOCK.service];

/** @returns {any} */
const bluetooth = () => /** @type {any} */ (navigator).bluetooth;
const pause = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function start() {
  if (!isSecureContext) return change({ bluetooth: 'insecure' });
  if (!bluetooth()) return change({ bluetooth: 'none' });
  bluetooth().addEventListener?.('availabilitychanged', isOn);
  addEventListener('focus', isOn);
  await isOn();
  const before = /** @type {string[]} */ ((await buffer.recall('sensors')) ?? []);
  // Few browsers give back what was chosen before; elsewhere the person has to choose again.
  const granted = (await bluetooth().getDevices?.().catch(() => [])) ?? [];
  for (const device of granted) if (before.includes(device.name)) hold(device);
  change({ missed: before.filter((name) => !state.sensors.some((s) => s.name === name)) });
}

/** Not every system tells when it is switched: it is asked again whenever somebody turns to the page. */
async function isOn() {
  change({ bluetooth: (await bluetooth().getAvailability()) ? 'yes' : 'off' });
}

/** Lets the person choose; needs a press of a button. @param {{ all?: boolean, named?: string }} [how] */
export async function choose({ all = false, named } = {}) {
  change({ problem: '' });
  isOn();
  const filters = named ? [{ name: named }] : KINDS.map((kind) => ({ services: [kind.service] }));
  try {
    const device = await bluetooth().requestDevice({ ...(all ? { acceptAllDevices: true } : { filters }), optionalServices: SERVICES });
    hold(device);
    remember();
  } catch (error) {
    // NotFoundError: the list was closed without a choice
    if (/** @type {Error} */ (error).name !== 'NotFoundError') change({ problem: 'bridge.chooseFailed' });
  }
}

/** Lets go of a sensor for good. @param {Sensor} sensor */
export function release(sensor) {
  sensor.wanted = false;
  sensor.device.gatt.disconnect();
  change({ sensors: state.sensors.filter((s) => s !== sensor) });
  keepScreen();
  remember();
}

/** @param {string} name */
export function unmiss(name) {
  change({ missed: state.missed.filter((n) => n !== name) });
  remember();
}

function remember() {
  const names = state.sensors.map((s) => s.name);
  change({ missed: state.missed.filter((n) => !names.includes(n)) });
  buffer.keep('sensors', [...names, ...state.missed]).catch(console.error);
}

/** @param {any} device */
function hold(device) {
  if (state.sensors.some((s) => s.device === device)) return;
  const sensor = /** @type {Sensor} */ ({
    device, name: device.name || '', kinds: new Set(), link: 'connecting', since: Date.now(), battery: null,
    readings: new Map(), notes: [], wanted: true, worn: false, clockAhead: undefined, glucose: '',
  });
  change({ sensors: [...state.sensors, sensor] });
  keepScreen();
  follow(sensor);
}

/** @param {Sensor} sensor @param {Sensor['link']} link */
function becomes(sensor, link) {
  if (sensor.link !== link) Object.assign(sensor, { link, since: Date.now() });
  change();
}

/** Connects, waits until it is gone, and again. @param {Sensor} sensor */
async function follow(sensor) {
  const gone = () => becomes(sensor, sensor.worn ? 'lost' : 'asleep');
  for (let failures = 0; sensor.wanted; failures += 1) {
    /** @type {() => void} */
    let told = () => {};
    const left = new Promise((resolve) => (told = () => resolve(undefined)));
    sensor.device.addEventListener('gattserverdisconnected', told, { once: true });
    try {
      const server = await sensor.device.gatt.connect();
      if (!(await listen(sensor, server))) return;
      failures = 0;
      await left;
      gone();
    } catch (error) {
      console.info(error);
      if (sensor.kinds.size) gone();
      sensor.device.gatt.disconnect();
    }
    sensor.device.removeEventListener('gattserverdisconnected', told);
    await pause(WAITS[Math.min(failures, WAITS.length - 1)]);
  }
}

/** Asks for every value that it can give; false when there is none. One after the other: a connection does one thing at a time. @param {Sensor} sensor @param {any} server */
async function listen(sensor, server) {
  const services = /** @type {any[]} */ (await server.getPrimaryServices());
  const having = (/** @type {number} */ number) => services.find((s) => short(s.uuid) === name(number));
  sensor.kinds = new Set(KINDS.filter((kind) => having(kind.service)));
  if (!sensor.kinds.size) {
    becomes(sensor, 'foreign');
    sensor.device.gatt.disconnect();
    return false;
  }
  change();
  // Its clock first: what it has measured already may come with the first subscription.
  await readClock(sensor, having(CLOCK.service));
  for (const kind of sensor.kinds) await subscribe(sensor, kind, having(kind.service));
  becomes(sensor, 'connected');
  await readBattery(sensor, having(BATTERY.service));
  return true;
}

/** @param {Sensor} sensor @param {Kind} kind @param {any} service */
async function subscribe(sensor, kind, service) {
  const found = /** @type {any[]} */ (await service.getCharacteristics());
  for (const number of kind.values) {
    const characteristic = found.find((c) => short(c.uuid) === name(number));
    if (!characteristic) continue;
    characteristic.addEventListener('characteristicvaluechanged', (/** @type {any} */ event) => heard(sensor, kind, name(number), event.target.value));
    await characteristic.startNotifications();
    if (kind.values.length === 1 && name(number) in EVERY) sensor.worn = true;
  }
  const control = kind.control && found.find((c) => short(c.uuid) === name(/** @type {number} */ (kind.control)));
  if (!control) return;
  await control.startNotifications();
  await control.writeValueWithResponse(ALL_RECORDS);
}

/** @param {Sensor} sensor @param {Kind} kind @param {string} char @param {DataView} view */
function heard(sensor, kind, char, view) {
  const decoded = decode(char, view);
  const key = `${char} ${[...new Uint8Array(view.buffer, view.byteOffset, view.byteLength)].join()}`;
  if (char === '2A18') sensor.glucose = key;
  const after = (char === '2A34' && sensor.glucose) || undefined;
  take({ sensor: sensor.name, char, view, stamp: decoded?.stamp, clockAhead: sensor.clockAhead, after }).catch(console.error);
  if (char in EVERY) sensor.worn = true;
  if (decoded) show(sensor, kind, decoded, EVERY[char] ?? 0);
  else if (char !== '2A34') sensor.notes = ['unreadable'];
  change();
}

/** @param {Sensor} sensor @param {Kind} kind @param {import('./gatt/decode.js').Decoded} decoded @param {number} every */
function show(sensor, kind, { readings, notes, stamp }, every) {
  const ms = measuredAt(sensor, kind, stamp);
  sensor.notes = notes;
  for (const reading of readings) {
    const known = sensor.readings.get(reading.code);
    // records come out of a memory in its own order
    if (known && known.ms > ms && known.ms <= Date.now()) continue;
    if (reading.code === '85354-9') sensor.readings.delete('cuff');
    sensor.readings.set(reading.code, { ...reading, ms, every });
  }
}

/** @param {Sensor} sensor @param {Kind} kind @param {string | undefined} stamp */
function measuredAt(sensor, kind, stamp) {
  const now = Date.now();
  if (!stamp || (sensor.clockAhead === undefined && !kind.control)) return now;
  return Math.min(now, Date.parse(stamp) - (sensor.clockAhead ?? 0));
}

/** @param {Sensor} sensor @param {any} service */
async function readClock(sensor, service) {
  try {
    const characteristic = await service?.getCharacteristic(CLOCK.now);
    const view = /** @type {DataView | undefined} */ (await characteristic?.readValue());
    if (!view || view.getUint16(0, true) === 0 || view.getUint8(2) === 0) return;
    const at = (/** @type {number} */ i) => view.getUint8(i);
    const ms = new Date(view.getUint16(0, true), at(2) - 1, at(3), at(4), at(5), at(6)).getTime();
    sensor.clockAhead = ms - Date.now();
  } catch (error) {
    console.info(error); // then its times are taken as they are
  }
}

/** @param {Sensor} sensor @param {any} service */
async function readBattery(sensor, service) {
  try {
    const level = await service?.getCharacteristic(BATTERY.level);
    if (!level) return;
    const note = (/** @type {DataView} */ view) => {
      sensor.battery = view.getUint8(0) <= 100 ? view.getUint8(0) : null;
      change();
    };
    note(await level.readValue());
    level.addEventListener('characteristicvaluechanged', (/** @type {any} */ event) => note(event.target.value));
    if (level.properties.notify) await level.startNotifications();
    else await readNowAndThen(sensor, level);
  } catch (error) {
    console.info(error); // a sensor without a readable battery is a sensor all the same
  }
}

/** @param {Sensor} sensor @param {any} level */
function readNowAndThen(sensor, level) {
  const timer = setInterval(() => {
    if (sensor.wanted && sensor.device.gatt.connected) level.readValue().catch(() => clearInterval(timer));
    else clearInterval(timer);
  }, BATTERY_AGAIN);
}
