//! The settings as text for people.

use relation_host::types::Hierarchy;
use relation_notify::settings::{
    ChannelKind, Recipient, ResolvedRecipient, SnmpVersion, VisibleSettings,
};
use relation_web::access::notice_settings::{HIDDEN_PATH, NodeSettings, SecretState};
use serde::Serialize;
use serde_json::Value;

use super::SettingsOutput;
use crate::table::{Column, MAX_NAME_WIDTH, Table, pair_table};
use crate::time;

/// The fields, in the order of docs/notices.md.
const FIELDS: [&str; 12] = [
    "notify",
    "thresholds",
    "recipients",
    "channels",
    "kinds",
    "retrying_after",
    "reminder",
    "digest",
    "quiet_hours",
    "language",
    "budget",
    "account_email",
];
const INHERIT: &str = "inherit";
/// The path in place of a hidden one, as a URL has it.
const ENCODED_HIDDEN_PATH: &str = "/%E2%80%A6";

/// Returns the text by which people know a recipient: an address or a name.
pub fn find_name(recipient: &Recipient) -> &str {
    match recipient {
        Recipient::Mail(address) => address.as_str(),
        Recipient::Webhook(endpoint) => &endpoint.name,
        Recipient::Snmp(target) => &target.name,
    }
}

/// Returns the part of the configuration that permits a channel.
pub fn find_section(channel: ChannelKind) -> &'static str {
    match channel {
        ChannelKind::Mail => "the section [notices.mail]",
        ChannelKind::Webhook => "notices.webhook-origins",
        ChannelKind::Snmp => "the section [notices.snmp]",
    }
}

/// Renders the nodes that have settings.
pub fn render_list(nodes: &[SettingsOutput<'_>]) -> String {
    let mut rows = Table::with_columns(&[
        Column::new("node").tail(16),
        Column::new("own values").wrapped(24),
        Column::new("recipients"),
    ]);
    for node in nodes {
        let settings = to_json(node.settings);
        let own = FIELDS.into_iter().filter(|field| {
            let value = settings.get(field).unwrap_or(&Value::Null);
            render_own(value) != INHERIT
        });
        let own: Vec<&str> = own.collect();
        let recipients = node.settings.recipients.value();
        let recipients = recipients.map_or(0, |list| list.values.len());
        rows.add([
            node.hierarchy.as_str(),
            &own.join(", "),
            &recipients.to_string(),
        ]);
    }
    rows.to_string()
}

/// Renders the settings of the node itself.
pub fn render(node: &NodeSettings) -> String {
    let settings = to_json(&node.settings);
    let fields = FIELDS.into_iter().map(|field| {
        let value = settings.get(field).unwrap_or(&Value::Null);
        (field, render_own(value))
    });
    let heading = [("node", node.hierarchy.to_string())];
    let mut blocks = vec![pair_table(heading.into_iter().chain(fields)).to_string()];
    let recipients = node.settings.recipients.value();
    let recipients = recipients.map_or(&[][..], |list| &list.values);
    if !recipients.is_empty() {
        let mut rows = Table::with_columns(&[
            Column::new("recipient")
                .shortened(16)
                .at_most(MAX_NAME_WIDTH),
            Column::new("type"),
            Column::new("address").shortened(16),
            Column::new("secret").wrapped(12),
            Column::new("id").droppable(1),
        ]);
        for recipient in recipients {
            let id = recipient.id().unwrap_or("-");
            let secret = match recipient.id() {
                Some(id) => describe_secret(node.secrets.get(id)),
                None => "-".to_owned(),
            };
            rows.add([
                find_name(recipient),
                &describe_type(recipient),
                &find_address(recipient),
                &secret,
                id,
            ]);
        }
        blocks.push(rows.to_string());
    }
    blocks.join("\n\n")
}

/// Renders the values that apply to a node, with the level of each.
pub fn render_resolved(node: &Hierarchy, settings: &VisibleSettings) -> String {
    let json = to_json(settings);
    let mut rows = Table::with_columns(&[
        Column::new("field"),
        Column::new("value").wrapped(24),
        Column::new("from").tail(12),
    ]);
    rows.add(["node", node.as_str(), ""]);
    for field in FIELDS {
        match (field, json.get(field)) {
            ("recipients", _) => {
                let count = settings.recipients.len().to_string();
                let origin = render_value(&to_json(&settings.recipients_origin));
                rows.add([field, &count, &origin]);
            }
            ("channels", Some(Value::Object(channels))) => {
                for channel in ChannelKind::ALL.map(ChannelKind::as_str) {
                    let (value, origin) = render_sourced(channels.get(channel));
                    rows.add([&format!("{field}.{channel}"), &value, &origin]);
                }
            }
            (_, value) => {
                let (value, origin) = render_sourced(value);
                rows.add([field, &value, &origin]);
            }
        }
    }
    let mut blocks = vec![rows.to_string()];
    if !settings.recipients.is_empty() {
        let mut rows = Table::with_columns(&[
            Column::new("recipient")
                .shortened(16)
                .at_most(MAX_NAME_WIDTH),
            Column::new("type"),
            Column::new("address").shortened(16).droppable(2),
            Column::new("language"),
            Column::new("e-mails").droppable(1),
            Column::new("from").tail(12),
        ]);
        for ResolvedRecipient {
            recipient,
            origin,
            delivery,
        } in &settings.recipients
        {
            let digest = match recipient.channel() {
                ChannelKind::Mail => render_value(&to_json(&delivery.digest)),
                ChannelKind::Webhook | ChannelKind::Snmp => "-".to_owned(),
            };
            rows.add([
                find_name(recipient),
                &describe_type(recipient),
                &find_address(recipient),
                &render_value(&to_json(&delivery.language)),
                &digest,
                origin.as_str(),
            ]);
        }
        blocks.push(rows.to_string());
    }
    blocks.join("\n\n")
}

/// Renders a resolved value or list, and its level. Values of a list that come from several levels name theirs.
fn render_sourced(value: Option<&Value>) -> (String, String) {
    let member = |value: &Value, name: &str| value.get(name).map(render_value).unwrap_or_default();
    let Some(value) = value else {
        return ("-".to_owned(), String::new());
    };
    let origin = member(value, "origin");
    let Some(Value::Array(values)) = value.get("values") else {
        return (member(value, "value"), origin);
    };
    let is_mixed = values.iter().any(|value| member(value, "origin") != origin);
    let texts = values.iter().map(|value| match is_mixed {
        true => format!(
            "{} from {}",
            member(value, "value"),
            member(value, "origin")
        ),
        false => member(value, "value"),
    });
    let texts: Vec<String> = texts.collect();
    match texts.is_empty() {
        true => ("none".to_owned(), origin),
        false => (texts.join(", "), origin),
    }
}

/// Renders a field of a node's own settings.
fn render_own(value: &Value) -> String {
    let Value::Object(members) = value else {
        return render_value(value);
    };
    if let Some(Value::Array(values)) = members.get("values") {
        let texts: Vec<String> = values.iter().map(render_value).collect();
        let text = match texts.is_empty() {
            true => "none".to_owned(),
            false => texts.join(", "),
        };
        return match members.get("mode").and_then(Value::as_str) {
            Some("add-to-inherited") => format!("{text}; added to the inherited ones"),
            _ => text,
        };
    }
    if ["hour", "from"]
        .iter()
        .any(|name| members.contains_key(*name))
    {
        return render_value(value);
    }
    // The channels.
    let own = members.iter().filter(|(_, value)| *value != INHERIT);
    let own: Vec<String> = own
        .map(|(name, value)| format!("{name} {}", render_value(value)))
        .collect();
    match own.is_empty() {
        true => INHERIT.to_owned(),
        false => own.join(", "),
    }
}

/// Renders a value in the words of `settings set`.
fn render_value(value: &Value) -> String {
    let text = |name: &str| value.get(name).map(render_value).unwrap_or_default();
    match value {
        Value::String(text) => text.clone(),
        Value::Object(members) if members.contains_key("hour") => {
            format!("daily at {:0>2}:00 {}", text("hour"), text("zone"))
        }
        Value::Object(members) if members.contains_key("from") => {
            format!("{} to {} {}", text("from"), text("to"), text("zone"))
        }
        Value::Object(members) if members.contains_key("name") => text("name"),
        Value::Object(members) if members.contains_key("address") => text("address"),
        other => other.to_string(),
    }
}

fn to_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn describe_type(recipient: &Recipient) -> String {
    match recipient {
        Recipient::Mail(_) => "e-mail".to_owned(),
        Recipient::Webhook(_) => "webhook".to_owned(),
        Recipient::Snmp(target) => {
            let version = match target.version {
                SnmpVersion::V2c => "v2c",
                SnmpVersion::V3 { .. } => "v3",
            };
            format!("SNMP {version} {}", target.kind.as_str())
        }
    }
}

fn find_address(recipient: &Recipient) -> String {
    match recipient {
        Recipient::Mail(_) => "-".to_owned(),
        Recipient::Webhook(endpoint) => {
            let url = endpoint.url.as_str();
            url.replace(ENCODED_HIDDEN_PATH, HIDDEN_PATH)
        }
        Recipient::Snmp(target) => target.address(),
    }
}

fn describe_secret(state: Option<&SecretState>) -> String {
    match state {
        Some(SecretState {
            set: true,
            overlap_end: Some(end),
        }) => format!("set; the former one until {}", time::format_utc(*end)),
        Some(SecretState { set: true, .. }) => "set".to_owned(),
        _ => "missing".to_owned(),
    }
}
