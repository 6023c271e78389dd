// @ts-check
// The few requests besides the stream. Same origin, cookie session; the header proves that a page of ours asked.

/** @param {string} path @param {RequestInit} [init] */
export function request(path, init = {}) {
  const headers = { Accept: 'application/json', 'X-Requested-With': 'vigia', ...init.headers };
  return fetch(path, { credentials: 'same-origin', cache: 'no-store', ...init, headers });
}

export function toLogin() {
  location.replace('/login');
}

/** @param {string} path @param {AbortSignal} [signal] */
export async function getJson(path, signal) {
  const reply = await request(path, { signal });
  if (reply.status === 401) toLogin();
  if (!reply.ok) throw new Error(`${reply.status}`);
  return reply.json();
}

/** @param {string} username @param {string} password */
export const login = (username, password) =>
  request('/auth/login', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ username, password }),
  });

export async function logout() {
  try {
    const reply = await request('/auth/logout', { method: 'POST' });
    if (reply.ok || reply.status === 401) return toLogin();
  } catch {
    // falls through: without the server nobody can be signed out
  }
  throw new Error('logout');
}
