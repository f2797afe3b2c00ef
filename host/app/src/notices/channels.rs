//! The channels that the operator has configured. Files are read and senders are opened when something is sent, so that
//! an unreadable password stops neither the host nor the other channels.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use relation_host::egress::{
    AddressClass, Client, ClientOptions, Policy, Resolve as _, SystemResolver, classify,
};
use relation_host::store::Store;
use relation_host::store::seal::Sealer;
use relation_notify::mail::{MailServer, permit_global_and};
use relation_notify::runner::{
    ChannelTarget, Channels, HostChannels, Secrets, SnmpChannels, WebhookChannels,
};
use relation_notify::settings::ChannelKind;
use relation_notify::snmp::{ResolveError, ResolveTarget};
use relation_notify::webhook::{EndpointOptions, EndpointUrl};
use relation_notify::{Channel, DeliveryError, DeliveryErrorKind};
use secrecy::SecretString;
use url::{Host, Url};

use super::engine::Engine;
use super::secrets::StoredSecrets;
use crate::config::{Config, Egress, MailConfig};
use crate::{AppError, secret_text};

/// The name of the mail server's password in errors.
pub(crate) const MAIL_PASSWORD: &str =
    "the password of the mail server (notices.mail.password-file)";

/// The channels of an installation.
pub(super) struct InstallationChannels {
    mail: Option<MailConfig>,
    webhook_origins: Vec<String>,
    allow_http: bool,
    egress: Egress,
    engine: Option<Engine>,
    secrets: Arc<dyn Secrets>,
    opened: Mutex<Opened>,
}

/// The parts that are open.
#[derive(Clone, Default)]
struct Opened {
    mail: Option<Arc<MailServer>>,
    webhook: Option<WebhookChannels>,
}

impl InstallationChannels {
    pub fn new(config: &Config, store: Arc<dyn Store>, sealer: Arc<Sealer>) -> Self {
        let notices = &config.notices;
        let engine = notices.snmp.clone().map(|snmp| {
            let resolver = Arc::new(PermittedAddresses(snmp.addresses.clone()));
            Engine::new(snmp, Arc::clone(&store), resolver)
        });
        Self {
            mail: notices.mail.clone(),
            webhook_origins: notices.webhook_origins.clone(),
            allow_http: notices.allows_http(),
            egress: config.egress.clone(),
            engine,
            secrets: Arc::new(StoredSecrets { store, sealer }),
            opened: Mutex::new(Opened::default()),
        }
    }

    pub async fn find_engine_id(&self) -> Result<Option<String>, AppError> {
        match &self.engine {
            Some(engine) => Ok(Some(engine.find_id().await?.to_string())),
            None => Ok(None),
        }
    }

    /// Returns why the operator does not permit the server of a webhook, as far as that is known before its name is
    /// resolved. Every server is accepted until the operator has listed some: deliveries wait.
    pub fn find_webhook_denial(&self, url: &Url) -> Option<String> {
        if self.webhook_origins.is_empty() {
            return None;
        }
        // A wrong list stops the host when it starts.
        let policy = Policy::parse_webhooks(&self.webhook_origins).ok()?;
        let server = SecretString::from(url.origin().ascii_serialization());
        let options = EndpointOptions { allow_http: true };
        let errors = EndpointUrl::parse(&server, options, &policy).err()?;
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Some(errors.join("; "))
    }

    fn open_mail(&self) -> Result<Option<Arc<MailServer>>, AppError> {
        if let Some(mail) = self.opened.lock().mail.clone() {
            return Ok(Some(mail));
        }
        let Some(config) = &self.mail else {
            return Ok(None);
        };
        let password = config.password_file.as_ref();
        let password = password.map(|file| secret_text::read_line_of_file(file, MAIL_PASSWORD));
        let extra_ca = self.read_extra_ca()?;
        let options = config.options(password.transpose()?, extra_ca);
        let mut addresses = config.addresses.clone();
        // An address that the operator names as the server is permitted by that.
        addresses.extend(config.host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
        let permit = permit_global_and(addresses);
        let check = Arc::new(move |address| {
            permit(address).map_err(|reason| {
                format!("{reason}; the operator can add it to `notices.mail.addresses`")
            })
        });
        let server = MailServer::new(options, Arc::new(SystemResolver), check);
        let server = server.map_err(|error| AppError::usage(format!("notices.mail: {error}")))?;
        let server = Arc::new(server);
        self.opened.lock().mail = Some(Arc::clone(&server));
        Ok(Some(server))
    }

    fn read_extra_ca(&self) -> Result<Option<String>, AppError> {
        let Some(file) = &self.egress.extra_ca else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(file).map_err(|error| {
            AppError::usage(format!(
                "cannot read egress.extra-ca {}: {error}",
                file.display()
            ))
        })?;
        Ok(Some(text))
    }

    fn open_webhook(&self) -> Result<Option<WebhookChannels>, AppError> {
        if self.webhook_origins.is_empty() {
            return Ok(None);
        }
        if let Some(webhook) = self.opened.lock().webhook.clone() {
            return Ok(Some(webhook));
        }
        let wrong = |error: &dyn std::fmt::Display| AppError::usage(error.to_string());
        let policy = Policy::parse_webhooks(&self.webhook_origins);
        let policy = policy.map_err(|error| wrong(&error))?;
        let options = ClientOptions {
            extra_ca_file: self.egress.extra_ca.clone(),
            ..ClientOptions::default()
        };
        let client = Client::new(policy, options).map_err(|error| wrong(&error))?;
        let webhook = WebhookChannels {
            client,
            options: EndpointOptions {
                allow_http: self.allow_http,
            },
        };
        self.opened.lock().webhook = Some(webhook.clone());
        Ok(Some(webhook))
    }

    async fn open_snmp(&self) -> Result<Option<SnmpChannels>, AppError> {
        let Some(engine) = &self.engine else {
            return Ok(None);
        };
        Ok(Some(SnmpChannels {
            sender: engine.sender().await?,
            root: engine.config().root.clone(),
            allow_sha1: engine.config().allow_sha1,
        }))
    }

    /// Opens the part of one channel.
    async fn open_part(&self, channel: ChannelKind) -> Result<HostChannels, AppError> {
        let mut channels = HostChannels {
            mail: None,
            webhook: None,
            snmp: None,
            secrets: Arc::clone(&self.secrets),
        };
        match channel {
            ChannelKind::Mail => channels.mail = self.open_mail()?,
            ChannelKind::Webhook => channels.webhook = self.open_webhook()?,
            ChannelKind::Snmp => channels.snmp = self.open_snmp().await?,
        }
        Ok(channels)
    }
}

#[async_trait]
impl Channels for InstallationChannels {
    async fn open(&self, target: &ChannelTarget<'_>) -> Result<Box<dyn Channel>, DeliveryError> {
        let channels = self.open_part(target.recipient.channel()).await;
        let channels = channels.map_err(|error| DeliveryError {
            // The operator can correct it.
            kind: DeliveryErrorKind::NotAttempted,
            text: error.to_string(),
        })?;
        channels.open(target).await
    }
}

/// Resolves receivers to addresses that are globally reachable, or listed.
struct PermittedAddresses(Vec<IpAddr>);

#[async_trait]
impl ResolveTarget for PermittedAddresses {
    async fn resolve(&self, host: &Host, _: u16) -> Result<Vec<IpAddr>, ResolveError> {
        let found = match host {
            Host::Ipv4(address) => vec![IpAddr::from(*address)],
            Host::Ipv6(address) => vec![IpAddr::from(*address)],
            Host::Domain(name) => {
                let found = SystemResolver.resolve(name).await;
                found.map_err(|error| ResolveError::Failed(error.to_string()))?
            }
        };
        let is_permitted = |address: &IpAddr| {
            classify(*address) == AddressClass::Global || self.0.contains(address)
        };
        let permitted: Vec<IpAddr> = found.iter().copied().filter(is_permitted).collect();
        match found.is_empty() || !permitted.is_empty() {
            true => Ok(permitted),
            // An administrator of a customer may name any receiver, and must not learn what names in the operator's
            // network resolve to.
            false => Err(ResolveError::Refused(
                "the receiver is not at a public address; the operator can add its address to `notices.snmp.addresses`"
                    .to_owned(),
            )),
        }
    }
}
