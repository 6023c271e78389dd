// @ts-check
// The sign-in form: on its own page, and wherever somebody must be known before going on.
import { html, useEffect, useRef, useState } from '../lib/html.js';
import { login } from '../lib/api.js';
import { t } from '../lib/i18n.js';
import { eye, eyeOff, warning } from './icons.js';

/** @typedef {{ key: string, v?: string | number, field?: 'username' | 'password' }} Problem */

/** Tries to sign in; answers with what went wrong, if anything did. @param {string} username @param {string} password @returns {Promise<Problem | undefined>} */
async function attempt(username, password) {
  try {
    const reply = await login(username, password);
    if (reply.ok) return undefined;
    if (reply.status === 401) return { key: 'login.wrong', field: 'password' };
    if (reply.status === 429) return { key: 'login.slow', v: Math.max(1, Number(reply.headers.get('Retry-After')) || 30) };
    return { key: 'login.failed', v: reply.status };
  } catch {
    return { key: 'login.away' };
  }
}

/** @param {{ onDone: () => void }} props */
export function SignIn({ onDone }) {
  const [problem, setProblem] = useState(/** @type {Problem | undefined} */ (undefined));
  const [busy, setBusy] = useState(false);
  const [shown, setShown] = useState(false);
  const [caps, setCaps] = useState(false);
  const username = useRef(/** @type {HTMLInputElement | null} */ (null));
  const password = useRef(/** @type {HTMLInputElement | null} */ (null));
  const fields = { username, password };
  const waiting = problem?.key === 'login.slow';

  useEffect(() => username.current?.focus(), []);
  useEffect(() => {
    if (problem?.field) fields[problem.field].current?.focus();
    if (problem?.key === 'login.wrong') password.current?.select();
    if (problem?.key !== 'login.slow') return;
    const left = Number(problem.v) - 1;
    const timer = setTimeout(() => setProblem(left > 0 ? { ...problem, v: left } : { key: 'login.ready' }), 1000);
    return () => clearTimeout(timer);
  }, [problem]);

  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const name = username.current?.value.trim() ?? '';
    const secret = password.current?.value ?? '';
    if (busy || waiting) return;
    if (!name) return setProblem({ key: 'login.needUsername', field: 'username' });
    if (!secret) return setProblem({ key: 'login.needPassword', field: 'password' });
    setBusy(true);
    const wrong = await attempt(name, secret);
    if (!wrong) return onDone(); // the form stays shut
    setBusy(false);
    setProblem(wrong);
  };
  const onKey = (/** @type {KeyboardEvent} */ event) => setCaps(event.getModifierState?.('CapsLock') ?? false);
  const wrongField = (/** @type {string} */ field) => (problem?.field === field ? 'true' : null);
  const toggle = t(shown ? 'login.hide' : 'login.show');

  return html`<form method="post" action="/auth/login" novalidate onSubmit=${submit} aria-busy=${String(busy)}>
        <label for="username">${t('login.username')}</label>
        <input id="username" name="username" ref=${username} autocomplete="username" autocapitalize="none" spellcheck=${false} required
          aria-invalid=${wrongField('username')} aria-describedby="problem" data-testid="login-username" />
        <label for="password">${t('login.password')}</label>
        <div class="password">
          <input id="password" name="password" ref=${password} type=${shown ? 'text' : 'password'} autocomplete="current-password" required
            aria-invalid=${wrongField('password')} aria-describedby="problem caps" data-testid="login-password" onKeyDown=${onKey} onKeyUp=${onKey} />
          <button type="button" class="tool" aria-pressed=${String(shown)} aria-label=${toggle} title=${toggle} onClick=${() => setShown(!shown)}>${shown ? eyeOff() : eye()}</button>
        </div>
        <p class="login-caps" id="caps" role="status">${caps ? t('login.caps') : ''}</p>
        <div class="login-problem" id="problem" role="alert" data-testid="login-error">${problem && html`${warning()}<span>${t(problem.key, { v: problem.v ?? '' })}</span>`}</div>
        <button type="submit" class="primary" aria-disabled=${String(busy || waiting)} data-testid="login-submit">${t(busy ? 'login.busy' : 'login.submit')}</button>
  </form>`;
}
