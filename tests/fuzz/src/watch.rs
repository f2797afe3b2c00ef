//! Sees which imports a call makes: what a call reaches, as far as it can be seen from outside of it.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use relation_host::imports::{Import, ImportCall, Interceptor, Intervention};

/// Remembers, of the calls since it was last asked, the latest imports in their order and how many commits
/// there were.
#[derive(Debug, Default)]
pub struct Watch {
    order: AtomicU64,
    commits: AtomicU64,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sight {
    /// Imports in their order, as a number that differs when the order does. Repetitions count as one.
    pub order: u64,
    /// How many commits were tried.
    pub commits: u64,
}

impl Watch {
    /// What was seen since the last time.
    pub fn take(&self) -> Sight {
        Sight {
            order: self.order.swap(0, Ordering::Relaxed),
            commits: self.commits.swap(0, Ordering::Relaxed),
        }
    }
}

#[async_trait]
impl Interceptor for Watch {
    async fn before(&self, call: &ImportCall) -> Intervention {
        // Logs and progress say little about the way taken, and much about the input.
        let told = matches!(
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
        if !told && order & 15 != number {
            self.order
                .store(order.rotate_left(4) & !15 ^ number, Ordering::Relaxed);
        }
        Intervention::Proceed
    }
}
