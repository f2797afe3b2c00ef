//! Input of callers: fields, tokens, grants.

use relation_host::reports::Grant;
use serde_json::{Map, Value, json};

use crate::fake_webex::{CANARY, ORGANIZATION, internal_id, token_response};
use crate::input::Input;
use crate::worlds;

/// The model's fields, near misses, and other members of the record.
const NAMES: &[&str] = &[
    "name",
    "account_number_external",
    "account_number",
    "account_email",
    "token",
    "token_repeat",
    "refresh_token",
    "refresh_token_repeat",
    "access_token_expires",
    "refresh_token_expires",
    "http_proxy",
    "https_proxy",
    "wholesale_status",
    "webex_contact_center",
    "base_url_setting",
    "token_link",
    "notes",
    "shadow",
    "shadow[].name",
    "dirsync_enabled",
    "email_domain",
    "default_calling_behaviour",
    "connection",
    "parts",
    "consents",
    "further_grants",
    "idempotency_key",
    "Name",
    "acount_number",
    "htpp_proxy",
];

/// The members of a token response.
pub(super) const TOKEN_NAMES: &[&str] = &[
    "access_token",
    "refresh_token",
    "expires_in",
    "refresh_token_expires_in",
    "token_type",
    "scope",
    "error",
    "error_description",
];

/// Generates a grant.
pub(super) fn grant(input: &mut Input<'_>) -> Grant {
    *input.pick(&[
        Grant::Organization,
        Grant::WholesaleCustomers,
        Grant::WholesaleUsers,
    ])
}

/// Generates fields: those of a real customer with some changed, or some alone.
pub(super) fn fields(input: &mut Input<'_>) -> Map<String, Value> {
    let mut fields = if input.chance(96) {
        Map::new()
    } else {
        worlds::fields()
    };
    for _ in 0..input.below(6) {
        let name = input.name(NAMES);
        if input.chance(48) {
            fields.remove(&name);
            continue;
        }
        let value = value(input, &name);
        if name == "token" && input.chance(192) {
            fields.insert("token_repeat".into(), value.clone());
            let refresh = token(input);
            fields.insert("refresh_token_repeat".into(), refresh.clone());
            fields.insert("refresh_token".into(), refresh);
        }
        fields.insert(name, value);
    }
    fields
}

/// Generates a value for the field `name`: valid, nearly valid, or any.
fn value(input: &mut Input<'_>, name: &str) -> Value {
    if input.chance(64) && !is_secret(name) {
        return input.json(NAMES);
    }
    match name {
        "account_number_external" | "account_number" => organization(input).into(),
        "account_email" => {
            let (user, domain) = (input.text(), input.text());
            let plain = "admin@acme.example".to_owned();
            input
                .pick(&[
                    plain,
                    format!("{user}@acme.example"),
                    format!("admin@{domain}"),
                ])
                .clone()
                .into()
        }
        "wholesale_status" | "webex_contact_center" | "dirsync_enabled" => {
            Value::Bool(input.chance(128))
        }
        "base_url_setting" => (*input.pick(&["US", "Singapore", "", "us", "Mars"])).into(),
        "shadow" => {
            let each = |input: &mut Input<'_>| json!({input.name(&["name"]): input.text()});
            (0..input.below(4)).map(|_| each(input)).collect()
        }
        name if name.contains("proxy") => proxy(input),
        name if name.contains("token") && is_secret(name) => token(input),
        _ => input.text().into(),
    }
}

/// Returns whether a value of this field is a secret; only a value with a [`CANARY`] counts as one.
fn is_secret(name: &str) -> bool {
    name.contains("proxy")
        || (name.contains("token") && !name.contains("expires") && name != "token_link")
}

fn organization(input: &mut Input<'_>) -> String {
    let other = "00000000-0000-4000-8000-000000000000";
    let text = input.text();
    input
        .pick(&[
            ORGANIZATION.to_owned(),
            internal_id(ORGANIZATION),
            ORGANIZATION.to_uppercase(),
            other.to_owned(),
            internal_id(other),
            format!("{}==", internal_id(ORGANIZATION)),
            internal_id(&text),
            format!("{{{ORGANIZATION}}}"),
            ORGANIZATION.replace('-', ""),
            text,
        ])
        .clone()
}

fn token(input: &mut Input<'_>) -> Value {
    let text = input.text();
    input
        .pick(&[
            format!("{CANARY}given_P0A1_{ORGANIZATION}"),
            format!("{CANARY}{text}"),
            format!("{text}{CANARY}"),
            format!("{CANARY}_{text}_{ORGANIZATION}"),
            format!("eyJ0eXAiOiJKV1QifQ.{CANARY}.{text}"),
        ])
        .clone()
        .into()
}

/// Generates a proxy string; its user, or a near miss of one, holds the secret.
fn proxy(input: &mut Input<'_>) -> Value {
    let (text, port) = (input.text(), input.below(70_000));
    let password = format!(
        "{CANARY}{}",
        input.pick(&["", "%40", "@", "/", "#", ":", "%"])
    );
    input
        .pick(&[
            format!("http://fuzz:{password}@proxy.example:3128/"),
            format!("http://fuzz:{password}@proxy.example:{port}"),
            format!("https://fuzz:{password}@{text}:3128/"),
            format!("http://{text}:{password}@[::1]/"),
            format!("socks5://fuzz:{password}@proxy.example"),
            format!("fuzz:{password}@proxy.example:3128"),
            format!("http://fuzz:{password}{text}@proxy.example:3128/{text}"),
            format!("{text}http://fuzz:{password}@proxy.example/"),
            "http://proxy.example:3128".to_owned(),
            "http://fuzz@proxy.example:3128/".to_owned(),
        ])
        .clone()
        .into()
}

/// Generates a pasted token response: none, whole, changed, or not JSON.
pub(super) fn pasted(input: &mut Input<'_>) -> Option<String> {
    let mut response = token_response("pasted");
    match input.below(6) {
        0 | 1 => None,
        2 => Some(response.to_string()),
        3 | 4 => {
            let edits = crate::edits::edits(input, TOKEN_NAMES, 4);
            crate::edits::apply(&mut response, &edits);
            crate::edits::keep_only_in(&mut response, CANARY, &["access_token", "refresh_token"]);
            Some(response.to_string())
        }
        _ => {
            let text = response.to_string();
            let end = input.below(text.len());
            let cut: String = text.chars().take(end).collect();
            Some(format!("{cut}{}", input.text()))
        }
    }
}
