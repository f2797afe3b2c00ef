//! The imports of the contract: one thin file per interface, which converts types and calls the
//! layer below.
//!
//! `Call` is the state that the interfaces share: the host's services and the state of one call,
//! which is one instance. The public part needs the feature `test-util`: the [`Interceptor`], which
//! tests use to intercept imports, and the parts that benchmarks compare.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::limits::{Limit, LimitExceeded, Limits};
use crate::node_settings::NodeSettings;
use crate::observer::Observers;
use crate::secret_setting::SecretSetting;
use crate::spans;
use crate::store::seal::Sealer;
use crate::store::stash::Stash;
use crate::store::{Lease, Store};
use crate::types::Failure;
use relation_types::entropy::Entropy;

pub(crate) mod alerts;
pub(crate) mod bindings;
mod commit_mark;
pub(crate) mod convert;
mod durable_commit;
mod egress;
mod gate;
pub(crate) mod http;
mod http_codes;
#[cfg_attr(not(feature = "test-util"), allow(dead_code))]
mod interceptor;
pub(crate) mod journal;
mod outbox;
mod redactor;
mod scheduling;
mod secrets;
mod settings;
mod storage;
mod transactions;

use alerts::KnownAlerts;
#[cfg(feature = "test-util")]
pub use bindings::PluginPre;
pub(crate) use commit_mark::CommitMark;
pub(crate) use durable_commit::RetryPolicy;
pub(crate) use gate::Gate;
use interceptor::InterceptorHandle;
pub use interceptor::{Import, Interceptor};
#[cfg(feature = "test-util")]
pub use interceptor::{ImportCall, Intervention};
pub use journal::Journal;
pub use outbox::Outbox;
pub(crate) use redactor::Redactor;
pub(crate) use settings::CallSettings;
#[cfg(feature = "test-util")]
pub use wasmtime_wasi_http::Error as HttpError;

/// The services that all calls of a host share.
pub(crate) struct Services {
    /// The store of all durable data.
    pub store: Arc<dyn Store>,
    /// Seals and reveals secrets.
    pub sealer: Arc<Sealer>,
    /// Stores commits of responses while the store is unavailable.
    pub stash: Option<Arc<Stash>>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The limits of a call.
    pub limits: Limits,
    /// The installation's secret settings, by name.
    pub secret_settings: BTreeMap<String, Arc<dyn SecretSetting>>,
    /// The plain settings that differ from node to node; `None`: none do.
    pub node_settings: Option<Arc<dyn NodeSettings>>,
    /// The embedder's observers.
    pub observers: Observers,
    /// Stores a notice with each commit that changes an alert; `None`: no notices.
    pub outbox: Option<Outbox>,
    /// Notified when a commit has scheduled a wakeup.
    pub scheduled: Notify,
    /// The source of random bytes; `None` is the operating system.
    pub(crate) entropy: Option<Arc<dyn Entropy>>,
    /// Observes the imports of every call; `None` in production.
    pub(crate) interceptor: Option<Arc<dyn Interceptor>>,
}

/// The state of one plugin call, shared by its imports.
pub(crate) struct Call {
    /// The host's services.
    pub(crate) services: Arc<Services>,
    /// The lease of a call that has a subject.
    pub(crate) lease: Option<Lease>,
    /// The transaction of the call.
    pub(crate) journal: Journal,
    /// The secrets to redact.
    pub(crate) redactor: Redactor,
    /// Passed by every import.
    pub(crate) gate: Gate,
    /// The plain settings.
    pub(crate) settings: CallSettings,
    /// The alerts that the call has read, if the host has observers or an outbox.
    known_alerts: KnownAlerts,
    /// The last exceeded limit, for the error.
    pub(crate) exceeded: Option<LimitExceeded>,
    /// The monotonic time when progress was last stored.
    reported: Duration,
    /// Whether a response was received, and how long to wait for the store.
    pub(crate) retry_policy: RetryPolicy,
    /// The effects that the call's result may not report.
    pub(crate) effects: Arc<UnreportedEffects>,
    /// Stored by each commit of a queued call that is bound to a version of its record.
    pub(crate) commit_mark: Option<CommitMark>,
}

/// The effects of a call that its result does not report if the instance was stopped.
#[derive(Debug, Default)]
pub(crate) struct UnreportedEffects {
    sent: AtomicBool,
    lost: AtomicBool,
}

impl UnreportedEffects {
    /// Notes that an unsafe request is about to be sent.
    pub(crate) fn note_sent(&self) {
        self.sent.store(true, Ordering::Release);
    }

    /// Notes that a response could not be stored anywhere.
    pub(crate) fn note_lost(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// Returns whether an unsafe request may have reached a server.
    pub(crate) fn is_sent(&self) -> bool {
        self.sent.load(Ordering::Acquire)
    }

    /// Returns whether a response was lost.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

impl Call {
    /// Creates the state of a new call.
    pub(crate) fn new(services: Arc<Services>, lease: Option<Lease>, journal: Journal) -> Self {
        let reported = services.clock.monotonic();
        let subject = lease.as_ref().map(|lease| &lease.subject);
        let gate = Gate::new(&services, journal.id(), subject);
        Self {
            services,
            lease,
            journal,
            redactor: Redactor::default(),
            gate,
            settings: CallSettings::default(),
            known_alerts: KnownAlerts::default(),
            exceeded: None,
            reported,
            retry_policy: RetryPolicy::default(),
            effects: Arc::default(),
            commit_mark: None,
        }
    }

    /// Adds a secret that is redacted from all texts from now on.
    fn add_secret(&mut self, secret: &SecretString) -> Result<(), Failure> {
        let most = self.services.limits.secrets;
        if self.redactor.add(secret, most) {
            return Ok(());
        }
        Err(self.exceed(Limit::Secrets))
    }

    /// Records that the call exceeded a limit, and returns the contract's failure.
    pub(crate) fn exceed(&mut self, limit: Limit) -> Failure {
        spans::note_limit(limit);
        let exceeded = self.services.limits.exceeded(limit);
        let failure = Failure::LimitExceeded(exceeded.to_string());
        self.exceeded = Some(exceeded);
        failure
    }
}

/// Returns the monotonic time until which a lease claimed at `claimed` may be relied on.
pub(crate) fn lease_valid_until(claimed: Duration, limits: &Limits) -> Duration {
    claimed.saturating_add(limits.lease())
}
