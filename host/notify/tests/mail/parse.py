"""Parses a message from standard input, and prints its headers, bodies and defects as JSON."""

import email
import email.policy
import json
import sys

message = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
parts = list(message.walk())
json.dump(
    {
        "headers": {name: str(value) for name, value in message.items()},
        "names": [name for name, _ in message.items()],
        "types": [part.get_content_type() for part in parts],
        "text": message.get_body(("plain",)).get_content(),
        "html": message.get_body(("html",)).get_content(),
        "defects": [str(defect) for part in parts for defect in part.defects]
        + [str(defect) for value in message.values() for defect in value.defects],
    },
    sys.stdout,
)
