// The gateway page where there is no network: its own files, as one set. A set is taken anew whenever the page is opened
// and the server can be reached, whole or not at all, so that files of two versions never meet. Only files: what the
// page asks of the server goes to the server.
const PREFIX = 'vigia-bridge-';
const PAGE = '/bridge';
/** After this the set that is here will do. */
const PATIENCE = 4000;

self.addEventListener('install', (event) => event.waitUntil(renew().then(() => self.skipWaiting())));
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

self.addEventListener('fetch', (event) => {
  const { pathname, origin } = new URL(event.request.url);
  if (event.request.method !== 'GET' || origin !== location.origin) return;
  if (event.request.mode === 'navigate' && pathname === PAGE) event.respondWith(page(event.request));
  else if (pathname.startsWith('/ui/')) event.respondWith(file(event.request));
});

async function page(request) {
  await renew().catch(() => {});
  return file(new Request(PAGE), request);
}

async function file(request, original = request) {
  const cache = await current();
  return (await cache?.match(request, { ignoreSearch: true, ignoreVary: true })) ?? fetch(original);
}

/** The newest set. */
async function current() {
  const names = (await caches.keys()).filter((name) => name.startsWith(PREFIX)).sort();
  return names.length ? caches.open(names[names.length - 1]) : undefined;
}

/** Fetches the page and all that it names. */
async function renew() {
  const signal = AbortSignal.timeout(PATIENCE);
  const get = async (path) => {
    const reply = await fetch(path, { cache: 'no-cache', credentials: 'omit', signal });
    if (!reply.ok) throw new Error(`${path}: ${reply.status}`);
    return reply;
  };
  const first = await get(PAGE);
  const paths = [...(await first.clone().text()).matchAll(/(?:href|src)="(\/ui\/[^"]+)"/g)].map((found) => found[1]);
  const replies = await Promise.all(paths.map(async (path) => [path, await get(path)]));
  await replace([[PAGE, first], ...replies]);
}

async function replace(replies) {
  const old = (await caches.keys()).filter((name) => name.startsWith(PREFIX)).sort();
  const name = `${PREFIX}${String(Date.now()).padStart(15, '0')}`;
  // complete before it has the name by which it is found
  const bodies = await Promise.all(replies.map(async ([path, reply]) => [path, reply.headers, await reply.blob()]));
  const cache = await caches.open(name);
  try {
    await Promise.all(bodies.map(([path, headers, body]) => cache.put(path, new Response(body, { headers }))));
  } catch (error) {
    await caches.delete(name);
    throw error;
  }
  await Promise.all(old.filter((o) => o !== name).map((o) => caches.delete(o)));
}
