//! The secrets of recipients: signing secrets of webhooks, which the host makes, and credentials of SNMP targets.

use std::collections::{BTreeMap, BTreeSet};

use relation_app::notices::{
    change_snmp_secrets, change_webhook_keys, find_webhook_keys, read_level, secret_name,
};
use relation_app::{AppError, ErrorKind};
use relation_host::store::{Change, Check};
use relation_host::types::{Document, FieldError, Hierarchy};
use relation_notify::runner::SnmpSecrets;
use relation_notify::settings::{
    NoticeSettings, Recipient, SnmpTarget, SnmpVersion, WebhookEndpoint, reference,
};
use relation_notify::webhook::{DEFAULT_OVERLAP, SigningKey as _, SigningKeys, SigningSecret};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::{
    NewSecret, SecretState, find_spelling, load, to_commit_error, to_object, to_time, to_timestamp,
};
use crate::WebError;
use crate::access::audit::{self, FieldChange};
use crate::access::tokens::fill_random;
use crate::access::users::{check_fields, field_error};
use crate::access::{AccessParts, Authority, documents, permission};

/// The maximum length of a community, in bytes.
const MAX_COMMUNITY: usize = 128;
/// The lengths of a password, in bytes.
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=256;

/// Credentials of an SNMP target.
pub enum SnmpCredentials {
    /// The community of version 2c.
    Community(SecretString),
    /// The passwords of the user of version 3.
    User {
        /// The password of the authentication.
        auth_password: SecretString,
        /// The password of the privacy.
        privacy_password: SecretString,
    },
}

/// The changes of secrets that belong to changed settings.
#[derive(Default)]
pub(super) struct SecretPlan {
    /// The changes.
    pub changes: Vec<Change>,
    /// The signing secrets that were made.
    pub new_secrets: Vec<NewSecret>,
    /// The ids of recipients whose secrets are set or removed.
    pub changed: Vec<String>,
}

/// Returns the recipients of settings that have secrets.
pub(super) fn with_secrets(settings: &NoticeSettings) -> impl Iterator<Item = &Recipient> {
    let recipients = settings.recipients.value().into_iter();
    let recipients = recipients.flat_map(|list| &list.values);
    recipients.filter(|recipient| recipient.id().is_some())
}

fn name_secret(recipient: &Recipient) -> Option<String> {
    Some(secret_name(recipient.channel(), recipient.id()?))
}

/// Returns the states of the secrets of a node.
pub(super) async fn find_states(
    parts: &AccessParts,
    node: &Hierarchy,
    settings: &NoticeSettings,
) -> Result<BTreeMap<String, SecretState>, WebError> {
    let mut states = BTreeMap::new();
    for recipient in with_secrets(settings) {
        let (Some(id), Some(name)) = (recipient.id(), name_secret(recipient)) else {
            continue;
        };
        let sealed = parts.store().sealed(&reference(node), &name).await?;
        let mut state = SecretState {
            set: sealed.is_some(),
            overlap_end: None,
        };
        if state.set
            && matches!(recipient, Recipient::Webhook(_))
            // A command without the key still shows the rest.
            && let Ok(sealer) = parts.sealer()
        {
            let keys = find_webhook_keys(parts.store(), sealer, node, id).await;
            let keys = keys.map_err(|error| unreadable(&error.to_string()))?;
            let end = keys.and_then(|keys| keys.secrets.overlap_end(to_time(parts.now())));
            state.overlap_end = end.map(to_timestamp);
        }
        states.insert(id.to_owned(), state);
    }
    Ok(states)
}

fn unreadable(reason: &str) -> AppError {
    let message = format!("the secrets of a recipient cannot be read: {reason}");
    AppError::new(ErrorKind::Problem, message)
}

/// Plans the changes of secrets: webhooks without a signing secret get one, and secrets that must not be used any more are
/// removed.
pub(super) async fn plan_secrets(
    parts: &AccessParts,
    node: &Hierarchy,
    before: &NoticeSettings,
    after: &NoticeSettings,
) -> Result<SecretPlan, WebError> {
    let mut plan = SecretPlan::default();
    let owner = reference(node);
    let kept: BTreeSet<String> = with_secrets(after).filter_map(name_secret).collect();
    for recipient in with_secrets(before) {
        let (Some(id), Some(name)) = (recipient.id(), name_secret(recipient)) else {
            continue;
        };
        let is_kept = kept.contains(&name) && keeps_credentials(recipient, after);
        if !is_kept && parts.store().sealed(&owner, &name).await?.is_some() {
            plan.changes.push(Change::RemoveSecret(owner.clone(), name));
            plan.changed.push(id.to_owned());
        }
    }
    for recipient in with_secrets(after) {
        let Recipient::Webhook(WebhookEndpoint { id, name, .. }) = recipient else {
            continue;
        };
        let secret = secret_name(recipient.channel(), id);
        if parts.store().sealed(&owner, &secret).await?.is_some() {
            continue;
        }
        let (key, signing_secret) = create_signing_secret()?;
        let keys = SigningKeys::new(key);
        let change = change_webhook_keys(parts.sealer()?, node, id, &keys)?;
        plan.changes.push(change);
        plan.changed.push(id.clone());
        plan.new_secrets.push(NewSecret {
            id: id.clone(),
            name: name.clone(),
            signing_secret,
        });
    }
    Ok(plan)
}

/// Returns whether the credentials of a recipient may be used for the recipient of the same id in the changed settings. A
/// community is sent in clear, so that another receiver must not get it.
fn keeps_credentials(before: &Recipient, after: &NoticeSettings) -> bool {
    let Recipient::Snmp(before) = before else {
        return true;
    };
    let mut targets = with_secrets(after).filter_map(|recipient| match recipient {
        Recipient::Snmp(target) if target.id == before.id => Some(target),
        _ => None,
    });
    targets.any(|after| match (&before.version, &after.version) {
        (SnmpVersion::V2c, SnmpVersion::V2c) => before.address() == after.address(),
        (SnmpVersion::V3 { .. }, SnmpVersion::V3 { .. }) => true,
        (SnmpVersion::V2c, SnmpVersion::V3 { .. }) | (SnmpVersion::V3 { .. }, SnmpVersion::V2c) => {
            false
        }
    })
}

fn create_signing_secret() -> Result<(SigningSecret, SecretString), WebError> {
    let mut bytes = Zeroizing::new([0; 32]);
    fill_random(bytes.as_mut_slice())?;
    let key = SigningSecret::from_entropy(&bytes);
    let text = key.to_text();
    Ok((key, text))
}

/// Gives a webhook of a node a new signing secret. The replaced one signs too for 24 hours.
///
/// # Errors
/// 404 for a node outside of the administrator's, or if its settings have no such webhook. 409 if too many replaced
/// secrets still sign, or if the settings were changed in the meantime.
pub async fn rotate_secret(
    parts: &AccessParts,
    authority: &Authority<'_, permission::Notices>,
    node: &Hierarchy,
    id: &str,
) -> Result<NewSecret, WebError> {
    let target = Target::find(parts, authority, node).await?;
    let endpoint = target.recipients().find_map(|recipient| match recipient {
        Recipient::Webhook(endpoint) if endpoint.id == id => Some(endpoint),
        _ => None,
    });
    let WebhookEndpoint { id, name, .. } = endpoint.ok_or_else(WebError::not_found)?;
    let sealer = parts.sealer()?;
    let keys = find_webhook_keys(parts.store(), sealer, &target.node, id).await;
    let keys = keys.map_err(|error| unreadable(&error.to_string()))?;
    let (key, signing_secret) = create_signing_secret()?;
    let keys = match keys {
        None => SigningKeys::new(key),
        Some(SigningKeys { secrets, key_pairs }) => {
            let now = to_time(parts.now());
            let secrets = secrets.rotate(key, now, DEFAULT_OVERLAP);
            let secrets = secrets
                .map_err(|(error, _)| AppError::new(ErrorKind::Conflict, error.to_string()))?;
            SigningKeys { secrets, key_pairs }
        }
    };
    let change = change_webhook_keys(sealer, &target.node, id, &keys)?;
    let event = "rotate-notice-secret";
    target.commit(parts, authority, event, id, change).await?;
    Ok(NewSecret {
        id: id.clone(),
        name: name.clone(),
        signing_secret,
    })
}

/// Sets the credentials of an SNMP target of a node.
///
/// # Errors
/// 404 for a node outside of the administrator's, or if its settings have no such target. All errors of fields. 409 if
/// the settings were changed in the meantime.
pub async fn set_snmp_secrets(
    parts: &AccessParts,
    authority: &Authority<'_, permission::Notices>,
    node: &Hierarchy,
    id: &str,
    credentials: SnmpCredentials,
) -> Result<(), WebError> {
    let target = Target::find(parts, authority, node).await?;
    let receiver = target.find_snmp(id)?;
    check_fields(credentials.find_errors(&receiver.version))?;
    let secrets = credentials.into_secrets();
    let change = change_snmp_secrets(parts.sealer()?, &target.node, id, &secrets)?;
    target
        .commit(parts, authority, "set-notice-secrets", id, change)
        .await
}

/// Returns the version of a node's SNMP target, before the credentials are looked at.
///
/// # Errors
/// 404 for a node outside of the administrator's, or if its settings have no such target.
pub(in crate::access) async fn find_snmp_version(
    parts: &AccessParts,
    authority: &Authority<'_, permission::Notices>,
    node: &Hierarchy,
    id: &str,
) -> Result<SnmpVersion, WebError> {
    let target = Target::find(parts, authority, node).await?;
    Ok(target.find_snmp(id)?.version.clone())
}

impl SnmpCredentials {
    /// Returns all errors for a target of a version.
    pub(in crate::access) fn find_errors(&self, version: &SnmpVersion) -> Vec<FieldError> {
        let mut errors = Vec::new();
        match (self, version) {
            (Self::Community(community), SnmpVersion::V2c) => {
                if !(1..=MAX_COMMUNITY).contains(&community.expose_secret().len()) {
                    let message = format!("must have 1 to {MAX_COMMUNITY} bytes");
                    errors.push(field_error("community", message));
                }
            }
            (
                Self::User {
                    auth_password,
                    privacy_password,
                },
                SnmpVersion::V3 { .. },
            ) => {
                for (field, password) in [
                    ("auth_password", auth_password),
                    ("privacy_password", privacy_password),
                ] {
                    if !PASSWORD_BYTES.contains(&password.expose_secret().len()) {
                        let (min, max) = (PASSWORD_BYTES.start(), PASSWORD_BYTES.end());
                        let message = format!("must have {min} to {max} bytes");
                        errors.push(field_error(field, message));
                    }
                }
            }
            (Self::Community(_), SnmpVersion::V3 { .. }) => {
                let message = "the target has version v3: give auth_password and privacy_password";
                errors.push(field_error("community", message));
            }
            (Self::User { .. }, SnmpVersion::V2c) => {
                let message = "the target has version v2c: give community";
                errors.push(field_error("auth_password", message));
            }
        }
        errors
    }

    fn into_secrets(self) -> SnmpSecrets {
        match self {
            Self::Community(community) => SnmpSecrets::Community(community),
            Self::User {
                auth_password,
                privacy_password,
            } => SnmpSecrets::User {
                auth: auth_password,
                privacy: privacy_password,
            },
        }
    }
}

/// The settings whose secret is changed.
pub(super) struct Target {
    pub node: Hierarchy,
    document: Document,
    settings: NoticeSettings,
}

impl Target {
    pub async fn find(
        parts: &AccessParts,
        authority: &Authority<'_, permission::Notices>,
        node: &Hierarchy,
    ) -> Result<Self, WebError> {
        let node = find_spelling(parts.store(), node).await?;
        authority.check_node(&node)?;
        let document = load(parts, &node).await?;
        let document = document.ok_or_else(WebError::not_found)?;
        let settings = read_level(&document)?.settings;
        Ok(Self {
            node,
            document,
            settings,
        })
    }

    pub fn recipients(&self) -> impl Iterator<Item = &Recipient> {
        with_secrets(&self.settings)
    }

    fn find_snmp(&self, id: &str) -> Result<&SnmpTarget, WebError> {
        let found = self.recipients().find_map(|recipient| match recipient {
            Recipient::Snmp(target) if target.id == id => Some(target),
            _ => None,
        });
        found.ok_or_else(WebError::not_found)
    }

    /// Writes the secret with its event. The settings get a new version, so that concurrent changes exclude each other.
    async fn commit(
        &self,
        parts: &AccessParts,
        authority: &Authority<'_, permission::Notices>,
        operation: &str,
        id: &str,
        change: Change,
    ) -> Result<(), WebError> {
        let event = authority
            .to_node_event(operation, &self.node)
            .on(to_object(&self.node))
            .with_changes(vec![FieldChange::secret(&format!("secrets.{id}"))]);
        let document = &self.document;
        let check = Check::Version(document.reference.clone(), document.version);
        let changes = vec![
            Change::Put(document.clone()),
            change,
            audit::to_change(parts, event)?,
        ];
        let committed = documents::commit(parts, vec![check], changes).await;
        committed.map_err(|error| to_commit_error(error, &self.node, None))
    }
}
