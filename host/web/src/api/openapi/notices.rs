//! The notices in the OpenAPI document: their settings, their deliveries and their previews.

use relation_notify::runner::DeliveryState;
use relation_notify::settings::KINDS;
use serde_json::{Value, json};

use super::access::{optional_time, time};
use super::parameters::{node, paging, pkid, query};
use super::schemas;
use crate::access::AccessRoute;

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Returns the parameters in the path of a route for settings.
pub(super) fn path_parameters(route: AccessRoute) -> Vec<Value> {
    let path = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "path", "required": true, "description": description, "schema": schema });
    let mut parameters = Vec::new();
    if route.path().contains("{node}") {
        parameters.push(path("node", "The node, by its path or its pkid.", node()));
    }
    if route.path().contains("{id}") {
        let description =
            "The id of the webhook or the SNMP target; for a test also an e-mail address.";
        let text = json!({ "type": "string", "minLength": 1 });
        parameters.push(path("id", description, text));
    }
    parameters
}

/// Returns the parameters of the list of deliveries, which neither skips nor counts.
pub(super) fn delivery_parameters() -> Vec<Value> {
    let mut parameters = paging();
    parameters.retain(|each| {
        let is_named = |name: &str| each.get("name") == Some(&name.into());
        !is_named("skip") && !is_named("count")
    });
    let states = DeliveryState::ALL.map(DeliveryState::as_str);
    parameters.push(query("state", "The state.", json!({ "enum": states })));
    parameters.push(query("record", "The record of the notice.", pkid()));
    let day = json!({ "type": "string", "format": "date" });
    let description = "The day on which the delivery was made, in UTC.";
    parameters.push(query("day", description, day));
    parameters
}

/// Returns the schema of a successful response.
pub(super) fn response(route: AccessRoute) -> Option<Value> {
    Some(match route {
        AccessRoute::GetNoticeSettings => reference("NoticeSettings"),
        AccessRoute::SaveNoticeSettings => json!({
            "allOf": [reference("NoticeSettings"), {
                "type": "object",
                "required": ["new_secrets"],
                "properties": {
                    "new_secrets": { "type": "array", "items": reference("NoticeSecret") },
                },
            }],
        }),
        AccessRoute::ResolveNoticeSettings => resolved(),
        AccessRoute::RotateNoticeSecret => reference("NoticeSecret"),
        AccessRoute::TestNoticeRecipient => json!({
            "type": "object",
            "required": ["sent", "confirmed", "reply"],
            "properties": {
                "sent": { "type": "boolean" },
                "confirmed": { "type": "boolean" },
                "reply": {
                    "type": "string",
                    "description": "The receiver's reply, or the reason why the test was not sent.",
                },
            },
        }),
        AccessRoute::GetDelivery => reference("NoticeDelivery"),
        AccessRoute::ResendDeliveries => json!({
            "type": "object",
            "required": ["resent", "next"],
            "properties": {
                "resent": { "type": "integer", "minimum": 0 },
                "next": {
                    "type": ["string", "null"],
                    "description": "The `cursor` of the request that continues.",
                },
            },
        }),
        _ => return None,
    })
}

/// Returns the schema of the body of a request.
pub(super) fn request(route: AccessRoute) -> Option<Value> {
    let text = || json!({ "type": ["string", "null"] });
    let secret = || json!({ "type": ["string", "null"], "writeOnly": true });
    Some(match route {
        AccessRoute::SaveNoticeSettings => {
            let mut schema = input();
            let meta = schema.get_mut("properties").and_then(Value::as_object_mut);
            if let Some(properties) = meta {
                properties.insert("request_meta".to_owned(), schemas::request_meta());
            }
            schema
        }
        AccessRoute::SetNoticeSecrets => json!({
            "type": "object",
            "properties": {
                "community": secret(), "auth_password": secret(), "privacy_password": secret(),
            },
            "additionalProperties": false,
        }),
        AccessRoute::ResendDeliveries => json!({
            "type": "object",
            "required": ["since"],
            "properties": {
                "since": time(),
                "hierarchy": or_null(node()), "record": or_null(pkid()), "cursor": or_null(text()),
            },
            "additionalProperties": false,
        }),
        _ => return None,
    })
}

/// Returns a schema that permits null, which is as if the member were left out.
fn or_null(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// Returns the schema of the settings in a request. A field that is left out is inherited.
fn input() -> Value {
    let kinds: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
    let list = |item: Value| {
        json!({
            "description": "A list, an object with `mode` (`replace` or `add-to-inherited`) and `values`, or `inherit`.",
            "anyOf": [
                { "const": "inherit" },
                { "type": "array", "items": item },
                {
                    "type": "object",
                    "required": ["values"],
                    "properties": {
                        "mode": { "enum": ["replace", "add-to-inherited"] },
                        "values": { "type": "array", "items": item },
                    },
                    "additionalProperties": false,
                },
            ],
        })
    };
    let flag = || json!({ "enum": ["inherit", true, false, "yes", "no"] });
    let span = |also: &[&str]| {
        let duration = "A duration such as `30d`, a number of seconds, or `inherit`.";
        json!({ "type": ["string", "integer"], "description": duration, "examples": also })
    };
    let object_or = |words: &[&str], names: &[&str]| {
        let properties: serde_json::Map<String, Value> = names
            .iter()
            .map(|name| ((*name).to_owned(), json!({ "type": ["string", "integer"] })))
            .collect();
        json!({ "anyOf": [
            { "enum": words },
            {
                "type": "object", "required": names, "properties": properties,
                "additionalProperties": false,
            },
        ] })
    };
    let recipient = json!({
        "type": ["string", "object"],
        "description": "An e-mail address, or an object with `type` (`mail`, `webhook` or `snmp`) and the recipient's fields.",
    });
    json!({
        "type": "object",
        "properties": {
            "notify": flag(),
            "thresholds": list(span(&["30d"])),
            "recipients": list(recipient),
            "channels": {
                "anyOf": [
                    { "const": "inherit" },
                    {
                        "type": "object",
                        "properties": { "mail": flag(), "webhook": flag(), "snmp": flag() },
                        "additionalProperties": false,
                    },
                ],
            },
            "kinds": list(json!({ "enum": kinds })),
            "retrying_after": span(&["6h"]),
            "reminder": { "anyOf": [{ "enum": ["inherit", "off", false] }, span(&["7d"])] },
            "digest": object_or(&["inherit", "per-event"], &["hour", "zone"]),
            "quiet_hours": object_or(&["inherit", "off"], &["from", "to", "zone"]),
            "language": { "enum": ["inherit", "en", "de"] },
            "budget": {
                "anyOf": [
                    { "const": "inherit" }, { "type": "integer", "minimum": 1, "maximum": 1000 },
                ],
            },
            "account_email": flag(),
        },
        "additionalProperties": false,
    })
}

/// Returns the schema of the settings of a node.
pub(super) fn settings() -> Value {
    let state = json!({
        "type": "object",
        "required": ["set", "overlap_end"],
        "properties": { "set": { "type": "boolean" }, "overlap_end": optional_time() },
    });
    let health = json!({
        "type": "object",
        "required": ["failing_since", "failures", "disabled"],
        "properties": {
            "failing_since": optional_time(),
            "failures": { "type": "integer", "minimum": 0 },
            "disabled": { "enum": [null, "failures", "gone"] },
        },
    });
    json!({
        "type": "object",
        "required": ["hierarchy", "hierarchy_pkid", "href", "data"],
        "properties": {
            "hierarchy": { "type": "string" },
            "hierarchy_pkid": pkid(),
            "href": { "type": "string" },
            "data": { "type": "object", "description": "The settings, as a request has them." },
            "secrets": {
                "type": "object", "additionalProperties": state,
                "description": "By the id of the webhook or the SNMP target. Lists have none.",
            },
            "health": {
                "type": "object", "additionalProperties": health,
                "description": "By the id of the webhook or the SNMP target. Lists have none.",
            },
        },
    })
}

/// Returns the schema of a signing secret.
pub(super) fn secret() -> Value {
    json!({
        "type": "object",
        "required": ["id", "name", "signing_secret"],
        "properties": {
            "id": { "type": "string" },
            "name": { "type": "string" },
            "signing_secret": { "type": "string" },
        },
    })
}

/// Returns the schema of the settings that apply at a node.
fn resolved() -> Value {
    let origin = "A node, `default`, or `inherited` for a node above the caller's.";
    let sourced = || {
        json!({
            "type": "object",
            "required": ["value", "origin"],
            "properties": { "origin": { "type": "string", "description": origin } },
        })
    };
    let list = || {
        json!({
            "type": "object",
            "required": ["origin", "values"],
            "properties": { "values": { "type": "array", "items": sourced() } },
        })
    };
    json!({
        "type": "object",
        "required": ["hierarchy", "hierarchy_pkid", "recipients", "recipients_origin", "told_above"],
        "properties": {
            "hierarchy": { "type": "string" },
            "hierarchy_pkid": pkid(),
            "notify": sourced(),
            "thresholds": list(),
            "channels": { "type": "object", "additionalProperties": sourced() },
            "kinds": list(),
            "retrying_after": sourced(),
            "reminder": sourced(),
            "digest": sourced(),
            "quiet_hours": sourced(),
            "language": sourced(),
            "budget": sourced(),
            "account_email": sourced(),
            "recipients_origin": { "type": "string", "description": origin },
            "recipients": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["recipient", "origin", "delivery"],
                    "properties": {
                        "recipient": { "type": "object" },
                        "origin": { "type": "string" },
                        "delivery": { "type": "object" },
                    },
                },
            },
            "told_above": { "type": "boolean" },
        },
    })
}

/// Returns the schema of a notice.
pub(super) fn notice() -> Value {
    json!({
        "type": "object",
        "required": ["id", "kind", "severity", "record", "customer", "hierarchy", "grant", "code", "text", "occurred", "count"],
        "properties": {
            "id": { "type": "string" },
            "kind": { "type": "string" },
            "severity": { "enum": ["info", "minor", "major", "critical"] },
            "record": { "type": "string" },
            "customer": { "type": "string" },
            "hierarchy": { "type": "string" },
            "grant": { "type": "string" },
            "code": { "type": "string" },
            "text": { "type": "string" },
            "expires": optional_time(),
            "threshold_ms": { "type": "integer", "minimum": 0 },
            "occurred": time(),
            "count": { "type": "integer", "minimum": 0 },
            "link": { "type": ["string", "null"] },
        },
    })
}

fn channel() -> Value {
    json!({ "enum": ["mail", "webhook", "snmp"] })
}

fn holds() -> Value {
    let words = ["flapping", "digest", "budget", "quiet-hours"];
    json!({ "type": "array", "items": { "enum": words } })
}

/// Returns the schema of a delivery.
pub(super) fn delivery() -> Value {
    let attempt = json!({
        "type": "object",
        "required": ["at", "sent", "reply"],
        "properties": {
            "at": time(), "sent": { "type": "boolean" }, "reply": { "type": "string" },
        },
    });
    json!({
        "type": "object",
        "required": ["pkid", "href", "hierarchy", "state", "channel", "recipient", "notice", "created", "attempts", "resent"],
        "properties": {
            "pkid": pkid(),
            "href": { "type": "string" },
            "hierarchy": { "type": "string", "description": "The level that names the recipient." },
            "hierarchy_pkid": pkid(),
            "state": { "enum": DeliveryState::ALL.map(DeliveryState::as_str) },
            "channel": channel(),
            "recipient": { "type": "object" },
            "account_email": { "type": "boolean" },
            "language": { "enum": ["en", "de"] },
            "notice": reference("Notice"),
            "created": time(),
            "earliest": time(),
            "deadline": time(),
            "holds": holds(),
            "attempts": { "type": "array", "items": attempt },
            "attempt_count": { "type": "integer", "minimum": 0 },
            "reason": { "type": ["string", "null"] },
            "ended": optional_time(),
            "digest": { "type": ["string", "null"] },
            "resent": { "type": "integer", "minimum": 0 },
        },
    })
}

/// Returns the schema of the coming notices of a record.
pub(super) fn preview() -> Value {
    let delivery = json!({
        "type": "object",
        "required": ["hierarchy", "channel", "recipient", "earliest", "deadline", "holds"],
        "properties": {
            "hierarchy": { "type": "string" },
            "channel": channel(),
            "recipient": { "type": "object" },
            "earliest": time(),
            "deadline": time(),
            "holds": holds(),
        },
    });
    let not_made = json!({
        "type": "object",
        "required": ["channel", "recipient", "hierarchy", "reason", "at"],
        "properties": {
            "channel": { "enum": [null, "mail", "webhook", "snmp"] },
            "recipient": { "type": ["object", "null"] },
            "hierarchy": { "type": ["string", "null"] },
            "reason": { "type": "string" },
            "at": optional_time(),
        },
    });
    let planned = json!({
        "type": "object",
        "required": ["at", "notice", "deliveries", "not_made", "told_above"],
        "properties": {
            "at": time(),
            "notice": reference("Notice"),
            "deliveries": { "type": "array", "items": delivery },
            "not_made": { "type": "array", "items": not_made },
            "told_above": { "type": "boolean", "description": "Whether a level above the caller's is told too." },
        },
    });
    let grant = json!({
        "type": "object",
        "required": ["grant", "state", "expires", "notices"],
        "properties": {
            "grant": { "type": "string" },
            "state": { "type": "string" },
            "expires": optional_time(),
            "notices": { "type": "array", "items": planned },
        },
    });
    json!({
        "type": "object",
        "required": ["grants"],
        "properties": { "grants": { "type": "array", "items": grant } },
    })
}
