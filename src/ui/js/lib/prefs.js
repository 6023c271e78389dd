// @ts-check
// Small choices of this browser's user (theme, language). Never patient data.

/** @param {string} key */
export function getPref(key) {
  try {
    return localStorage.getItem(`vigia.${key}`);
  } catch {
    return null; // storage may be switched off; the page works without it
  }
}

/** @param {string} key @param {string} value */
export function setPref(key, value) {
  try {
    localStorage.setItem(`vigia.${key}`, value);
  } catch {
    // the choice then lasts as long as the page
  }
}
