//! The health of endpoints: webhooks and SNMP targets.

use std::collections::BTreeMap;

use relation_host::types::Hierarchy;
use relation_notify::health::EndpointHealth;
use relation_notify::runner;
use relation_notify::settings::NoticeSettings;
use serde_json::Value;

use super::secrets::{Target, with_secrets};
use super::{to_object, to_time};
use crate::WebError;
use crate::access::audit::{self, FieldChange};
use crate::access::{AccessParts, Authority, permission};

/// Returns the health of the endpoints of a node.
pub(super) async fn find_health(
    parts: &AccessParts,
    node: &Hierarchy,
    settings: &NoticeSettings,
) -> Result<BTreeMap<String, EndpointHealth>, WebError> {
    let mut found = BTreeMap::new();
    for recipient in with_secrets(settings) {
        let health = runner::find_health(parts.store(), node, recipient).await?;
        found.insert(recipient.key(), health);
    }
    Ok(found)
}

/// Enables a webhook or an SNMP target that was disabled after failures, and forgets its failures.
///
/// # Errors
/// 404 for a node outside of the administrator's, or if its settings have no such endpoint.
pub async fn enable(
    parts: &AccessParts,
    authority: &Authority<'_, permission::Notices>,
    node: &Hierarchy,
    id: &str,
) -> Result<(), WebError> {
    let target = Target::find(parts, authority, node).await?;
    let mut endpoints = target.recipients();
    let endpoint = endpoints.find(|recipient| recipient.id() == Some(id));
    let endpoint = endpoint.ok_or_else(WebError::not_found)?;
    let now = to_time(parts.now());
    runner::enable(parts.store(), &target.node, endpoint, now).await?;
    let event = authority
        .to_node_event("enable-notice-endpoint", &target.node)
        .on(to_object(&target.node))
        .with_changes(vec![FieldChange::new("recipient", Value::Null, id)]);
    audit::record(parts, event).await
}
