// What the browser tests share.
// @ts-check
import { createServer } from "node:net";
import { chromium } from "playwright-core";

/** How long anything may take on a slow machine, ms. */
export const PATIENCE = 90_000;

/** The system's Chromium, without what it does behind one's back. @param {string[]} more */
export const launch = (...more) =>
  chromium.launch({
    executablePath: process.env.VIGIA_TEST_CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", ...more],
  });

/**
 * Asks until the answer is true, and gives up after a while.
 * @template T
 * @param {() => T | Promise<T>} ask
 * @param {string} what
 * @returns {Promise<NonNullable<T>>}
 */
export async function until(ask, what) {
  const deadline = Date.now() + PATIENCE;
  while (Date.now() < deadline) {
    const answer = await ask();
    if (answer) return /** @type {NonNullable<T>} */ (answer);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`waited in vain for ${what}`);
}

/** @returns {Promise<number>} */
export function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
