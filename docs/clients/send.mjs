// Sends readings to Vigía and keeps what is not stored yet. Node 18, nothing to install.
//
//     node send.mjs https://vigia.example vgd_… < readings.jsonl
//
// Each line is a reading in the compact form: {"code": "8867-4", "value": 72, "unit": "/min", "time": "…", "id": "…"}.
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";

const BATCH = 100;
const LONGEST_WAIT_S = 60;
const AGAIN = [409, 429, 500, 502, 503, 504];

const [base, key] = process.argv.slice(2);

async function post(body) {
  const headers = {
    Authorization: `Bearer ${key}`,
    "Content-Type": "application/json",
    // The same batch sent again is stored once, and answered as before.
    "Idempotency-Key": createHash("sha256").update(body).digest("hex"),
  };
  const url = new URL("/device/v1/observations", base);
  return fetch(url, { method: "POST", headers, body, signal: AbortSignal.timeout(30_000) });
}

// Sends until the server has answered for every reading.
async function send(readings) {
  const body = JSON.stringify(readings);
  for (let wait = 1; ; wait = Math.min(wait * 2, LONGEST_WAIT_S)) {
    let told = 0;
    try {
      const answer = await post(body);
      if (answer.headers.get("content-type")?.startsWith("application/json")) {
        const { items, ...counts } = await answer.json();
        for (const item of items) {
          if (item.outcome === "rejected") console.error(item.place, item.reason.issue[0].diagnostics);
        }
        return counts;
      }
      if (!AGAIN.includes(answer.status)) {
        console.error(`refused for good: ${answer.status}`);
        process.exit(1);
      }
      told = Number(answer.headers.get("retry-after"));
    } catch (error) {
      console.error(`not reached: ${error.message}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 1000 * (told || wait)));
  }
}

const readings = [];
for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim()) readings.push(JSON.parse(line));
}
while (readings.length) console.log(await send(readings.splice(0, BATCH)));
