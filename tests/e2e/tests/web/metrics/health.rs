//! `/livez`, `/readyz` and the token.

use std::time::Duration;

use axum::http::StatusCode;
use relation_e2e::faulty_store::StoreFault;
use relation_metrics::{EndpointOptions, Endpoints};
use secrecy::SecretString;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Observed, get};

const TOKEN: &str = "canary-scrape-token";

/// Returns the parts that do not work.
fn missing(body: &str) -> Vec<String> {
    let body: Value = serde_json::from_str(body).unwrap();
    let parts = body["parts"].as_array().unwrap();
    let missing = parts.iter().filter(|part| part["ok"] == false);
    missing
        .map(|part| part["part"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_the_store_and_liveness_does_not() {
    let observed = Observed::start().await;
    let router = observed.endpoints.router();
    let clock = &observed.world.clock;
    assert_eq!(get(&router, "/readyz", None).await.0, StatusCode::OK);

    let down = StoreFault::down().taking(Duration::ZERO);
    observed.world.store_faults.inject(down);
    clock.advance(Duration::from_secs(9));
    assert_eq!(get(&router, "/readyz", None).await.0, StatusCode::OK);
    clock.advance(Duration::from_secs(1));
    let (status, body) = get(&router, "/readyz?verbose", None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(missing(&body), ["store"]);
    assert_eq!(get(&router, "/livez", None).await.0, StatusCode::OK);
    assert_eq!(observed.value("relation_store_up").await, Some(0.0));
    // Unknown gauges are not shown.
    assert_eq!(observed.value("relation_wakeups_due").await, None);

    observed.world.store_faults.clear();
    clock.advance(Duration::from_secs(15));
    assert_eq!(get(&router, "/readyz", None).await.0, StatusCode::OK);
    assert_eq!(observed.value("relation_store_up").await, Some(1.0));
    assert!(observed.value("relation_wakeups_due").await.is_some());

    observed.stopping.cancel();
    let (status, body) = get(&router, "/readyz?verbose", None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(missing(&body), ["running"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_host_is_alive_and_not_ready() {
    let observed = Observed::start().await;
    let metrics = observed.world.metrics.clone().unwrap();
    let options = EndpointOptions::default();
    let endpoints = Endpoints::new(metrics, CancellationToken::new(), options);
    let router = endpoints.router();
    assert_eq!(get(&router, "/livez", None).await.0, StatusCode::OK);
    let (status, body) = get(&router, "/readyz?verbose", None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(missing(&body), ["component", "store", "key"]);
    assert_eq!(get(&router, "/metrics", None).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn token_protects_the_metrics() {
    let observed = Observed::start().await;
    let metrics = observed.world.metrics.clone().unwrap();
    let token = || Ok(SecretString::from(TOKEN));
    let options = EndpointOptions {
        token: Some(Box::new(token)),
        ..EndpointOptions::default()
    };
    let endpoints = Endpoints::new(metrics, CancellationToken::new(), options);
    endpoints.attach(observed.world.host());
    let router = endpoints.router();
    for path in ["/metrics", "/readyz?verbose"] {
        for wrong in [None, Some("canary"), Some("")] {
            let (status, body) = get(&router, path, wrong).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
            assert!(!body.contains(TOKEN));
        }
        let (status, body) = get(&router, path, Some(TOKEN)).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(!body.contains(TOKEN));
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(get(&router, path, None).await.0, StatusCode::OK, "{path}");
    }
}
