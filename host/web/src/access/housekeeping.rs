//! Removes sessions, links and events that have ended.

use relation_host::store::StoreError;

use super::{AccessParts, audit, consent_links, idempotency, nodes, oidc, sessions, users};

/// The number of removed documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Sessions that had ended.
    pub sessions: u64,
    /// One-time links, and log-ins at a provider, that had ended.
    pub links: u64,
    /// Idempotency keys that are not remembered any more.
    pub idempotency_keys: u64,
    /// Audit events that were older than the retention.
    pub audit_events: u64,
}

/// Removes sessions, links and idempotency keys that have ended, and audit events that are older than the retention. A
/// server calls it every hour or so. The first time, it also stores the nodes of a store of an earlier release.
///
/// # Errors
/// The store cannot be read or written.
pub async fn remove_expired(parts: &AccessParts) -> Result<Removed, StoreError> {
    let now = parts.clock().monotonic();
    parts.back_off().lock().prune(now);
    parts.request_rate().lock().prune(now);
    // Another process on the same store may have deleted some.
    parts.known_nodes().lock().clear();
    let removed = Removed {
        sessions: sessions::remove_expired(parts).await?,
        links: users::remove_expired_links(parts).await?
            + consent_links::remove_expired(parts).await?
            + oidc::remove_expired(parts).await?,
        idempotency_keys: idempotency::remove_expired(parts).await?,
        audit_events: audit::remove_old(parts).await?,
    };
    nodes::index(parts).await?;
    Ok(removed)
}
