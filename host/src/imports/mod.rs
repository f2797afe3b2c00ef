//! The imports of the contract: one thin file per interface, which converts and calls the part below.
//!
//! [`Call`] is what the interfaces share: the services of the host, and the state of one call, which
//! is one instance.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Notify;

use self::bindings::automate::platform::types;
use crate::entropy::Entropy;
use crate::limits::Limits;
use crate::schedule::clock::Clock;
use crate::store::seal::Sealer;
use crate::store::stash::Stash;
use crate::store::{Lease, Store};
use crate::sync::lock;
use crate::transactions::journal::Journal;
use crate::types::Failure;

mod answers;
pub mod bindings;
pub mod convert;
pub mod egress;
pub mod http;
mod http_codes;
mod interceptor;
pub mod scheduling;
pub mod secrets;
pub mod storage;
pub mod transactions;

pub(crate) use answers::Patience;
pub(crate) use interceptor::Lookout;
pub use interceptor::{Import, ImportCall, Interceptor, Intervention};
pub use wasmtime_wasi_http::Error as HttpError;

/// What every call of a host shares.
pub struct Services {
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
    pub secret_settings: std::collections::BTreeMap<String, SecretString>,
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

/// Replaces the secrets that a call has seen wherever a text is about to leave it.
#[derive(Clone, Default)]
pub struct Scrubber(Arc<Mutex<Vec<SecretString>>>);

impl Scrubber {
    /// Shorter values are not replaced: they would take ordinary words with them.
    const SHORTEST: usize = 4;

    /// Remembers a secret.
    pub fn learn(&self, secret: &SecretString) {
        if secret.expose_secret().len() >= Self::SHORTEST {
            lock(&self.0).push(secret.clone());
        }
    }

    /// The text without any secret.
    pub fn scrub(&self, text: &str) -> String {
        let secrets = lock(&self.0);
        secrets.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.expose_secret(), "[secret]")
        })
    }

    /// The failure without any secret in its texts.
    pub fn scrub_failure(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Invalid(mut faults) => {
                for fault in &mut faults {
                    fault.field = self.scrub(&fault.field);
                    fault.message = self.scrub(&fault.message);
                }
                Failure::Invalid(faults)
            }
            Failure::NotFound(reference) => Failure::NotFound(reference),
            Failure::Conflict(text) => Failure::Conflict(self.scrub(&text)),
            Failure::Reauthorize(text) => Failure::Reauthorize(self.scrub(&text)),
            Failure::RateLimited(at) => Failure::RateLimited(at),
            Failure::Unavailable(text) => Failure::Unavailable(self.scrub(&text)),
            Failure::LimitExceeded(text) => Failure::LimitExceeded(self.scrub(&text)),
            Failure::Internal(text) => Failure::Internal(self.scrub(&text)),
        }
    }
}

/// The state of one call of a plugin, as the imports see it.
pub struct Call {
    /// The host's parts.
    pub(crate) services: Arc<Services>,
    /// The right to write, for calls that have a subject.
    pub(crate) lease: Option<Lease>,
    /// The transaction of the call.
    pub(crate) journal: Journal,
    /// Secrets that must not leave.
    pub(crate) scrubber: Scrubber,
    /// Who looks on.
    lookout: Lookout,
    /// How many functions of the host were called.
    host_calls: u64,
    /// The last bound that was hit, for the error.
    pub(crate) hit: Option<LimitHit>,
    /// The monotonic moment at which progress was last made durable.
    reported: Duration,
    /// What is known of answers from outside, and until when the store may be waited for.
    pub(crate) patience: Patience,
}

impl Call {
    /// The state of a call that begins.
    pub fn new(services: Arc<Services>, lease: Option<Lease>, journal: Journal) -> Self {
        let reported = services.clock.monotonic();
        let subject = lease.as_ref().map(|lease| &lease.subject);
        let lookout = Lookout::of(services.interceptor.clone(), journal.id(), subject);
        Self {
            services,
            lease,
            journal,
            scrubber: Scrubber::default(),
            lookout,
            host_calls: 0,
            hit: None,
            reported,
            patience: Patience::default(),
        }
    }

    /// Counts a call of a host function; past the bound the guest is stopped.
    fn count(&mut self) -> wasmtime::Result<()> {
        self.host_calls += 1;
        let bound = self.services.limits.host_calls;
        if self.host_calls > bound {
            let hit = LimitHit::HostCalls(bound);
            self.hit = Some(hit.clone());
            return Err(wasmtime::Error::new(hit));
        }
        Ok(())
    }

    /// Begins an import: counts it, and lets who looks on answer in its place.
    pub(crate) async fn enter(
        &mut self,
        import: Import,
    ) -> wasmtime::Result<Option<types::Failure>> {
        self.count()?;
        self.lookout.before(import).await
    }

    /// Ends an import that was carried out.
    pub(crate) async fn leave(&self, import: Import) -> wasmtime::Result<()> {
        self.lookout.after(import).await
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
