//! The secrets of recipients: sealed secrets of the settings that name the recipient.

use std::sync::Arc;

use async_trait::async_trait;
use relation_host::HandlerError;
use relation_host::store::seal::{SealError, Sealer};
use relation_host::store::{Change, Store};
use relation_host::types::Hierarchy;
use relation_notify::runner::{Secrets, SnmpSecrets};
use relation_notify::settings::{ChannelKind, reference};
use relation_notify::webhook::SigningKeys;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// The secrets in the store.
pub(super) struct StoredSecrets {
    pub store: Arc<dyn Store>,
    pub sealer: Arc<Sealer>,
}

/// Returns the name of a recipient's secret.
pub fn secret_name(channel: ChannelKind, id: &str) -> String {
    format!("{}.{id}", channel.as_str())
}

/// Reads the signing keys of a webhook; `None` if there are none.
///
/// # Errors
/// The secret cannot be read or opened.
pub async fn find_webhook_keys(
    store: &dyn Store,
    sealer: &Sealer,
    node: &Hierarchy,
    id: &str,
) -> Result<Option<SigningKeys>, HandlerError> {
    let name = secret_name(ChannelKind::Webhook, id);
    let text = sealer.reveal(store, &reference(node), &name).await?;
    let keys = text.map(|text| SigningKeys::from_clear_text(&text));
    Ok(keys.transpose()?)
}

/// Returns the change that stores the signing keys of a webhook.
///
/// # Errors
/// The keys cannot be sealed.
pub fn change_webhook_keys(
    sealer: &Sealer,
    node: &Hierarchy,
    id: &str,
    keys: &SigningKeys,
) -> Result<Change, SealError> {
    let name = secret_name(ChannelKind::Webhook, id);
    put_secret(sealer, node, name, &keys.to_clear_text())
}

/// Returns the name of the secret with the whole address of a webhook.
pub fn url_secret_name(id: &str) -> String {
    format!("webhook-url.{id}")
}

/// Reads the whole address of a webhook, whose path the settings do not have; `None` if it is not stored.
///
/// # Errors
/// The secret cannot be read or opened.
pub async fn find_webhook_url(
    store: &dyn Store,
    sealer: &Sealer,
    node: &Hierarchy,
    id: &str,
) -> Result<Option<SecretString>, HandlerError> {
    let name = url_secret_name(id);
    Ok(sealer.reveal(store, &reference(node), &name).await?)
}

/// Returns the change that stores the whole address of a webhook.
///
/// # Errors
/// The address cannot be sealed.
pub fn change_webhook_url(
    sealer: &Sealer,
    node: &Hierarchy,
    id: &str,
    url: &SecretString,
) -> Result<Change, SealError> {
    put_secret(sealer, node, url_secret_name(id), url)
}

/// Returns the change that stores the secrets of an SNMP target.
///
/// # Errors
/// The secrets cannot be sealed.
pub fn change_snmp_secrets(
    sealer: &Sealer,
    node: &Hierarchy,
    id: &str,
    secrets: &SnmpSecrets,
) -> Result<Change, SealError> {
    let name = secret_name(ChannelKind::Snmp, id);
    let value = match secrets {
        SnmpSecrets::Community(community) => json!({ "community": community.expose_secret() }),
        SnmpSecrets::User { auth, privacy } => {
            json!({ "auth": auth.expose_secret(), "privacy": privacy.expose_secret() })
        }
    };
    put_secret(sealer, node, name, &SecretString::from(value.to_string()))
}

fn put_secret(
    sealer: &Sealer,
    node: &Hierarchy,
    name: String,
    value: &SecretString,
) -> Result<Change, SealError> {
    let owner = reference(node);
    let sealed = sealer.seal(&owner, &name, value)?;
    Ok(Change::PutSecret {
        owner,
        name,
        sealed,
    })
}

#[async_trait]
impl Secrets for StoredSecrets {
    async fn find_webhook_keys(
        &self,
        origin: &Hierarchy,
        id: &str,
    ) -> Result<Option<SigningKeys>, HandlerError> {
        find_webhook_keys(self.store.as_ref(), &self.sealer, origin, id).await
    }

    async fn find_webhook_url(
        &self,
        origin: &Hierarchy,
        id: &str,
    ) -> Result<Option<SecretString>, HandlerError> {
        find_webhook_url(self.store.as_ref(), &self.sealer, origin, id).await
    }

    async fn find_snmp_secrets(
        &self,
        origin: &Hierarchy,
        id: &str,
    ) -> Result<Option<SnmpSecrets>, HandlerError> {
        let name = secret_name(ChannelKind::Snmp, id);
        let owner = reference(origin);
        let Some(text) = self
            .sealer
            .reveal(self.store.as_ref(), &owner, &name)
            .await?
        else {
            return Ok(None);
        };
        // The error of the library may quote the content.
        let unreadable = || HandlerError::from("the stored secrets are not in the expected form");
        let value: Value = serde_json::from_str(text.expose_secret()).map_err(|_| unreadable())?;
        let member = |name: &str| {
            let text = value.get(name)?.as_str()?;
            Some(SecretString::from(Zeroizing::new(text.to_owned()).as_str()))
        };
        if let Some(community) = member("community") {
            return Ok(Some(SnmpSecrets::Community(community)));
        }
        match (member("auth"), member("privacy")) {
            (Some(auth), Some(privacy)) => Ok(Some(SnmpSecrets::User { auth, privacy })),
            _ => Err(unreadable()),
        }
    }
}
