//! A wakeup that becomes due while the wakeup of a long call is still stored.

use super::*;

/// A runner whose `sync` runs until it is released; its wakeup stays. It counts all other calls.
#[derive(Default)]
struct LongRunner {
    released: Notify,
    others: AtomicUsize,
    scheduled: Notify,
}

#[async_trait]
impl WakeupRunner for LongRunner {
    async fn run(&self, due: DueWakeup) -> Result<WakeupOutcome, StoreError> {
        match due.wakeup.id.as_str() {
            "sync" => self.released.notified().await,
            _ => {
                self.others.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(success())
    }

    fn scheduled(&self) -> &Notify {
        &self.scheduled
    }
}

#[tokio::test]
async fn due_wakeup_runs_on_time_beside_a_long_call() {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
    let mut commit = Commit::default();
    schedule(&mut commit, "sync", None);
    schedule(&mut commit, "refresh", None);
    if let Some(Change::Schedule(refresh)) = commit.changes.last_mut() {
        refresh.due = seconds(5);
    }
    store.commit(commit).await.unwrap();
    let clock = Arc::new(ManualClock::new(seconds(1)));
    let runner = Arc::new(LongRunner::default());
    let options = DispatcherOptions {
        poll: Duration::from_secs(3600),
        ..DispatcherOptions::default()
    };
    let dispatcher = Dispatcher::new(store, clock.clone(), runner.clone(), options);
    let mut yields = 0;
    let ran = async {
        while runner.others.load(Ordering::Relaxed) == 0 && yields < 10_000 {
            yields += 1;
            if yields == 1_000 {
                clock.advance_to(seconds(5));
            }
            tokio::task::yield_now().await;
        }
        runner.released.notify_one();
    };
    dispatcher.run(ran).await;
    assert!((1_000..10_000).contains(&yields), "{yields}");
}
