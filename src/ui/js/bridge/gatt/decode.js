// @ts-check
// What a notification says, for the screen only: what is stored is made by the server from the same bytes.
import { Bytes } from './bytes.js';
/** @typedef {import('./number.js').Measured} Measured */
/** @typedef {{ code: string, value: string, unit: string, absent: string }} Reading  LOINC, decimal text, UCUM; absent: why there is no value */
/** @typedef {{ readings: Reading[], notes: string[], stamp?: string }} Decoded  notes: what the device says of itself; stamp: its own time */

/** @param {string} code @param {Measured} measured @param {string} unit @returns {Reading} */
const reading = (code, measured, unit) =>
  'text' in measured ? { code, value: measured.text, unit, absent: '' } : { code, value: '', unit, absent: measured.absent };

/** @param {number} bits @param {Record<number, string>} names  bit number to note */
const notesOf = (bits, names) => [...new Set(Object.entries(names).flatMap(([bit, name]) => ((bits >> Number(bit)) & 1 ? [name] : [])))];

const CUFF_NOTES = { 0: 'movement', 1: 'loose', 2: 'irregular', 5: 'position' };
const SENSOR_NOTES = { 3: 'signal', 4: 'signal', 5: 'perfusion', 6: 'signal', 7: 'signal', 8: 'signal', 11: 'sensorOff', 13: 'sensorOff', 14: 'fault', 15: 'sensorOff' };

/** @param {Bytes} b @returns {Decoded} */
function heartRate(b) {
  const flags = b.u8();
  const rate = flags & 1 ? b.u16() : b.u8();
  if (flags & 8) b.skip(2);
  if (flags & 16) {
    if (b.left === 0 || b.left % 2) throw new RangeError('no whole intervals');
    b.skip(b.left);
  }
  const loose = (flags & 6) === 4;
  return { readings: [reading('8867-4', { text: String(rate) }, '/min')], notes: loose ? ['contact'] : [] };
}

/** @param {Bytes} b */
function pressures(b) {
  const flags = b.u8();
  const unit = flags & 1 ? 'kPa' : 'mm[Hg]';
  const [systolic, diastolic, mean] = [b.sfloat(), b.sfloat(), b.sfloat()];
  const stamp = flags & 2 ? b.stamp() : undefined;
  const pulse = flags & 4 ? b.sfloat() : undefined;
  if (flags & 8) b.skip(1);
  const notes = flags & 16 ? notesOf(b.u16(), CUFF_NOTES) : [];
  return { unit, systolic, diastolic, mean, pulse, stamp, notes };
}

/** @param {Bytes} b @returns {Decoded} */
function bloodPressure(b) {
  const { unit, systolic, diastolic, mean, pulse, stamp, notes } = pressures(b);
  const side = (/** @type {Measured} */ m) => ('text' in m ? m.text : '—');
  const none = !('text' in systolic) && !('text' in diastolic);
  const readings = [none ? reading('85354-9', systolic, unit) : reading('85354-9', { text: `${side(systolic)}/${side(diastolic)}` }, unit)];
  if ('text' in mean) readings.push(reading('8478-0', mean, unit));
  if (pulse) readings.push(reading('8889-8', pulse, '/min'));
  return { readings, notes, stamp };
}

/** While the cuff is blown up: the pressure in it, which is nobody's blood pressure. @param {Bytes} b @returns {Decoded} */
function cuff(b) {
  const { unit, systolic, notes } = pressures(b);
  return { readings: [reading('cuff', systolic, unit)], notes };
}

/** @param {Bytes} b @returns {Decoded} */
function temperature(b) {
  const flags = b.u8();
  const value = b.float();
  const stamp = flags & 2 ? b.stamp() : undefined;
  if (flags & 4) b.skip(1);
  return { readings: [reading('8310-5', value, flags & 1 ? '[degF]' : 'Cel')], notes: [], stamp };
}

/** @param {Measured} saturation @param {Measured} pulse */
const oximetry = (saturation, pulse) => [reading('59408-5', saturation, '%'), reading('8889-8', pulse, '/min')];

/** @param {Bytes} b @returns {Decoded} */
function oximeterSpot(b) {
  const flags = b.u8();
  const readings = oximetry(b.sfloat(), b.sfloat());
  const stamp = flags & 1 ? b.stamp() : undefined;
  if (flags & 2) b.skip(2);
  const notes = flags & 4 ? notesOf(b.u24(), SENSOR_NOTES) : [];
  if (flags & 8) b.skip(2);
  return { readings, notes, stamp };
}

/** @param {Bytes} b @returns {Decoded} */
function oximeterContinuous(b) {
  const flags = b.u8();
  const readings = oximetry(b.sfloat(), b.sfloat());
  b.skip((flags & 1 ? 4 : 0) + (flags & 2 ? 4 : 0) + (flags & 4 ? 2 : 0));
  const notes = flags & 8 ? notesOf(b.u24(), SENSOR_NOTES) : [];
  if (flags & 16) b.skip(2);
  return { readings, notes };
}

/** The meter's owner moves its clock by an offset, the base time stays. @param {string} stamp @param {number} minutes */
const later = (stamp, minutes) => new Date(Date.parse(`${stamp}Z`) + minutes * 60_000).toISOString().slice(0, 19);

/** @param {Bytes} b @returns {Decoded} */
function glucose(b) {
  const flags = b.u8();
  b.skip(2);
  const base = b.stamp();
  const stamp = base && flags & 1 ? later(base, b.s16()) : base;
  if (!base && flags & 1) b.skip(2);
  const molar = (flags & 4) !== 0;
  const readings = [];
  if (flags & 2) {
    // kg/L to mg/dL, mol/L to mmol/L
    readings.push(molar ? reading('15074-8', b.sfloat(3), 'mmol/L') : reading('2339-0', b.sfloat(5), 'mg/dL'));
    b.skip(1);
  }
  if (flags & 8) b.skip(2);
  return { readings, notes: [], stamp };
}

/** @param {Bytes} b @returns {Decoded} */
function weight(b) {
  const flags = b.u8();
  const imperial = (flags & 1) !== 0;
  const readings = [weightOf(b, imperial)];
  const stamp = flags & 2 ? b.stamp() : undefined;
  if (flags & 4) b.skip(1);
  if (flags & 8) {
    readings.push(reading('39156-5', b.steps(1, -1), 'kg/m2'));
    readings.push(heightOf(b, imperial));
  }
  return { readings, notes: [], stamp };
}

/** @param {Bytes} b @param {boolean} imperial */
const weightOf = (b, imperial) => reading('29463-7', imperial ? b.steps(1, -2) : b.steps(5, -3), imperial ? '[lb_av]' : 'kg');
/** @param {Bytes} b @param {boolean} imperial */
const heightOf = (b, imperial) => reading('8302-2', b.steps(1, imperial ? -1 : -3), imperial ? '[in_i]' : 'm');

/** @param {Bytes} b @returns {Decoded} */
function composition(b) {
  const flags = b.u16();
  const imperial = (flags & 1) !== 0;
  const fat = b.u16();
  const readings = [reading('41982-0', fat === 0xffff ? { absent: 'nan' } : { text: (fat / 10).toFixed(1) }, '%')];
  const stamp = flags & 2 ? b.stamp() : undefined;
  if (flags & 4) b.skip(1);
  // metabolism, muscle percentage, four masses and impedance are stored, not shown
  for (let bit = 3; bit <= 9; bit += 1) if ((flags >> bit) & 1) b.skip(2);
  if (flags & 0x400) readings.unshift(weightOf(b, imperial));
  if (flags & 0x800) readings.push(heightOf(b, imperial));
  return { readings, notes: [], stamp };
}

/** Several records may share a notification; the last is the newest. @param {Bytes} b @returns {Decoded} */
function continuousGlucose(b) {
  let last;
  while (b.left) {
    const size = b.u8();
    if (size < 6) throw new RangeError('the record is too short');
    b.skip(1);
    last = b.sfloat();
    b.skip(size - 4);
  }
  if (!last) throw new RangeError('the payload is empty');
  return { readings: [reading('99504-3', last, 'mg/dL')], notes: [] };
}

const FORMS = /** @type {Record<string, (b: Bytes) => Decoded>} */ ({
  '2A37': heartRate, '2A35': bloodPressure, '2A36': cuff, '2A1C': temperature, '2A5E': oximeterSpot, '2A5F': oximeterContinuous,
  '2A18': glucose, '2A9D': weight, '2A9C': composition, '2AA7': continuousGlucose,
});

/**
 * Undefined for what cannot be read, and for what has nothing to show (2A34: the meal around a glucose value).
 * @param {string} char @param {DataView} view @returns {Decoded | undefined}
 */
export function decode(char, view) {
  const form = FORMS[char];
  if (!form) return undefined;
  try {
    const bytes = new Bytes(view);
    const decoded = form(bytes);
    bytes.end();
    return decoded;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
