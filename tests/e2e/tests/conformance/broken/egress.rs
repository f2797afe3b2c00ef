//! Egress that changes requests or responses, or reports failures wrongly.

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
    host().await.allow_denied_origin()
}

fn response(status: StatusCode, body: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = status;
    response
}

/// Returns the effect of omitted headers and bodies, changed statuses and methods, followed
/// redirects, unused proxies and ignored limits.
fn changed(method: &Method, uri: &Uri) -> Option<Response<Bytes>> {
    Some(match (uri.path(), method) {
        ("/response", _) => response(StatusCode::CREATED, ""),
        ("/echo", &Method::POST) => response(StatusCode::OK, r#"{"method": "GET"}"#),
        ("/echo", _) => response(StatusCode::OK, r#"{"form": "origin"}"#),
        ("/unavailable" | "/redirect" | "/never" | "/cut" | "/large", _) => {
            response(StatusCode::OK, "all of it")
        }
        _ => return None,
    })
}

/// Keeps a proxy after its call. The call that sets a proxy asks for it four times; the fifth time belongs to the next
/// call, and goes through the proxy.
async fn persistent_proxies() -> Conformance {
    let requests = AtomicU32::new(0);
    host().await.override_responses(move |method, uri| {
        let asks = uri.path() == "/echo" && method == Method::GET;
        (asks && requests.fetch_add(1, Ordering::Relaxed) >= 4)
            .then(|| response(StatusCode::OK, r#"{"form": "absolute"}"#))
    })
}

/// An intervention at every call of an import.
struct RepeatedIntervention(Import, fn() -> Intervention);

#[async_trait]
impl Interceptor for RepeatedIntervention {
    async fn before(&self, call: &ImportCall) -> Intervention {
        match self {
            Self(import, intervention) if *import == call.import => intervention(),
            Self(..) => Intervention::Proceed,
        }
    }
}

async fn always(import: Import, intervention: fn() -> Intervention) -> Conformance {
    let always = Arc::new(RepeatedIntervention(import, intervention));
    let run = host().await;
    run.modify_hosts(move |host, _| host.interceptor(always.clone()))
}

/// Reports every failure as possibly sent.
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
    host().await.override_responses(changed)
}

broken_hosts! {
    egress_allows_everything: open() => ["egress.denied"];
    egress_changes_traffic: changing() => [
        "egress.response",
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
    egress_reports_all_as_uncertain: always_in_doubt() => ["egress.refused"];
    proxy_errors_have_the_wrong_case: no_proxies() => [
        "egress.proxy.malformed",
        "egress.proxy.denied",
    ];
    proxies_persist_across_calls: persistent_proxies() => ["egress.proxy.one-call"];
}
