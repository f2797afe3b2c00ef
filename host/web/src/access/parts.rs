//! The parts that the access functions work with. It needs a store and a clock, but no plugin.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use relation_app::{AppError, ErrorKind};
use relation_host::clock::Clock;
use relation_host::store::Store;
use relation_host::store::seal::Sealer;
use relation_host::types::{Pkid, Timestamp};

use super::audit::PkidSequence;
use super::back_off::BackOff;
use super::passwords::PasswordHasher;
use super::request_rate::RequestRate;
use crate::{WebError, WebOptions};

/// The store, the clock and the options of the access functions. Cheap to clone; clones are the same.
///
/// [`Web::access`](crate::Web::access) returns those of a running host. A command creates its own, without a host.
#[derive(Clone)]
pub struct AccessParts {
    shared: Arc<Shared>,
    /// The sealer of the host. A command without a host has none.
    sealer: Option<Arc<Sealer>>,
}

struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    options: WebOptions,
    passwords: PasswordHasher,
    back_off: Mutex<BackOff>,
    request_rate: Mutex<RequestRate>,
    audit_pkids: Mutex<PkidSequence>,
    known_nodes: Mutex<HashSet<Pkid>>,
}

impl AccessParts {
    /// Creates the parts for a store.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, options: WebOptions) -> Self {
        let shared = Shared {
            passwords: PasswordHasher::new(options.password_cost),
            back_off: Mutex::default(),
            request_rate: Mutex::new(RequestRate::new(options.requests_per_minute)),
            audit_pkids: Mutex::default(),
            known_nodes: Mutex::default(),
            store,
            clock,
            options,
        };
        Self {
            shared: Arc::new(shared),
            sealer: None,
        }
    }

    /// Returns the parts with the sealer of secrets, which credentials of callbacks need.
    #[must_use]
    pub fn with_sealer(self, sealer: Arc<Sealer>) -> Self {
        Self {
            sealer: Some(sealer),
            ..self
        }
    }

    pub(super) fn sealer(&self) -> Result<&Sealer, WebError> {
        let missing = || AppError::new(ErrorKind::Internal, "these parts have no sealer").into();
        self.sealer.as_deref().ok_or_else(missing)
    }

    /// Returns the store.
    pub fn store(&self) -> &dyn Store {
        self.shared.store.as_ref()
    }

    /// Returns the clock.
    pub fn clock(&self) -> &dyn Clock {
        self.shared.clock.as_ref()
    }

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Returns the options.
    pub fn options(&self) -> &WebOptions {
        &self.shared.options
    }

    pub(super) fn passwords(&self) -> &PasswordHasher {
        &self.shared.passwords
    }

    pub(super) fn back_off(&self) -> &Mutex<BackOff> {
        &self.shared.back_off
    }

    pub(super) fn request_rate(&self) -> &Mutex<RequestRate> {
        &self.shared.request_rate
    }

    pub(super) fn audit_pkids(&self) -> &Mutex<PkidSequence> {
        &self.shared.audit_pkids
    }

    /// Returns the nodes that this process knows to be stored.
    pub(super) fn known_nodes(&self) -> &Mutex<HashSet<Pkid>> {
        &self.shared.known_nodes
    }
}
