// @ts-check
// A payload read from its front. Whoever reads past its end, or leaves something over, has misread it.
import { decimal, float, sfloat } from './number.js';
/** @typedef {import('./number.js').Measured} Measured */

export class Bytes {
  /** @param {DataView} view */
  constructor(view) {
    this.view = view;
    this.at = 0;
  }

  /** @param {number} length */
  #take(length) {
    const from = this.at;
    this.at += length;
    if (this.at > this.view.byteLength) throw new RangeError('the payload is too short');
    return from;
  }

  u8() {
    return this.view.getUint8(this.#take(1));
  }

  u16() {
    return this.view.getUint16(this.#take(2), true);
  }

  s16() {
    return this.view.getInt16(this.#take(2), true);
  }

  u24() {
    return this.u16() | (this.u8() << 16);
  }

  /** @param {number} [shift] @returns {Measured} */
  sfloat(shift) {
    return sfloat(this.u16(), shift);
  }

  /** @returns {Measured} */
  float() {
    return float(this.view.getUint32(this.#take(4), true));
  }

  /** An integer that counts steps of `step` × 10^exponent. @param {number} step @param {number} exponent @returns {Measured} */
  steps(step, exponent) {
    return { text: decimal(this.u16() * step, exponent) };
  }

  /** @param {number} length */
  skip(length) {
    this.#take(length);
  }

  /** The device's own clock, without a zone; undefined when it does not know the date. */
  stamp() {
    const [year, month, day, hour, minute, second] = [this.u16(), this.u8(), this.u8(), this.u8(), this.u8(), this.u8()];
    const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
    const text = `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}T${two(hour)}:${two(minute)}:${two(second)}`;
    return year === 0 || Number.isNaN(Date.parse(`${text}Z`)) ? undefined : text;
  }

  get left() {
    return this.view.byteLength - this.at;
  }

  end() {
    if (this.left) throw new RangeError('the payload is too long');
  }
}
