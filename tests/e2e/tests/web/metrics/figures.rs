//! Figures that need an event, a choice or a certain store.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use http_body_util::BodyExt as _;
use relation_e2e::World;
use relation_e2e::world::{DAY, START_TIME};
use relation_host::clock::Clock as _;
use relation_host::schedule::{DispatcherOptions, Throttle};
use relation_host::store::{Change, Commit};
use relation_host::types::{Document, Key, Reference};
use relation_host::wakeup_kinds;
use relation_metrics::{EndpointOptions, Endpoints, observe_response};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use webex_emulator::{Fault, Mode};

use super::Observed;

#[tokio::test(flavor = "multi_thread")]
async fn refreshes_that_wait_for_their_rate_are_a_wait() {
    let observed = Observed::start().await;
    let Observed { world, .. } = &observed;
    for name in ["Contoso", "Fabrikam", "Northwind"] {
        world.add_customer(name).await;
    }
    // The first refresh and the first import.
    let first = world.host().dispatcher(DispatcherOptions::default());
    let soon = world.clock.now().after(Duration::from_secs(60));
    first.run_through(&world.clock, soon).await.unwrap();
    world.clock.advance(13 * DAY);
    let options = DispatcherOptions {
        throttle: NonZeroU32::new(1).map(|per_second| Throttle {
            kind: wakeup_kinds::REFRESH.to_owned(),
            per_second,
        }),
        ..DispatcherOptions::default()
    };
    let until = world.clock.now().after(Duration::from_secs(60));
    let dispatcher = world.host().dispatcher(options);
    dispatcher.run_through(&world.clock, until).await.unwrap();
    let count = observed.value("relation_budget_wait_seconds_count").await;
    assert_eq!(count, Some(3.0));
    // The second one waits for a second, and the third one for two.
    let sum = observed.value("relation_budget_wait_seconds_sum").await;
    assert!((2.9..3.5).contains(&sum.unwrap()), "{sum:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_shows_its_instance_its_secrets_and_the_pause_of_webex() {
    let observed = Observed::start().await;
    let Observed { world, .. } = &observed;
    let customer = world.add_customer("Contoso").await;
    let fault = Fault::rate_limited("/v1/access_token", "30");
    world.emulator.inject(fault);
    let opened = "relation_reveals_total{outcome=\"opened\"}";
    let (revealed, instances) = (
        observed.value(opened).await.unwrap_or_default(),
        observed
            .value("relation_instance_seconds_count")
            .await
            .unwrap(),
    );
    let _ = world.host().refresh(&customer.pkid).await;
    assert!(observed.value(opened).await.unwrap() > revealed);
    assert!(
        observed
            .value("relation_instance_seconds_count")
            .await
            .unwrap()
            > instances
    );
    let pause = observed
        .value("relation_webex_retry_after_seconds_sum")
        .await;
    assert_eq!(pause, Some(30.0));
    let memory = observed.value("relation_guest_memory_bytes_sum").await;
    assert!(memory.unwrap() > 65_536.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn expiring_connections_are_counted_without_alerts() {
    let world = World::builder().mode(Mode::FrozenClock);
    let world = world.setting("expiry.notify", "false").metrics();
    let observed = Observed::from_world(world.start().await);
    let Observed { world, .. } = &observed;
    world.add_customer("Contoso").await;
    let earliest = "relation_earliest_refresh_token_expiry_timestamp_seconds";
    let expiry = START_TIME.after(90 * DAY).0 as f64 / 1000.0;
    for (day, counts) in [
        (1, [0, 0, 0, 0]),
        (61, [0, 0, 0, 1]),
        (77, [0, 0, 1, 1]),
        (89, [1; 4]),
    ] {
        let now = world.clock.now();
        world.run_for(START_TIME.after(day * DAY).since(now)).await;
        for (within, count) in ["2d", "7d", "14d", "30d"].into_iter().zip(counts) {
            let series = format!("relation_connections_expiring{{within=\"{within}\"}}");
            let found = observed.value(&series).await;
            assert_eq!(found, Some(f64::from(count)), "{within} at day {day}");
        }
        let found = observed.value(earliest).await.unwrap();
        assert!((found - expiry).abs() < 60.0, "{found} is not {expiry}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_connection_has_a_gauge_if_there_are_few() {
    let observed = Observed::start().await;
    let Observed { world, .. } = &observed;
    let customer = world.add_customer("Contoso").await;
    let metrics = world.metrics.clone().unwrap();
    let options = EndpointOptions {
        per_connection: true,
        ..EndpointOptions::default()
    };
    let endpoints = Endpoints::new(metrics, CancellationToken::new(), options);
    endpoints.attach(world.host());
    let text = endpoints.scrape().await;
    let series = format!(
        "relation_connection_refresh_token_expiry_timestamp_seconds{{pkid=\"{}\",name=\"Contoso\"}} ",
        customer.pkid
    );
    assert!(text.contains(&series), "{text}");
    assert!(text.contains("relation_per_connection_active 1"));

    let mut commit = Commit::default();
    for number in 0..1000 {
        let pkid = format!("{number:024x}").parse().unwrap();
        commit.changes.push(Change::Put(Document {
            reference: Reference::record(pkid),
            hierarchy: "sys.Provider".parse().unwrap(),
            version: 0,
            body: "{}".to_owned(),
            keys: vec![Key {
                name: "name".to_owned(),
                value: number.to_string(),
            }],
        }));
    }
    world.host().store().commit(commit).await.unwrap();
    world.clock.advance(Duration::from_secs(15));
    let text = endpoints.scrape().await;
    assert!(!text.contains(&series), "{text}");
    assert!(text.contains("relation_per_connection_active 0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn log_ins_limits_and_streams_are_counted() {
    let observed = Observed::start().await;
    let metrics = observed.world.metrics.clone().unwrap();
    let stream = || async { ([(header::CONTENT_TYPE, "text/event-stream")], "data: 1\n\n") };
    let router: Router = Router::new()
        .route("/login", post(|| async { StatusCode::TOO_MANY_REQUESTS }))
        .route("/live", get(stream))
        .layer(from_fn_with_state(metrics, observe_response));
    let send = async |method: Method, path: &str| {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    };
    send(Method::POST, "/login").await;
    let limited = observed.value("relation_logins_total{result=\"limited\"}");
    assert_eq!(limited.await, Some(1.0));
    let limited = observed.value("relation_rate_limited_total{surface=\"page\"}");
    assert_eq!(limited.await, Some(1.0));
    let response = send(Method::GET, "/live").await;
    assert_eq!(observed.value("relation_sse_streams").await, Some(1.0));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "data: 1\n\n");
    assert_eq!(observed.value("relation_sse_streams").await, Some(0.0));
}
