"""Verifies webhooks with the official library. Reads a JSON list of {secret, headers, body} from stdin, and writes the
list of the results: "valid", or the library's error."""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def verify(case):
    try:
        Webhook(case["secret"]).verify(case["body"], case["headers"])
    except WebhookVerificationError as error:
        return str(error)
    return "valid"


json.dump([verify(case) for case in json.load(sys.stdin)], sys.stdout)
