// @ts-check
// Who this gateway is to the server: a key pair that never leaves this browser, registered once by a claim code, and
// short-lived tokens got with it.
import * as buffer from './buffer.js';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' };
const SCOPE = 'system/Observation.c';
/** A token is not used in its last minute. */
const MARGIN = 60_000;
/** Assertions are good for two minutes. */
const WRONG_TIME = 30_000;

/** @typedef {{ device: string, clientId: string, keys: CryptoKeyPair }} Identity */

/** Why the server gave nothing. `offline` is told by a status of 0. */
export class Trouble extends Error {
  /** @param {number} status @param {{ refused?: boolean, after?: number, reason?: string }} [more] after: ms to wait */
  constructor(status, { refused = false, after = 0, reason = '' } = {}) {
    super(reason || String(status));
    Object.assign(this, { status, refused, after, reason });
  }
  status = 0;
  /** it does not know this gateway, or not any more */
  refused = false;
  after = 0;
  reason = '';
}

/** @type {Identity | undefined} */
let me;
/** @type {{ text: string, until: number } | undefined} */
let held;
/** how far our clock is behind the server's, ms */
let behind = 0;

export const clockBehind = () => behind;
/** @returns {{ device: string, clientId: string } | null} */
export const whoami = () => me ?? null;

export async function load() {
  const known = /** @type {Identity | undefined} */ (await buffer.recall('identity'));
  if (known?.clientId !== me?.clientId) held = undefined;
  me = known;
  return whoami();
}

/** Asks the server; whatever keeps it from answering is a Trouble. @param {string} path @param {RequestInit} init */
export async function ask(path, init) {
  let reply;
  try {
    const headers = { Accept: 'application/json', ...init.headers };
    reply = await fetch(path, { method: 'POST', cache: 'no-store', credentials: 'omit', signal: AbortSignal.timeout(20_000), ...init, headers });
  } catch {
    throw new Trouble(0);
  }
  const date = Date.parse(reply.headers.get('Date') ?? '');
  if (!Number.isNaN(date)) behind = date - Date.now();
  return reply;
}

/** What to tell of an answer that is no success. @param {Response} reply @param {boolean} [refused] */
export async function trouble(reply, refused = false) {
  const seconds = Number(reply.headers.get('Retry-After'));
  const body = await reply.json().catch(() => undefined);
  return new Trouble(reply.status, { refused, after: seconds > 0 ? seconds * 1000 : 0, reason: reasonOf(body) });
}

/** The words of an OperationOutcome, if it is one. @param {any} outcome */
export function reasonOf(outcome) {
  if (outcome?.resourceType !== 'OperationOutcome') return '';
  const words = (outcome.issue ?? []).map((/** @type {any} */ i) => i.details?.text ?? i.diagnostics ?? i.code ?? '');
  return words.filter(Boolean).join('; ');
}

/** "abcd efgh" is "ABCD-EFGH". @param {string} typed */
export function tidyCode(typed) {
  const plain = typed.toUpperCase().replace(/[^A-Z0-9]/g, '');
  return plain.length === 8 ? `${plain.slice(0, 4)}-${plain.slice(4)}` : typed.trim().toUpperCase();
}

/** Registers a new key under a claim code. @param {string} code */
export async function claim(code) {
  const keys = await crypto.subtle.generateKey(ALGORITHM, false, ['sign', 'verify']);
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', keys.publicKey);
  const platform = /** @type {any} */ (navigator).userAgentData?.platform || navigator.platform || '';
  const body = JSON.stringify({ code: tidyCode(code), jwk: { kty, crv, x, y }, label: `/bridge ${platform}`.trim().slice(0, 100) });
  const reply = await ask('/device/v1/claim', { headers: { 'Content-Type': 'application/json' }, body });
  if (!reply.ok) throw await trouble(reply);
  const { device, client_id } = await reply.json();
  const next = { device, clientId: client_id, keys };
  await buffer.keep('identity', next);
  me = next;
  held = undefined;
  return whoami();
}

export async function token() {
  if (!me) throw new Trouble(401, { refused: true });
  if (held && held.until > Date.now()) return held.text;
  const assumed = behind;
  let reply = await grant(me);
  // Signed at a wrong time, which this answer has told.
  if (reply.status === 401 && Math.abs(behind - assumed) > WRONG_TIME) reply = await grant(me);
  if (reply.status === 400 || reply.status === 401) throw await trouble(reply, true);
  if (!reply.ok) throw await trouble(reply);
  const { access_token, expires_in } = await reply.json();
  const life = Number(expires_in) * 1000 || 0;
  held = { text: access_token, until: Date.now() + Math.max(life - MARGIN, life / 2) };
  return held.text;
}

/** @param {Identity} identity */
async function grant(identity) {
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    scope: SCOPE,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: await assertion(identity),
  });
  return ask('/auth/token', { body });
}

export function dropToken() {
  held = undefined;
}

/** @param {Identity} identity */
async function assertion({ clientId, keys }) {
  // by the server's clock: a phone's may be wrong
  const now = Math.floor((Date.now() + behind) / 1000);
  const claims = { iss: clientId, sub: clientId, aud: `${location.origin}/auth/token`, iat: now, exp: now + 120, jti: crypto.randomUUID() };
  const text = `${base64url(utf8({ alg: 'ES256', typ: 'JWT' }))}.${base64url(utf8(claims))}`;
  const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, keys.privateKey, new TextEncoder().encode(text));
  return `${text}.${base64url(new Uint8Array(signature))}`;
}

/** @param {unknown} value */
const utf8 = (value) => new TextEncoder().encode(JSON.stringify(value));

/** @param {Uint8Array} bytes */
const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
