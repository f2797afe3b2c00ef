#!/usr/bin/env python3
"""Onboards the customers of a CSV file over the REST API of `relation-host serve`.

Each row becomes an add with `nowait=true`. The host posts the end of each transaction
to a receiver in this program; without one, or if a callback does not arrive, the
program polls. A rerun with the same API key adds nothing twice: each row has an
Idempotency-Key that depends only on its node and its name.

    export RELATION_API_KEY=rel_…
    ./onboard.py --url http://127.0.0.1:8400 --hierarchy sys.Provider customers.csv

With callbacks (the operator permits the address in `web.callback-origins`; `crm` are
credentials of /api/data/ApiCallbackAuth/ with the signing secret in the file):

    ./onboard.py --url https://relation.example.com --hierarchy sys.Provider \\
        --listen 0.0.0.0:9000 --callback-url https://crm.example.com/relation \\
        --callback-auth crm --signing-secret-file whsec.txt customers.csv

The first line of the CSV has the names of the fields. `name` is required. The column
`hierarchy` is the node of its row, in place of --hierarchy. Empty cells are left out.

The exit status is 0 if every customer is onboarded, 1 if some are not, and 2 if the
program could not begin. Python 3.11 or later; the standard library is enough.
"""

import argparse
import base64
import csv
import hashlib
import hmac
import http.client
import http.server
import json
import os
import queue
import ssl
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field

RECORDS = "/api/relation/SparkCustomer/"
TRANSACTIONS = "/api/tool/Transaction/"
ENDED = {"Success", "Success With Async Failures", "Fail"}
# How many ids one poll may have.
MAX_POLLED = 100
# How long a callback may take on its way, in seconds: an older one is a replay.
TOLERANCE = 300
MAX_BODY = 1024 * 1024
ATTEMPTS = 8


class Stop(Exception):
    """The program cannot go on. The text says why."""


@dataclass
class Customer:
    """A row of the file, and what became of it."""

    line: int
    name: str
    hierarchy: str
    fields: dict[str, str]
    transaction: str = ""
    status: str = ""
    detail: str = ""
    began: float = field(default=0.0, repr=False)
    seconds: float = 0.0

    @property
    def idempotency_key(self) -> str:
        digest = hashlib.sha256(f"{self.hierarchy}\0{self.name}".encode())
        return f"onboard-{digest.hexdigest()[:40]}"

    def end(self, status: str, detail: str) -> None:
        self.status = status
        self.detail = detail
        self.seconds = time.monotonic() - self.began


def read_customers(path: str, hierarchy: str | None) -> list[Customer]:
    """Reads the file. Reports all wrong rows together."""
    customers: list[Customer] = []
    errors: list[str] = []
    lines: dict[tuple[str, str], int] = {}
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if "name" not in (rows.fieldnames or []):
            raise Stop(f"{path}: the first line has no column `name`")
        for row in rows:
            line = rows.line_num
            if None in row or None in row.values():
                errors.append(f"line {line}: it has another number of cells than the first line")
                continue
            cells = {key.strip(): value.strip() for key, value in row.items()}
            name = cells.pop("name")
            node = cells.pop("hierarchy", "") or hierarchy or ""
            if not name:
                errors.append(f"line {line}: the name is empty")
            if not node:
                hint = "add the column `hierarchy`, or give --hierarchy"
                errors.append(f"line {line}: it has no node: {hint}")
            first = lines.setdefault((node, name), line)
            if first != line:
                errors.append(f"line {line}: {name} is in line {first} already")
            fields = {key: value for key, value in cells.items() if value}
            customers.append(Customer(line, name, node, fields))
    if errors:
        raise Stop("\n".join([f"{path} is not right, nothing was sent:", *errors]))
    return customers


class Api:
    """The client of the API. Waits and repeats if the host asks for it."""

    def __init__(self, url: str, key: str, ca_file: str | None):
        self.url = url.rstrip("/")
        self.key = key
        context = ssl.create_default_context(cafile=ca_file) if url.startswith("https:") else None
        handlers = [urllib.request.HTTPSHandler(context=context)] if context else []
        self.opener = urllib.request.build_opener(*handlers)
        self.waits = 0

    def send(
        self, method: str, path: str, body: dict | None = None, headers: dict | None = None
    ) -> tuple[int, dict]:
        """Sends a request, and returns the status and the JSON of the response.

        Repeats it after 429 and 503, and if there was no response: every request of this
        program can be repeated, since an add has an Idempotency-Key.
        """
        problem = ""
        for attempt in range(ATTEMPTS):
            request = urllib.request.Request(self.url + path, method=method)
            request.add_header("Authorization", f"Bearer {self.key}")
            for name, value in (headers or {}).items():
                request.add_header(name, value)
            if body is not None:
                request.data = json.dumps(body).encode()
                request.add_header("Content-Type", "application/json")
            pause = min(2.0**attempt, 30.0)
            try:
                with self.opener.open(request, timeout=60) as response:
                    return response.status, parse(response.read())
            except urllib.error.HTTPError as error:
                with error:
                    text = parse(error.read())
                if error.code not in (429, 503):
                    return error.code, text
                problem = describe(error.code, text)
                pause = retry_after(error.headers.get("Retry-After"), pause)
            except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
                problem = f"{self.url} does not respond: {getattr(error, 'reason', error)}"
            self.waits += 1
            time.sleep(pause)
        raise Stop(f"{problem} (after {ATTEMPTS} attempts)")


def parse(text: bytes) -> dict:
    try:
        parsed = json.loads(text)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def retry_after(value: str | None, default: float) -> float:
    """Returns the seconds of Retry-After, at most five minutes."""
    try:
        return min(max(float(value or ""), 0.1), 300.0)
    except ValueError:
        return default


def describe(status: int, problem: dict) -> str:
    """Returns an error of the API in one line, with all wrong fields."""
    parts = [problem.get("detail") or f"the host responded with {status}"]
    parts += [f"{error.get('field')}: {error.get('message')}" for error in problem.get("errors", [])]
    if problem.get("hint"):
        parts.append(problem["hint"])
    return "; ".join(parts)


class Receiver(http.server.ThreadingHTTPServer):
    """Receives callbacks. It responds before anybody works on them."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], secret: bytes | None):
        self.secret = secret
        self.messages: queue.Queue[dict] = queue.Queue()
        self.refused = 0
        super().__init__(address, Handler)

    def is_genuine(self, headers, body: bytes) -> bool:
        """Checks time and signature, as https://www.standardwebhooks.com/ describes them."""
        if self.secret is None:
            return True
        message, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not at.isascii() or not at.isdigit() or abs(time.time() - int(at)) > TOLERANCE:
            return False
        signed = f"{message}.{at}.".encode() + body
        digest = hmac.new(self.secret, signed, hashlib.sha256).digest()
        expected = "v1," + base64.b64encode(digest).decode()
        given = headers.get("webhook-signature", "").split()
        return any(hmac.compare_digest(expected.encode(), each.encode()) for each in given)


class Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY:
            self.close_connection = True
            self.respond(413)
            return
        body = self.rfile.read(int(length))
        if not self.server.is_genuine(self.headers, body):
            self.server.refused += 1
            self.respond(401)
            return
        self.respond(200)
        self.server.messages.put(parse(body))

    def respond(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args) -> None:
        pass


def submit(api: Api, customer: Customer, meta: dict) -> None:
    """Queues the add of a customer."""
    customer.began = time.monotonic()
    query = urllib.parse.urlencode({"hierarchy": customer.hierarchy, "nowait": "true"})
    body = {
        "data": {"name": customer.name, **customer.fields},
        "request_meta": {"external_id": f"line {customer.line}", **meta},
    }
    headers = {"Idempotency-Key": customer.idempotency_key}
    status, response = api.send("POST", f"{RECORDS}?{query}", body, headers)
    if status == 202:
        customer.transaction = response["transaction_id"]
        return
    problem = describe(status, response)
    wrong = [str(error.get("field", "")) for error in response.get("errors", [])]
    concerns_all = any(name.startswith("request_meta.callback") for name in wrong)
    if status in (401, 403) or concerns_all:
        raise Stop(problem)
    customer.end("Refused", problem)


def settle(waiting: dict[str, Customer], response: dict) -> int:
    """Removes the transactions that a response reports as ended from the waiting ones."""
    count = 0
    for transaction, entry in response.items():
        if transaction in waiting and isinstance(entry, dict) and entry.get("status") in ENDED:
            waiting.pop(transaction).end(entry["status"], entry.get("description", ""))
            count += 1
    return count


def poll(api: Api, waiting: dict[str, Customer], ids: list[str]) -> int:
    """Asks for the statuses of transactions. Returns how many have ended."""
    ended = 0
    for start in range(0, len(ids), MAX_POLLED):
        query = urllib.parse.urlencode({"ids": ",".join(ids[start : start + MAX_POLLED])})
        status, response = api.send("GET", f"{TRANSACTIONS}poll/?{query}")
        if status != 200:
            raise Stop(describe(status, response))
        ended += settle(waiting, response)
    return ended


def receive(api: Api, waiting: dict[str, Customer], receiver: Receiver, timeout: float) -> int:
    """Waits for a callback. Returns how many transactions have ended by it."""
    try:
        message = receiver.messages.get(timeout=timeout)
    except queue.Empty:
        return 0
    if receiver.secret is not None:
        return settle(waiting, message)
    # Anybody can send a message without a signature. It only says what is worth a look.
    return poll(api, waiting, [each for each in message if each in waiting])


def wait(api: Api, waiting: dict[str, Customer], receiver: Receiver | None, options) -> int:
    """Waits for the ends of all transactions. Returns how many came as callbacks."""
    deadline = time.monotonic() + options.timeout
    interval = options.poll_after if receiver else 2.0
    next_poll = time.monotonic() + (options.poll_after if receiver else 0.2)
    received = 0
    while waiting and time.monotonic() < deadline:
        pause = max(min(next_poll, deadline) - time.monotonic(), 0.0)
        if receiver is None:
            time.sleep(pause)
        elif ended := receive(api, waiting, receiver, pause):
            received += ended
            next_poll = time.monotonic() + interval
        if waiting and time.monotonic() >= next_poll:
            poll(api, waiting, list(waiting))
            next_poll = time.monotonic() + interval
    for customer in waiting.values():
        href = f"{TRANSACTIONS}{customer.transaction}/"
        customer.end("Unknown", f"not ended within {options.timeout:g} s: look at {href}")
    return received


def print_table(customers: list[Customer]) -> None:
    rows = [("line", "customer", "node", "status", "seconds", "detail")]
    for each in customers:
        status = each.status or "Not sent"
        seconds = f"{each.seconds:.1f}"
        rows.append((str(each.line), each.name, each.hierarchy, status, seconds, each.detail))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        print("  ".join([*cells, row[5]]).rstrip())


def read_signing_secret(path: str) -> bytes:
    with open(path, encoding="utf-8") as file:
        text = file.read().strip()
    if not text.startswith("whsec_"):
        raise Stop(f"{path} has no signing secret: it begins with whsec_")
    return base64.b64decode(text.removeprefix("whsec_"))


def parse_listen(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise Stop(f"--listen {text}: write an address and a port, such as 127.0.0.1:9000")
    return host.strip("[]"), int(port)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Onboards the customers of a CSV file.")
    parser.add_argument("csv", help="the file with the customers")
    parser.add_argument("--url", required=True, help="the address of the host")
    parser.add_argument("--hierarchy", help="the node of rows without one")
    parser.add_argument("--ca-file", help="a PEM file of certificate authorities")
    parser.add_argument("--listen", help="the address and port of the receiver of callbacks")
    parser.add_argument("--callback-url", help="the address at which the host reaches the receiver")
    parser.add_argument("--callback-auth", help="the name of the credentials for callbacks")
    parser.add_argument("--signing-secret-file", help="the file with the signing secret of the credentials")
    parser.add_argument("--timeout", type=float, default=900, help="how long to wait for all ends, in seconds")
    parser.add_argument("--poll-after", type=float, default=10, help="poll after so many seconds without a callback")
    return parser.parse_args()


def run(options: argparse.Namespace) -> int:
    key = os.environ.get("RELATION_API_KEY", "").strip()
    if not key:
        raise Stop("set RELATION_API_KEY: `relation-host key add` makes a key")
    customers = read_customers(options.csv, options.hierarchy)
    api = Api(options.url, key, options.ca_file)
    receiver, meta = None, {}
    if options.listen:
        file = options.signing_secret_file
        secret = read_signing_secret(file) if file else None
        receiver = Receiver(parse_listen(options.listen), secret)
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        meta["callback_url"] = options.callback_url or f"http://{options.listen}/"
        if options.callback_auth:
            meta["callback_auth"] = options.callback_auth
    problem, received = None, 0
    try:
        # A callback may arrive before the response to its request: the receiver keeps it.
        for customer in customers:
            submit(api, customer, meta)
    except Stop as stop:
        problem = stop
    try:
        waiting = {each.transaction: each for each in customers if each.transaction}
        received = wait(api, waiting, receiver, options)
    except Stop as stop:
        problem = problem or stop
    print_table(customers)
    successes = sum(each.status == "Success" for each in customers)
    print(f"\n{successes} of {len(customers)} customers are onboarded")
    print(f"{received} ends came as callbacks; the host asked for {api.waits} pauses")
    if receiver and receiver.refused:
        print(f"{receiver.refused} callbacks had no valid signature", file=sys.stderr)
    for each in customers:
        if each.status != "Success":
            status = each.status or "Not sent"
            print(f"line {each.line}: {each.name}: {status}: {each.detail}", file=sys.stderr)
    if problem:
        raise problem
    return 0 if successes == len(customers) else 1


def main() -> int:
    try:
        return run(parse_arguments())
    except (Stop, OSError, ValueError) as error:
        print(f"onboard: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
