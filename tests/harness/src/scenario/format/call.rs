//! `call = "…"`: a workflow and its inputs.

use relation_host::reports::Grant;
use serde_json::{Map, Value};
use toml::de::DeValue;

use super::given::node;
use super::reader::Table;
use super::source::Complaint;
use super::{keys, values, webex};
use crate::scenario::model::Call;
use crate::scenario::template::Template;

/// Where Webex sends the browser, if a scenario does not say.
const REDIRECT: &str = "http://127.0.0.1:8400/callback";

/// Reads what a step with `call = "…"` does. The keys that it may have are those of its workflow.
pub fn read(table: &mut Table<'_, '_>) -> Option<Call> {
    let sections = [
        ("add", &keys::ADD),
        ("modify", &keys::MODIFY),
        ("delete", &keys::DELETE),
        ("connect", &keys::CONNECT),
        ("complete-connect", &keys::COMPLETE_CONNECT),
        ("refresh", &keys::REFRESH),
        ("check-expiry", &keys::CHECK_EXPIRY),
        ("sync", &keys::SYNC),
        ("wake", &keys::WAKE),
        ("describe", &keys::DESCRIBE),
    ];
    let names = sections.map(|(name, _)| (name, name));
    let Some(named) = table.get("call", |value| values::word(value, "call", &names)) else {
        table.pardon();
        return None;
    };
    if let Some((_, section)) = sections.iter().find(|(name, _)| *name == named) {
        table.becomes(section);
    }
    let call = match named {
        "add" => return add(table),
        "modify" => Call::Modify {
            record: record(table),
            fields: fields(table),
            tokens: table.get("tokens", tokens),
        },
        "delete" => Call::Delete {
            record: record(table),
            dry_run: table.get("dry-run", values::flag).unwrap_or(false),
        },
        "connect" => Call::Connect {
            record: record(table),
            grant: grant(table),
            redirect_uri: table
                .get("redirect-uri", values::any_text)
                .unwrap_or_else(|| REDIRECT.to_owned()),
        },
        "complete-connect" => Call::CompleteConnect {
            record: record(table),
            callback: table
                .get("callback", values::template)
                .unwrap_or_else(|| Template::parse("{callback}")),
        },
        "refresh" => Call::Refresh {
            record: record(table),
            grant: grant(table),
        },
        "check-expiry" => Call::CheckExpiry {
            record: record(table),
            grant: grant(table),
        },
        "sync" => {
            let kinds = [("roles-licenses", ())];
            table.get("kind", |value| {
                values::word(value, "kind of import", &kinds)
            });
            Call::Sync {
                record: record(table),
            }
        }
        "wake" => {
            let record = record(table);
            let payload = table.get("payload", values::any_text);
            let due = table.get("due", values::moment);
            let deadline = table.get("deadline", values::moment);
            Call::Wake {
                record,
                wakeup: table.need("wakeup", values::text)?,
                payload,
                due,
                deadline,
            }
        }
        _ => Call::Describe,
    };
    Some(call)
}

fn add(table: &mut Table<'_, '_>) -> Option<Call> {
    let name = table.get("as", webex::name);
    let hierarchy = table.get("hierarchy", values::hierarchy).or_else(node);
    let fields = fields(table);
    let tokens = table.get("tokens", tokens);
    let idempotency_key = table.get("idempotency-key", values::template);
    Some(Call::Add {
        name,
        hierarchy: hierarchy?,
        fields,
        tokens,
        idempotency_key,
    })
}

/// The record that was added without a name of its own, if the step names no other.
fn record(table: &mut Table<'_, '_>) -> Template {
    let record = table.get("record", values::template);
    record.unwrap_or_else(|| Template::parse("{pkid}"))
}

fn grant(table: &mut Table<'_, '_>) -> Grant {
    let grants = [
        Grant::Organization,
        Grant::WholesaleCustomers,
        Grant::WholesaleUsers,
    ];
    let words = grants.map(|grant| (grant.as_str(), grant));
    let grant = table.get("grant", |value| values::word(value, "grant", &words));
    grant.unwrap_or_default()
}

fn fields(table: &mut Table<'_, '_>) -> Map<String, Value> {
    table.get("fields", values::object).unwrap_or_default()
}

/// A token answer as a table, or as a text that holds its JSON.
fn tokens(value: DeValue<'_>) -> Result<Value, Complaint> {
    match value {
        DeValue::String(text) => Ok(Value::String(text.into_owned())),
        other => values::object(other).map(Value::Object),
    }
}
