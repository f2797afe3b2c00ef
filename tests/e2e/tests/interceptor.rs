//! An interceptor stands between a plugin and every import: it sees each call and may answer in its place.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on"
)]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use relation_e2e::World;
use relation_host::CallErrorKind;
use relation_host::imports::{HttpError, Import, ImportCall, Interceptor, Intervention};
use relation_host::reports::RefreshOutcome;
use relation_host::types::Failure;

/// Sees every import; answers the one it is told to.
#[derive(Default)]
struct Watcher {
    seen: Mutex<Vec<(Import, bool)>>,
    answer: Mutex<Option<(Import, bool, Intervention)>>,
}

impl Watcher {
    fn next(&self, call: &ImportCall, before: bool) -> Intervention {
        self.seen.lock().unwrap().push((call.import, before));
        let mut answer = self.answer.lock().unwrap();
        match answer.take_if(|(import, when, _)| (*import, *when) == (call.import, before)) {
            Some((_, _, answer)) => answer,
            None => Intervention::Proceed,
        }
    }

    fn answers(&self, import: Import, before: bool, answer: Intervention) {
        *self.answer.lock().unwrap() = Some((import, before, answer));
    }
}

#[async_trait]
impl Interceptor for Watcher {
    async fn before(&self, call: &ImportCall) -> Intervention {
        self.next(call, true)
    }

    async fn after(&self, call: &ImportCall) -> Intervention {
        self.next(call, false)
    }
}

#[tokio::test]
async fn it_sees_each_import_before_and_after() {
    let watcher = Arc::new(Watcher::default());
    let world = World::builder().interceptor(watcher.clone()).start().await;
    let customer = world.customer("Acme").await;
    watcher.seen.lock().unwrap().clear();
    world.host().refresh(&customer.pkid).await.unwrap();
    let seen = watcher.seen.lock().unwrap().clone();
    for import in [
        Import::StorageGet,
        Import::SecretsReveal,
        Import::HttpHandle,
        Import::StorageCommit,
    ] {
        assert!(
            seen.contains(&(import, true)) && seen.contains(&(import, false)),
            "{seen:?}"
        );
    }
    let (begun, ended): (Vec<&_>, Vec<&_>) = seen.iter().partition(|(_, before)| *before);
    assert_eq!(begun.len(), ended.len(), "{seen:?}");
}

#[tokio::test]
async fn a_failure_in_place_of_a_commit_is_what_the_plugin_gets_and_nothing_is_written() {
    let watcher = Arc::new(Watcher::default());
    let world = World::builder().interceptor(watcher.clone()).start().await;
    let customer = world.customer("Acme").await;
    let before = world.record(&customer.pkid).await;
    // A store that is unavailable for once would be asked again.
    let failure = Intervention::Fail(Failure::LimitExceeded("said the watcher".into()));
    watcher.answers(Import::StorageCommit, true, failure);
    let refused = world.host().refresh(&customer.pkid).await.unwrap_err();
    assert!(
        matches!(&refused.kind, CallErrorKind::Refused(Failure::LimitExceeded(text)) if text.contains("said the watcher")),
        "{refused:?}"
    );
    assert_eq!(world.record(&customer.pkid).await, before);
}

#[tokio::test]
async fn a_trap_after_a_commit_stops_the_guest_and_leaves_what_was_written() {
    let watcher = Arc::new(Watcher::default());
    let world = World::builder().interceptor(watcher.clone()).start().await;
    let customer = world.customer("Acme").await;
    let before = world.record(&customer.pkid).await;
    let trap = Intervention::Trap("stopped by the watcher".into());
    watcher.answers(Import::StorageCommit, false, trap);
    let stopped = world.host().refresh(&customer.pkid).await.unwrap_err();
    assert!(
        matches!(&stopped.kind, CallErrorKind::Guest(error) if error.to_string().contains("stopped by the watcher")),
        "{stopped:?}"
    );
    assert_ne!(world.record(&customer.pkid).await, before);
}

#[tokio::test]
async fn a_code_after_a_request_is_what_the_body_of_its_answer_ends_with() {
    let watcher = Arc::new(Watcher::default());
    let world = World::builder().interceptor(watcher.clone()).start().await;
    let customer = world.customer("Acme").await;
    let sent = world.emulator.requests().len();
    let cut = Intervention::FailHttp(HttpError::HttpResponseIncomplete);
    watcher.answers(Import::HttpHandle, false, cut);
    let tried = world.host().refresh(&customer.pkid).await.unwrap().value;
    assert_eq!(tried.outcome, RefreshOutcome::Retrying);
    assert!(
        tried.message.contains("incomplete HTTP response"),
        "{}",
        tried.message
    );
    let now_sent = world.emulator.requests().len();
    assert_eq!(now_sent, sent + 1, "it was carried out");
}
