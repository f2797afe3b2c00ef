//! From the outbox to deliveries: a handler of the host's wakeups of the kind `notice`.
//!
//! A notice of the outbox becomes one document for each recipient, with a wakeup. A delivery's wakeup makes the
//! attempts. If the recipient's budget does not allow all that is due, one message covers several deliveries. It is a
//! document of its own, which is stored before its first attempt.
//!
//! The commit of an attempt's result has no condition on other documents, so that no other run can undo it.

mod attempt;
mod channel_limit;
mod channels;
mod deliver;
mod endpoints;
mod facts;
mod history;
mod listing;
mod message;
mod model;
mod recheck;
mod recipients;
mod remind;
mod reserve;
mod route;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use relation_host::clock::Clock;
use relation_host::store::{Change, Store, StoreError};
use relation_host::types::{Document, Hierarchy, Reference, Timestamp, Wakeup};
use relation_host::{
    HandledWakeup, HandlerError, HandlerOptions, Host, NextRun, WakeupHandler, WakeupResult,
    wakeup_kinds,
};
use relation_types::InvalidPkid;
use sha2::{Digest as _, Sha256};
use url::Url;

use self::channel_limit::ChannelLimit;
pub use self::channels::{
    ChannelTarget, Channels, HostChannels, Secrets, SnmpChannels, SnmpSecrets, WebhookChannels,
};
pub use self::endpoints::{
    FailureCounts, ListedEndpoint, count_dead, count_failures, enable, find_health, list_endpoints,
};
pub use self::facts::RecordFacts;
pub use self::history::{load_history, preview_record};
pub use self::listing::{
    DeliveryFilter, ListedDelivery, MAX_LISTED, ResendError, ResentPage, find_delivery,
    list_deliveries, list_routings, resend, resend_since,
};
pub use self::model::{
    Attempts, DELIVERY_MODEL, DeliveryState, LoggedAttempt, ROUTING_MODEL, StoredDelivery,
    StoredRouting,
};
use self::model::{read, to_time, to_timestamp};
use crate::settings::{ChannelKind, Defaults, NOTICE_RECHECK_MODEL, RECHECK};
use crate::{DeliveryErrorKind, Receipt};

/// The beginning of the ids of wakeups that deliver.
const DELIVER: &str = "notice.deliver.";
/// The id of the wakeup that deletes a document which has ended.
const FORGET: &str = "notice.forget";

/// The options of a [`NoticeRunner`].
#[derive(Clone, Debug)]
pub struct RunnerOptions {
    /// How long a delivery is kept after its end; 180 days by default. A recovery is only reported while the notice of
    /// the problem is kept.
    pub keep: Duration,
    /// The list of alerts for an administrator, if the host knows its own address.
    pub link: Option<Url>,
    /// The values of fields that no level of the settings decides.
    pub defaults: Defaults,
}

impl Default for RunnerOptions {
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(180 * 86_400),
            link: None,
            defaults: Defaults::default(),
        }
    }
}

/// A receiver of the results of attempts, such as for metrics. It must return quickly.
pub trait DeliveryObserver: Send + Sync + 'static {
    /// Reports the result of an attempt.
    fn attempt_ended(&self, channel: ChannelKind, result: Result<&Receipt, DeliveryErrorKind>);

    /// Reports that a delivery has failed for good.
    fn dead_letter(&self, channel: ChannelKind) {
        let _ = channel;
    }
}

/// A function that returns the facts about the records of a host.
type FactsByHost = dyn Fn(&Host) -> Box<dyn RecordFacts> + Send + Sync;

/// The handler of wakeups of the kind [`wakeup_kinds::NOTICE`].
pub struct NoticeRunner {
    facts: Box<FactsByHost>,
    channels: Arc<dyn Channels>,
    options: RunnerOptions,
    observer: Option<Arc<dyn DeliveryObserver>>,
    limit: ChannelLimit,
}

/// The reason why a run has no result. The host runs the wakeup again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Pkid(#[from] InvalidPkid),
    #[error("could not read the facts about the record: {0}")]
    Facts(HandlerError),
    #[error("could not check the record: {0}")]
    Recheck(HandlerError),
    #[error("{document} is not in the expected form: see line {line} of its body")]
    Unreadable { document: Reference, line: usize },
    #[error("the notice settings of {0}, which name the recipient, cannot be read")]
    UnreadableLevel(Hierarchy),
    #[error("{0} cannot be written as JSON")]
    Unwritable(Reference),
    #[error("the wakeup {0} is not one of notices")]
    UnknownWakeup(String),
    #[error("other runs have changed the recipient of the delivery meanwhile")]
    Contended,
}

/// A run of a wakeup.
pub(crate) struct Run<'r> {
    pub store: &'r dyn Store,
    pub facts: &'r dyn RecordFacts,
    pub clock: &'r dyn Clock,
    pub wakeup: &'r Wakeup,
    pub document: &'r Document,
    /// The number of this run since the wakeup's last result. From 2 on, an earlier run may have been interrupted.
    pub attempt: u32,
}

impl Run<'_> {
    fn now(&self) -> DateTime<Utc> {
        to_time(self.clock.now())
    }
}

impl NoticeRunner {
    /// Creates the handler. `facts` returns the facts about the records of the host that runs a wakeup.
    #[must_use]
    pub fn new(
        facts: impl Fn(&Host) -> Box<dyn RecordFacts> + Send + Sync + 'static,
        channels: Arc<dyn Channels>,
        options: RunnerOptions,
    ) -> Self {
        Self {
            facts: Box::new(facts),
            channels,
            options,
            observer: None,
            limit: ChannelLimit::default(),
        }
    }

    /// Sets the observer of attempts.
    #[must_use]
    pub fn with_observer(mut self, observer: Option<Arc<dyn DeliveryObserver>>) -> Self {
        self.observer = observer;
        self
    }

    /// Returns the models whose documents are deleted with their record, for
    /// [`Outbox::record_models`](relation_host::Outbox::record_models).
    #[must_use]
    pub fn record_models() -> Vec<String> {
        vec![DELIVERY_MODEL.to_owned(), ROUTING_MODEL.to_owned()]
    }

    /// Returns the options for [`HostBuilder::wakeup_handler`](relation_host::HostBuilder::wakeup_handler): a run is
    /// longer than an attempt of any channel, and there are more runs than all channels together may have.
    #[must_use]
    pub fn handler_options() -> HandlerOptions {
        HandlerOptions {
            time: Duration::from_secs(150),
            concurrency: 16,
        }
    }

    pub(crate) async fn run_once(&self, run: &Run<'_>) -> Result<WakeupResult, RunError> {
        let id = run.wakeup.id.as_str();
        match run.document.reference.model.as_str() {
            _ if id == FORGET => forget_in_time(run),
            _ if id == wakeup_kinds::NOTICE_ROUTE => self.route(run).await,
            NOTICE_RECHECK_MODEL if id == RECHECK => self.recheck(run).await,
            ROUTING_MODEL if id == remind::REMIND => self.remind(run).await,
            DELIVERY_MODEL | model::MESSAGE_MODEL if id.starts_with(DELIVER) => {
                self.deliver_within_limit(run).await
            }
            _ => Err(RunError::UnknownWakeup(id.to_owned())),
        }
    }

    /// Delivers, unless the channel is slow and has all the runs that it may have. A run that may have been interrupted is
    /// not put off: its message keeps the id.
    async fn deliver_within_limit(&self, run: &Run<'_>) -> Result<WakeupResult, RunError> {
        let entered = self.limit.enter(&run.wakeup.id, run.clock).await;
        if entered.is_none() && run.attempt <= 1 {
            return Ok(deliver::wait(run, TimeDelta::minutes(1)));
        }
        match run.document.reference.model.as_str() {
            DELIVERY_MODEL => self.deliver(run).await,
            _ => self.deliver_message(run).await,
        }
    }

    /// Returns the wakeup that deletes a document which has ended at `now`. The payload has the time too: the wakeup
    /// becomes due before it if the clock is set back.
    fn forget(&self, subject: Reference, now: DateTime<Utc>) -> Change {
        let due = to_timestamp(add(now, TimeDelta::from_std(self.options.keep)));
        Change::Schedule(Wakeup {
            id: FORGET.to_owned(),
            subject,
            due,
            deadline: None,
            payload: due.0.to_string(),
        })
    }
}

#[async_trait]
impl WakeupHandler for NoticeRunner {
    async fn run(&self, wakeup: &HandledWakeup) -> Result<WakeupResult, HandlerError> {
        let facts = (self.facts)(&wakeup.host);
        let run = Run {
            store: wakeup.host.store().as_ref(),
            facts: facts.as_ref(),
            clock: wakeup.host.clock().as_ref(),
            wakeup: &wakeup.wakeup,
            document: &wakeup.document,
            attempt: wakeup.attempt,
        };
        Ok(self.run_once(&run).await?)
    }
}

/// Deletes the document, or waits if its time has not come. A threshold that was reported too early is deleted
/// nevertheless.
fn forget_in_time(run: &Run<'_>) -> Result<WakeupResult, RunError> {
    let time = run.wakeup.payload.parse().ok().map(Timestamp);
    let Some(time) = time.filter(|time| *time > run.clock.now()) else {
        return Ok(NextRun::DeleteSubject.into());
    };
    let is_early = match run.document.reference.model.as_str() {
        DELIVERY_MODEL => read::<StoredDelivery>(run.document)?.is_early(run.now()),
        _ => false,
    };
    Ok(match is_early {
        true => NextRun::DeleteSubject.into(),
        false => NextRun::At(time).into(),
    })
}

/// Returns the id of the wakeup that delivers by a channel.
fn deliver_id(channel: ChannelKind) -> String {
    format!("{DELIVER}{}", channel.as_str())
}

fn schedule(subject: Reference, id: String, due: DateTime<Utc>) -> Change {
    Change::Schedule(Wakeup {
        id,
        subject,
        due: to_timestamp(due),
        deadline: None,
        payload: String::new(),
    })
}

fn add<E>(time: DateTime<Utc>, span: Result<TimeDelta, E>) -> DateTime<Utc> {
    let later = span.ok().and_then(|span| time.checked_add_signed(span));
    later.unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Returns a number that is different for each id and attempt, and the same on every host.
fn derive_entropy(id: &str, attempt: u32) -> u32 {
    let digest: [u8; 32] = Sha256::digest(format!("{id} {attempt}")).into();
    let [first, second, third, fourth, ..] = digest;
    u32::from_be_bytes([first, second, third, fourth])
}

/// Returns a time at most `seconds` after `time`, so that many deliveries do not run at the same moment.
fn spread(time: DateTime<Utc>, id: &str, seconds: u32) -> DateTime<Utc> {
    let wait = derive_entropy(id, 0)
        .checked_rem(seconds)
        .unwrap_or_default();
    add(
        time,
        Ok::<_, std::convert::Infallible>(TimeDelta::seconds(i64::from(wait))),
    )
}
