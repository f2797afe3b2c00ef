//! The gate that runs before and after each import of a call: counts the imports and calls the interceptor.

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
    /// The number of imports that have begun.
    imports: Arc<AtomicU64>,
    max_imports: u64,
    /// The interceptor of the call's imports.
    pub(super) interceptor: InterceptorHandle,
}

impl Gate {
    pub(super) fn new(services: &Services, transaction: &str, subject: Option<&Reference>) -> Self {
        Self {
            imports: Arc::default(),
            max_imports: services.limits.host_calls,
            interceptor: InterceptorHandle::new(services.interceptor.clone(), transaction, subject),
        }
    }

    /// Begins an import. If this returns a failure, the import does not run and returns the failure.
    ///
    /// # Errors
    /// Traps beyond the limit of imports.
    pub(super) async fn enter(&self, import: Import) -> wasmtime::Result<Option<types::Failure>> {
        self.count()?;
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
