//! Stands before and behind the imports that a plugin calls: to count them, to stop time between them, to
//! let one fail. For tests; a host that serves anybody has none.

use std::sync::Arc;

use async_trait::async_trait;
use wasmtime_wasi_http::Error as HttpError;

use super::bindings::automate::platform::types;
use super::convert;
use crate::types::{Failure, Reference};

/// Which import a plugin calls, and in which call of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImportCall {
    /// The id of the transaction; empty for a call that has none, which `describe` is.
    pub transaction: String,
    /// The record whose lease the call holds.
    pub subject: Option<Reference>,
    /// Which import.
    pub import: Import,
}

/// The imports that a host can be asked to let fail. Clocks, randomness and plain settings are not among
/// them: they cannot fail and share nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Import {
    /// `storage.get`
    StorageGet,
    /// `storage.get-many`
    StorageGetMany,
    /// `storage.find`
    StorageFind,
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
    /// `transactions.interrupted`
    TransactionsInterrupted,
    /// `wasi:http/outgoing-handler.handle`, until the head of the answer has come.
    HttpHandle,
}

impl Import {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::StorageGet,
        Self::StorageGetMany,
        Self::StorageFind,
        Self::StorageCommit,
        Self::SchedulingWakeups,
        Self::SecretsReveal,
        Self::SecretsRevealSetting,
        Self::EgressUseProxies,
        Self::EgressLastError,
        Self::TransactionsLog,
        Self::TransactionsProgress,
        Self::TransactionsInterrupted,
        Self::HttpHandle,
    ];

    /// Interface and function, as the contract names them.
    pub fn name(self) -> &'static str {
        match self {
            Self::StorageGet => "storage.get",
            Self::StorageGetMany => "storage.get-many",
            Self::StorageFind => "storage.find",
            Self::StorageCommit => "storage.commit",
            Self::SchedulingWakeups => "scheduling.wakeups",
            Self::SecretsReveal => "secrets.reveal",
            Self::SecretsRevealSetting => "secrets.reveal-setting",
            Self::EgressUseProxies => "egress.use-proxies",
            Self::EgressLastError => "egress.last-error",
            Self::TransactionsLog => "transactions.log",
            Self::TransactionsProgress => "transactions.progress",
            Self::TransactionsInterrupted => "transactions.interrupted",
            Self::HttpHandle => "http.handle",
        }
    }

    /// Whether its answer can be a [`Failure`].
    pub fn can_fail(self) -> bool {
        !matches!(
            self,
            Self::EgressLastError
                | Self::TransactionsLog
                | Self::TransactionsProgress
                | Self::TransactionsInterrupted
                | Self::HttpHandle
        )
    }
}

/// What happens in place of an import, or before it goes on.
#[derive(Debug)]
pub enum Intervention {
    /// Nothing: it goes on.
    Proceed,
    /// It is not carried out, and this is its answer. Taken for [`Intervention::Proceed`] where the
    /// contract has no failure (see [`Import::can_fail`]).
    Fail(Failure),
    /// Before [`Import::HttpHandle`]: the request is not sent, and this is its answer. After it: the head
    /// of the answer has come, and its body ends with this. Elsewhere as [`Intervention::Proceed`].
    FailHttp(HttpError),
    /// The guest stops here, with this text. A request of [`Import::HttpHandle`] ends as
    /// `connection-terminated` instead: its answer is waited for outside of the guest.
    Trap(String),
}

/// Looks on at every import of a host's plugin.
///
/// An interceptor that never returns holds the call where it is: whoever drops the call then has what a
/// process leaves that was killed there.
#[async_trait]
pub trait Interceptor: Send + Sync + 'static {
    /// Before the import is carried out.
    async fn before(&self, call: &ImportCall) -> Intervention;

    /// After it was carried out, before the guest has the answer, which is kept whatever is said here
    /// except [`Intervention::Trap`] and, of a request, [`Intervention::FailHttp`]. Not called for an import
    /// that [`Interceptor::before`] answered.
    async fn after(&self, call: &ImportCall) -> Intervention {
        let _ = call;
        Intervention::Proceed
    }
}

/// A call as its imports let an interceptor see it; most hosts have none.
#[derive(Clone)]
pub(crate) struct Lookout(Option<Seen>);

#[derive(Clone)]
struct Seen {
    interceptor: Arc<dyn Interceptor>,
    transaction: String,
    subject: Option<Reference>,
}

impl Lookout {
    pub(crate) fn of(
        interceptor: Option<Arc<dyn Interceptor>>,
        transaction: &str,
        subject: Option<&Reference>,
    ) -> Self {
        Self(interceptor.map(|interceptor| Seen {
            interceptor,
            transaction: transaction.to_owned(),
            subject: subject.cloned(),
        }))
    }

    /// A failure is the import's answer.
    pub(crate) async fn before(&self, import: Import) -> wasmtime::Result<Option<types::Failure>> {
        match self.ask(import).await {
            Intervention::Fail(failure) if import.can_fail() => {
                Ok(Some(convert::failure_out(failure)))
            }
            Intervention::Trap(text) => Err(wasmtime::Error::msg(text)),
            _ => Ok(None),
        }
    }

    pub(crate) async fn after(&self, import: Import) -> wasmtime::Result<()> {
        let Some(seen) = &self.0 else { return Ok(()) };
        match seen.interceptor.after(&seen.call(import)).await {
            Intervention::Trap(text) => Err(wasmtime::Error::msg(text)),
            _ => Ok(()),
        }
    }

    /// A code is the request's answer, and it is not sent.
    pub(crate) async fn before_sending(&self) -> Result<(), HttpError> {
        match self.ask(Import::HttpHandle).await {
            Intervention::FailHttp(code) => Err(code),
            Intervention::Trap(_) => Err(HttpError::ConnectionTerminated),
            _ => Ok(()),
        }
    }

    /// A code is what the body of the answer ends with, in place of its content.
    pub(crate) async fn after_sending(&self) -> Result<Option<HttpError>, HttpError> {
        let Some(seen) = &self.0 else { return Ok(None) };
        match seen.interceptor.after(&seen.call(Import::HttpHandle)).await {
            Intervention::Trap(_) => Err(HttpError::ConnectionTerminated),
            Intervention::FailHttp(code) => Ok(Some(code)),
            _ => Ok(None),
        }
    }

    async fn ask(&self, import: Import) -> Intervention {
        match &self.0 {
            Some(seen) => seen.interceptor.before(&seen.call(import)).await,
            None => Intervention::Proceed,
        }
    }
}

impl Seen {
    fn call(&self, import: Import) -> ImportCall {
        ImportCall {
            transaction: self.transaction.clone(),
            subject: self.subject.clone(),
            import,
        }
    }
}
