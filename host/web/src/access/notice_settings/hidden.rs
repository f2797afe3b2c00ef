//! Hides the paths of webhooks, which may have a token. Settings that are shown and saved again keep the path. The stored
//! settings have hidden paths too: the whole address is a sealed secret beside them.

use relation_app::notices::{Notices, change_webhook_url, find_webhook_url, url_secret_name};
use relation_host::store::Change;
use relation_host::types::{FieldError, Hierarchy};
pub use relation_notify::settings::HIDDEN_PATH;
use relation_notify::settings::{
    MAX_RECIPIENTS, NoticeSettings, Recipient, Setting, WebhookEndpoint, is_path_hidden, reference,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;

use crate::WebError;
use crate::access::AccessParts;
use crate::access::users::field_error;

/// Hides the path and the query of a webhook's address.
pub(crate) fn hide_path(recipient: &mut Recipient) {
    if let Recipient::Webhook(endpoint) = recipient {
        endpoint.hide_path();
    }
}

/// Returns the settings with hidden paths.
pub(super) fn hide_paths(settings: &NoticeSettings) -> NoticeSettings {
    let mut settings = settings.clone();
    if let Setting::Value(list) = &mut settings.recipients {
        list.values.iter_mut().for_each(hide_path);
    }
    settings
}

/// Returns the webhooks of settings.
fn webhooks(settings: &NoticeSettings) -> impl Iterator<Item = &WebhookEndpoint> {
    let recipients = settings.recipients.value().into_iter();
    recipients
        .flat_map(|list| &list.values)
        .filter_map(|recipient| match recipient {
            Recipient::Webhook(endpoint) => Some(endpoint),
            Recipient::Mail(_) | Recipient::Snmp(_) => None,
        })
}

/// Plans the changes of the sealed addresses. Addresses that are given with a path are sealed, and those that are not
/// needed any more are removed. Returns also whether an address with a path has changed.
pub(super) async fn plan_addresses(
    parts: &AccessParts,
    node: &Hierarchy,
    before: &NoticeSettings,
    after: &NoticeSettings,
) -> Result<(Vec<Change>, bool), WebError> {
    let owner = reference(node);
    let mut changes = Vec::new();
    for WebhookEndpoint { id, .. } in webhooks(before) {
        let name = url_secret_name(id);
        let is_kept = webhooks(after).any(|kept| kept.id == *id && kept.has_path());
        if !is_kept && parts.store().sealed(&owner, &name).await?.is_some() {
            changes.push(Change::RemoveSecret(owner.clone(), name));
        }
    }
    let mut is_changed = false;
    for endpoint in webhooks(after) {
        if endpoint.is_path_hidden() || !endpoint.has_path() {
            continue;
        }
        let (sealer, id) = (parts.sealer()?, &endpoint.id);
        let sealed = find_webhook_url(parts.store(), sealer, node, id).await;
        // One that cannot be opened is replaced.
        let sealed = sealed.ok().flatten();
        let url = SecretString::from(endpoint.url.as_str());
        if sealed.is_none_or(|sealed| sealed.expose_secret() != url.expose_secret()) {
            changes.push(change_webhook_url(sealer, node, id, &url)?);
            is_changed = true;
        }
    }
    Ok((changes, is_changed))
}

/// Replaces hidden paths in the given settings by those of the stored ones. A webhook is the same if its id and its
/// server are the same, so that a path is never sent to another server. Returns the errors of all others.
pub(super) fn restore_paths(given: &mut Value, stored: &NoticeSettings) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, item) in find_items(given).enumerate() {
        let id = item.get("id").and_then(Value::as_str).map(str::to_owned);
        let Some(Value::String(text)) = item.get_mut("url") else {
            continue;
        };
        let url = Url::parse(text.trim()).ok();
        let Some(url) = url.filter(is_path_hidden) else {
            continue;
        };
        let known = webhooks(stored).find(|known| {
            Some(known.id.as_str()) == id.as_deref() && known.url.origin() == url.origin()
        });
        match known {
            Some(known) => *text = known.url.as_str().to_owned(),
            None => {
                let message = "has `/…` in place of its path, which is only known for the same id and server: give the \
                               whole address";
                errors.push(field_error(&format!("recipients.{index}.url"), message));
            }
        }
    }
    errors
}

/// Returns the recipients of given settings, which may be in any form.
fn find_items(given: &mut Value) -> impl Iterator<Item = &mut Value> {
    let items = match given.get_mut("recipients") {
        Some(Value::Array(items)) => Some(items),
        Some(Value::Object(list)) => list.get_mut("values").and_then(Value::as_array_mut),
        _ => None,
    };
    // More are an error of the settings.
    items.into_iter().flatten().take(MAX_RECIPIENTS)
}

/// Returns the errors of given webhooks whose server the operator does not permit. A webhook that is stored at the same
/// server stays, so that other fields can be changed.
pub(super) fn check_servers(
    given: &mut Value,
    stored: &NoticeSettings,
    notices: &Notices,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, item) in find_items(given).enumerate() {
        let url = item.get("url").and_then(Value::as_str);
        let Some(url) = url.and_then(|url| Url::parse(url.trim()).ok()) else {
            continue;
        };
        let id = item.get("id").and_then(Value::as_str);
        let is_stored = webhooks(stored)
            .any(|known| Some(known.id.as_str()) == id && known.url.origin() == url.origin());
        if !is_stored && let Some(denial) = notices.find_webhook_denial(&url) {
            errors.push(field_error(&format!("recipients.{index}.url"), denial));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use relation_notify::settings::{Rules, parse};
    use serde_json::json;

    use super::*;

    const URL: &str = "https://hooks.example.com/canary-path?key=canary-query";

    fn settings(recipients: &Value) -> NoticeSettings {
        parse(&json!({ "recipients": recipients }), Rules::default()).unwrap()
    }

    fn stored() -> NoticeSettings {
        settings(&json!([
            { "type": "webhook", "id": "one", "name": "One", "url": URL },
            { "type": "webhook", "id": "two", "name": "Two", "url": "https://hooks.example.com/" },
        ]))
    }

    #[test]
    fn shown_settings_have_no_path_and_keep_it_when_saved() {
        let shown = serde_json::to_value(hide_paths(&stored())).unwrap();
        assert!(!shown.to_string().contains("canary"), "{shown}");
        let mut again = shown.clone();
        assert_eq!(restore_paths(&mut again, &stored()), []);
        assert_eq!(parse(&again, Rules::default()).unwrap(), stored());
    }

    #[test]
    fn hidden_path_is_kept_for_the_same_id_and_server() {
        for (id, url) in [
            ("one", "https://other.example.com/…"),
            ("one", "https://hooks.example.com:8443/…"),
            ("one", "http://hooks.example.com/…"),
            ("three", "https://hooks.example.com/…"),
        ] {
            let mut given = json!({ "recipients": { "values": [
                "it@example.com", { "type": "webhook", "id": id, "name": "One", "url": url },
            ] } });
            let before = given.clone();
            let errors = restore_paths(&mut given, &stored());
            assert_eq!(errors.len(), 1, "{url}");
            assert_eq!(errors[0].field, "recipients.1.url");
            assert_eq!(given, before);
        }
    }
}
