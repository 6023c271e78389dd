// @ts-check
// A phone that sleeps is a gateway that is gone: while a sensor is held, the screen stays on, where the browser allows.
import { change, state } from './state.js';

/** @type {any} */
let lock;

/** To be called whenever something may have changed: sensors, or whether the page is in front. */
export async function keepScreen() {
  if (!state.sensors.length) return void (await lock?.release(), change({ awake: null }));
  if (document.hidden || (lock && !lock.released)) return;
  try {
    lock = await /** @type {any} */ (navigator).wakeLock?.request('screen');
    lock?.addEventListener('release', () => change({ awake: null }));
    change({ awake: Boolean(lock) });
  } catch {
    change({ awake: false }); // battery saver, or not allowed: the page says so
  }
}
