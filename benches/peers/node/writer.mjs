// Worker thread that commits: better-sqlite3 is synchronous and would block the event loop while
// a commit reaches the disk.

import { parentPort, workerData } from "node:worker_threads";

import { CustomerTable } from "./customers.mjs";

const table = new CustomerTable(workerData.database);

parentPort.on("message", ({ id, update }) => {
  table.storeTokens(update);
  parentPort.postMessage(id);
});
