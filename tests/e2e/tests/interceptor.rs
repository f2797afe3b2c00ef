//! An interceptor between a plugin and every import: it sees each call and may return its own
//! result.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use relation_e2e::World;
use relation_host::CallErrorKind;
use relation_host::imports::{HttpError, Import, ImportCall, Interceptor, Intervention};
use relation_host::reports::RefreshOutcome;
use relation_host::types::Failure;

/// An interceptor that sees every import and replaces the result of one.
#[derive(Default)]
struct TestInterceptor {
    calls: Mutex<Vec<(Import, bool)>>,
    intervention: Mutex<Option<(Import, bool, Intervention)>>,
}

impl TestInterceptor {
    fn next(&self, call: &ImportCall, before: bool) -> Intervention {
        self.calls.lock().push((call.import, before));
        let mut intervention = self.intervention.lock();
        match intervention.take_if(|(import, when, _)| (*import, *when) == (call.import, before)) {
            Some((_, _, intervention)) => intervention,
            None => Intervention::Proceed,
        }
    }

    fn intervene_at(&self, import: Import, before: bool, intervention: Intervention) {
        *self.intervention.lock() = Some((import, before, intervention));
    }
}

#[async_trait]
impl Interceptor for TestInterceptor {
    async fn before(&self, call: &ImportCall) -> Intervention {
        self.next(call, true)
    }

    async fn after(&self, call: &ImportCall) -> Intervention {
        self.next(call, false)
    }
}

#[tokio::test]
async fn interceptor_sees_each_import() {
    let interceptor = Arc::new(TestInterceptor::default());
    let world = World::builder()
        .interceptor(interceptor.clone())
        .start()
        .await;
    let customer = world.add_customer("Acme").await;
    interceptor.calls.lock().clear();
    let _ = world.host().refresh(&customer.pkid).await.unwrap();
    let calls = interceptor.calls.lock().clone();
    for import in [
        Import::StorageGet,
        Import::SecretsReveal,
        Import::HttpHandle,
        Import::StorageCommit,
    ] {
        assert!(
            calls.contains(&(import, true)) && calls.contains(&(import, false)),
            "{calls:?}"
        );
    }
    let (begun, ended): (Vec<&_>, Vec<&_>) = calls.iter().partition(|(_, before)| *before);
    assert_eq!(begun.len(), ended.len(), "{calls:?}");
}

#[tokio::test]
async fn failure_before_a_commit_writes_nothing() {
    let interceptor = Arc::new(TestInterceptor::default());
    let world = World::builder()
        .interceptor(interceptor.clone())
        .start()
        .await;
    let customer = world.add_customer("Acme").await;
    let before = world.record(&customer.pkid).await;
    // A store that is unavailable once would be called again.
    let failure = Intervention::Fail(Failure::LimitExceeded("said the watcher".into()));
    interceptor.intervene_at(Import::StorageCommit, true, failure);
    let refused = world.host().refresh(&customer.pkid).await.unwrap_err();
    assert!(
        matches!(&refused.kind, CallErrorKind::Refused(Failure::LimitExceeded(text)) if text.contains("said the watcher")),
        "{refused:?}"
    );
    assert_eq!(world.record(&customer.pkid).await, before);
}

#[tokio::test]
async fn trap_after_a_commit_keeps_the_commit() {
    let interceptor = Arc::new(TestInterceptor::default());
    let world = World::builder()
        .interceptor(interceptor.clone())
        .start()
        .await;
    let customer = world.add_customer("Acme").await;
    let before = world.record(&customer.pkid).await;
    let trap = Intervention::Trap("stopped by the watcher".into());
    interceptor.intervene_at(Import::StorageCommit, false, trap);
    let stopped = world.host().refresh(&customer.pkid).await.unwrap_err();
    assert!(
        matches!(&stopped.kind, CallErrorKind::Guest(error) if error.to_string().contains("stopped by the watcher")),
        "{stopped:?}"
    );
    assert_ne!(world.record(&customer.pkid).await, before);
}

#[tokio::test]
async fn error_code_after_a_request_ends_the_body() {
    let interceptor = Arc::new(TestInterceptor::default());
    let world = World::builder()
        .interceptor(interceptor.clone())
        .start()
        .await;
    let customer = world.add_customer("Acme").await;
    let sent = world.emulator.requests().len();
    let cut = Intervention::FailHttp(HttpError::HttpResponseIncomplete);
    interceptor.intervene_at(Import::HttpHandle, false, cut);
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
