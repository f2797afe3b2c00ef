// Refreshes tokens with undici and better-sqlite3.
//
// `--client undici` (the default, and the faster) sends the form itself over a keep-alive pool.
// `--client simple-oauth2` leaves the request to that library, which sends it with node:http. By
// default it opens a connection per request; here it uses a keep-alive agent.

import { Agent as HttpAgent } from "node:http";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";

import { AuthorizationCode } from "simple-oauth2";
import { Pool } from "undici";

import { CustomerTable, TokenCipher, customerId } from "./customers.mjs";

const CLIENT_ID = "peer-client-id";
const CLIENT_SECRET = "peer-client-secret";
const KEEP_ALIVE_MS = 60_000;

function parseArguments() {
  const { values } = parseArgs({
    options: {
      endpoint: { type: "string" },
      database: { type: "string" },
      customers: { type: "string", default: "512" },
      "in-flight": { type: "string", default: "32" },
      seconds: { type: "string", default: "1.5" },
      client: { type: "string", default: "undici" },
    },
  });
  const { endpoint, database, client } = values;
  if (!endpoint || !database) {
    throw new Error("reading the command line: --endpoint and --database are required");
  }
  const parsed = {
    endpoint: new URL(endpoint),
    database,
    client,
    customers: Number(values.customers),
    inFlight: Number(values["in-flight"]),
    seconds: Number(values.seconds),
  };
  if (!(parsed.customers > 0 && parsed.inFlight > 0 && parsed.seconds > 0)) {
    throw new Error("reading the command line: --customers, --in-flight and --seconds must be positive numbers");
  }
  return parsed;
}

// Returns the length in seconds that a line `go SECONDS` asks for.
function parseSlot(line, defaultSeconds) {
  const match = /^go(?:\s+(\d+(?:\.\d+)?))?$/.exec(line.trim());
  if (!match) {
    throw new Error("reading standard input: a line is not `go SECONDS`");
  }
  return match[1] ? Number(match[1]) : defaultSeconds;
}

class StatusError extends Error {
  constructor(status) {
    super(`the endpoint sent status ${status}`);
  }
}

// Describes why a request failed. The message of a JSON error quotes the response and is left out.
function describeFailure(error) {
  return error instanceof StatusError ? error.message : (error.code ?? "the response is not JSON");
}

// Each client is a function that exchanges a refresh token for a token response.
const CLIENTS = {
  undici({ endpoint, inFlight }) {
    const pool = new Pool(endpoint.origin, { connections: inFlight, keepAliveTimeout: KEEP_ALIVE_MS });
    const headers = { "content-type": "application/x-www-form-urlencoded", accept: "application/json" };
    return async (refreshToken) => {
      const form = new URLSearchParams({
        grant_type: "refresh_token",
        client_id: CLIENT_ID,
        client_secret: CLIENT_SECRET,
        refresh_token: refreshToken,
      });
      const request = { method: "POST", path: endpoint.pathname, headers, body: form.toString() };
      const { statusCode, body } = await pool.request(request);
      if (statusCode !== 200) {
        throw new StatusError(statusCode);
      }
      return body.json();
    };
  },

  "simple-oauth2"({ endpoint, inFlight }) {
    const pool = new HttpAgent({ keepAlive: true, maxSockets: inFlight, maxFreeSockets: inFlight });
    // The library copies its options deeply, and a copied Agent does not return connections to its
    // pool. node:http accepts any object with `addRequest`, and this one can be copied.
    const agent = {
      protocol: "http:",
      defaultPort: 80,
      keepAlive: true,
      addRequest: (request, options) => pool.addRequest(request, options),
    };
    const client = new AuthorizationCode({
      client: { id: CLIENT_ID, secret: CLIENT_SECRET },
      auth: { tokenHost: endpoint.origin, tokenPath: endpoint.pathname, refreshPath: endpoint.pathname },
      http: { agent },
      options: { authorizationMethod: "body" },
    });
    return async (refreshToken) => {
      // The library rejects responses with status 400 and above, and does not report the status of others.
      try {
        const refreshed = await client.createToken({ refresh_token: refreshToken }).refresh();
        return refreshed.token;
      } catch (error) {
        throw error.data?.isResponseError ? new StatusError(error.output.statusCode) : error;
      }
    };
  },
};

// Sends token updates to the worker thread that commits.
class Writer {
  #worker;
  #waiting = new Map();
  #nextId = 0;

  constructor(database) {
    this.#worker = new Worker(new URL("./writer.mjs", import.meta.url), { workerData: { database } });
    this.#worker.on("error", exitWithError);
    this.#worker.on("message", (id) => {
      this.#waiting.get(id)();
      this.#waiting.delete(id);
    });
  }

  // Resolves when the tokens are durable.
  storeTokens(update) {
    const id = this.#nextId++;
    this.#worker.postMessage({ id, update });
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  close() {
    return this.#worker.terminate();
  }
}

// Refreshes the customers in rotation.
class Refresher {
  #cipher = new TokenCipher();
  #customers;
  #exchange;
  #inFlight;
  #next = 0;
  #table;
  #writer;

  constructor(options) {
    const createClient = CLIENTS[options.client];
    if (!createClient) {
      throw new Error("reading the command line: --client must be undici or simple-oauth2");
    }
    this.#exchange = createClient(options);
    this.#customers = Array.from({ length: options.customers }, (_, index) => customerId(index));
    this.#inFlight = options.inFlight;
    this.#table = new CustomerTable(options.database);
    this.#table.create(this.#cipher, options.customers);
    this.#writer = new Writer(options.database);
  }

  async #refresh(customer) {
    const refreshToken = this.#table.readRefreshToken(this.#cipher, customer);
    const response = await this.#exchange(refreshToken).catch((error) => {
      throw new Error(`refreshing ${customer}: ${describeFailure(error)}`);
    });
    await this.#writer.storeTokens(this.#cipher.encryptResponse(customer, response));
  }

  // Refreshes one customer after the other and returns their number.
  async #refreshUntil(deadline) {
    let refreshes = 0;
    do {
      const customer = this.#customers[this.#next++ % this.#customers.length];
      await this.#refresh(customer);
      refreshes += 1;
    } while (performance.now() < deadline);
    return refreshes;
  }

  async runSlot(seconds) {
    const begun = performance.now();
    const cpu = process.cpuUsage();
    const deadline = begun + seconds * 1000;
    const lanes = Array.from({ length: this.#inFlight }, () => this.#refreshUntil(deadline));
    const counts = await Promise.all(lanes);
    const { user, system } = process.cpuUsage(cpu);
    return {
      refreshes: counts.reduce((sum, count) => sum + count, 0),
      seconds: (performance.now() - begun) / 1000,
      cpu_seconds: (user + system) / 1e6,
    };
  }

  close() {
    return this.#writer.close();
  }
}

// Prints only the message: an error's other properties may contain a request with its tokens.
function exitWithError(error) {
  console.error(`refresh: ${error.name}: ${error.message}`);
  process.exit(1);
}

async function main() {
  const options = parseArguments();
  const refresher = new Refresher(options);
  console.log("ready");
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await refresher.runSlot(parseSlot(line, options.seconds))));
  }
  await refresher.close();
  process.exit(0);
}

main().catch(exitWithError);
