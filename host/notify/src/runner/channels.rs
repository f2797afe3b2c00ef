//! The channels to recipients: the trait, and the implementation by e-mail, webhooks and SNMP.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::Offset as _;
use relation_egress::Client;
use relation_host::HandlerError;
use relation_host::types::Hierarchy;
use secrecy::SecretString;

use crate::mail::{self, MailChannel, MailServer};
use crate::settings::{self, Language, Recipient};
use crate::snmp::{self, MibRoot, SnmpChannel, SnmpSender};
use crate::webhook::{EndpointOptions, EndpointUrl, SigningKeys, Webhook};
use crate::{Channel, DeliveryError, DeliveryErrorKind};

/// A recipient, and how the recipient is notified.
#[derive(Clone, Copy, Debug)]
pub struct ChannelTarget<'t> {
    /// The recipient.
    pub recipient: &'t Recipient,
    /// The level that names the recipient, at which its secrets are stored.
    pub origin: &'t Hierarchy,
    /// The language of texts.
    pub language: Language,
    /// The time zone of texts; `None`: UTC.
    pub zone: Option<&'t settings::Zone>,
}

/// Opens channels.
#[async_trait]
pub trait Channels: Send + Sync + 'static {
    /// Opens the channel to a recipient.
    ///
    /// # Errors
    /// The reason without secrets, and whether a later attempt can succeed.
    async fn open(&self, target: &ChannelTarget<'_>) -> Result<Box<dyn Channel>, DeliveryError>;
}

/// The secrets of endpoints, which are stored sealed for the level and the recipient's id.
#[async_trait]
pub trait Secrets: Send + Sync + 'static {
    /// Returns the signing keys of a webhook; `None` if there are none.
    ///
    /// # Errors
    /// The keys cannot be read now. The text must not contain a secret.
    async fn find_webhook_keys(
        &self,
        origin: &Hierarchy,
        id: &str,
    ) -> Result<Option<SigningKeys>, HandlerError>;

    /// Returns the whole address of a webhook whose path is hidden in the settings; `None` if it is not stored.
    ///
    /// # Errors
    /// The address cannot be read now. The text must not contain a secret.
    async fn find_webhook_url(
        &self,
        origin: &Hierarchy,
        id: &str,
    ) -> Result<Option<SecretString>, HandlerError>;

    /// Returns the secrets of an SNMP target; `None` if there are none.
    ///
    /// # Errors
    /// The secrets cannot be read now. The text must not contain a secret.
    async fn find_snmp_secrets(
        &self,
        origin: &Hierarchy,
        id: &str,
    ) -> Result<Option<SnmpSecrets>, HandlerError>;
}

/// The secrets of an SNMP target.
#[derive(Clone, Debug)]
pub enum SnmpSecrets {
    /// The community of version 2c.
    Community(SecretString),
    /// The passwords of version 3.
    User {
        /// The password of the authentication.
        auth: SecretString,
        /// The password of the encryption.
        privacy: SecretString,
    },
}

/// The parts that webhooks need.
#[derive(Clone)]
pub struct WebhookChannels {
    /// The client, whose policy decides which addresses are reached.
    pub client: Client,
    /// The options of endpoints.
    pub options: EndpointOptions,
}

/// The parts that SNMP needs.
#[derive(Clone)]
pub struct SnmpChannels {
    /// This host as an engine of SNMP.
    pub sender: Arc<SnmpSender>,
    /// The root of the MIB.
    pub root: MibRoot,
    /// Permits HMAC-SHA-1.
    pub allow_sha1: bool,
}

/// The channels of a host. A channel without its part is not configured.
#[derive(Clone)]
pub struct HostChannels {
    /// The mail server.
    pub mail: Option<Arc<MailServer>>,
    /// The parts that webhooks need.
    pub webhook: Option<WebhookChannels>,
    /// The parts that SNMP needs.
    pub snmp: Option<SnmpChannels>,
    /// The secrets of endpoints.
    pub secrets: Arc<dyn Secrets>,
}

#[async_trait]
impl Channels for HostChannels {
    async fn open(&self, target: &ChannelTarget<'_>) -> Result<Box<dyn Channel>, DeliveryError> {
        match target.recipient {
            Recipient::Mail(address) => self.open_mail(address, target),
            Recipient::Webhook(endpoint) => self.open_webhook(endpoint, target.origin).await,
            Recipient::Snmp(receiver) => self.open_snmp(receiver, target.origin).await,
        }
    }
}

impl HostChannels {
    fn open_mail(
        &self,
        address: &settings::MailAddress,
        target: &ChannelTarget<'_>,
    ) -> Result<Box<dyn Channel>, DeliveryError> {
        let server = self.mail.clone().ok_or_else(|| not_configured("e-mail"))?;
        let address = mail::MailAddress::parse(address.as_ascii()).map_err(|error| {
            fail(
                DeliveryErrorKind::Permanent,
                format!("the address cannot be used: {error}"),
            )
        })?;
        let recipient = mail::Recipient {
            address,
            language: match target.language {
                Language::En => mail::Language::English,
                Language::De => mail::Language::German,
            },
            zone: target.zone.map(to_mail_zone).unwrap_or_default(),
            settings_node: target.origin.to_string(),
        };
        Ok(Box::new(MailChannel::new(server, recipient)))
    }

    async fn open_webhook(
        &self,
        endpoint: &settings::WebhookEndpoint,
        origin: &Hierarchy,
    ) -> Result<Box<dyn Channel>, DeliveryError> {
        let parts = self.webhook.as_ref();
        let parts = parts.ok_or_else(|| not_configured("webhooks"))?;
        let text = self.find_url(endpoint, origin).await?;
        let url = EndpointUrl::parse(&text, parts.options, parts.client.policy());
        let url = url.map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            not_attempted(errors.join("; "))
        })?;
        let keys = self.secrets.find_webhook_keys(origin, &endpoint.id).await;
        let keys = keys.map_err(|error| unreadable(&error))?.ok_or_else(|| {
            not_attempted("the webhook has no signing key: create one".to_owned())
        })?;
        Ok(Box::new(Webhook::new(parts.client.clone(), url, keys)))
    }

    /// Returns the whole address of a webhook.
    async fn find_url(
        &self,
        endpoint: &settings::WebhookEndpoint,
        origin: &Hierarchy,
    ) -> Result<SecretString, DeliveryError> {
        if !endpoint.is_path_hidden() {
            return Ok(SecretString::from(endpoint.url.as_str()));
        }
        let url = self.secrets.find_webhook_url(origin, &endpoint.id).await;
        url.map_err(|error| unreadable(&error))?.ok_or_else(|| {
            not_attempted(
                "the path of the webhook is not stored: enter the whole address again".to_owned(),
            )
        })
    }

    async fn open_snmp(
        &self,
        receiver: &settings::SnmpTarget,
        origin: &Hierarchy,
    ) -> Result<Box<dyn Channel>, DeliveryError> {
        let parts = self.snmp.as_ref();
        let parts = parts.ok_or_else(|| not_configured("SNMP"))?;
        let secrets = self.secrets.find_snmp_secrets(origin, &receiver.id).await;
        let secrets = secrets.map_err(|error| unreadable(&error))?;
        let target = snmp::SnmpTarget {
            address: receiver.address(),
            version: to_version(&receiver.version, secrets)?,
            kind: match receiver.kind {
                settings::SnmpKind::Trap => snmp::SnmpKind::Trap,
                settings::SnmpKind::Inform => snmp::SnmpKind::Inform,
            },
            root: parts.root.clone(),
            allow_sha1: parts.allow_sha1,
        };
        let channel = SnmpChannel::new(target, Arc::clone(&parts.sender));
        let channel = channel.map_err(|error| not_attempted(error.to_string()))?;
        Ok(Box::new(channel))
    }
}

pub(super) fn to_mail_zone(zone: &settings::Zone) -> mail::Zone {
    let zone = zone.clone();
    mail::Zone::new(move |time| {
        zone.offset(time)
            .unwrap_or_else(|| (time.offset().fix(), "UTC".to_owned()))
    })
}

fn to_version(
    version: &settings::SnmpVersion,
    secrets: Option<SnmpSecrets>,
) -> Result<snmp::SnmpVersion, DeliveryError> {
    match (version, secrets) {
        (settings::SnmpVersion::V2c, Some(SnmpSecrets::Community(community))) => {
            Ok(snmp::SnmpVersion::V2c { community })
        }
        (
            settings::SnmpVersion::V3 { user, auth, .. },
            Some(SnmpSecrets::User {
                auth: secret,
                privacy,
            }),
        ) => Ok(snmp::SnmpVersion::V3 {
            user: user.clone(),
            level: snmp::SecurityLevel::AuthPriv,
            auth: snmp::SnmpAuth {
                protocol: match auth {
                    settings::SnmpAuth::Sha1 => snmp::AuthProtocol::Sha1,
                    settings::SnmpAuth::Sha256 => snmp::AuthProtocol::Sha256,
                    settings::SnmpAuth::Sha384 => snmp::AuthProtocol::Sha384,
                    settings::SnmpAuth::Sha512 => snmp::AuthProtocol::Sha512,
                },
                secret,
            },
            privacy: Some(snmp::SnmpPrivacy { secret: privacy }),
        }),
        (settings::SnmpVersion::V2c, _) => Err(not_attempted(
            "the SNMP target has no community: set it".to_owned(),
        )),
        (settings::SnmpVersion::V3 { .. }, _) => Err(not_attempted(
            "the SNMP target has no passwords: set them".to_owned(),
        )),
    }
}

/// Creates an error that a change of the settings or the configuration can correct.
fn not_attempted(text: String) -> DeliveryError {
    fail(DeliveryErrorKind::NotAttempted, text)
}

fn not_configured(channel: &str) -> DeliveryError {
    not_attempted(format!(
        "the operator of this host has not configured {channel}"
    ))
}

fn unreadable(error: &HandlerError) -> DeliveryError {
    not_attempted(format!(
        "the secrets of the recipient could not be read: {error}"
    ))
}

fn fail(kind: DeliveryErrorKind, text: String) -> DeliveryError {
    DeliveryError { kind, text }
}
