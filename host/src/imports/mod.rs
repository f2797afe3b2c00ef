//! The imports of the contract: one thin file per interface, which converts and calls the part below.
//!
//! `Call` is what the interfaces share: the services of the host, and the state of one call, which
//! is one instance. Others see of it the [`Interceptor`], with which tests stand between a plugin and
//! its imports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::Notify;

use crate::entropy::Entropy;
use crate::limits::Limits;
use crate::schedule::clock::Clock;
use crate::store::seal::Sealer;
use crate::store::stash::Stash;
use crate::store::{Lease, Store};
use crate::transactions::journal::Journal;
use crate::types::Failure;

mod answers;
pub mod bindings;
pub(crate) mod convert;
mod egress;
mod gate;
pub(crate) mod http;
mod http_codes;
mod interceptor;
mod scheduling;
mod scrubber;
mod secrets;
mod settings;
mod storage;
mod transactions;

pub(crate) use answers::Patience;
pub(crate) use gate::Gate;
use interceptor::Lookout;
pub use interceptor::{Import, ImportCall, Interceptor, Intervention};
pub(crate) use scrubber::Scrubber;
pub use wasmtime_wasi_http::Error as HttpError;

/// What every call of a host shares.
pub(crate) struct Services {
    /// Where everything durable lives.
    pub store: Arc<dyn Store>,
    /// Seals and opens secrets.
    pub sealer: Arc<Sealer>,
    /// Where commits of answers are kept that the store cannot take.
    pub stash: Option<Arc<Stash>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The bounds of a call.
    pub limits: Limits,
    /// Secrets of the installation, by name.
    pub secret_settings: BTreeMap<String, SecretString>,
    /// Told whenever a commit scheduled a wakeup.
    pub scheduled: Notify,
    /// Where random bytes come from; none: from the operating system.
    pub(crate) entropy: Option<Arc<dyn Entropy>>,
    /// Looks on at the imports of every call; none as a rule.
    pub(crate) interceptor: Option<Arc<dyn Interceptor>>,
}

/// A bound that a call ran into, as the error names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitHit {
    /// Linear memory.
    #[error("memory: more than {0} bytes (limits.memory)")]
    Memory(usize),
    /// Calls of the host's functions.
    #[error("host calls: more than {0} (limits.host-calls)")]
    HostCalls(u64),
    /// Bytes handed over at once.
    #[error("transfer: more than {0} bytes in one call or answer (limits.transfer)")]
    Transfer(usize),
    /// Resources of the host.
    #[error("handles: more than {0} resources at once (limits.handles)")]
    Handles(usize),
    /// Entries of a table.
    #[error("table: more than {0} entries (limits.table)")]
    Table(usize),
    /// Secrets that the call knows.
    #[error("secrets: more than {0} different ones (limits.secrets)")]
    Secrets(usize),
    /// HTTP requests.
    #[error("requests: more than {0} (limits.requests)")]
    Requests(u32),
    /// Bytes of one commit.
    #[error("commit: more than {0} bytes (limits.commit)")]
    Commit(usize),
    /// Changes and checks of one commit.
    #[error("changes: more than {0} in one commit (limits.changes)")]
    Changes(usize),
}

/// The state of one call of a plugin, as the imports see it.
pub(crate) struct Call {
    /// The host's parts.
    pub(crate) services: Arc<Services>,
    /// The right to write, for calls that have a subject.
    pub(crate) lease: Option<Lease>,
    /// The transaction of the call.
    pub(crate) journal: Journal,
    /// Secrets that must not leave.
    pub(crate) scrubber: Scrubber,
    /// Stands before every import.
    pub(crate) gate: Gate,
    /// The plain settings.
    pub(crate) settings: Arc<BTreeMap<String, String>>,
    /// The last bound that was hit, for the error.
    pub(crate) hit: Option<LimitHit>,
    /// The monotonic moment at which progress was last made durable.
    reported: Duration,
    /// What is known of answers from outside, and until when the store may be waited for.
    pub(crate) patience: Patience,
    /// The effects of the call that its result may not report.
    pub(crate) traces: Arc<Traces>,
}

/// The effects of a call that its result does not report if the instance was stopped.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    sent: AtomicBool,
    lost: AtomicBool,
}

impl Traces {
    /// Notes that a request that may change something begins to be sent.
    pub(crate) fn note_sent(&self) {
        self.sent.store(true, Ordering::Release);
    }

    /// Notes that a response could be stored nowhere.
    pub(crate) fn note_lost(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// Whether a request that may change something may have reached a server.
    pub(crate) fn sent(&self) -> bool {
        self.sent.load(Ordering::Acquire)
    }

    /// Whether a response was lost.
    pub(crate) fn lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

impl Call {
    /// The state of a call that begins.
    pub(crate) fn new(services: Arc<Services>, lease: Option<Lease>, journal: Journal) -> Self {
        let reported = services.clock.monotonic();
        let subject = lease.as_ref().map(|lease| &lease.subject);
        let gate = Gate::of(&services, journal.id(), subject);
        Self {
            services,
            lease,
            journal,
            scrubber: Scrubber::default(),
            gate,
            settings: Arc::default(),
            hit: None,
            reported,
            patience: Patience::default(),
            traces: Arc::default(),
        }
    }

    /// Remembers a secret that the call knows, so that no text carries it out.
    fn learn(&mut self, secret: &SecretString) -> Result<(), Failure> {
        let most = self.services.limits.secrets;
        if self.scrubber.learn(secret, most) {
            return Ok(());
        }
        Err(self.exceeded(LimitHit::Secrets(most)))
    }

    /// Remembers which bound was hit and puts it into the contract's words.
    pub(crate) fn exceeded(&mut self, hit: LimitHit) -> Failure {
        let failure = Failure::LimitExceeded(hit.to_string());
        self.hit = Some(hit);
        failure
    }
}

/// The monotonic moment until which a lease that was claimed at `claimed` may be relied on.
pub(crate) fn lease_deadline(claimed: Duration, limits: &Limits) -> Duration {
    claimed.saturating_add(limits.lease())
}
