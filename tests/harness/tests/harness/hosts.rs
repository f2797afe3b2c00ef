//! Several hosts on one store, sequentially and concurrently.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use relation_harness::script::ScriptedResponse;
use relation_harness::{Call, CallFailure, Http, StoreKind};
use relation_host::egress::{ProxyUrl, Transport, TransportError};
use relation_host::imports::{Import, ImportCall, Interceptor, Intervention};
use relation_host::reports::Grant;
use relation_host::transactions::{Originator, Status, TransactionFilter};
use relation_host::types::Pkid;
use serde_json::json;
use tokio::sync::Notify;

use crate::{ORGANIZATION_ID, acme, add, harness, refresh, script, tokens};

fn refreshed(pkid: &Pkid) -> Call {
    Call::Refresh {
        pkid: pkid.clone(),
        grant: Grant::Organization,
    }
}

#[tokio::test]
async fn restart_and_second_host_see_stored_data() {
    for store in [StoreKind::Memory, StoreKind::Sqlite] {
        let script = script().always(refresh(), ScriptedResponse::json(200, tokens(2)));
        let harness = harness().store(store).http(Http::Script(script));
        let mut harness = harness.start().await.unwrap();
        let pkid = add(&harness).await;
        let before = harness.snapshot().await.unwrap();
        harness.restart().await.unwrap();
        assert_eq!(harness.snapshot().await.unwrap(), before, "{store:?}");
        let other = harness.another_host().await.unwrap();
        let grant = Grant::Organization;
        let seen = harness.call_on(other, Call::Refresh { pkid, grant }).await;
        assert_eq!(seen.result.unwrap()["outcome"], "connected");
        assert!(!seen.storage.secrets.changed.is_empty());
    }
}

#[tokio::test]
async fn transaction_names_its_node_and_originator() {
    for store in [StoreKind::Memory, StoreKind::Sqlite] {
        let harness = harness().store(store).http(Http::Script(script()));
        let harness = harness.start().await.unwrap();
        let originator = Originator {
            user: "Jo".to_owned(),
            external_id: Some("4711".to_owned()),
            external_reference: None,
        };
        let host = harness.host().on_behalf_of(originator.clone());
        let added = host.add(acme()).await.unwrap();
        let pkid = added.value.connection.pkid;
        let checked = harness.host().check_expiry(&pkid).await.unwrap();
        for (id, expected) in [
            (added.transaction, Some(originator)),
            (checked.transaction, None),
        ] {
            let stored = host.store().transaction(&id).await.unwrap().unwrap();
            assert_eq!(stored.hierarchy, Some(acme().hierarchy), "{store:?}");
            assert_eq!(stored.originator, expected, "{store:?}");
        }
    }
}

#[tokio::test]
async fn call_on_unknown_host_fails() {
    let harness = harness().start().await.unwrap();
    let seen = harness.call_on(1, Call::Describe {}).await;
    let failed = seen.result.unwrap_err();
    assert!(
        matches!(&failed, CallFailure::Harness { message } if message.contains("there is no host 1")),
        "{failed}"
    );
}

/// A hold on a call before its commit, once armed.
#[derive(Default)]
struct Hold {
    armed: AtomicBool,
    reached: Notify,
}

#[async_trait]
impl Interceptor for Hold {
    async fn before(&self, call: &ImportCall) -> Intervention {
        if call.import == Import::StorageCommit && self.armed.swap(false, Ordering::Relaxed) {
            self.reached.notify_one();
            pending().await
        }
        Intervention::Proceed
    }
}

#[tokio::test]
async fn a_restart_releases_what_a_lost_call_held() {
    for store in [StoreKind::Memory, StoreKind::Sqlite] {
        let hold = Arc::new(Hold::default());
        let script = script().always(refresh(), ScriptedResponse::json(200, tokens(2)));
        let harness = harness()
            .store(store)
            .http(Http::Script(script))
            .interceptor(hold.clone());
        let mut harness = harness.start().await.unwrap();
        let pkid = add(&harness).await;
        hold.armed.store(true, Ordering::Relaxed);
        tokio::select! {
            seen = harness.call(refreshed(&pkid)) => panic!("{:?}", seen.result),
            () = hold.reached.notified() => {}
        }
        harness.restart().await.unwrap();
        let lost = TransactionFilter {
            status: Some(Status::Fail),
            ..TransactionFilter::default()
        };
        let lost = harness.host().store().transactions(&lost, None, 10).await;
        let lost = lost.unwrap().items;
        assert_eq!(lost.len(), 1, "{store:?}");
        assert_eq!(lost[0].action, "refresh");
        let again = harness.call(refreshed(&pkid)).await;
        assert!(again.result.is_ok(), "{store:?}: {:?}", again.result);
    }
}

/// A transport that responds like Webex, after other tasks have run.
struct SlowTransport;

#[async_trait]
impl Transport for SlowTransport {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _: Option<&ProxyUrl>,
    ) -> Result<http::Response<Bytes>, TransportError> {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let body = match request.uri().path() {
            "/v1/access_token" => tokens(2),
            _ => json!({ "id": ORGANIZATION_ID, "displayName": "Acme" }),
        };
        let response = http::Response::builder().header("content-type", "application/json");
        Ok(response.body(Bytes::from(body.to_string())).unwrap())
    }
}

/// Returns the number of requests of two concurrent refreshes of one customer on two hosts.
async fn requests_of_two_refreshes(leases: bool) -> usize {
    let http = Http::Transport(Arc::new(SlowTransport));
    let mut harness = harness().http(http).leases(leases).start().await.unwrap();
    let pkid = add(&harness).await;
    let other = harness.another_host().await.unwrap();
    let before = harness.http().len();
    let refresh = || Call::Refresh {
        pkid: pkid.clone(),
        grant: Grant::Organization,
    };
    tokio::join!(harness.call(refresh()), harness.call_on(other, refresh()));
    harness.http().len() - before
}

#[tokio::test]
async fn without_leases_two_hosts_send_the_same_token() {
    assert_eq!(requests_of_two_refreshes(true).await, 1);
    assert_eq!(requests_of_two_refreshes(false).await, 2);
}
