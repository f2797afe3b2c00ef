//! Ways out that change what goes through them, or say something else of what did not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Response, StatusCode, Uri};
use relation_harness::conformance::Conformance;
use relation_host::imports::{HttpError, Import, ImportCall, Interceptor, Intervention};
use relation_host::store::sqlite::SqliteStore;
use relation_host::types::Failure;

use crate::support::on;

async fn host() -> Conformance {
    on(Arc::new(SqliteStore::in_memory().unwrap())).await
}

async fn open() -> Conformance {
    host().await.allowing_what_is_denied()
}

fn answer(status: StatusCode, body: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = status;
    response
}

/// What would come of headers and bodies that are left out, statuses and methods that are changed,
/// redirects that are followed, proxies that are not used and bounds that are not kept.
fn changed(method: &Method, uri: &Uri) -> Option<Response<Bytes>> {
    Some(match (uri.path(), method) {
        ("/answer", _) => answer(StatusCode::CREATED, ""),
        ("/echo", &Method::POST) => answer(StatusCode::OK, r#"{"method": "GET"}"#),
        ("/echo", _) => answer(StatusCode::OK, r#"{"form": "origin"}"#),
        ("/unavailable" | "/redirect" | "/never" | "/cut" | "/large", _) => {
            answer(StatusCode::OK, "all of it")
        }
        _ => return None,
    })
}

/// Which way requests go is asked four times by the call that sets a proxy; the fifth time is the next
/// call's, and goes through the proxy.
async fn proxies_for_good() -> Conformance {
    let asked = AtomicU32::new(0);
    host().await.answering(move |method, uri| {
        let asks = uri.path() == "/echo" && method == Method::GET;
        (asks && asked.fetch_add(1, Ordering::Relaxed) >= 4)
            .then(|| answer(StatusCode::OK, r#"{"form": "absolute"}"#))
    })
}

/// Every call of this import ends like this.
struct Always(Import, fn() -> Intervention);

#[async_trait]
impl Interceptor for Always {
    async fn before(&self, call: &ImportCall) -> Intervention {
        match self {
            Self(import, intervention) if *import == call.import => intervention(),
            Self(..) => Intervention::Proceed,
        }
    }
}

async fn always(import: Import, intervention: fn() -> Intervention) -> Conformance {
    let always = Arc::new(Always(import, intervention));
    let run = host().await;
    run.altering_hosts(move |host, _| host.interceptor(always.clone()))
}

/// Whatever happens, the request may have been sent.
async fn always_in_doubt() -> Conformance {
    always(Import::HttpHandle, || {
        Intervention::FailHttp(HttpError::ConnectionTerminated)
    })
    .await
}

async fn no_proxies() -> Conformance {
    always(Import::EgressUseProxies, || {
        Intervention::Fail(Failure::Internal("no proxies here".into()))
    })
    .await
}

async fn changing() -> Conformance {
    host().await.answering(changed)
}

broken_hosts! {
    a_way_out_that_is_open: open() => ["egress.denied"];
    a_way_out_that_changes_what_goes_through: changing() => [
        "egress.answer",
        "egress.request",
        "egress.status",
        "egress.redirect",
        "egress.deadline",
        "egress.deadline.unset",
        "egress.cut",
        "egress.size",
        "egress.last-error",
        "egress.proxy.used",
    ];
    a_way_out_that_leaves_all_in_doubt: always_in_doubt() => ["egress.refused"];
    proxies_that_are_refused_by_other_words: no_proxies() => [
        "egress.proxy.malformed",
        "egress.proxy.denied",
    ];
    proxies_that_stay: proxies_for_good() => ["egress.proxy.one-call"];
}
