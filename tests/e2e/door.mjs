// The way to the server, in the test's hands: a proxy that can be away, be busy or lose an answer, and keeps what went
// through it. The browser comes here for the server's own address.
// @ts-check
import { createServer, request as ask } from "node:http";

/** @typedef {{ id: string, char: string, hex: string, receivedAt: string, deviceClock?: string }} Item */

export class Door {
  /** "up"; "away": nobody answers; "mute": it works, but its answer is lost; "busy": 503 */
  mode = "up";
  /** @type {Item[]} what was taken, in order */
  stored = [];
  /** @type {string[]} outcome of every item of every request */
  outcomes = [];
  origin = "";
  close = () => {};

  /** @param {number} upstream @param {number} port */
  static async before(upstream, port) {
    const door = new Door();
    const server = createServer((incoming, outgoing) => {
      const taken = incoming.url === "/device/v1/gatt" ? door.#gatt(incoming, outgoing, upstream) : door.#pass(incoming, outgoing, upstream);
      taken.catch(() => incoming.socket.destroy());
    });
    await new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(undefined)));
    door.origin = `http://127.0.0.1:${upstream}`;
    door.close = () => (server.closeAllConnections(), server.close());
    return door;
  }

  /** @param {import("node:http").IncomingMessage} incoming @param {import("node:http").ServerResponse} outgoing @param {number} port */
  async #pass(incoming, outgoing, port) {
    if (this.mode === "away") return void incoming.socket.destroy();
    const { url: path, method, headers } = incoming;
    const onward = ask({ port, host: "127.0.0.1", path, method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on("error", () => incoming.socket.destroy());
    incoming.pipe(onward);
  }

  /** @param {import("node:http").IncomingMessage} incoming @param {import("node:http").ServerResponse} outgoing @param {number} port */
  async #gatt(incoming, outgoing, port) {
    if (this.mode === "away") return void incoming.socket.destroy();
    if (this.mode === "busy") return void outgoing.writeHead(503, { "Retry-After": "1" }).end();
    let text = "";
    for await (const piece of incoming) text += piece;
    const batch = JSON.parse(text);
    const headers = { "Content-Type": "application/json", Authorization: incoming.headers.authorization ?? "" };
    const answer = await fetch(`http://127.0.0.1:${port}/device/v1/gatt`, { method: "POST", headers, body: text });
    const receipts = await answer.text();
    if (answer.status === 200 || answer.status === 422) this.#note(batch.items, JSON.parse(receipts));
    if (this.mode === "mute") return void incoming.socket.destroy();
    outgoing.writeHead(answer.status, { "Content-Type": "application/json" }).end(receipts);
  }

  /** @param {Item[]} items @param {{ items?: { place: string, outcome: string }[] }} receipts */
  #note(items, receipts) {
    for (const { place, outcome } of receipts.items ?? []) {
      this.outcomes.push(outcome);
      if (outcome === "created" || outcome === "quarantined") this.stored.push(items[Number(place.replace(/\D/g, ""))]);
    }
  }
}

/** What an administrator does, by the server's own address. */
export class Administrator {
  /** @param {string} origin @param {string} cookie */
  constructor(origin, cookie) {
    this.origin = origin;
    this.cookie = cookie;
  }

  /** @param {string} origin @param {string} username @param {string} password */
  static async signIn(origin, username, password) {
    const reply = await fetch(`${origin}/auth/login`, {
      method: "POST", headers: { "X-Requested-With": "vigia" }, body: JSON.stringify({ username, password }),
    });
    if (!reply.ok) throw new Error(`sign-in: ${reply.status}`);
    return new Administrator(origin, (reply.headers.get("set-cookie") ?? "").split(";")[0]);
  }

  /** @param {string} method @param {string} path @param {object} [body] */
  async ask(method, path, body) {
    const headers = { Cookie: this.cookie, "X-Requested-With": "vigia", "Content-Type": "application/json" };
    const reply = await fetch(this.origin + path, { method, headers, body: body && JSON.stringify(body) });
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`);
    return reply.status === 204 ? undefined : reply.json().catch(() => undefined);
  }

  /** @param {object} resource @returns {Promise<string>} its reference */
  async create(resource) {
    const { resourceType, id } = await this.ask("POST", `/fhir/${/** @type {any} */ (resource).resourceType}`, resource);
    return `${resourceType}/${id}`;
  }

  /** @param {string} device @returns {Promise<string>} a code for it */
  offer = async (device) => (await this.ask("POST", `/device/v1/devices/${device.split("/")[1]}/claim`, {})).code;
  /** @param {string} device @param {string} patient  whom it has been at for an hour */
  associate = (device, patient) =>
    this.ask("POST", `/device/v1/devices/${device.split("/")[1]}/association`, { patient, start: new Date(Date.now() - 3_600_000).toISOString() });
  /** @param {string} device */
  revoke = (device) => this.ask("DELETE", `/device/v1/devices/${device.split("/")[1]}/credentials`);
}
