"""Refreshes tokens with asyncio, aiohttp and sqlite3; commits run outside the event loop's thread."""

import asyncio
import itertools
import json
import sys
import threading
import time

import aiohttp
import uvloop

from customers import (
    CLIENT_ID,
    CLIENT_SECRET,
    CustomerTable,
    TokenCipher,
    customer_id,
    parse_arguments,
    parse_slot,
)


class Refresher:
    """Refreshes the customers in rotation."""

    def __init__(self, arguments, session):
        self.endpoint = arguments.endpoint
        self.in_flight = arguments.in_flight
        self.session = session
        self.cipher = TokenCipher()
        self.writer_lock = threading.Lock()
        self.writer = CustomerTable(arguments.database)
        self.writer.create(self.cipher, arguments.customers)
        # Reading one cached row takes microseconds, less than handing it to a thread. In WAL mode
        # a reader does not wait for the writer.
        self.reader = CustomerTable(arguments.database)
        self.rotation = itertools.cycle(customer_id(index) for index in range(arguments.customers))

    async def refresh(self, customer):
        form = {
            "grant_type": "refresh_token",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": self.reader.read_refresh_token(self.cipher, customer),
        }
        async with self.session.post(self.endpoint, data=form) as response:
            if response.status != 200:
                raise RuntimeError(f"refreshing {customer}: the endpoint sent status {response.status}")
            tokens = await response.json()
        update = self.cipher.encrypt_response(customer, tokens)
        await asyncio.to_thread(self.store_tokens, update)

    def store_tokens(self, update):
        with self.writer_lock:
            self.writer.store_tokens(update)

    async def refresh_until(self, deadline):
        """Refresh one customer after the other and return their number."""
        refreshes = 0
        while True:
            await self.refresh(next(self.rotation))
            refreshes += 1
            if time.monotonic() >= deadline:
                return refreshes

    async def run_slot(self, seconds):
        begun, cpu = time.monotonic(), time.process_time()
        lanes = (self.refresh_until(begun + seconds) for _ in range(self.in_flight))
        refreshes = sum(await asyncio.gather(*lanes))
        return {
            "refreshes": refreshes,
            "seconds": time.monotonic() - begun,
            "cpu_seconds": time.process_time() - cpu,
        }


async def run(arguments):
    connector = aiohttp.TCPConnector(limit=arguments.in_flight, keepalive_timeout=60)
    async with aiohttp.ClientSession(connector=connector) as session:
        refresher = Refresher(arguments, session)
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            slot = await refresher.run_slot(parse_slot(line, arguments.seconds))
            print(json.dumps(slot), flush=True)


def main():
    arguments = parse_arguments(__doc__)
    try:
        uvloop.run(run(arguments))
    except Exception as error:
        sys.exit(f"aiohttp_sqlite: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
