//! Hooks that run before and after each import: to count imports, stop time between them, or inject
//! faults. For tests only; production hosts install none.

use std::sync::Arc;

use async_trait::async_trait;
use wasmtime_wasi_http::Error as HttpError;

use super::bindings::automate::platform::types;
use super::convert;
use crate::types::{Failure, Reference};

/// One call of an import by a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImportCall {
    /// The transaction's id; empty for a call without a transaction, such as `describe`.
    pub transaction: String,
    /// The record whose lease the call holds.
    pub subject: Option<Reference>,
    /// The import that is called.
    pub import: Import,
}

/// The imports that a test can fail. Clocks, randomness and plain settings are not included: they
/// cannot fail and share no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Import {
    /// `storage.get`
    StorageGet,
    /// `storage.get-many`
    StorageGetMany,
    /// `storage.find`
    StorageFind,
    /// `storage.find-pkids`
    StorageFindPkids,
    /// `storage.compare`
    StorageCompare,
    /// `storage.commit`
    StorageCommit,
    /// `scheduling.wakeups`
    SchedulingWakeups,
    /// `secrets.reveal`
    SecretsReveal,
    /// `secrets.reveal-setting`
    SecretsRevealSetting,
    /// `egress.use-proxies`
    EgressUseProxies,
    /// `egress.last-error`
    EgressLastError,
    /// `transactions.log`
    TransactionsLog,
    /// `transactions.progress`
    TransactionsProgress,
    /// `transactions.record-part`
    TransactionsRecordPart,
    /// `transactions.interrupted`
    TransactionsInterrupted,
    /// `wasi:http/outgoing-handler.handle`, until the response head has been received.
    HttpHandle,
}

impl Import {
    /// All imports.
    pub const ALL: [Self; 16] = [
        Self::StorageGet,
        Self::StorageGetMany,
        Self::StorageFind,
        Self::StorageFindPkids,
        Self::StorageCompare,
        Self::StorageCommit,
        Self::SchedulingWakeups,
        Self::SecretsReveal,
        Self::SecretsRevealSetting,
        Self::EgressUseProxies,
        Self::EgressLastError,
        Self::TransactionsLog,
        Self::TransactionsProgress,
        Self::TransactionsRecordPart,
        Self::TransactionsInterrupted,
        Self::HttpHandle,
    ];

    /// Returns the interface and function as the contract names them.
    pub fn name(self) -> &'static str {
        match self {
            Self::StorageGet => "storage.get",
            Self::StorageGetMany => "storage.get-many",
            Self::StorageFind => "storage.find",
            Self::StorageFindPkids => "storage.find-pkids",
            Self::StorageCompare => "storage.compare",
            Self::StorageCommit => "storage.commit",
            Self::SchedulingWakeups => "scheduling.wakeups",
            Self::SecretsReveal => "secrets.reveal",
            Self::SecretsRevealSetting => "secrets.reveal-setting",
            Self::EgressUseProxies => "egress.use-proxies",
            Self::EgressLastError => "egress.last-error",
            Self::TransactionsLog => "transactions.log",
            Self::TransactionsProgress => "transactions.progress",
            Self::TransactionsRecordPart => "transactions.record-part",
            Self::TransactionsInterrupted => "transactions.interrupted",
            Self::HttpHandle => "http.handle",
        }
    }

    /// Returns whether the import's result can be a [`Failure`].
    pub fn can_fail(self) -> bool {
        !matches!(
            self,
            Self::EgressLastError
                | Self::TransactionsLog
                | Self::TransactionsProgress
                | Self::TransactionsRecordPart
                | Self::TransactionsInterrupted
                | Self::HttpHandle
        )
    }
}

/// The action that replaces an import or precedes it.
#[derive(Debug)]
pub enum Intervention {
    /// The import is executed normally.
    Proceed,
    /// The import is not executed and returns this failure. The same as [`Intervention::Proceed`]
    /// if the contract has no failure (see [`Import::can_fail`]).
    Fail(Failure),
    /// Before [`Import::HttpHandle`]: the request is not sent and fails with this error. After it:
    /// the response body ends with this error. Elsewhere the same as [`Intervention::Proceed`].
    FailHttp(HttpError),
    /// The guest traps with this text. A request of [`Import::HttpHandle`] ends as
    /// `connection-terminated` instead, because the guest does not run while the host waits for the
    /// response.
    Trap(String),
}

/// The interceptor of every import of a host's plugin, if one is attached.
///
/// An interceptor that never returns stops the call at that point. Dropping the call then leaves
/// the state that a killed process would leave.
#[async_trait]
pub trait Interceptor: Send + Sync + 'static {
    /// Runs before the import is executed.
    async fn before(&self, call: &ImportCall) -> Intervention;

    /// Runs after the import was executed, before the guest receives its result. Only
    /// [`Intervention::Trap`] and, for a request, [`Intervention::FailHttp`] have an effect. Not
    /// called for an import that [`Interceptor::before`] replaced.
    async fn after(&self, call: &ImportCall) -> Intervention {
        let _ = call;
        Intervention::Proceed
    }
}

/// The interceptor of one call, if the host has one.
#[derive(Clone)]
pub(crate) struct InterceptorHandle(Option<Attached>);

#[derive(Clone)]
struct Attached {
    interceptor: Arc<dyn Interceptor>,
    transaction: String,
    subject: Option<Reference>,
}

impl InterceptorHandle {
    pub(crate) fn new(
        interceptor: Option<Arc<dyn Interceptor>>,
        transaction: &str,
        subject: Option<&Reference>,
    ) -> Self {
        Self(interceptor.map(|interceptor| Attached {
            interceptor,
            transaction: transaction.to_owned(),
            subject: subject.cloned(),
        }))
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.0.is_some()
    }

    /// Runs the hook before an import. A returned failure is the import's result.
    pub(crate) async fn before(&self, import: Import) -> wasmtime::Result<Option<types::Failure>> {
        match self.intervene(import).await {
            Intervention::Fail(failure) if import.can_fail() => {
                Ok(Some(convert::failure_out(failure)))
            }
            Intervention::Trap(text) => Err(wasmtime::Error::msg(text)),
            _ => Ok(None),
        }
    }

    pub(crate) async fn after(&self, import: Import) -> wasmtime::Result<()> {
        let Some(attached) = &self.0 else {
            return Ok(());
        };
        match attached.interceptor.after(&attached.call(import)).await {
            Intervention::Trap(text) => Err(wasmtime::Error::msg(text)),
            _ => Ok(()),
        }
    }

    /// Runs the hook before a request. An error is the request's result, and the request is not
    /// sent.
    pub(crate) async fn before_sending(&self) -> Result<(), HttpError> {
        match self.intervene(Import::HttpHandle).await {
            Intervention::FailHttp(code) => Err(code),
            Intervention::Trap(_) => Err(HttpError::ConnectionTerminated),
            _ => Ok(()),
        }
    }

    /// Runs the hook after a request. A returned code ends the response body in place of its
    /// content.
    pub(crate) async fn after_sending(&self) -> Result<Option<HttpError>, HttpError> {
        let Some(attached) = &self.0 else {
            return Ok(None);
        };
        match attached
            .interceptor
            .after(&attached.call(Import::HttpHandle))
            .await
        {
            Intervention::Trap(_) => Err(HttpError::ConnectionTerminated),
            Intervention::FailHttp(code) => Ok(Some(code)),
            _ => Ok(None),
        }
    }

    async fn intervene(&self, import: Import) -> Intervention {
        match &self.0 {
            Some(attached) => attached.interceptor.before(&attached.call(import)).await,
            None => Intervention::Proceed,
        }
    }
}

impl Attached {
    fn call(&self, import: Import) -> ImportCall {
        ImportCall {
            transaction: self.transaction.clone(),
            subject: self.subject.clone(),
            import,
        }
    }
}
