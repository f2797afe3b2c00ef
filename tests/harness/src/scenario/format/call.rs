//! `call = "…"`: a workflow and its inputs.

use relation_host::reports::{Grant, SyncSelector};
use relation_toml::{DeValue, Table, ValueError};
use serde_json::{Map, Value, json};

use super::given::default_node;
use super::{keys, values, webex};
use crate::scenario::model::Call;
use crate::scenario::template::Template;

/// The default redirect URI.
const REDIRECT: &str = "http://127.0.0.1:8400/callback";

/// Reads a step with `call = "…"`. The workflow determines the allowed keys.
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
        ("invoke", &keys::INVOKE),
        ("wake", &keys::WAKE),
        ("describe", &keys::DESCRIBE),
        ("check-settings", &keys::CHECK_SETTINGS),
    ];
    let names = sections.map(|(name, _)| (name, name));
    let Some(named) = table.require("call", |value| values::parse_word(value, "call", &names))
    else {
        table.allow_unknown_keys();
        return None;
    };
    if let Some((_, section)) = sections.iter().find(|(name, _)| *name == named) {
        table.switch_section(section);
    }
    let inputs = match named {
        "add" => return add(table),
        "wake" => return wake(table),
        "modify" => json!({
            "pkid": record(table),
            "fields": fields(table),
            "token_response": table.get("tokens", tokens),
        }),
        "delete" => json!({
            "pkid": record(table),
            "dry_run": table.get("dry-run", values::parse_flag).unwrap_or(false),
        }),
        "connect" => {
            let redirect_uri = table.get("redirect-uri", values::parse_any_text);
            json!({
                "pkid": record(table),
                "grant": grant(table),
                "redirect_uri": redirect_uri.as_deref().unwrap_or(REDIRECT),
            })
        }
        "complete-connect" => {
            let callback = table.get("callback", values::parse_any_text);
            json!({
                "pkid": record(table),
                "callback": callback.as_deref().unwrap_or("{callback}"),
            })
        }
        "refresh" | "check-expiry" => json!({ "pkid": record(table), "grant": grant(table) }),
        "sync" => {
            let sync = table.get("sync", values::parse_text).map(SyncSelector::new);
            json!({
                "pkid": record(table),
                "sync": sync.unwrap_or(SyncSelector::ROLES_LICENSES),
                "accept_removals": table.get("accept-removals", values::parse_flag),
            })
        }
        "invoke" => json!({
            "pkid": record(table),
            "action": table.require("action", values::parse_any_text)?,
            "arguments": table.get("arguments", values::parse_object),
        }),
        _ => json!({}),
    };
    Some(workflow(named, inputs, None))
}

/// Returns a call's inputs, whose texts may contain names.
fn workflow(named: &str, inputs: Value, name: Option<String>) -> Call {
    let mut inputs = match inputs {
        Value::Object(inputs) => inputs,
        _ => Map::new(),
    };
    inputs.retain(|_, value| !value.is_null());
    inputs.insert("workflow".to_owned(), named.into());
    Call::Workflow { inputs, name }
}

fn add(table: &mut Table<'_, '_>) -> Option<Call> {
    let name = table.get("as", webex::name);
    let hierarchy = table
        .get("hierarchy", values::parse_hierarchy)
        .or_else(default_node);
    let fields = fields(table);
    let tokens = table.get("tokens", tokens);
    let idempotency_key = table.get("idempotency-key", values::parse_any_text);
    let inputs = json!({
        "hierarchy": hierarchy?,
        "fields": fields,
        "token_response": tokens,
        "idempotency_key": idempotency_key,
    });
    Some(workflow("add", inputs, name))
}

fn wake(table: &mut Table<'_, '_>) -> Option<Call> {
    let record = Template::parse(&record(table));
    let moment = table.get("moment", values::parse_moment);
    let payload = table.get("payload", values::parse_any_text);
    let due = table.get("due", values::parse_moment);
    let deadline = table.get("deadline", values::parse_moment);
    Some(Call::Wake {
        record,
        wakeup: table.require("wakeup", values::parse_text)?,
        moment,
        payload,
        due,
        deadline,
    })
}

/// Returns the record of the step; by default the record that was added without a name.
fn record(table: &mut Table<'_, '_>) -> String {
    let record = table.get("record", values::parse_any_text);
    record.unwrap_or_else(|| "{pkid}".to_owned())
}

fn grant(table: &mut Table<'_, '_>) -> Grant {
    let grants = [
        Grant::Organization,
        Grant::WholesaleCustomers,
        Grant::WholesaleUsers,
    ];
    let words = grants.map(|grant| (grant.as_str(), grant));
    let grant = table.get("grant", |value| values::parse_word(value, "grant", &words));
    grant.unwrap_or_default()
}

fn fields(table: &mut Table<'_, '_>) -> Map<String, Value> {
    table
        .get("fields", values::parse_object)
        .unwrap_or_default()
}

/// Reads a token response: a table, or a text with its JSON.
fn tokens(value: DeValue<'_>) -> Result<Value, ValueError> {
    match value {
        DeValue::String(text) => Ok(Value::String(text.into_owned())),
        other => values::parse_object(other).map(Value::Object),
    }
}
