// Sensors that do not exist, by the Bluetooth emulation of the DevTools protocol. It has no notifications: a value is
// brought by having the page's own characteristic read, which the browser answers with the same event.
// @ts-check
/** @typedef {import("playwright-core").CDPSession} Session */

/** @param {string} number */
const uuid = (number) => `0000${number.toLowerCase()}-0000-1000-8000-00805f9b34fb`;
/** @param {string} hex */
const base64 = (hex) => Buffer.from(hex, "hex").toString("base64");

export class Air {
  /** @type {Map<string, { readable: string, number: string, sensor: Sensor }>} */
  characteristics = new Map();
  /** @type {Map<string, Sensor>} */
  sensors = new Map();
  /** whom the person chooses next */
  choice = "";

  /** @param {import("playwright-core").Browser} browser */
  static async over(browser) {
    const air = new Air();
    air.session = await browser.newBrowserCDPSession();
    air.session.on("BluetoothEmulation.gattOperationReceived", (e) => void air.#gatt(e).catch(() => {}));
    air.session.on("BluetoothEmulation.characteristicOperationReceived", (e) => void air.#characteristic(e).catch(() => {}));
    await air.send("enable", { state: "powered-on", leSupported: true });
    return air;
  }

  /** @type {Session | undefined} */
  session;

  /** @param {string} what @param {object} how @returns {Promise<any>} */
  async send(what, how) {
    return this.session?.send(/** @type {any} */ (`BluetoothEmulation.${what}`), /** @type {any} */ (how));
  }

  /** @param {"powered-on" | "absent"} state */
  power = (state) => this.send("setSimulatedCentralState", { state });

  /** Answers the list of devices that the browser shows. @param {import("playwright-core").Page} page */
  async choosesFor(page) {
    const session = await page.context().newCDPSession(page);
    // A list is told again when it grows; the browser itself fails when it is answered twice.
    const answered = new Set();
    session.on("DeviceAccess.deviceRequestPrompted", ({ id, devices }) => {
      if (answered.has(id) || !devices.some((d) => d.id === this.choice)) return;
      answered.add(id);
      session.send("DeviceAccess.selectPrompt", { id, deviceId: this.choice }).catch(() => {});
    });
    await session.send("DeviceAccess.enable");
    await page.addInitScript(() => {
      const subscribed = (window.subscribed = {});
      const start = BluetoothRemoteGATTCharacteristic.prototype.startNotifications;
      BluetoothRemoteGATTCharacteristic.prototype.startNotifications = function () {
        subscribed[`${this.service.device.name} ${this.uuid.slice(4, 8).toUpperCase()}`] = this;
        return start.call(this);
      };
    });
  }

  /**
   * @param {string} address @param {string} name
   * @param {Record<string, Record<string, string>>} services  service to characteristic to what is read from it
   */
  async sensor(address, name, services) {
    const sensor = new Sensor(this, address, name);
    sensor.services = services;
    this.sensors.set(address, sensor);
    await this.#place(sensor);
    return sensor;
  }

  /** The emulation ends with the document that used it; called after a reload. */
  async again() {
    await this.send("disable", {});
    await this.send("enable", { state: "powered-on", leSupported: true });
    this.characteristics.clear();
    for (const sensor of this.sensors.values()) await this.#place(sensor);
  }

  /** @param {Sensor} sensor */
  async #place(sensor) {
    const { address, name, services } = sensor;
    await this.send("simulatePreconnectedPeripheral", { address, name, manufacturerData: [], knownServiceUuids: Object.keys(services).map(uuid) });
    await this.offers(sensor);
  }

  /** @param {Sensor} sensor */
  async offers(sensor) {
    const { address, services } = sensor;
    for (const [service, characteristics] of Object.entries(services)) {
      const { serviceId } = await this.send("addService", { address, serviceUuid: uuid(service) });
      for (const [number, readable] of Object.entries(characteristics)) {
        const properties = { read: true, notify: true, write: number === "2A52" };
        const { characteristicId } = await this.send("addCharacteristic", { serviceId, characteristicUuid: uuid(number), properties });
        // what a subscription is written to
        await this.send("addDescriptor", { characteristicId, descriptorUuid: uuid("2902") });
        this.characteristics.set(characteristicId, { readable, number, sensor });
      }
    }
  }

  /** @param {{ address: string, type: string }} event */
  async #gatt({ address, type }) {
    const sensor = this.sensors.get(address);
    if (type === "connection" && sensor?.away) return; // it is asked in vain, as by radio
    await this.send("simulateGATTOperationResponse", { address, type, code: 0 });
  }

  /** @param {{ characteristicId: string, type: string, data?: string }} event */
  async #characteristic({ characteristicId, type, data }) {
    const known = this.characteristics.get(characteristicId);
    if (!known) return;
    if (type === "write") known.sensor.written.push(Buffer.from(data ?? "", "base64").toString("hex"));
    const value = type === "read" ? { data: base64(known.sensor.next.get(known.number) ?? known.readable) } : {};
    await this.send("simulateCharacteristicOperationResponse", { characteristicId, type, code: 0, ...value });
  }
}

export class Sensor {
  /** @type {Map<string, string>} */
  next = new Map();
  /** @type {string[]} */
  written = [];
  /** @type {Record<string, Record<string, string>>} */
  services = {};
  away = false;

  /** @param {Air} air @param {string} address @param {string} name */
  constructor(air, address, name) {
    Object.assign(this, { air, address, name });
  }

  air = /** @type {Air} */ (/** @type {unknown} */ (undefined));
  address = "";
  name = "";

  /** Has the page hear a value. @param {import("playwright-core").Page} page @param {string} number @param {string} hex */
  async says(page, number, hex) {
    this.next.set(number, hex);
    await page.evaluate((key) => window.subscribed[key].readValue(), `${this.name} ${number}`);
  }

  /** @param {boolean} [back] whether it can be connected again at once */
  async leaves(back = true) {
    this.away = !back;
    await this.air.send("simulateGATTDisconnection", { address: this.address });
    await this.air.offers(this); // a connection that ends takes its services with it
  }

  /** Answers who has been calling. */
  async returns() {
    this.away = false;
    await this.air.send("simulateGATTOperationResponse", { address: this.address, type: "connection", code: 0 }).catch(() => {});
  }
}
