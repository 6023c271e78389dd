// SMART apps as their makers build them: a page with the fhirclient library that starts on its own and from the patient's
// page, in Chromium; a service with openid-client. The server is the demonstration's. Pictures go to target/e2e/.
// @ts-check
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { generateKeyPairSync, webcrypto } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as openid from "openid-client";
import { Administrator } from "./door.mjs";
import { PATIENCE, freePort, launch, until } from "./helpers.mjs";

const root = join(import.meta.dirname, "..", "..");
const pictures = join(root, "target", "e2e");
mkdirSync(pictures, { recursive: true });
const program = process.env.VIGIA_TEST_BINARY ?? join(root, "target", "debug", "vigia");
// Its one file: the package's own dependencies are for building it.
const library = readFileSync(process.env.VIGIA_TEST_FHIRCLIENT ?? "fhir-client.js");

const data = mkdtempSync(join(tmpdir(), "vigia-smart-"));
const [port, mllpPort, appPort] = [await freePort(), await freePort(), await freePort()];
const address = `http://127.0.0.1:${port}`;
// Another origin than the server's.
const app = `http://localhost:${appPort}`;
const SCOPE = "openid fhirUser launch/patient offline_access patient/Patient.rs patient/Observation.rs?category=vital-signs";
const EHR_SCOPE = "openid fhirUser launch online_access patient/Patient.rs patient/Observation.rs";

/** What the app's pages are. */
const page = (/** @type {string} */ script) =>
  `<!doctype html><meta charset="utf-8"><title>App</title><pre id="out"></pre><script src="/fhir-client.js"></script><script>${script}</script>`;
const told = "const out = (what) => { document.getElementById('out').textContent = JSON.stringify(what); };";
const pages = {
  "/start": page(`FHIR.oauth2.authorize({ clientId: "chart", scope: ${JSON.stringify(SCOPE)}, iss: "${address}/fhir", redirectUri: "${app}/back", pkceMode: "required" });`),
  "/launch": page(`FHIR.oauth2.authorize({ clientId: "chart", scope: ${JSON.stringify(EHR_SCOPE)}, redirectUri: "${app}/back", pkceMode: "required" });`),
  "/back": page(`${told} FHIR.oauth2.ready().then(async (client) => {
      window.client = client;
      const patient = await client.patient.read();
      const readings = await client.request("Observation?patient=" + client.patient.id + "&_count=5");
      out({ patient: patient.id, user: client.user.fhirUser, readings: (readings.entry ?? []).length, scope: client.state.tokenResponse.scope });
    }).catch((error) => out({ error: String(error) }));`),
};
const server = createServer((request, response) => {
  const path = new URL(request.url ?? "/", app).pathname;
  if (path === "/fhir-client.js") return void response.setHeader("Content-Type", "text/javascript").end(library);
  const body = pages[/** @type {keyof pages} */ (path)];
  response.writeHead(body ? 200 : 404, { "Content-Type": "text/html" }).end(body);
}).listen(appPort, "localhost");

const demo = spawn(program, ["demo", "--data", data, "--port", `${port}`, "--mllp-port", `${mllpPort}`, "--seed", "7"], {
  cwd: data, stdio: ["ignore", "pipe", "inherit"],
});
let said = "";
demo.stdout.on("data", (text) => (said += text));
const ended = new Promise((resolve) => demo.on("exit", resolve));
/** @type {import("playwright-core").Browser | undefined} */
let browser;
try {
  const [name, password] = await until(() => said.match(/administrator\s+(\S+)\s+(\S+)/)?.slice(1), "the demo's accounts");
  const clinician = await until(() => said.match(/clinician\s+(\S+)\s+(\S+)/)?.slice(1), "the demo's accounts");
  const administrator = await Administrator.signIn(address, name, password);
  await administrator.ask("POST", "/auth/clients", {
    client_id: "chart", client_name: "Growth chart", redirect_uris: [`${app}/back`], scope: `${SCOPE} ${EHR_SCOPE}`,
    origins: [app], initiate_login_uri: `${app}/launch`,
  });
  await service(administrator);
  browser = await launch();
  await story(browser, clinician[0], clinician[1]);
  console.log("SMART test passed; pictures in target/e2e");
} catch (error) {
  console.error(said);
  throw error;
} finally {
  await browser?.close();
  server.closeAllConnections();
  server.close();
  demo.kill("SIGINT");
  const code = await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 15_000, "late"))]);
  if (code === "late") demo.kill("SIGKILL");
  rmSync(data, { recursive: true, force: true });
  if (code !== 0) {
    console.error(`the demo did not stop cleanly: ${code}`);
    process.exitCode = 1;
  }
}

/** A service of another maker's library, by both algorithms. @param {Administrator} administrator */
async function service(administrator) {
  const ec = generateKeyPairSync("ec", { namedCurve: "P-384" });
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const keys = [{ pair: ec, kid: "e", of: { name: "ECDSA", namedCurve: "P-384" } }, { pair: rsa, kid: "r", of: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-384" } }];
  await administrator.ask("POST", "/auth/clients", {
    client_id: "warehouse", client_name: "Warehouse", grant_types: ["client_credentials"], scope: "system/Patient.rs",
    token_endpoint_auth_method: "private_key_jwt",
    jwks: { keys: keys.map(({ pair, kid }) => ({ ...pair.publicKey.export({ format: "jwk" }), kid })) },
  });
  for (const { pair, kid, of } of keys) {
    const der = pair.privateKey.export({ format: "der", type: "pkcs8" });
    const key = await webcrypto.subtle.importKey("pkcs8", der, of, false, ["sign"]);
    // SMART wants the token endpoint for whom the assertion is.
    const proof = openid.PrivateKeyJwt({ key, kid }, { [openid.modifyAssertion]: (_, claims) => void (claims.aud = `${address}/auth/token`) });
    const found = await openid.discovery(new URL(address), "warehouse", undefined, proof, { execute: [openid.allowInsecureRequests] });
    const token = await openid.clientCredentialsGrant(found, { scope: "system/Patient.rs" });
    assert.equal(token.expires_in, 300);
    const reply = await fetch(`${address}/fhir/Patient?_count=1`, { headers: { Authorization: `Bearer ${token.access_token}` } });
    assert.equal((await reply.json()).entry.length, 1);
  }
}

/** What the app says once it is in. @param {import("playwright-core").Page} page */
async function shown(page) {
  await page.waitForURL(`${app}/back*`);
  const text = await until(() => page.locator("#out").textContent().catch(() => ""), "the app's answer");
  const answer = JSON.parse(text);
  assert.equal(answer.error, undefined, text);
  return answer;
}

/**
 * @param {import("playwright-core").Browser} browser
 * @param {string} username
 * @param {string} password
 */
async function story(browser, username, password) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "es-ES" });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  /** @type {string[]} */
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));

  // On its own: the app sends its user, who signs in, looks for a patient, and takes a right away.
  await page.goto(`${app}/start`);
  await page.waitForURL(`${address}/consent*`);
  await page.getByTestId("login-username").fill(username);
  await page.getByTestId("login-password").fill(password);
  await page.getByTestId("login-submit").click();
  await page.getByRole("heading", { name: /Growth chart/ }).waitFor();
  await page.getByTestId("consent-allow").click();
  await page.getByRole("alert").filter({ hasText: "Elija un paciente" }).waitFor();
  const patients = page.locator("[data-testid^='patient-']:not([type=search])");
  await patients.first().waitFor();
  const before = await page.locator(".picker li").count();
  assert.ok(before > 1, `${before} patients`);
  const surname = ((await page.locator(".picker b").nth(1).textContent()) ?? "").split(/[ ,]/)[0];
  await page.getByTestId("patient-search").fill(surname);
  await until(async () => (await page.locator(".picker li").count()) < before, "the search to narrow the list");
  await page.locator(".picker input").first().check();
  const chosen = await page.locator(".picker input").first().getAttribute("value");
  await page.screenshot({ path: join(pictures, "consent.png"), fullPage: true });
  await page.getByTestId("scope-offline_access").uncheck();
  await page.getByTestId("consent-allow").click();
  let answer = await shown(page);
  assert.equal(answer.patient, chosen);
  assert.ok(answer.readings > 0 && answer.user.startsWith("Practitioner/"), JSON.stringify(answer));
  assert.ok(!answer.scope.includes("offline_access") && answer.scope.includes("category=vital-signs"), answer.scope);

  // Again, signed in by now, in English, in the dark and on a phone; with the right to stay connected, which is then used.
  await page.setViewportSize({ width: 390, height: 800 });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.goto(`${app}/start`);
  await page.waitForURL(`${address}/consent*`);
  await page.getByRole("button", { name: /English/ }).click();
  await page.locator(".picker input").first().check();
  await page.screenshot({ path: join(pictures, "consent-phone.png"), fullPage: true });
  await page.getByTestId("consent-allow").click();
  await shown(page);
  const refreshed = await page.evaluate(async () => {
    const client = /** @type {any} */ (window).client;
    const before = client.state.tokenResponse.access_token;
    await client.refresh();
    const patient = await client.patient.read();
    return { other: client.state.tokenResponse.access_token !== before, patient: patient.id };
  });
  assert.ok(refreshed.other && refreshed.patient, JSON.stringify(refreshed));

  // The user says no.
  await page.goto(`${app}/start`);
  await page.waitForURL(`${address}/consent*`);
  await page.getByTestId("consent-deny").click();
  await page.waitForURL(/error=access_denied/);

  // From the patient's page, in a tab of its own.
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.goto(address);
  await page.locator("[data-testid^='tile-']").first().click();
  const tab = context.waitForEvent("page");
  await page.getByTestId("app-chart").click();
  const opened = await tab;
  await opened.waitForURL(`${address}/consent*`);
  await opened.getByTestId("consent-patient").filter({ hasText: /\S, \S/ }).waitFor();
  await opened.screenshot({ path: join(pictures, "consent-launch.png"), fullPage: true });
  await opened.getByTestId("consent-allow").click();
  answer = await shown(opened);
  assert.ok(answer.patient && answer.readings > 0, JSON.stringify(answer));
  assert.deepEqual(complaints, []);
}
