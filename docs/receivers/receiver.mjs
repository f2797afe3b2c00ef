#!/usr/bin/env node
// Receives webhooks of the relation host: verifies them, drops repetitions, and prints one
// line for each notice.
//
//     export RELATION_WEBHOOK_KEYS="whsec_…"
//     node receiver.mjs 127.0.0.1:9000
//
// RELATION_WEBHOOK_KEYS has signing secrets (whsec_…), public keys (whpk_…), or both, separated
// by spaces. A message is accepted if one of them matches. TLS ends at a reverse proxy in front
// of this program. Node 20 or later, without packages.

import crypto from "node:crypto";
import http from "node:http";

// How far the time of a message may be from the time here, in seconds.
const TOLERANCE = 300;
// The host sends at most 20 kB.
const MAX_BODY = 64 * 1024;
// How many ids are remembered. A program that runs as several processes keeps the ids in its
// database, for at least ten days.
const MAX_IDS = 100_000;
// The prefix of an ed25519 key's DER form, before its 32 bytes.
const ED25519_DER = Buffer.from("302a300506032b6570032100", "hex");

class Refused extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

// Returns the version of the signatures that a key verifies, and the function that verifies one.
function parseKey(text) {
  const bytes = Buffer.from(text.slice(text.indexOf("_") + 1), "base64");
  if (text.startsWith("whsec_") && bytes.length >= 24) {
    const matches = (content, signature) => {
      const expected = crypto.createHmac("sha256", bytes).update(content).digest();
      return signature.length === expected.length && crypto.timingSafeEqual(signature, expected);
    };
    return { version: "v1", matches };
  }
  if (text.startsWith("whpk_") && bytes.length === 32) {
    const der = Buffer.concat([ED25519_DER, bytes]);
    const key = crypto.createPublicKey({ key: der, format: "der", type: "spki" });
    return { version: "v1a", matches: (content, signature) => crypto.verify(null, content, key, signature) };
  }
  throw new Error("RELATION_WEBHOOK_KEYS must have secrets (whsec_…) or public keys (whpk_…)");
}

// Checks time and signature over the bytes of the body. Returns the message's id.
function verify(keys, headers, body) {
  const id = headers["webhook-id"];
  const timestamp = headers["webhook-timestamp"];
  const signatures = headers["webhook-signature"];
  if (!id || !signatures || !/^\d+$/.test(timestamp ?? "")) {
    throw new Refused(401, "the webhook headers are missing");
  }
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE) {
    throw new Refused(401, "the message is too old or too new: compare the clocks");
  }
  const content = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  for (const entry of signatures.split(" ")) {
    const [version, value = ""] = entry.split(",");
    const signature = Buffer.from(value, "base64");
    if (keys.some((key) => key.version === version && key.matches(content, signature))) {
      return id;
    }
  }
  throw new Refused(401, "no signature matches");
}

// Works on one event. Put your own code here.
function handle({ type, data }) {
  if (type !== "notice.digest") {
    console.log(type, JSON.stringify(data));
    return;
  }
  data.notices.forEach(handle);
  if (data.left_off > 0) {
    console.log(type, `and ${data.left_off} more`);
  }
}

function work(event) {
  try {
    handle(event);
  } catch (error) {
    console.error("cannot handle an event:", error);
  }
}

async function readBody(request) {
  const parts = [];
  let length = 0;
  for await (const part of request) {
    length += part.length;
    if (length > MAX_BODY) {
      throw new Refused(413, "the body is too large");
    }
    parts.push(part);
  }
  return Buffer.concat(parts);
}

const ids = new Set();

async function receive(keys, request, response) {
  try {
    const body = await readBody(request);
    const id = verify(keys, request.headers, body);
    const event = JSON.parse(body);
    const isNew = !ids.has(id);
    ids.add(id);
    if (ids.size > MAX_IDS) {
      ids.delete(ids.values().next().value);
    }
    response.writeHead(204).end();
    // The work begins after the response.
    if (isNew) {
      setImmediate(work, event);
    }
  } catch (error) {
    response.writeHead(error.status ?? 400).end(error.status ? error.message : "");
  }
}

const keys = (process.env.RELATION_WEBHOOK_KEYS ?? "").split(/\s+/).filter(Boolean).map(parseKey);
if (keys.length === 0) {
  console.error("set RELATION_WEBHOOK_KEYS to the signing secret or public key of the endpoint");
  process.exit(1);
}
const [host, port] = (process.argv[2] ?? "127.0.0.1:9000").split(":");
const server = http.createServer((request, response) => receive(keys, request, response));
server.requestTimeout = 10_000;
server.listen(Number(port), host, () => {
  console.log(`listening on http://${host}:${server.address().port}`);
});
