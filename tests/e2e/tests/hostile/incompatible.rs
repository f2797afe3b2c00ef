//! Components that do not fit this host, or fail before their first call.

use relation_host::CallErrorKind;
use relation_host::component::{GuestErrorKind, inspect};
use relation_host::types::Failure;

use crate::world::{HostileWorld, refused_to_load, tight_limits};
use relation_e2e::artifacts;

/// Asserts that `inspect` reports whatever `load` rejects.
fn load_incompatible(fixture: &str) -> String {
    let bytes = std::fs::read(artifacts::fixture(fixture)).unwrap();
    let inspection = inspect(&bytes).expect("it is a component");
    assert!(!inspection.is_compatible(), "{inspection:#?}");
    refused_to_load(fixture)
}

#[test]
pub fn wrong_world_version() {
    let reported = load_incompatible("wrong_world_version");
    for words in [
        "it imports automate:platform/storage@0.2.0, of which this host has \
         automate:platform/storage@0.1.0",
        "it does not export automate:spark-customer/workflows@0.1.0",
    ] {
        assert!(reported.contains(words), "{reported}");
    }
}

#[test]
pub fn missing_import() {
    let reported = load_incompatible("missing_import");
    assert_eq!(
        reported,
        "plugin missing_import 0.0.1: it does not fit this host: it imports \
         fixtures:elsewhere/queues@0.3.0, which this host does not have"
    );
}

#[test]
pub fn extra_import() {
    let reported = load_incompatible("extra_import");
    assert!(
        reported.contains("wasi:sockets/tcp-create-socket@0.2.12, which this host does not have"),
        "{reported}"
    );
}

#[tokio::test(flavor = "multi_thread")]
pub async fn wrong_record_model() {
    let hostile = HostileWorld::new("wrong_record_model").await;
    let refused = hostile.world.host().check_settings().await;
    let CallErrorKind::Refused(Failure::Internal(text)) = refused.expect_err("it differs").kind
    else {
        panic!("not reported as another record model");
    };
    for words in [
        "wrong_record_model 0.0.1",
        "data/Other",
        "data/SparkCustomer",
    ] {
        assert!(text.contains(words), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
pub async fn trap_in_start() {
    let failed = HostileWorld::load_error("trap_in_start").await;
    assert!(
        matches!(&failed, GuestErrorKind::Trap { message } if message.contains("unreachable")),
        "{failed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
pub async fn endless_start() {
    let failed = HostileWorld::load_error("endless_start").await;
    assert!(
        matches!(failed, GuestErrorKind::Time { limit } if limit == tight_limits().time),
        "{failed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
pub async fn exit() {
    let kind = HostileWorld::new("exit")
        .await
        .misbehave()
        .await
        .expect_stopped();
    assert!(
        matches!(&kind, GuestErrorKind::Trap { message } if message.contains("exit")),
        "{kind}"
    );
}

#[tokio::test(flavor = "multi_thread")]
pub async fn panic() {
    let kind = HostileWorld::new("panic")
        .await
        .misbehave()
        .await
        .expect_stopped();
    let GuestErrorKind::Panic { message } = kind else {
        panic!("not reported as a panic: {kind}");
    };
    assert!(message.contains("the plugin's own message"), "{message}");
    assert!(message.contains("panic.rs"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
pub async fn nonsense_result() {
    let failure = HostileWorld::new("nonsense_result")
        .await
        .misbehave()
        .await
        .expect_refused();
    assert!(
        matches!(&failure, Failure::Internal(text) if text.contains("the plugin returned an invalid pkid")),
        "{failure}"
    );
}
