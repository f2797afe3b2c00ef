"""What each Python client needs besides its own library: the emulator's address, an administrator who
consents, and the control plane. Standard library only."""

import json
import os
import urllib.error
import urllib.parse
import urllib.request

WEBEX = json.loads(os.environ["EMULATED_WEBEX"])
MODES = ["extend-same", "frozen-clock", "omit-refresh-token", "rotate", "same-access-token"]


class NotFollowed(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def post(url, body, content_type):
    """Posts without following a redirect; returns the headers."""
    opener = urllib.request.build_opener(NotFollowed, urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, body.encode(), {"Content-Type": content_type})
    try:
        with opener.open(request) as response:
            return response.headers
    except urllib.error.HTTPError as error:
        if error.code != 303:
            raise RuntimeError(f"{url}: {error.code} {error.read().decode()}") from error
        return error.headers


def consent(link):
    """Accepts at the page of this link, as its form does; returns the address of the redirect."""
    url, query = link.split("?", 1)
    headers = post(url, f"{query}&decision=accept", "application/x-www-form-urlencoded")
    return headers["Location"]


def query(address):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query))


def control(path, body):
    post(f"{WEBEX['origin']}/_emulator/{path}", json.dumps(body), "application/json")


def attempt(action):
    """Returns what the client did: "works", or its error in one line."""
    try:
        action()
    except Exception as error:  # the table shows the class that the client chose
        text = " ".join(str(error).split()).replace(WEBEX["origin"], "")
        return f"{type(error).__name__}: {text}"[:120]
    return "works"


def refresh_in_every_mode(refresh):
    """Refreshes twice in each mode, in which the second needs what the first has kept."""
    outcomes = {}
    for mode in MODES:
        control("mode", {"mode": mode})

        def twice():
            refresh()
            refresh()

        outcomes[mode] = attempt(twice)
    control("mode", {"mode": MODES[0]})
    return outcomes


def refusal(token, refresh):
    """Returns what the client makes of a refresh token that Webex refuses."""
    control("revoke", {"token": token})
    return attempt(refresh)


def report(**cells):
    """Reports to the test; the output of this process has the client's own messages."""
    with open(WEBEX["report"], "w", encoding="utf-8") as file:
        json.dump(cells, file)
