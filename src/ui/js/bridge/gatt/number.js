// @ts-check
// The two number forms of medical Bluetooth devices (IEEE 11073-20601) as decimal text: the exponent says how many
// digits were measured, and a JavaScript number would lose that.

/** @typedef {{ text: string } | { absent: 'nan' | 'resolution' | 'over' | 'under' | 'reserved' }} Measured */

const SPECIAL_16 = /** @type {Record<number, Measured>} */ ({
  0x07ff: { absent: 'nan' }, 0x0800: { absent: 'resolution' }, 0x07fe: { absent: 'over' }, 0x0802: { absent: 'under' }, 0x0801: { absent: 'reserved' },
});
const SPECIAL_32 = /** @type {Record<number, Measured>} */ ({
  0x007fffff: { absent: 'nan' }, 0x00800000: { absent: 'resolution' }, 0x007ffffe: { absent: 'over' }, 0x00800002: { absent: 'under' }, 0x00800001: { absent: 'reserved' },
});

/** mantissa × 10^exponent, with as many decimals as the exponent says. @param {number} mantissa @param {number} exponent */
export function decimal(mantissa, exponent) {
  const sign = mantissa < 0 ? '-' : '';
  const digits = String(Math.abs(mantissa));
  if (exponent >= 0) return sign + (mantissa === 0 ? '0' : digits + '0'.repeat(exponent));
  const padded = digits.padStart(1 - exponent, '0');
  return `${sign}${padded.slice(0, exponent)}.${padded.slice(exponent)}`;
}

/** 12 bits of mantissa below 4 of exponent. @param {number} bits @param {number} [shift] a power of ten for another unit @returns {Measured} */
export function sfloat(bits, shift = 0) {
  return SPECIAL_16[bits] ?? { text: decimal((bits << 20) >> 20, ((bits << 16) >> 28) + shift) };
}

/** 24 bits of mantissa below 8 of exponent. @param {number} bits @returns {Measured} */
export function float(bits) {
  return SPECIAL_32[bits >>> 0] ?? { text: decimal((bits << 8) >> 8, bits >> 24) };
}
