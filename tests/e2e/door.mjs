// The way to the server, in the test's hands: a proxy that can be away, lose an answer, and stands in for the doors that
// a gateway uses. It keeps what was sent, and is as strict about keys and tokens as a server has to be.
// @ts-check
import assert from "node:assert/strict";
import { createPublicKey, randomUUID, verify } from "node:crypto";
import { createServer, request as ask } from "node:http";

const CODE = "ABCD-EFGH";

export class Door {
  /** "up"; "away": nobody answers; "mute": it works, but its answer is lost; "busy": 503 */
  mode = "up";
  revoked = false;
  /** characteristics whose readings belong to nobody yet */
  quarantine = "";
  /** @type {{ id: string, char: string, hex: string, receivedAt: string, deviceClock?: string }[]} what was stored, in order */
  stored = [];
  /** @type {string[]} outcome of every item of every request */
  outcomes = [];
  /** @type {import("node:crypto").KeyObject | undefined} */
  key;
  tokens = new Set();
  assertions = new Set();

  /** @param {number} upstream @param {number} port */
  static async before(upstream, port) {
    const door = new Door();
    const server = createServer((incoming, outgoing) => void door.#take(incoming, outgoing, upstream));
    await new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(undefined)));
    door.origin = `http://127.0.0.1:${port}`;
    door.close = () => (server.closeAllConnections(), server.close());
    return door;
  }

  origin = "";
  close = () => {};

  /** @param {import("node:http").IncomingMessage} incoming @param {import("node:http").ServerResponse} outgoing @param {number} upstream */
  async #take(incoming, outgoing, upstream) {
    if (this.mode === "away") return void incoming.socket.destroy();
    const own = { "/device/v1/claim": this.#claim, "/auth/token": this.#token, "/device/v1/gatt": this.#gatt }[incoming.url ?? ""];
    if (!own) return pass(incoming, outgoing, upstream);
    let body = "";
    for await (const piece of incoming) body += piece;
    if (this.mode === "busy") return void outgoing.writeHead(503, { "Retry-After": "1" }).end();
    const [status, answer] = own.call(this, body, incoming.headers);
    if (this.mode === "mute") return void incoming.socket.destroy();
    outgoing.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(answer));
  }

  /** @param {string} body @returns {[number, object]} */
  #claim(body) {
    const { code, jwk } = JSON.parse(body);
    if (code !== CODE) return [404, outcome("the code is not known")];
    assert.deepEqual(Object.keys(jwk).sort(), ["crv", "kty", "x", "y"], "nothing of the private key is sent");
    this.key = createPublicKey({ key: jwk, format: "jwk" });
    this.revoked = false;
    return [200, { device: "Device/bridge-1", client_id: "bridge-1" }];
  }

  /** @param {string} body @returns {[number, object]} */
  #token(body) {
    const form = new URLSearchParams(body);
    assert.equal(form.get("grant_type"), "client_credentials");
    assert.equal(form.get("scope"), "system/Observation.c");
    assert.equal(form.get("client_assertion_type"), "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    const [head, claims, signature] = (form.get("client_assertion") ?? "").split(".");
    const said = JSON.parse(Buffer.from(claims, "base64url").toString());
    assert.deepEqual(JSON.parse(Buffer.from(head, "base64url").toString()), { alg: "ES256", typ: "JWT" });
    assert.deepEqual([said.iss, said.sub, said.aud], ["bridge-1", "bridge-1", `${this.origin}/auth/token`]);
    assert.ok(said.exp > Date.now() / 1000 && said.exp <= Date.now() / 1000 + 300, "five minutes at most");
    assert.ok(!this.assertions.has(said.jti), "each assertion once");
    this.assertions.add(said.jti);
    const key = /** @type {import("node:crypto").KeyObject} */ (this.key);
    const good = verify("sha256", Buffer.from(`${head}.${claims}`), { key, dsaEncoding: "ieee-p1363" }, Buffer.from(signature, "base64url"));
    if (!good || this.revoked) return [401, { error: "invalid_client" }];
    const token = randomUUID();
    this.tokens.add(token);
    return [200, { access_token: token, token_type: "Bearer", expires_in: 300 }];
  }

  /** @param {string} body @param {import("node:http").IncomingHttpHeaders} headers @returns {[number, object]} */
  #gatt(body, headers) {
    if (this.revoked || !this.tokens.has(headers.authorization?.replace("Bearer ", ""))) return [401, outcome("the token is not valid")];
    const items = JSON.parse(body).items.map((/** @type {any} */ item, /** @type {number} */ at) => {
      assert.match(item.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      assert.match(item.receivedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d$/);
      const place = `[${at}]`;
      if (item.char === "2A35" && item.hex.length < 14) return { place, outcome: "rejected", reason: outcome("the payload is too short") };
      const known = this.stored.some(({ id }) => id === item.id);
      if (!known) this.stored.push(item);
      return { place, outcome: known ? "duplicate" : item.char === this.quarantine ? "quarantined" : "created" };
    });
    this.outcomes.push(...items.map((/** @type {any} */ i) => i.outcome));
    const rejected = items.every((/** @type {any} */ i) => i.outcome === "rejected");
    return [rejected ? 422 : 200, { items }];
  }
}

/** @param {string} text */
const outcome = (text) => ({ resourceType: "OperationOutcome", issue: [{ severity: "error", code: "processing", diagnostics: text }] });

/** @param {import("node:http").IncomingMessage} incoming @param {import("node:http").ServerResponse} outgoing @param {number} port */
function pass(incoming, outgoing, port) {
  const onward = ask({ port, host: "127.0.0.1", path: incoming.url, method: incoming.method, headers: incoming.headers }, (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(outgoing);
  });
  onward.on("error", () => outgoing.destroy());
  incoming.pipe(onward);
}
