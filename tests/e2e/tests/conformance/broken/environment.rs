//! Hosts with wrong settings, clocks, randomness, limits or messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use relation_harness::conformance::{Conformance, run_limits};
use relation_host::Limits;
use relation_host::clock::{Clock, ManualClock};
use relation_host::entropy::{Entropy, SeededEntropy};
use relation_host::imports::{Import, ImportCall, Interceptor, Intervention};
use relation_host::store::layer::StoreLayer;
use relation_host::store::sqlite::SqliteStore;
use relation_host::store::{Change, Commit, Store, StoreError};
use relation_host::types::{Failure, Timestamp};
use secrecy::SecretString;

use super::store;
use crate::support::{on, suite_within, with};

/// Returns plain settings of which one is wrong and one is a secret, and a wrong secret setting.
async fn other_settings() -> Conformance {
    const SECRET: &str = "conformance.secret";
    let plain = [
        ("conformance.setting", "another"),
        (SECRET, "a-secret-of-the-installation"),
    ];
    let plain: BTreeMap<String, String> = plain
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let run = on(Arc::new(SqliteStore::in_memory().unwrap())).await;
    run.modify_hosts(move |host, _| {
        host.settings(plain.clone())
            .secret_setting(SECRET, SecretString::from("another"))
    })
}

/// Entropy that repeats its numbers, and its first bytes for each instance.
struct BiasedEntropy {
    others: SeededEntropy,
    drawn: AtomicU64,
}

impl Entropy for BiasedEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // An instance takes a seed of 16 bytes, then draws bytes by four at a time and numbers by
        // eight.
        let is_fixed = match bytes.len() {
            16 => {
                self.drawn.store(0, Ordering::Relaxed);
                false
            }
            4 => self.drawn.fetch_add(1, Ordering::Relaxed) < 16,
            length => length == 8,
        };
        if is_fixed {
            bytes.fill(7);
        } else {
            self.others.fill(bytes);
        }
    }
}

async fn biased_entropy() -> Conformance {
    let dice = Arc::new(BiasedEntropy {
        others: SeededEntropy::new(1),
        drawn: AtomicU64::new(u64::from(u32::MAX)),
    });
    let run = on(Arc::new(SqliteStore::in_memory().unwrap())).await;
    run.modify_hosts(move |host, _| host.entropy(dice.clone()))
}

/// A clock that goes back a millisecond at each reading.
struct BackwardClock {
    steady: Arc<ManualClock>,
    looks: Arc<AtomicU64>,
}

#[async_trait]
impl Clock for BackwardClock {
    fn now(&self) -> Timestamp {
        // Never later than the clock that the driver moves: wakeups would not come.
        let ahead = (1_u64 << 20).saturating_sub(self.looks.fetch_add(1, Ordering::Relaxed));
        self.steady.now().after(Duration::from_millis(ahead))
    }

    fn monotonic(&self) -> Duration {
        self.steady.monotonic()
    }

    async fn sleep_until(&self, at: Timestamp) {
        self.steady.sleep_until(at).await;
    }
}

async fn backward_clock() -> Conformance {
    let looks = Arc::default();
    // A call that waits for a time ends by its limit only.
    let limits = Limits {
        time: Duration::from_secs(15),
        ..run_limits()
    };
    let store = Arc::new(SqliteStore::in_memory().unwrap());
    let run = with(suite_within(limits.clone()), store).await;
    run.limits(limits).modify_hosts(move |host, clock| {
        host.clock(Arc::new(BackwardClock {
            steady: Arc::clone(clock),
            looks: Arc::clone(&looks),
        }))
    })
}

/// Creates no stash: its directory is a link to a missing target.
async fn no_stash() -> Conformance {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("stash");
    std::os::unix::fs::symlink("missing/target", &link).unwrap();
    let run = on(Arc::new(SqliteStore::in_memory().unwrap())).await;
    run.modify_hosts(move |host, _| {
        // The closure owns the directory, which must outlive the run.
        let _ = &directory;
        host.stash(&link)
    })
}

async fn wide_limits() -> Conformance {
    let limits = Limits {
        commit: 64 << 20,
        changes: 1_000_000,
        requests: 1_000_000,
        host_calls: 10_000_000,
        ..run_limits()
    };
    let store = Arc::new(SqliteStore::in_memory().unwrap());
    with(suite_within(limits.clone()), store)
        .await
        .limits(limits)
}

/// One intervention within a check: at the call of an import after this many of its calls.
type Step = (&'static str, Import, u32, fn() -> Intervention);

const STEPS: [Step; 6] = [
    ("storage.commit.malformed", Import::StorageCommit, 2, || {
        Intervention::Fail(Failure::Conflict("it is malformed".into()))
    }),
    ("storage.commit.keep", Import::StorageCommit, 1, || {
        Intervention::Fail(Failure::Conflict("it cannot be kept".into()))
    }),
    ("storage.bounds.reads", Import::StorageGet, 0, || {
        Intervention::Fail(Failure::Conflict("it is malformed".into()))
    }),
    ("scheduling.subject", Import::StorageCommit, 0, || {
        Intervention::Fail(Failure::Conflict("it has no subject".into()))
    }),
    ("storage.bounds.body", Import::StorageCommit, 0, || {
        Intervention::Fail(Failure::Conflict("it is malformed".into()))
    }),
    ("transactions.accepts", Import::TransactionsLog, 0, || {
        Intervention::Trap("no such line is taken".into())
    }),
];

/// An interceptor that finds the running check in the suite's output, and intervenes.
#[derive(Clone, Default)]
struct CheckInterceptor(Arc<Mutex<(String, u32)>>);

impl StoreLayer for CheckInterceptor {
    async fn commit(&self, inner: &dyn Store, commit: Commit) -> Result<(), StoreError> {
        for change in &commit.changes {
            if let Change::Put(document) = change
                && document.reference.model == "conformance/State"
            {
                let state: serde_json::Value = serde_json::from_str(&document.body).unwrap();
                let running = state["running"].as_str().unwrap_or_default();
                *self.0.lock() = (running.to_owned(), 0);
            }
        }
        inner.commit(commit).await
    }
}

#[async_trait]
impl Interceptor for CheckInterceptor {
    async fn before(&self, call: &ImportCall) -> Intervention {
        let (running, calls) = &mut *self.0.lock();
        let step = STEPS
            .iter()
            .find(|(check, import, ..)| check == running && *import == call.import);
        let Some((_, _, after, intervention)) = step else {
            return Intervention::Proceed;
        };
        *calls += 1;
        if *calls == after + 1 {
            intervention()
        } else {
            Intervention::Proceed
        }
    }
}

async fn wrong_error_cases() -> Conformance {
    let steps = CheckInterceptor::default();
    let run = store(steps.clone()).await;
    run.modify_hosts(move |host, _| host.interceptor(Arc::new(steps.clone())))
}

broken_hosts! {
    settings_differ: other_settings() => ["config.get", "config.secrets", "secrets.setting"];
    randomness_repeats: biased_entropy() => ["random.fresh", "random.fresh-per-call"];
    clock_goes_back: backward_clock() => ["clock.steady", "clock.agrees"];
    commits_that_are_not_kept: no_stash() => ["storage.commit.kept"];
    limits_are_too_wide: wide_limits() => [
        "limits.changes",
        "limits.commit",
        "limits.requests",
    ];
    errors_have_the_wrong_case: wrong_error_cases() => [
        "storage.commit.malformed",
        "storage.commit.keep",
        "storage.bounds.body",
        "storage.bounds.reads",
        "scheduling.subject",
        "transactions.accepts",
    ];
}
