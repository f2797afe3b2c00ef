#!/usr/bin/env python3
"""Receives webhooks of the relation host: verifies them, drops repetitions, and prints
one line for each notice.

    export RELATION_WEBHOOK_KEYS="whsec_…"
    ./receiver.py --listen 127.0.0.1:9000

During a rotation, RELATION_WEBHOOK_KEYS has both secrets, separated by a space. TLS
ends at a reverse proxy in front of this program.

Python 3.11 or later; the standard library is enough. It has no ed25519: for `whpk_…`
keys, use the package `cryptography`, or receiver.mjs.
"""

import argparse
import base64
import collections
import hashlib
import hmac
import http.server
import json
import os
import queue
import sys
import threading
import time

# How far the time of a message may be from the time here, in seconds.
TOLERANCE = 300
# The host sends at most 20 kB.
MAX_BODY = 64 * 1024
# How many ids are remembered. A program that runs as several processes keeps the ids in
# its database, for at least ten days.
MAX_IDS = 100_000


class Refused(Exception):
    """The message is not accepted: a status and the reason."""


def parse_key(text: str) -> bytes:
    if not text.startswith("whsec_"):
        sys.exit("RELATION_WEBHOOK_KEYS must have secrets that begin with whsec_")
    return base64.b64decode(text.removeprefix("whsec_"), validate=True)


def verify(keys: list[bytes], headers, body: bytes) -> str:
    """Checks time and signature over the bytes of the body. Returns the message's id."""
    message = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    signatures = headers.get("webhook-signature", "")
    if not (message and signatures and timestamp.isdecimal()):
        raise Refused(401, "the webhook headers are missing")
    if abs(time.time() - int(timestamp)) > TOLERANCE:
        raise Refused(401, "the message is too old or too new: compare the clocks")
    content = f"{message}.{timestamp}.".encode() + body
    expected = [
        base64.b64encode(hmac.digest(key, content, hashlib.sha256)) for key in keys
    ]
    for entry in signatures.split(" "):
        version, _, value = entry.partition(",")
        # Each comparison takes the same time, wherever the texts differ.
        matches = [hmac.compare_digest(value.encode(), each) for each in expected]
        if version == "v1" and any(matches):
            return message
    raise Refused(401, "no signature matches")


def handle(event: dict) -> None:
    """Works on one event. Put your own code here."""
    data = event["data"]
    if event["type"] == "notice.digest":
        for notice in data["notices"]:
            handle(notice)
        if data["left_off"]:
            print("notice.digest", f"and {data['left_off']} more", flush=True)
    else:
        print(event["type"], json.dumps(data, sort_keys=True), flush=True)


class Receiver(http.server.BaseHTTPRequestHandler):
    """Responds quickly, and leaves the work to another thread."""

    protocol_version = "HTTP/1.1"
    timeout = 10
    keys: list[bytes] = []
    events: queue.Queue = queue.Queue(1000)
    ids: collections.OrderedDict = collections.OrderedDict()
    lock = threading.Lock()

    def do_POST(self) -> None:
        try:
            length = self.headers.get("content-length", "")
            if not length.isdecimal() or int(length) > MAX_BODY:
                self.close_connection = True
                raise Refused(413, "the body is too large")
            body = self.rfile.read(int(length))
            message = verify(self.keys, self.headers, body)
            with self.lock:
                if message not in self.ids:
                    # If the queue is full, the host sends the message again later.
                    self.events.put_nowait(json.loads(body))
                    self.ids[message] = True
                    if len(self.ids) > MAX_IDS:
                        self.ids.popitem(last=False)
            self.respond(204, "")
        except Refused as refused:
            self.respond(*refused.args)
        except queue.Full:
            self.respond(503, "too many messages")
        except ValueError:
            self.respond(400, "the body is not JSON")

    def respond(self, status: int, text: str) -> None:
        self.send_response(status)
        if status == 503:
            self.send_header("retry-after", "60")
        if status != 204:
            self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_) -> None:
        """Prints no line for each request."""


def work(events: queue.Queue) -> None:
    while True:
        event = events.get()
        try:
            handle(event)
        except Exception as error:  # A bad event must not stop the thread.
            print(f"cannot handle an event: {error!r}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Receives webhooks of the relation host.")
    parser.add_argument("--listen", default="127.0.0.1:9000", metavar="HOST:PORT")
    host, _, port = parser.parse_args().listen.rpartition(":")
    Receiver.keys = [parse_key(text) for text in os.environ.get("RELATION_WEBHOOK_KEYS", "").split()]
    if not Receiver.keys:
        sys.exit("set RELATION_WEBHOOK_KEYS to the signing secret of the endpoint")
    threading.Thread(target=work, args=(Receiver.events,), daemon=True).start()
    server = http.server.ThreadingHTTPServer((host, int(port)), Receiver)
    print(f"listening on http://{host}:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
