// The gateway page as somebody meets it who puts a phone beside a bed: registers it, connects sensors, sees readings,
// loses the network, the page and the sensor, and misses no reading. Sensors are emulated by Chromium; the server is the
// demonstration's, reached through door.mjs. Pictures go to target/e2e/.
// @ts-check
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Air } from "./bluetooth.mjs";
import { Administrator, Door } from "./door.mjs";
import { PATIENCE, freePort, launch, until } from "./helpers.mjs";
/** @typedef {import("playwright-core").Page} Page */
/** @typedef {{ administrator: Administrator, device: string, patient: string }} Behind  what is set up at the server */

const root = join(import.meta.dirname, "..", "..");
const pictures = join(root, "target", "e2e");
mkdirSync(pictures, { recursive: true });
const program = process.env.VIGIA_TEST_BINARY ?? join(root, "target", "debug", "vigia");

const data = mkdtempSync(join(tmpdir(), "vigia-bridge-"));
const [port, mllpPort, doorPort] = [await freePort(), await freePort(), await freePort()];
const demo = spawn(program, ["demo", "--data", data, "--port", `${port}`, "--mllp-port", `${mllpPort}`, "--seed", "7"], {
  cwd: data, stdio: ["ignore", "pipe", "inherit"],
});
let said = "";
demo.stdout.on("data", (text) => (said += text));
const ended = new Promise((resolve) => demo.on("exit", resolve));

/** @type {import("playwright-core").Browser | undefined} */
let browser;
/** @type {Door | undefined} */
let door;
try {
  const [name, password] = await until(() => said.match(/administrator\s+(\S+)\s+(\S+)/)?.slice(1), "the demo's accounts");
  door = await Door.before(port, doorPort);
  const administrator = await Administrator.signIn(`http://127.0.0.1:${port}`, name, password);
  const patient = await administrator.create({ resourceType: "Patient", name: [{ family: "Vega" }] });
  const device = await administrator.create({ resourceType: "Device", status: "active", deviceName: [{ name: "Puente 1", type: "user-friendly-name" }] });
  // The address stays the server's own, to which a gateway signs; on Linux Web Bluetooth is behind a switch.
  browser = await launch("--enable-features=WebBluetooth", `--host-resolver-rules=MAP 127.0.0.1:${port} 127.0.0.1:${doorPort}, MAP vigia.test 127.0.0.1`);
  const air = await Air.over(browser);
  const context = await browser.newContext({ viewport: { width: 360, height: 740 }, locale: "es-MX" });
  await stories(context, air, door, { administrator, device, patient });
  await context.close();
  await withoutSomething(browser, door);
  console.log("gateway test passed; pictures in target/e2e");
} catch (error) {
  console.error(said, door?.outcomes);
  for (const page of browser?.contexts().flatMap((c) => c.pages()) ?? []) await page.screenshot({ path: join(pictures, "bridge-failed.png") }).catch(() => {});
  throw error;
} finally {
  await browser?.close();
  door?.close();
  demo.kill("SIGINT");
  const late = new Promise((resolve) => setTimeout(resolve, 15_000, "late"));
  if ((await Promise.race([ended, late])) === "late") demo.kill("SIGKILL");
  rmSync(data, { recursive: true, force: true });
}

/** @param {import("playwright-core").BrowserContext} context @param {Air} air @param {Door} door @param {Behind} behind */
async function stories(context, air, door, behind) {
  const { administrator, device } = behind;
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  /** @type {string[]} */
  const complaints = [];
  page.on("console", (m) => m.type() === "error" && !m.text().includes("Failed to load resource") && complaints.push(m.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await air.choosesFor(page);
  const strap = await air.sensor("00:00:00:00:00:01", "Correa 7", { "180D": { "2A37": "0048" }, "180F": { "2A19": "50" } });
  const cuff = await air.sensor("00:00:00:00:00:02", "Cuff", { 1810: { "2A35": "00780050005D00" } });
  const meter = await air.sensor("00:00:00:00:00:03", "Meter", { 1808: { "2A18": "00", "2A34": "00", "2A52": "00" } });

  await registers(page, door, administrator, device);
  await showsAndSends(page, air, door, behind, strap, cuff);
  await keepsWhileAway(page, air, door, strap);
  await survivesLostAnswers(page, door, strap);
  await tellsRefusals(page, door, cuff);
  await tellsFullDisk(page, door, strap, complaints);
  await followsSensors(page, door, strap);
  await readsMemories(page, air, door, meter);
  await isRevoked(page, door, administrator, device, strap);
  await isInTheRecord(behind, door);
  await speaksEnglish(page);
  await seesBluetoothOff(page, air);
  await readsWhatTheServerReads(page);
  await understandsReceipts(page);
  assert.deepEqual(complaints, [], "the page complains of nothing");
}

/** A code brought by a QR code, one press. @param {Page} page @param {Door} door @param {Administrator} administrator @param {string} device */
async function registers(page, door, administrator, device) {
  await page.goto(`${door.origin}/bridge#code=wxyz-0000`);
  await is(page, "link", "Sin registrar");
  assert.equal(new URL(page.url()).hash, "", "the code does not stay in the address");
  assert.equal(await page.getByTestId("connect").getAttribute("aria-disabled"), "true");
  await page.getByTestId("claim-submit").click();
  await page.getByTestId("claim-problem").filter({ hasText: "no es válido" }).waitFor();
  await page.screenshot({ path: join(pictures, "bridge-claim.png"), fullPage: true });

  const code = await administrator.offer(device);
  await page.goto(`${door.origin}/bridge#code=${code}`); // the same document: only the fragment is new
  await until(async () => (await page.getByTestId("claim-code").inputValue()) === code, "the code in its field");
  await page.getByTestId("claim-code").press("Enter");
  await is(page, "registered", `Registrado como ${device}`);
  await page.getByTestId("claim").waitFor({ state: "detached" });
  const key = await page.evaluate(async () => {
    const db = await new Promise((resolve) => (indexedDB.open("vigia-bridge").onsuccess = (e) => resolve(/** @type {any} */ (e.target).result)));
    const request = db.transaction("kept").objectStore("kept").get("identity");
    await new Promise((resolve) => (request.onsuccess = resolve));
    return crypto.subtle.exportKey("jwk", request.result.keys.privateKey).then(() => "told", () => "kept");
  });
  assert.equal(key, "kept", "nobody gets the private key out of the browser");
}

/** @param {Page} page @param {Air} air @param {Door} door @param {Behind} behind @param {import("./bluetooth.mjs").Sensor} strap @param {import("./bluetooth.mjs").Sensor} cuff */
async function showsAndSends(page, air, door, { administrator, device, patient }, strap, cuff) {
  await connects(page, air, strap, "Conectado");
  await is(page, "battery", /Batería 80\s?%/);
  const empty = await lies(page);
  await strap.says(page, "2A37", "0055");
  await is(page, "reading-8867-4", /85\s*lpm/);
  await until(() => door.stored.length === 1, "the first reading at the door");
  assert.deepEqual([door.stored[0].char, door.stored[0].hex], ["2A37", "0055"]);
  assert.ok(Math.abs(Date.parse(door.stored[0].receivedAt) - Date.now()) < PATIENCE);
  await is(page, "link", "Todo enviado");
  await is(page, "waiting", "0 lecturas");
  // Nobody has said whose they are: the server holds them, and gives them back once somebody has.
  await is(page, "quarantined", /retiene 1 lectura/);
  assert.deepEqual(door.outcomes, ["quarantined"]);
  await administrator.associate(device, patient);
  await strap.says(page, "2A37", "0455");
  await page.getByText("Sin contacto con la piel").waitFor();
  await page.getByTestId("quarantined").waitFor({ state: "detached" });
  assert.deepEqual(await lies(page), empty, "nothing has jumped because a value came");

  await connects(page, air, cuff, "Conectado");
  await cuff.says(page, "2A35", "15BDF00B009FF03C001200");
  await is(page, "reading-85354-9", /18\.9\/11\s*kPa/);
  await is(page, "reading-8889-8", /60/);
  await page.getByText("El brazalete está flojo").waitFor();
  await cuff.says(page, "2A35", "00FF07FF07FF07");
  await is(page, "reading-85354-9", /el sensor no pudo medir/);
  await until(() => door.stored.length === 4, "all of them at the door");
  await cuff.says(page, "2A35", "1E8A00580078000000041114293B3C00012700");
  await until(() => door.stored.length === 5, "the fifth");
  await fits(page);
  await page.screenshot({ path: join(pictures, "bridge-readings.png"), fullPage: true });
}

/** No server, no network, no page: the readings stay, and go once. @param {Page} page @param {Air} air @param {Door} door @param {import("./bluetooth.mjs").Sensor} strap */
async function keepsWhileAway(page, air, door, strap) {
  const [before, place] = [door.stored.length, await lies(page)];
  await until(() => page.evaluate(() => navigator.serviceWorker.controller !== null), "the page's own files kept");
  door.mode = "away";
  for (const hex of ["0061", "0062", "0063"]) await strap.says(page, "2A37", hex);
  await is(page, "link", "Sin conexión");
  await is(page, "waiting", "3 lecturas");
  assert.deepEqual(await lies(page), place, "nothing jumps when the server is away");
  await page.screenshot({ path: join(pictures, "bridge-offline.png"), fullPage: true });

  await page.reload();
  await air.again();
  await is(page, "waiting", "3 lecturas");
  await page.getByTestId("missed").filter({ hasText: "Correa 7" }).waitFor();
  await page.screenshot({ path: join(pictures, "bridge-reloaded.png"), fullPage: true });
  await connects(page, air, strap, "Conectado", page.getByRole("button", { name: "Conectar de nuevo Correa 7" }));
  await strap.says(page, "2A37", "0064");
  await is(page, "waiting", "4 lecturas");
  assert.equal(door.stored.length, before);

  door.mode = "up";
  await page.getByText("Intentar ahora").click();
  await is(page, "waiting", "0 lecturas");
  assert.deepEqual(door.stored.slice(before).map((i) => i.hex), ["0061", "0062", "0063", "0064"], "all, in order, once");
  assert.ok(!door.outcomes.includes("duplicate"));
}

/** The server works, but its answer never comes. @param {Page} page @param {Door} door @param {import("./bluetooth.mjs").Sensor} strap */
async function survivesLostAnswers(page, door, strap) {
  const before = door.stored.length;
  door.mode = "mute";
  await strap.says(page, "2A37", "0071");
  await is(page, "link", "Sin conexión");
  await is(page, "waiting", "1 lectura");
  door.mode = "busy";
  await page.getByText("Intentar ahora").click();
  await is(page, "link", "Falla del servidor");
  door.mode = "up";
  await is(page, "waiting", "0 lecturas");
  assert.equal(door.stored.length, before + 1, "stored once");
  assert.ok(door.outcomes.includes("duplicate"), "though sent twice");
}

/** @param {Page} page @param {Door} door @param {import("./bluetooth.mjs").Sensor} cuff */
async function tellsRefusals(page, door, cuff) {
  await connects(page, cuff.air, cuff, "Conectado", page.getByRole("button", { name: "Conectar de nuevo Cuff" }));
  await cuff.says(page, "2A35", "010203");
  const refused = page.getByTestId("rejected");
  await refused.filter({ hasText: /short|long|octet|byte/ }).waitFor();
  await page.getByText("No se pudo leer el último mensaje").waitFor();
  await is(page, "waiting", "0 lecturas");
  await page.screenshot({ path: join(pictures, "bridge-rejected.png"), fullPage: true });
  const before = door.outcomes.length;
  await page.getByTestId("rejected-retry").click();
  await until(() => door.outcomes.length === before + 1, "it is sent again");
  await refused.waitFor();
  await page.getByTestId("rejected-clear").click();
  await refused.waitFor({ state: "detached" });
}

/** Nothing can be written: the page is loud, keeps what it has in memory, and writes it as soon as it can. @param {Page} page @param {Door} door @param {import("./bluetooth.mjs").Sensor} strap @param {string[]} complaints */
async function tellsFullDisk(page, door, strap, complaints) {
  await page.evaluate(() => {
    const { add } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.add = () => {
      throw new DOMException("full", "QuotaExceededError");
    };
    window.makeRoom = () => (IDBObjectStore.prototype.add = add);
  });
  await strap.says(page, "2A37", "0058");
  await is(page, "unsaved", /No cierre esta página/);
  await page.evaluate(() => window.makeRoom());
  await until(() => door.stored.at(-1)?.hex === "0058", "it is saved and sent");
  await page.getByTestId("unsaved").waitFor({ state: "detached" });
  assert.ok(complaints.length > 0 && complaints.every((text) => text.includes("Quota")), `${complaints}`);
  complaints.length = 0;
}

/** What is worn and goes is missed, and found again. @param {Page} page @param {Door} door @param {import("./bluetooth.mjs").Sensor} strap */
async function followsSensors(page, door, strap) {
  const card = page.getByTestId("sensor").filter({ hasText: "Correa 7" });
  await strap.leaves(false);
  await card.getByText("Perdido: reconectando").waitFor();
  await page.screenshot({ path: join(pictures, "bridge-lost.png"), fullPage: true });
  await until(async () => (await strap.returns(), card.getByText("Conectado").isVisible()), "the strap again");
  await strap.says(page, "2A37", "0059");
  await card.getByText("89").waitFor();
  await until(() => door.stored.at(-1)?.hex === "0059", "its value at the door");
  const other = page.getByTestId("sensor").filter({ hasText: "Cuff" });
  await other.getByTestId("release").click();
  await other.waitFor({ state: "detached" });
}

/** A meter gives all its records, each time. @param {Page} page @param {Air} air @param {Door} door @param {import("./bluetooth.mjs").Sensor} meter */
async function readsMemories(page, air, door, meter) {
  await connects(page, air, meter, "Conectado");
  await until(() => meter.written.includes("0101"), "the records are asked for");
  const before = door.stored.length;
  for (let times = 0; times < 2; times += 1) {
    await meter.says(page, "2A18", "020700E807030F0E1E2D78B011");
    await meter.says(page, "2A34", "02070001");
    await meter.says(page, "2A18", "060800E807030F0E1E2D43C011");
  }
  await is(page, "reading-2339-0", /120\s*mg\/dL/);
  await until(() => door.stored.length >= before + 3, "the records");
  await is(page, "waiting", "0 lecturas");
  assert.deepEqual(door.stored.slice(before).map((i) => i.char), ["2A18", "2A34", "2A18"], "each record once");
  await page.getByTestId("sensor").filter({ hasText: "Meter" }).getByTestId("release").click();
}

/** @param {Page} page @param {Door} door @param {Administrator} administrator @param {string} device @param {import("./bluetooth.mjs").Sensor} strap */
async function isRevoked(page, door, administrator, device, strap) {
  await administrator.revoke(device);
  await strap.says(page, "2A37", "0066");
  await is(page, "link", "Ya no se acepta");
  await page.screenshot({ path: join(pictures, "bridge-revoked.png"), fullPage: true });
  await is(page, "waiting", "1 lectura");
  await page.getByTestId("claim-code").fill(await administrator.offer(device));
  await page.getByTestId("claim-submit").click();
  await is(page, "waiting", "0 lecturas");
  assert.equal(door.stored.at(-1)?.hex, "0066");
}

/** Every heart rate that was given is an Observation of the patient, once. @param {Behind} behind @param {Door} door */
async function isInTheRecord({ administrator, patient }, door) {
  const rates = door.stored.filter((i) => i.char === "2A37").map((i) => parseInt(i.hex.slice(2, 4), 16));
  const given = [...rates, 60, 60]; // two values of the cuff hold a pulse
  const kept = await until(async () => {
    const { entry = [] } = await administrator.ask("GET", `/fhir/Observation?subject=${patient}&code=http://loinc.org|8867-4&_count=100`);
    return entry.length >= given.length && entry.map((/** @type {any} */ e) => e.resource.valueQuantity?.value);
  }, "the readings in the record");
  assert.deepEqual([...kept].sort(), [...given].sort());
}

/** @param {Page} page */
async function speaksEnglish(page) {
  await page.getByRole("button", { name: "EN: English" }).click();
  await is(page, "link", "Everything sent");
  await page.getByText("Disconnect a").waitFor({ state: "detached" });
  for (const size of [{ width: 360, height: 740 }, { width: 1280, height: 800 }]) {
    for (const theme of ["light", "dark"]) {
      await page.setViewportSize(size);
      await page.evaluate((name) => (document.documentElement.dataset.theme = name), theme);
      await fits(page);
      await page.screenshot({ path: join(pictures, `bridge-${size.width}-${theme}.png`), fullPage: true });
    }
  }
  const missing = await page.evaluate(async () => {
    const [en, es] = await Promise.all(["en", "es"].map((l) => import(`/ui/messages/bridge/${l}.js`)));
    const [a, b] = [Object.keys(en.default), Object.keys(es.default)];
    return [...a.filter((k) => !b.includes(k)), ...b.filter((k) => !a.includes(k))];
  });
  assert.deepEqual(missing, [], "both languages say everything");
}

/** @param {Page} page @param {Air} air */
async function seesBluetoothOff(page, air) {
  const turnTo = () => page.evaluate(() => dispatchEvent(new Event("focus")));
  await air.power("absent");
  await turnTo();
  await is(page, "no-bluetooth", /Bluetooth is off/);
  await air.power("powered-on");
  await turnTo();
  await page.getByTestId("no-bluetooth").waitFor({ state: "detached" });
}

/** The page reads and refuses the same values as the server. @param {Page} page */
async function readsWhatTheServerReads(page) {
  const lines = readFileSync(join(root, "tests", "data", "gatt", "vectors.csv"), "utf8").trim().split("\n").slice(1);
  const rows = lines.map((line) => [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].map((m) => m[1].replace(/^"|"$/g, "").replaceAll('""', '"')));
  const values = rows.filter(([, char]) => /^2A/.test(char) && char !== "2A34");
  assert.ok(values.length > 20);
  const read = await page.evaluate(async (all) => {
    const { decode } = await import("/ui/js/bridge/gatt/decode.js");
    const view = (/** @type {string} */ hex) => new DataView(Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16)).buffer);
    return all.map(([, char, , hex]) => decode(char, view(hex)));
  }, values);
  for (const [at, [id, , , , outcome, expected]] of values.entries()) {
    if (outcome === "ambiguous") continue;
    assert.equal(read[at] !== undefined, outcome === "valid", id);
    if (outcome !== "valid") continue;
    const row = JSON.parse(expected);
    const [first] = read[at].readings;
    const told = row.heart_rate ?? (row.systolic && `${row.systolic}/${row.diastolic}`) ?? row.temperature ?? row.spo2 ?? row.weight ?? row.glucose_mg_dl;
    if (told !== undefined) assert.equal(first.absent ? "NaN" : first.value, String(told).replace("NaN/NaN", "NaN"), id);
    if (row.timestamp?.startsWith("0000")) assert.equal(read[at].stamp, undefined, id);
    else if (row.timestamp) assert.equal(read[at].stamp, row.timestamp, id);
  }
}

/** Only what a receipt names is let go. @param {Page} page */
async function understandsReceipts(page) {
  const table = /** @type {[string, object[], number[], number[]][]} */ ([
    ["each its own", [of(0, "created"), of(1, "duplicate"), of(2, "quarantined")], [10, 11, 12], []],
    ["one refused", [of(0, "created"), of(1, "rejected"), of(2, "created")], [10, 12], [11]],
    ["one of two readings of a payload refused", [of(0, "created"), of(0, "rejected"), of(1, "created"), of(1, "created")], [11], [10]],
    ["one not named", [of(2, "created")], [12], []],
    ["a word nobody knows", [of(0, "postponed"), of(1, "created"), of(1, "postponed")], [], []],
    ["a place nobody sent", [of(7, "created"), { place: "", outcome: "rejected" }], [], []],
  ]);
  for (const [name, receipts, done, refused] of table) {
    const sorted = await page.evaluate(async (all) => {
      const { sort } = await import("/ui/js/bridge/receipts.js");
      return sort([10, 11, 12].map((seq) => /** @type {any} */ ({ seq })), /** @type {any} */ (all));
    }, receipts);
    assert.deepEqual([sorted.done, sorted.refused.map((/** @type {any} */ r) => r.item.seq)], [done, refused], name);
  }
}

/** @param {number} at @param {string} outcome */
function of(at, outcome) {
  return { place: `[${at}]`, outcome };
}

/** @param {import("playwright-core").Browser} browser @param {Door} door */
async function withoutSomething(browser, door) {
  const context = await browser.newContext({ locale: "en-GB", viewport: { width: 360, height: 740 } });
  const page = await context.newPage();
  await page.addInitScript(() => void delete (/** @type {any} */ (Navigator.prototype).bluetooth));
  await page.goto(`${door.origin}/bridge`);
  await is(page, "no-bluetooth", /Chrome, Edge or Opera on Android/);
  await page.screenshot({ path: join(pictures, "bridge-without.png"), fullPage: true });

  await page.goto(`http://vigia.test:${doorPort}/bridge`);
  await is(page, "no-bluetooth", /secure address/);

  await page.addInitScript(() => Object.defineProperty(window, "indexedDB", { value: undefined }));
  await page.goto(`${door.origin}/bridge`);
  await is(page, "no-storage", /no reading would be safe/);
  await context.close();
}

/**
 * Chooses a sensor in the browser's list.
 * @param {Page} page @param {Air} air @param {import("./bluetooth.mjs").Sensor} sensor @param {string} state
 * @param {import("playwright-core").Locator} [button]
 */
async function connects(page, air, sensor, state, button = page.getByTestId("connect")) {
  air.choice = sensor.address;
  await button.click();
  await page.getByTestId("sensor").filter({ hasText: sensor.name }).getByText(state).waitFor();
}

/** @param {Page} page @param {string} id @param {string | RegExp} text */
async function is(page, id, text) {
  try {
    await page.getByTestId(id).filter({ hasText: text }).first().waitFor({ timeout: 30_000 });
  } catch {
    throw new Error(`${id} is not ${text} but ${await page.getByTestId(id).allInnerTexts()}`);
  }
}

/** Where things are below what changes. @param {Page} page */
async function lies(page) {
  return page.getByTestId("sensor").or(page.getByTestId("connect")).evaluateAll((all) => all.map((e) => e.offsetTop));
}

/** Nothing is cut off, nor needs a finger to be pushed aside. @param {Page} page */
async function fits(page) {
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "the page is as wide as the screen");
}
