// Example of a receiver in JavaScript, without packages: verify each webhook, keep it once, answer at once.
//
//     WEBHOOK_SECRET=whsec_… PORT=8800 node docs/examples/receive_webhooks.mjs
//
// A real receiver keeps the ids in its database, in the transaction that stores the event.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const TOLERANCE = 5 * 60; // seconds
const LARGEST = 1_000_000; // bytes
const key = Buffer.from(process.env.WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
const seen = new Set();

function isSigned(headers, body) {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures } = headers;
  if (!id || !signatures || !(Math.abs(Date.now() / 1000 - Number(timestamp)) <= TOLERANCE)) return false;
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  return signatures.split(" ").some((each) => {
    const [version, signature] = each.split(",");
    const given = Buffer.from(signature ?? "", "base64");
    return version === "v1" && given.length === expected.length && timingSafeEqual(given, expected);
  });
}

function handle(event) {
  console.log(event.id, event.type, event.data.order?.number ?? "");
}

async function received(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > LARGEST) return 413;
    parts.push(part);
  }
  const body = Buffer.concat(parts); // the bytes as they came: JSON that is parsed and written again differs
  if (!isSigned(request.headers, body)) return 401;
  let event;
  try {
    event = JSON.parse(body);
  } catch {
    return 400;
  }
  if (!event?.id || !event.data) return 400;
  if (!seen.has(event.id)) {
    seen.add(event.id);
    setImmediate(handle, event); // after the answer
  }
  return 204;
}

createServer(async (request, response) => {
  response.writeHead(await received(request)).end();
}).listen(Number(process.env.PORT ?? 8800), "127.0.0.1", () => console.log("ready"));
