//! Observes the imports of a call: its path, as far as it is visible from outside.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use relation_host::imports::{Import, ImportCall, Interceptor, Intervention};

/// Records, since it was last read, the latest imports in order and the number of commits.
#[derive(Debug, Default)]
pub struct ImportTracer {
    order: AtomicU64,
    commits: AtomicU64,
}

/// The recorded imports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ImportTrace {
    /// A number that depends on the order of the imports. Repetitions count as one.
    pub order: u64,
    /// Number of attempted commits.
    pub commits: u64,
}

impl ImportTracer {
    /// Returns the trace since the last call, and resets it.
    pub fn take(&self) -> ImportTrace {
        ImportTrace {
            order: self.order.swap(0, Ordering::Relaxed),
            commits: self.commits.swap(0, Ordering::Relaxed),
        }
    }
}

#[async_trait]
impl Interceptor for ImportTracer {
    async fn before(&self, call: &ImportCall) -> Intervention {
        // Logs and progress depend little on the path, and much on the input.
        let reported = matches!(
            call.import,
            Import::TransactionsLog | Import::TransactionsProgress
        );
        if call.import == Import::StorageCommit {
            self.commits.fetch_add(1, Ordering::Relaxed);
        }
        let place = Import::ALL.iter().position(|each| *each == call.import);
        let number = place
            .and_then(|place| u64::try_from(place).ok())
            .unwrap_or(0)
            + 1;
        let order = self.order.load(Ordering::Relaxed);
        if !reported && order & 15 != number {
            self.order
                .store(order.rotate_left(4) & !15 ^ number, Ordering::Relaxed);
        }
        Intervention::Proceed
    }
}
