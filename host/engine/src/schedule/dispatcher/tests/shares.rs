//! Tests of several dispatchers on one store.

use super::*;
use crate::store::HostShare;

/// A layer that gives the dispatcher a share.
struct Share(HostShare);

impl StoreLayer for Share {
    fn share(&self, _: &dyn Store) -> HostShare {
        self.0
    }
}

#[tokio::test(start_paused = true)]
async fn dispatcher_begins_its_share_and_overdue_wakeups() {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
    let mut commit = Commit::default();
    (0..40).for_each(|_| schedule(&mut commit, "refresh", None));
    store.commit(commit).await.unwrap();
    let share = HostShare::new(1, 2);
    let store: Arc<dyn Store> = Arc::new(Layered::new(store, Share(share)));
    let due = store.due(seconds(1), 40, KindFilter::All).await.unwrap();
    let is_own = |due: &DueWakeup| share.owns(&due.wakeup.subject);
    let own = due.iter().filter(|due| is_own(due)).count();
    assert!((1..40).contains(&own), "{own}");

    let clock = Arc::new(ManualClock::new(seconds(1)));
    let runner = Arc::new(RecordingRunner {
        store: store.clone(),
        clock: clock.clone(),
        ran: Mutex::default(),
        scheduled: Notify::new(),
    });
    let dispatcher = Dispatcher::new(
        store,
        clock.clone(),
        runner.clone(),
        DispatcherOptions::default(),
    );
    let watched = async {
        let poll = DispatcherOptions::default().poll;
        tokio::time::sleep(3 * poll).await;
        {
            let ran = runner.ran.lock();
            assert!(ran.iter().all(|(_, due)| is_own(due)));
            assert_eq!(ran.len(), own);
        }
        // The other host begins nothing.
        clock.advance(2 * poll);
        tokio::time::sleep(3 * poll).await;
        assert_eq!(runner.ran.lock().len(), 40);
    };
    assert_eq!(dispatcher.run(watched).await.done, 40);
}

#[test]
fn each_subject_is_in_one_share() {
    let hosts = 3;
    let mut sizes = [0; 3];
    for _ in 0..300 {
        let subject = Reference::record(Pkid::random());
        let owners = (0..hosts).filter(|rank| HostShare::new(*rank, hosts).owns(&subject));
        let owners: Vec<u32> = owners.collect();
        assert_eq!(owners.len(), 1);
        assert!(HostShare::WHOLE.owns(&subject));
        sizes[owners[0] as usize] += 1;
    }
    assert!(sizes.iter().all(|size| *size > 50), "{sizes:?}");
}

#[tokio::test(start_paused = true)]
async fn busy_subject_delays_no_other() {
    let runner = Arc::new(ScriptedRunner {
        ends: |_| Ok(WakeupOutcome::Busy(Timestamp(0))),
        ran: Mutex::default(),
        scheduled: Notify::new(),
    });
    let options = DispatcherOptions {
        concurrency: 1,
        ..DispatcherOptions::default()
    };
    let dispatcher = Dispatcher::new(
        store_with_due_wakeups(2).await,
        Arc::new(SystemClock::new()),
        runner.clone(),
        options,
    );
    let pause = dispatcher.pause();
    dispatcher.run(tokio::time::sleep(pause / 2)).await;
    assert_eq!(runner.ran.lock().len(), 2);
    // Each is tried again after the pause.
    dispatcher.run(tokio::time::sleep(pause * 3 / 2)).await;
    assert_eq!(runner.ran.lock().len(), 6);
}
