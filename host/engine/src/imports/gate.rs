//! The gate that every import of a call passes: counts the imports and calls the interceptor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bindings::automate::platform::types;
use super::{Import, InterceptorHandle, Services, convert};
use crate::limits::{Limit, LimitExceeded, LimitValue};
use crate::types::{Failure, Reference};

/// The result of an import that can fail; the outer error traps.
pub(super) type ImportResult<T> = wasmtime::Result<Result<T, types::Failure>>;

/// The gate of one call. Clones share its state.
#[derive(Clone)]
pub(crate) struct Gate {
    entered: Arc<AtomicU64>,
    most: u64,
    /// The interceptor of the call's imports.
    pub(super) interceptor: InterceptorHandle,
}

impl Gate {
    pub(super) fn new(services: &Services, transaction: &str, subject: Option<&Reference>) -> Self {
        Self {
            entered: Arc::default(),
            most: services.limits.host_calls,
            interceptor: InterceptorHandle::new(services.interceptor.clone(), transaction, subject),
        }
    }

    /// Begins an import. Traps beyond the limit; a returned failure becomes the import's result.
    pub(super) async fn enter(&self, import: Import) -> wasmtime::Result<Option<types::Failure>> {
        self.count()?;
        self.interceptor.before(import).await
    }

    /// Runs `import` between the interceptor's hooks, and converts its failure to the contract's.
    ///
    /// # Errors
    /// Traps beyond the limit of imports.
    pub(super) async fn guarded<T>(
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

    /// Counts an import without calling the interceptor. Traps beyond the limit.
    pub(super) fn count(&self) -> wasmtime::Result<()> {
        if self.entered.fetch_add(1, Ordering::Relaxed) >= self.most {
            return Err(wasmtime::Error::new(LimitExceeded {
                limit: Limit::HostCalls,
                value: LimitValue::Count(self.most),
            }));
        }
        Ok(())
    }

    /// Ends an import that was executed.
    pub(super) async fn leave(&self, import: Import) -> wasmtime::Result<()> {
        self.interceptor.after(import).await
    }
}
