//! The gate that runs before and after each import of a call: counts the imports and calls the interceptor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::bindings::automate::platform::types;
use super::{Import, InterceptorHandle, Services, convert};
use crate::limits::{Limit, LimitExceeded, LimitValue};
use crate::types::{Failure, Reference};

/// The result of an import that can fail; the outer error traps.
pub(super) type ImportResult<T> = wasmtime::Result<Result<T, types::Failure>>;

/// The gate of one call. Clones share its state.
#[derive(Clone)]
pub(crate) struct Gate {
    /// The number of imports that have begun.
    imports: Arc<AtomicU64>,
    max_imports: u64,
    /// The interceptor of the call's imports.
    pub(super) interceptor: InterceptorHandle,
    /// Held by a request until its response has a head, if there is an interceptor.
    sending: Arc<Mutex<()>>,
}

impl Gate {
    pub(super) fn new(services: &Services, transaction: &str, subject: Option<&Reference>) -> Self {
        Self {
            imports: Arc::default(),
            max_imports: services.limits.host_calls,
            interceptor: InterceptorHandle::new(services.interceptor.clone(), transaction, subject),
            sending: Arc::default(),
        }
    }

    /// Lets the imports after this request wait for its response, if there is an interceptor. The order of imports then
    /// does not depend on the network. `None` without an interceptor, and during another request.
    pub(super) fn begin_sending(&self) -> Option<OwnedMutexGuard<()>> {
        let sending = Arc::clone(&self.sending);
        let is_observed = self.interceptor.is_attached();
        is_observed.then(|| sending.try_lock_owned().ok()).flatten()
    }

    /// Begins an import. If this returns a failure, the import does not run and returns the failure.
    ///
    /// # Errors
    /// Traps beyond the limit of imports.
    pub(super) async fn enter(&self, import: Import) -> wasmtime::Result<Option<types::Failure>> {
        self.count()?;
        if self.interceptor.is_attached() {
            drop(self.sending.lock().await);
        }
        self.interceptor.before(import).await
    }

    /// Executes `run` between the interceptor's hooks, and converts its failure to the contract's type.
    ///
    /// # Errors
    /// Traps beyond the limit of imports.
    pub(super) async fn intercept<T>(
        &self,
        import: Import,
        run: impl Future<Output = Result<T, Failure>>,
    ) -> ImportResult<T> {
        if let Some(failure) = self.enter(import).await? {
            return Ok(Err(failure));
        }
        let result = run.await;
        self.leave(import).await?;
        Ok(result.map_err(convert::failure_out))
    }

    /// Counts an import without calling the interceptor.
    ///
    /// # Errors
    /// Traps beyond the limit of imports.
    pub(super) fn count(&self) -> wasmtime::Result<()> {
        if self.imports.fetch_add(1, Ordering::Relaxed) >= self.max_imports {
            return Err(wasmtime::Error::new(LimitExceeded {
                limit: Limit::HostCalls,
                value: LimitValue::Count(self.max_imports),
            }));
        }
        Ok(())
    }

    /// Ends an import that was executed.
    pub(super) async fn leave(&self, import: Import) -> wasmtime::Result<()> {
        self.interceptor.after(import).await
    }
}
