// Database and encryption of the Node peer.

import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

import Database from "better-sqlite3";

const ALGORITHM = "chacha20-poly1305";
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

const CREATE_TABLE = `
CREATE TABLE customers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    access_expires_at_ms INTEGER NOT NULL,
    refresh_expires_at_ms INTEGER NOT NULL,
    refreshed_at_ms INTEGER NOT NULL,
    access_token BLOB NOT NULL,
    refresh_token BLOB NOT NULL
)`;
const INSERT_CUSTOMER = "INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?, ?)";
const SELECT_CUSTOMER = `
SELECT name, access_expires_at_ms, refresh_expires_at_ms, refreshed_at_ms, access_token, refresh_token
FROM customers WHERE id = ?`;
const UPDATE_TOKENS = `
UPDATE customers
SET access_token = ?, refresh_token = ?, access_expires_at_ms = ?, refresh_expires_at_ms = ?, refreshed_at_ms = ?
WHERE id = ?`;

export function customerId(index) {
  return `customer-${String(index).padStart(6, "0")}`;
}

// Encrypts tokens with a random nonce; the associated data is the customer's id.
export class TokenCipher {
  #key = randomBytes(KEY_BYTES);

  encrypt(customer, token) {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(customer));
    const text = cipher.update(token, "utf8");
    cipher.final();
    return Buffer.concat([nonce, text, cipher.getAuthTag()]);
  }

  decrypt(customer, encrypted) {
    const nonce = encrypted.subarray(0, NONCE_BYTES);
    const cipher = createDecipheriv(ALGORITHM, this.#key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(customer));
    cipher.setAuthTag(encrypted.subarray(-TAG_BYTES));
    const token = cipher.update(encrypted.subarray(NONCE_BYTES, -TAG_BYTES), undefined, "utf8");
    return token + cipher.final("utf8");
  }

  // Encrypts the tokens of a token response and converts its lifetimes to times.
  encryptResponse(customer, response) {
    const now = Date.now();
    const times = [response.expires_in, response.refresh_token_expires_in].map((seconds) => now + seconds * 1000);
    if (!times.every(Number.isFinite)) {
      throw new Error(`refreshing ${customer}: the response has no lifetimes`);
    }
    return {
      customer,
      accessToken: this.encrypt(customer, response.access_token),
      refreshToken: this.encrypt(customer, response.refresh_token),
      accessExpiresAtMs: times[0],
      refreshExpiresAtMs: times[1],
      refreshedAtMs: now,
    };
  }
}

// One connection to the database. Outside a transaction, each statement is a commit of its own.
export class CustomerTable {
  #database;
  #select;
  #update;

  constructor(path) {
    this.#database = new Database(path);
    this.#database.pragma("journal_mode = WAL");
    this.#database.pragma("synchronous = FULL");
  }

  create(cipher, customers) {
    this.#database.exec(CREATE_TABLE);
    const insert = this.#database.prepare(INSERT_CUSTOMER);
    const insertAll = this.#database.transaction(() => {
      for (let index = 0; index < customers; index += 1) {
        const [customer, now] = [customerId(index), Date.now()];
        const accessToken = cipher.encrypt(customer, `first-access-token-${index}`);
        const refreshToken = cipher.encrypt(customer, `first-refresh-token-${index}`);
        insert.run(customer, `Customer ${index}`, now, now, now, accessToken, refreshToken);
      }
    });
    insertAll();
  }

  // Reads a customer's row and decrypts its refresh token.
  readRefreshToken(cipher, customer) {
    this.#select ??= this.#database.prepare(SELECT_CUSTOMER);
    return cipher.decrypt(customer, this.#select.get(customer).refresh_token);
  }

  // Stores a customer's tokens; they are durable when this returns.
  storeTokens(update) {
    this.#update ??= this.#database.prepare(UPDATE_TOKENS);
    const { changes } = this.#update.run(
      update.accessToken,
      update.refreshToken,
      update.accessExpiresAtMs,
      update.refreshExpiresAtMs,
      update.refreshedAtMs,
      update.customer,
    );
    if (changes !== 1) {
      throw new Error(`storing tokens of ${update.customer}: the row is missing`);
    }
  }
}
