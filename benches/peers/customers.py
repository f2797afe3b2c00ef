"""Command line, database and encryption, common to the Python peers."""

import argparse
import os
import re
import sqlite3
import time
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

CLIENT_ID = "peer-client-id"
CLIENT_SECRET = "peer-client-secret"
NONCE_BYTES = 12

CREATE_TABLE = """
CREATE TABLE customers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    access_expires_at_ms INTEGER NOT NULL,
    refresh_expires_at_ms INTEGER NOT NULL,
    refreshed_at_ms INTEGER NOT NULL,
    access_token BLOB NOT NULL,
    refresh_token BLOB NOT NULL
)"""
INSERT_CUSTOMER = "INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?, ?)"
SELECT_CUSTOMER = """
SELECT name, access_expires_at_ms, refresh_expires_at_ms, refreshed_at_ms, access_token, refresh_token
FROM customers WHERE id = ?"""
UPDATE_TOKENS = """
UPDATE customers
SET access_token = ?, refresh_token = ?, access_expires_at_ms = ?, refresh_expires_at_ms = ?, refreshed_at_ms = ?
WHERE id = ?"""


def parse_arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--endpoint", required=True, help="URL of the token endpoint")
    parser.add_argument("--database", required=True, help="file to create")
    parser.add_argument("--customers", type=int, default=512)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=1.5, help="length of a slot whose line is only `go`")
    return parser.parse_args()


def parse_slot(line, default_seconds):
    """Return the length in seconds that a line `go SECONDS` asks for."""
    match = re.fullmatch(r"go(?:\s+(\d+(?:\.\d+)?))?", line.strip())
    if not match:
        raise ValueError("reading standard input: a line is not `go SECONDS`")
    return float(match[1]) if match[1] else default_seconds


def customer_id(index):
    return f"customer-{index:06}"


def now_ms():
    return time.time_ns() // 1_000_000


@dataclass
class TokenUpdate:
    """New tokens of a customer, encrypted, with their expiry."""

    customer: str
    access_token: bytes
    refresh_token: bytes
    access_expires_at_ms: int
    refresh_expires_at_ms: int
    refreshed_at_ms: int


class TokenCipher:
    """Encrypts tokens with a random nonce; the associated data is the customer's id."""

    def __init__(self):
        self.cipher = ChaCha20Poly1305(ChaCha20Poly1305.generate_key())

    def encrypt(self, customer, token):
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self.cipher.encrypt(nonce, token.encode(), customer.encode())

    def decrypt(self, customer, encrypted):
        nonce, rest = encrypted[:NONCE_BYTES], encrypted[NONCE_BYTES:]
        return self.cipher.decrypt(nonce, rest, customer.encode()).decode()

    def encrypt_response(self, customer, response):
        """Encrypt the tokens of a token response and convert its lifetimes to times."""
        now = now_ms()
        return TokenUpdate(
            customer,
            self.encrypt(customer, response["access_token"]),
            self.encrypt(customer, response["refresh_token"]),
            now + int(response["expires_in"]) * 1000,
            now + int(response["refresh_token_expires_in"]) * 1000,
            now,
        )


class CustomerTable:
    """One connection to the database. Outside a transaction, each statement is a commit of its own."""

    def __init__(self, path):
        # The peers share a connection between threads only under a lock.
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")

    def create(self, cipher, customers):
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute(CREATE_TABLE)
        for index in range(customers):
            customer, now = customer_id(index), now_ms()
            access_token = cipher.encrypt(customer, f"first-access-token-{index}")
            refresh_token = cipher.encrypt(customer, f"first-refresh-token-{index}")
            row = (customer, f"Customer {index}", now, now, now, access_token, refresh_token)
            self.connection.execute(INSERT_CUSTOMER, row)
        self.connection.execute("COMMIT")

    def read_refresh_token(self, cipher, customer):
        """Read a customer's row and decrypt its refresh token."""
        row = self.connection.execute(SELECT_CUSTOMER, (customer,)).fetchone()
        return cipher.decrypt(customer, row[-1])

    def store_tokens(self, update):
        """Store a customer's tokens; they are durable when this returns."""
        row = (
            update.access_token,
            update.refresh_token,
            update.access_expires_at_ms,
            update.refresh_expires_at_ms,
            update.refreshed_at_ms,
            update.customer,
        )
        if self.connection.execute(UPDATE_TOKENS, row).rowcount != 1:
            raise LookupError(f"storing tokens of {update.customer}: the row is missing")
