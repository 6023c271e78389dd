// The ward page as a clinician meets it: runs the demonstration, signs in, sees live values change and an alert
// appear, loses the server and is told so. Chromium is the system's. Exits non-zero at the first thing that is
// not as it should be; pictures go to target/e2e/.
// @ts-check
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PATIENCE, freePort, launch, until } from "./helpers.mjs";

const root = join(import.meta.dirname, "..", "..");
const pictures = join(root, "target", "e2e");
mkdirSync(pictures, { recursive: true });

const program = process.env.VIGIA_TEST_BINARY ?? join(root, "target", "debug", "vigia");

const data = mkdtempSync(join(tmpdir(), "vigia-e2e-"));
const [port, mllpPort] = [await freePort(), await freePort()];
const demo = spawn(
  program,
  ["demo", "--data", data, "--port", `${port}`, "--mllp-port", `${mllpPort}`, "--seed", "7"],
  { cwd: data, stdio: ["ignore", "pipe", "inherit"] },
);
let said = "";
demo.stdout.on("data", (text) => (said += text));
const ended = new Promise((resolve) => demo.on("exit", resolve));

/** @type {import("playwright-core").Browser | undefined} */
let browser;
try {
  const password = await until(() => said.match(/clinician\s+(\S+)\s+(\S+)/)?.slice(1), "the demo's accounts");
  browser = await launch();
  await story(browser, `http://127.0.0.1:${port}`, password[0], password[1]);
  console.log("browser test passed; pictures in target/e2e");
} catch (error) {
  console.error(said);
  throw error;
} finally {
  await browser?.close();
  demo.kill("SIGINT");
  const code = await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 15_000, "late"))]);
  if (code === "late") demo.kill("SIGKILL");
  rmSync(data, { recursive: true, force: true });
  if (code !== 0) {
    console.error(`the demo did not stop cleanly: ${code}`);
    process.exitCode = 1;
  }
}

/**
 * @param {import("playwright-core").Browser} browser
 * @param {string} address
 * @param {string} username
 * @param {string} password
 */
async function story(browser, address, username, password) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: "en-GB" });
  const page = await context.newPage();
  /** @type {string[]} */
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));

  // Whoever is not signed in is led to the sign-in page, and a wrong password is told.
  await page.goto(address);
  await page.waitForURL("**/login");
  await page.getByTestId("login-username").fill(username);
  await page.getByTestId("login-password").fill("wrong");
  await page.getByTestId("login-submit").click();
  await page.getByRole("alert").filter({ hasText: /./ }).first().waitFor();
  assert.match(page.url(), /login/);
  complaints.length = 0; // the browser itself reports the 401

  await page.getByTestId("login-password").fill(password);
  await page.getByTestId("login-submit").click();
  await page.waitForURL(`${address}/`);

  // Twelve patients, and a value that changes while one looks.
  const tiles = page.locator("[data-testid^='tile-']");
  await until(async () => (await tiles.count()) >= 12, "twelve tiles");
  const rate = page.locator("[data-testid^='vital-'][data-testid$='-8867-4']").first();
  await rate.waitFor({ timeout: PATIENCE });
  const before = await rates(page);
  await until(async () => (await rates(page)) !== before, "a heart rate that changes");
  await page.screenshot({ path: join(pictures, "ward.png") });

  // Somebody deteriorates.
  await page.locator("[data-testid^='alert-']").first().waitFor({ timeout: PATIENCE });
  await page.getByTestId("alarm-bar").waitFor();
  await page.screenshot({ path: join(pictures, "alert.png") });
  assert.deepEqual(complaints, [], "the page complains of nothing");

  // Silence never looks like health: with the server gone the page says so.
  await context.setOffline(true);
  demo.kill("SIGSTOP");
  await page.getByTestId("banner-lost").waitFor({ timeout: PATIENCE });
  await page.screenshot({ path: join(pictures, "lost.png") });
  demo.kill("SIGCONT");
  await context.setOffline(false);
  await page.getByTestId("banner-lost").waitFor({ state: "detached", timeout: PATIENCE });
}

/** @param {import("playwright-core").Page} page */
async function rates(page) {
  const all = await page.locator("[data-testid^='vital-'][data-testid$='-8867-4']").allInnerTexts();
  return all.map((text) => text.split("\n").slice(0, 2).join(" ")).join("|");
}
