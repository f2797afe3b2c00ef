//! What stands before every import of a call: the count of them all, and who looks on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bindings::automate::platform::types;
use super::{Import, LimitHit, Lookout, Services};
use crate::types::Reference;

/// The gate of one call. Clones are the same gate.
#[derive(Clone)]
pub(crate) struct Gate {
    entered: Arc<AtomicU64>,
    most: u64,
    /// Who looks on.
    pub(super) lookout: Lookout,
}

impl Gate {
    pub(super) fn of(services: &Services, transaction: &str, subject: Option<&Reference>) -> Self {
        Self {
            entered: Arc::default(),
            most: services.limits.host_calls,
            lookout: Lookout::of(services.interceptor.clone(), transaction, subject),
        }
    }

    /// Begins an import: past the bound the guest is stopped; a failure is the import's answer.
    pub(super) async fn enter(&self, import: Import) -> wasmtime::Result<Option<types::Failure>> {
        self.count()?;
        self.lookout.before(import).await
    }

    /// Counts an import that nobody looks on at: past the bound the guest is stopped.
    pub(super) fn count(&self) -> wasmtime::Result<()> {
        if self.entered.fetch_add(1, Ordering::Relaxed) >= self.most {
            return Err(wasmtime::Error::new(LimitHit::HostCalls(self.most)));
        }
        Ok(())
    }

    /// Ends an import that was carried out.
    pub(super) async fn leave(&self, import: Import) -> wasmtime::Result<()> {
        self.lookout.after(import).await
    }
}
