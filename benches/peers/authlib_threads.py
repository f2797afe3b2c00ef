"""Refreshes tokens with authlib's OAuth2Session (requests) in threads, one session per thread."""

import itertools
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from authlib.integrations.requests_client import OAuth2Session

from customers import (
    CLIENT_ID,
    CLIENT_SECRET,
    CustomerTable,
    TokenCipher,
    customer_id,
    parse_arguments,
    parse_slot,
)


def check_status(response):
    """Reject a response that is not a success; authlib itself does so from status 500."""
    if response.status_code != 200:
        raise RuntimeError(f"the endpoint sent status {response.status_code}")
    return response


def open_session():
    session = OAuth2Session(CLIENT_ID, CLIENT_SECRET, token_endpoint_auth_method="client_secret_post")
    # Do not look for proxies and a netrc file before each request.
    session.trust_env = False
    session.register_compliance_hook("refresh_token_response", check_status)
    return session


class Refresher:
    """Refreshes the customers in rotation."""

    def __init__(self, arguments):
        self.endpoint = arguments.endpoint
        self.cipher = TokenCipher()
        # A lock wakes the next thread immediately. SQLite's own busy handler would sleep and try again.
        self.writer_lock = threading.Lock()
        self.writer = CustomerTable(arguments.database)
        self.writer.create(self.cipher, arguments.customers)
        self.rotation = itertools.cycle(customer_id(index) for index in range(arguments.customers))
        # In WAL mode a reader does not wait for the writer.
        self.readers = [CustomerTable(arguments.database) for _ in range(arguments.in_flight)]
        self.sessions = [open_session() for _ in range(arguments.in_flight)]
        self.threads = ThreadPoolExecutor(arguments.in_flight)

    def refresh(self, session, reader, customer):
        refresh_token = reader.read_refresh_token(self.cipher, customer)
        try:
            tokens = session.refresh_token(self.endpoint, refresh_token=refresh_token)
        except Exception as error:
            raise RuntimeError(f"refreshing {customer}: {error}") from error
        update = self.cipher.encrypt_response(customer, tokens)
        with self.writer_lock:
            self.writer.store_tokens(update)

    def refresh_until(self, session, reader, deadline):
        """Refresh one customer after the other and return their number."""
        refreshes = 0
        while True:
            self.refresh(session, reader, next(self.rotation))
            refreshes += 1
            if time.monotonic() >= deadline:
                return refreshes

    def run_slot(self, seconds):
        begun, cpu = time.monotonic(), time.process_time()
        deadlines = itertools.repeat(begun + seconds)
        refreshes = sum(self.threads.map(self.refresh_until, self.sessions, self.readers, deadlines))
        return {
            "refreshes": refreshes,
            "seconds": time.monotonic() - begun,
            "cpu_seconds": time.process_time() - cpu,
        }


def main():
    arguments = parse_arguments(__doc__)
    try:
        refresher = Refresher(arguments)
        print("ready", flush=True)
        for line in iter(sys.stdin.readline, ""):
            print(json.dumps(refresher.run_slot(parse_slot(line, arguments.seconds))), flush=True)
        refresher.threads.shutdown()
    except Exception as error:
        sys.exit(f"authlib_threads: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
