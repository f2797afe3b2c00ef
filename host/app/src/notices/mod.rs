//! The notices of an installation: the channels that its operator has configured, the runner that delivers, and what
//! administrators ask for: previews and tests.

mod channels;
mod engine;
mod facts;
mod node_settings;
mod secrets;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use relation_host::reports::{Grant, State};
use relation_host::store::Store;
use relation_host::store::seal::Sealer;
use relation_host::types::{Document, Hierarchy, Pkid, Reference, Timestamp};
use relation_host::{Host, HostBuilder, NodeSettings, Outbox, wakeup_kinds};
use relation_notify::routing::{ConnectionFacts, Event, PlannedNotice};
use relation_notify::runner::{
    ChannelTarget, Channels, DeliveryObserver, NoticeRunner, RunnerOptions, preview_record,
};
use relation_notify::settings::{
    Defaults, Level, NoticeSettings, Recipient, Resolved, ResolvedRecipient, Rules, Span,
    load_levels, resolve,
};
use relation_notify::{Attempt, DeliveryError, Message, Receipt};
use url::Url;

use self::channels::InstallationChannels;
pub(crate) use self::channels::MAIL_PASSWORD;
use self::facts::{HostFacts, list_facts};
use self::node_settings::{FAILING_AFTER, LevelSettings, THRESHOLDS};
pub use self::secrets::{
    change_snmp_secrets, change_webhook_keys, change_webhook_url, find_webhook_keys,
    find_webhook_url, secret_name, url_secret_name,
};
use crate::config::Config;
use crate::{AppError, ErrorKind};

/// The notices of an installation. Clones share the channels.
#[derive(Clone)]
pub struct Notices {
    channels: Arc<InstallationChannels>,
    defaults: Defaults,
    rules: Rules,
    links: Links,
    keep: std::time::Duration,
    node_settings: Arc<dyn NodeSettings>,
    observer: Option<Arc<dyn DeliveryObserver>>,
}

/// The links of notices to the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Links {
    /// The page's address; `None`: no address is configured.
    pub base: Option<Url>,
}

/// The coming notices of one grant of a record.
#[derive(Clone, Debug)]
pub struct GrantPreview {
    /// The grant.
    pub grant: Grant,
    /// The state of the grant.
    pub state: State,
    /// The expiry of the refresh token.
    pub expires: Option<DateTime<Utc>>,
    /// The notices, in the order of time.
    pub planned: Vec<PlannedNotice>,
}

impl Notices {
    /// Creates the notices of an installation. Connections are made and files are read only when a message is sent.
    pub fn new(config: &Config, store: Arc<dyn Store>, sealer: Arc<Sealer>) -> Self {
        let rules = Rules {
            allow_http: config.notices.allows_http(),
        };
        let defaults = find_defaults(config);
        Self {
            node_settings: Arc::new(LevelSettings(defaults.clone())),
            channels: Arc::new(InstallationChannels::new(config, store, sealer)),
            defaults,
            rules,
            links: Links {
                base: config.web.public_url.clone(),
            },
            keep: config.notices.keep,
            observer: None,
        }
    }

    /// Sets the observer of attempts at deliveries.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn DeliveryObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Adds the outbox, the runner and the settings of nodes to a host.
    pub fn configure(&self, builder: HostBuilder) -> HostBuilder {
        let options = RunnerOptions {
            keep: self.keep,
            link: self.links.alerts(),
            defaults: self.defaults.clone(),
        };
        let links = self.links.clone();
        let facts = move |host: &Host| {
            let facts = HostFacts {
                host: host.clone(),
                links: links.clone(),
            };
            Box::new(facts) as Box<dyn relation_notify::runner::RecordFacts>
        };
        let channels: Arc<dyn Channels> = Arc::clone(&self.channels) as _;
        let runner = NoticeRunner::new(facts, channels, options);
        let runner = runner.with_observer(self.observer.clone());
        builder
            .outbox(Outbox {
                record_models: NoticeRunner::record_models(),
            })
            .node_settings(Arc::clone(&self.node_settings))
            .wakeup_handler(
                wakeup_kinds::NOTICE,
                Arc::new(runner),
                NoticeRunner::handler_options(),
            )
    }

    /// Returns the source of the plugin's settings that follow a record's node.
    pub fn node_settings(&self) -> Arc<dyn NodeSettings> {
        Arc::clone(&self.node_settings)
    }

    /// Replaces the source of the plugin's settings, such as by one that records it.
    #[must_use]
    pub fn with_node_settings(mut self, source: Arc<dyn NodeSettings>) -> Self {
        self.node_settings = source;
        self
    }

    /// Returns the rules for settings that administrators give.
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// Returns why the operator does not permit the server of a webhook. `None` if it is permitted, or if the operator
    /// has listed no servers yet.
    pub fn find_webhook_denial(&self, url: &Url) -> Option<String> {
        self.channels.find_webhook_denial(url)
    }

    /// Returns the values of fields that no level decides.
    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// Resolves the settings of a node.
    ///
    /// # Errors
    /// The store cannot be read, or a level has settings that cannot be read.
    pub async fn resolve(&self, store: &dyn Store, node: &Hierarchy) -> Result<Resolved, AppError> {
        let levels = load_levels(store, node).await?;
        let levels = levels.iter().map(read_level);
        let levels: Vec<Level> = levels.collect::<Result<_, _>>()?;
        Ok(resolve(&levels, &self.defaults))
    }

    /// Lists the coming notices of each grant of a record that has tokens.
    ///
    /// # Errors
    /// The record does not exist, or it or the settings cannot be read.
    pub async fn preview(&self, host: &Host, record: &Pkid) -> Result<Vec<GrantPreview>, AppError> {
        let store = host.store().as_ref();
        let found = store.get(&[Reference::record(record.clone())]).await?;
        let missing = || AppError::new(ErrorKind::NotFound, "the record does not exist");
        let document = found.into_iter().flatten().next().ok_or_else(missing)?;
        let now = to_time(host.clock().now());
        let mut previews = Vec::new();
        for (grant, facts) in list_facts(host, &self.links, document).await? {
            let planned = preview_record(store, &facts, &self.defaults, now).await;
            let planned =
                planned.map_err(|error| AppError::new(ErrorKind::Problem, error.to_string()))?;
            previews.push(GrantPreview {
                grant,
                state: facts.state,
                expires: facts.expires,
                planned,
            });
        }
        Ok(previews)
    }

    /// Sends a test to a recipient of a level, and returns the receiver's reply. The test is not stored.
    ///
    /// # Errors
    /// The test was not delivered. The text says why, without secrets.
    pub async fn send_test(
        &self,
        recipient: &ResolvedRecipient,
        now: Timestamp,
    ) -> Result<Receipt, DeliveryError> {
        let target = ChannelTarget {
            recipient: &recipient.recipient,
            origin: &recipient.origin,
            language: recipient.delivery.language,
            zone: recipient.delivery.zone(),
        };
        let facts =
            ConnectionFacts::for_installation(recipient.origin.clone(), self.links.alerts());
        let nonce = Pkid::random();
        let mut notice = Event::test(&facts, nonce.as_str(), to_time(now)).notice;
        notice.id = nonce.to_string();
        let message = Message::Single(notice);
        let channel = self.channels.open(&target).await?;
        let attempt = Attempt {
            id: nonce.as_str(),
            message: &message,
            now: to_time(now),
        };
        channel.deliver(&attempt).await
    }

    /// Returns this host's id as an engine of SNMP, as receivers need it for traps of version 3; `None` if SNMP is not
    /// configured.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn find_engine_id(&self) -> Result<Option<String>, AppError> {
        self.channels.find_engine_id().await
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").finish_non_exhaustive()
    }
}

impl Links {
    /// Returns the page of a record.
    pub fn record(&self, pkid: &Pkid) -> Option<Url> {
        let base = self.base.as_ref()?;
        base.join(&format!("organizations/{pkid}")).ok()
    }

    /// Returns the list of alerts.
    pub fn alerts(&self) -> Option<Url> {
        self.base.as_ref()?.join("alerts").ok()
    }
}

/// Returns the text by which a level's recipient is named: the address of an e-mail, else the id.
pub fn recipient_id(recipient: &Recipient) -> &str {
    match recipient {
        Recipient::Mail(address) => address.as_str(),
        Recipient::Webhook(endpoint) => &endpoint.id,
        Recipient::Snmp(target) => &target.id,
    }
}

/// Reads the settings of one level.
///
/// # Errors
/// The document is damaged, or of a later version.
pub fn read_level(document: &Document) -> Result<Level, AppError> {
    let settings: Result<NoticeSettings, _> = serde_json::from_str(&document.body);
    // The error may quote the content.
    let settings = settings.map_err(|_| {
        let message = format!(
            "the notice settings of {} cannot be read",
            document.hierarchy
        );
        AppError::new(ErrorKind::Problem, message)
            .hint("save them again, or update this program if a later version wrote them")
    })?;
    Ok(Level {
        node: document.hierarchy.clone(),
        settings,
    })
}

/// Returns the defaults, which the plugin uses too.
fn find_defaults(config: &Config) -> Defaults {
    let mut defaults = Defaults::default();
    if let Some(thresholds) = config.settings.get(THRESHOLDS) {
        let thresholds = thresholds.split(',').filter_map(parse_span);
        defaults.thresholds = thresholds.collect();
    }
    let after = config.settings.get(FAILING_AFTER);
    if let Some(after) = after.and_then(|text| parse_span(text)) {
        defaults.retrying_after = after;
    }
    defaults
}

fn parse_span(text: &str) -> Option<Span> {
    let duration = humantime::parse_duration(text.trim()).ok()?;
    Some(Span::from_seconds(duration.as_secs().max(1)))
}

/// Returns a time of the store for the calendar.
pub fn to_time(timestamp: Timestamp) -> DateTime<Utc> {
    let millis = i64::try_from(timestamp.0).ok();
    millis
        .and_then(DateTime::from_timestamp_millis)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}
