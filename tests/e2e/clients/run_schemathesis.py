"""Runs schemathesis over the document that a server serves, as one role.

This file is the list of what the run leaves out or accepts, with the reasons: `LEFT_OUT` and `ACCEPTED`. All checks
of schemathesis run on every operation.
"""

import json
import os
import sys
import tempfile
import urllib.request
from pathlib import Path

# Parameters of queries, and members of request_meta, that requests do not have.
LEFT_OUT = {
    "cursor": "it comes from an earlier page; a schema cannot say which texts are cursors",
    "filter_field": "it needs filter_text, and a schema cannot say so",
    "filter_text": "it needs filter_field, and a schema cannot say so",
    "format": "format=ndjson excludes the parameters of pages, and a schema cannot say so",
    "grantable": "grantable=true excludes the parameters of pages, and a schema cannot say so",
    "callback_url": "which addresses are permitted is a setting of the host",
    "callback_auth": "a request without callback_url needs none",
    "callback_auth_name": "a request without callback_url needs none",
    "nowait": "a queued request is checked when it runs, so the response to a wrong one is a success",
}

# Statuses that a check accepts beside its own. `positive_data_acceptance` is about requests that the schema permits,
# `negative_data_rejection` about others.
ACCEPTED = [
    (
        ["ReplaceRecord", "ModifyRecord", "DeleteRecord", "RunAction", "SaveNoticeSettings", "RemoveNoticeSettings"],
        ["positive_data_acceptance", "negative_data_rejection"],
        "412",
        "If-Match is any text, the object has one version, and the version is compared before the fields",
    ),
    (
        ["AddRecord", "ReplaceRecord", "ModifyRecord", "RunAction"],
        ["positive_data_acceptance"],
        "422",
        "the plugin has rules that a schema cannot say: fields that belong together, addresses of proxies, tokens",
    ),
    (
        ["DeleteRecord", "ReplayTransaction", "ModifyRecords", "DeleteRecords"],
        ["positive_data_acceptance"],
        "422",
        "external_id and external_reference have no characters that cannot be seen",
    ),
    (
        ["AddUser", "SetUserRoles", "AddApiKey", "RotateApiKey", "AddRole", "SetRoleOperations"],
        ["positive_data_acceptance"],
        "422",
        "roles have to exist, at or below the node, with operations that the caller has, an expiry in the future, an overlap at most 30 days; a new node needs the operation add",
    ),
    (
        ["AddCallbackAuth", "ReplaceCallbackAuth"],
        ["positive_data_acceptance"],
        "422",
        "a token and a password exclude each other, a user name needs a password, and secrets have forms of their own",
    ),
    (
        ["SaveNoticeSettings"],
        ["positive_data_acceptance"],
        "422",
        "durations, time zones, addresses and recipients have forms of their own; a new node needs the operation add",
    ),
    (
        ["ResendDeliveries"],
        ["positive_data_acceptance"],
        "400",
        "the cursor comes from an earlier response; a schema cannot say which texts are cursors",
    ),
    (
        ["ResendDeliveries"],
        ["positive_data_acceptance"],
        "422",
        "a time has 64 bits",
    ),
    (
        ["AddNode"],
        ["positive_data_acceptance"],
        "422",
        "the path of a node has at most 1024 bytes, so that the length of the name depends on the node above",
    ),
    (
        ["RunAction"],
        ["negative_data_rejection"],
        "200",
        "schemathesis learns from a response which arguments one action needs, and expects that others need them",
    ),
    (
        ["ModifyRecords", "DeleteRecords"],
        ["negative_data_rejection"],
        "202",
        "an address without a record does not stop the others; the response has a 404 for it",
    ),
]

# The statuses that these checks accept by themselves.
USUAL = {
    "positive_data_acceptance": ["2xx", "3xx", "401", "403", "404", "409", "429", "5xx"],
    "negative_data_rejection": [*map(str, [400, 401, 403, 404, 405, 406, 409, 415, 422, 428, 429]), "5xx"],
}

NODE = os.environ["RELATION_NODE"]
URL = os.environ["RELATION_URL"]
UNKNOWN = "0123456789abcdef01234567"


def call(method, path, body=None):
    """Sends a request of the root administrator; returns the response's JSON."""
    headers = {
        "Authorization": f"Bearer {os.environ['RELATION_ROOT_KEY']}",
        "Content-Type": "application/json",
    }
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request) as response:
        return json.load(response)


def add_objects():
    """Adds what the requests are about; returns pkids by path. A delete has objects of its own."""
    records = "/api/relation/SparkCustomer/"
    names = ["Contoso", "Fabrikam", "Northwind", "Tailspin"]
    pkids = [call("POST", f"{records}?hierarchy={NODE}", {"name": name})["pkid"] for name in names]
    grants = [{"role": "operator", "node": NODE}]
    user = call("POST", "/api/data/User/", {"name": "grace", "hierarchy": NODE, "grants": grants})
    key = call("POST", "/api/data/ApiKey/", {"name": "siem", "hierarchy": NODE, "grants": grants})
    auth = {"name": "crm", "hierarchy": NODE, "token": "canary-token"}
    auth = call("POST", "/api/data/ApiCallbackAuth/", auth)
    role = {"name": "readers", "hierarchy": NODE, "operations": ["read"]}
    role = call("POST", "/api/data/Role/", role)
    nodes = call("GET", f"/api/data/HierarchyNode/?hierarchy={NODE}")
    syncs = call("GET", f"/api/data/DataSync/?hierarchy={NODE}")
    transactions = call("GET", f"/api/tool/Transaction/?hierarchy={NODE}")
    return {
        "kept": pkids[:2],
        "deleted": pkids[2:],
        "/api/data/User/": [user["pkid"]],
        "/api/data/ApiKey/": [key["pkid"]],
        "/api/data/ApiCallbackAuth/": [auth["pkid"]],
        "/api/data/Role/": [role["pkid"]],
        "/api/data/HierarchyNode/": [each["pkid"] for each in nodes["resources"][:1]],
        "/api/data/{model}/": [each["pkid"] for each in syncs["resources"][:3]],
        "/api/device/spark/{model}/": [],
        "/api/tool/Transaction/": [each["id"] for each in transactions["resources"][:3]],
    }


def prepare(document, objects):
    """Leaves out parameters, and names objects that exist where a path or a body has an id."""
    nodes = [NODE, f"{NODE}.Below"]
    leave_out_members(document)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            known = objects["deleted" if method == "delete" else "kept"]
            for prefix, ids in objects.items():
                if path.startswith(prefix):
                    known = ids
            kept = []
            for parameter in operation.get("parameters", []):
                name, place = parameter["name"], parameter["in"]
                if name in LEFT_OUT and place == "query":
                    continue
                if place == "path" and name in ("pkid", "id"):
                    parameter["schema"] = {"enum": [*known, UNKNOWN]}
                if name == "hierarchy":
                    parameter["schema"] = {"enum": nodes}
                kept.append(parameter)
            operation["parameters"] = kept
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body:
                name_objects(body["schema"], known, nodes)


def leave_out_members(part):
    """Leaves out members of request_meta, wherever the document describes it."""
    if isinstance(part, dict):
        members = part.get("properties", {}).get("request_meta", {}).get("properties", {})
        for name in LEFT_OUT:
            members.pop(name, None)
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            leave_out_members(each)


def name_objects(schema, known, nodes):
    properties = schema.get("properties", {})
    if "hrefs" in properties:
        hrefs = [f"/api/relation/SparkCustomer/{pkid}/" for pkid in [*known, UNKNOWN]]
        properties["hrefs"]["items"] = {"enum": hrefs}
    if "hierarchy" in properties:
        may_be_null = {"type": "null"} in properties["hierarchy"].get("anyOf", [])
        properties["hierarchy"] = {"enum": [*nodes, None] if may_be_null else nodes}
    if "grants" in properties:
        properties["grants"]["items"]["properties"]["node"] = {"enum": nodes}


def configuration(key):
    """Returns the configuration: the role's key, and the accepted statuses of each operation."""
    lines = ["[auth.openapi.apiKey]", f"bearer = {json.dumps(key)}"] if key else []
    accepted = {}
    for operations, checks, status, _ in ACCEPTED:
        for operation in operations:
            for check in checks:
                accepted.setdefault(operation, {}).setdefault(check, [*USUAL[check]]).append(status)
    for operation, checks in accepted.items():
        lines += ["[[operations]]", f'include-operation-id = "{operation}"']
        for check, statuses in checks.items():
            lines.append(f"checks.{check}.expected-statuses = {json.dumps(statuses)}")
    return "\n".join(lines) + "\n"


def main():
    seconds = os.environ.get("RELATION_SCHEMATHESIS_SECONDS")
    # The boundary values of all fields take most of the time, and no role has other fields.
    has_coverage = seconds or os.environ.get("RELATION_ROLE") == "provider-administrator"
    phases = ["examples", *(["coverage"] if has_coverage else []), "fuzzing", "stateful"]
    directory = Path(tempfile.mkdtemp(dir=os.environ.get("RELATION_REPORTS")))
    document = call("GET", "/api/openapi.json")
    prepare(document, add_objects())
    (directory / "openapi.json").write_text(json.dumps(document))
    (directory / "schemathesis.toml").write_text(configuration(os.environ.get("RELATION_KEY")))
    arguments = [
        "--config-file",
        str(directory / "schemathesis.toml"),
        "run",
        str(directory / "openapi.json"),
        "--url",
        URL,
        "--checks=all",
        f"--phases={','.join(phases)}",
        f"--seed={os.environ.get('RELATION_SCHEMATHESIS_SEED', '15')}",
        "--generation-database=none",
        "--suppress-health-check=all",
        "--request-timeout=60",
        "--no-color",
        "--warnings=off",
    ]
    if seconds:
        arguments += [f"--max-time={seconds}"]
    else:
        arguments += ["--max-examples=3"]
    from schemathesis.cli import schemathesis

    os.chdir(directory)
    sys.argv = ["st", *arguments]
    schemathesis()


if __name__ == "__main__":
    main()
