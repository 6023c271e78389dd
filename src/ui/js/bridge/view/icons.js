// @ts-check
// Marks of this page, drawn as those of view/icons.js are.
import { stroke } from '../../view/icons.js';

export { mark, plug, warning as alert } from '../../view/icons.js';

export const check = () => stroke('M4.5 12.5 10 18 19.5 7');
export const cloud = () => stroke('M7 18a4 4 0 0 1-.5-7.97A6 6 0 0 1 18 11.5a3.3 3.3 0 0 1 0 6.5ZM12 16v-5M9.8 13 12 10.8 14.2 13');
export const cloudOff = () => stroke('M4 4l16 16M8.5 7.3A6 6 0 0 1 18 11.5a3.3 3.3 0 0 1 2.4 5.4M6.5 10A4 4 0 0 0 7 18h10');
export const moonRest = () => stroke('M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5Z');
export const turning = () => stroke('M20 12a8 8 0 1 1-2.6-5.9M20 4v4.5h-4.5', 'turning');
export const bluetooth = () => stroke('M7 7.5 17 16.5 12 21V3l5 4.5L7 16.5');
