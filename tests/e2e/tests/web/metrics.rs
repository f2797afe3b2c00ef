//! Metrics and health show the events of a run as the reference says, and name neither secrets nor customers.

mod figures;
mod health;
mod rules;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::middleware::from_fn_with_state;
use http_body_util::BodyExt as _;
use relation_app::config::{NoticesConfig, RedirectAddress};
use relation_e2e::World;
use relation_e2e::faulty_store::Moment;
use relation_e2e::webhook_receiver::WebhookReceiver;
use relation_e2e::world::{CLIENT_SECRET, DAY};
use relation_host::clock::SystemClock;
use relation_metrics::{
    Definition, EndpointOptions, Endpoints, MetricKind, Metrics, observe_response,
};
use relation_web::{Web, WebOptions};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use webex_emulator::Mode;

use crate::support::PUBLIC_URL;

/// A host with metrics, and their endpoints.
struct Observed {
    world: World,
    endpoints: Endpoints,
    stopping: CancellationToken,
}

impl Observed {
    async fn start() -> Self {
        Self::from_world(World::builder().metrics().start().await)
    }

    fn from_world(world: World) -> Self {
        let stopping = CancellationToken::new();
        let metrics = world.metrics.clone().unwrap();
        let options = EndpointOptions::default();
        let endpoints = Endpoints::new(metrics, stopping.clone(), options);
        endpoints.attach(world.host());
        Self {
            world,
            endpoints,
            stopping,
        }
    }

    /// Returns the value of a series, as `name{labels}`; `None` if there is none.
    async fn value(&self, series: &str) -> Option<f64> {
        let text = self.endpoints.scrape().await;
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map(|value| value.parse().unwrap())
    }
}

/// Sends a request without a body, and returns the status and the body.
async fn get(router: &Router, path: &str, token: Option<&str>) -> (StatusCode, String) {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, String::from_utf8(body.to_vec()).unwrap())
}

/// Returns the definitions of a process that serves the API and the page.
fn definitions() -> Vec<Definition> {
    let routes = relation_web::route_patterns();
    let metrics = Metrics::new(Arc::new(SystemClock::new()), "0.0.0", &routes);
    metrics.definitions().to_vec()
}

/// The metrics that other tests show: of a store in PostgreSQL or in a file, and those that need an event or a choice.
const SHOWN_ELSEWHERE: [&str; 7] = [
    "relation_budget_wait_seconds",
    "relation_config_info",
    "relation_connection_refresh_token_expiry_timestamp_seconds",
    "relation_store_dead_rows",
    "relation_store_log_bytes",
    "relation_store_oldest_transaction_seconds",
    "relation_webex_retry_after_seconds",
];

/// A line of the exposition.
struct Sample<'t> {
    name: &'t str,
    labels: Vec<(&'t str, &'t str)>,
}

fn parse_samples(text: &str) -> Vec<Sample<'_>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.map(|line| {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').unwrap();
        let labels = labels.split("\",").filter(|label| !label.is_empty());
        let labels = labels.map(|label| {
            let (name, value) = label.split_once("=\"").unwrap();
            (name, value.trim_end_matches('"'))
        });
        Sample {
            name,
            labels: labels.collect(),
        }
    });
    samples.collect()
}

/// Returns whether a sample is of a metric, and has no label and no value that its definition lacks.
fn belongs_to(sample: &Sample<'_>, definition: &Definition) -> bool {
    let suffixes: &[&str] = match definition.kind {
        MetricKind::Counter | MetricKind::Gauge => &[""],
        MetricKind::Histogram { .. } => &["_bucket", "_sum", "_count"],
    };
    let rest = sample.name.strip_prefix(definition.name.as_str());
    rest.is_some_and(|rest| suffixes.contains(&rest))
        && sample.labels.iter().all(|(name, value)| {
            let mut known = definition.labels.iter();
            *name == "le"
                || known.any(|(label, values)| {
                    label == name && (values.is_empty() || values.contains(value))
                })
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_appears_in_a_run_without_customers() {
    let receiver = WebhookReceiver::start().await;
    let notices = NoticesConfig {
        webhook_origins: vec![receiver.origin()],
        ..NoticesConfig::default()
    };
    // Refresh tokens end 90 days after the consent.
    let world = World::builder().mode(Mode::FrozenClock).notices(notices);
    let observed = Observed::from_world(world.metrics().start().await);
    let Observed { world, .. } = &observed;
    let settings = json!({ "recipients": [receiver.recipient("noc")] });
    world.set_notice_settings("sys.Provider", &settings).await;
    let customer = world.add_customer("Canary customer").await;
    world.run_for(89 * DAY).await;
    let host = world.host().clone();
    let model = host.describe().await.unwrap();
    let redirect = RedirectAddress::parse("http://127.0.0.1:8400/callback").unwrap();
    let options = WebOptions::new(PUBLIC_URL.parse().unwrap(), redirect);
    let metrics = world.metrics.clone().unwrap();
    let router = relation_web::router(Web::new(host, model, options))
        .layer(from_fn_with_state(metrics.clone(), observe_response));
    for path in [
        "/api/tool/Transaction/",
        "/api/tool/Transaction",
        "/canary-path?token=canary",
        "/login",
    ] {
        get(&router, path, None).await;
    }

    let text = observed.endpoints.scrape().await;
    let definitions = metrics.definitions();
    let samples = parse_samples(&text);
    for sample in &samples {
        let mut known = definitions.iter();
        let is_known = known.any(|definition| belongs_to(sample, definition));
        assert!(is_known, "{} {:?}", sample.name, sample.labels);
    }
    for definition in definitions {
        let mut samples = samples.iter();
        let appears = samples.any(|sample| belongs_to(sample, definition))
            || SHOWN_ELSEWHERE.contains(&definition.name.as_str());
        assert!(appears, "{} is missing in\n{text}", definition.name);
    }
    for (series, expected) in [
        ("relation_connections{state=\"connected\"}", "0"),
        ("relation_connections{state=\"expiring\"}", "1"),
        ("relation_connections_expiring{within=\"2d\"}", "1"),
        ("relation_connections_expiring{within=\"30d\"}", "1"),
        (
            "relation_alerts_active{code=\"WEBEX_REFRESH_TOKEN_EXPIRING\",severity=\"major\"}",
            "1",
        ),
        (
            "relation_notices_total{channel=\"webhook\",result=\"confirmed\"}",
            "4",
        ),
        ("relation_missed_deadlines_total{kind=\"refresh\"}", "0"),
        ("relation_store_up", "1"),
        ("relation_hosts_alive", "1"),
        ("relation_per_connection_active", "0"),
        (
            "relation_http_requests_total{route=\"/api/tool/Transaction\",class=\"4xx\"}",
            "2",
        ),
    ] {
        let mut lines = text.lines();
        let found = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        assert!(
            found.is_some_and(|found| found.trim_end_matches(".0") == expected),
            "{series} is {found:?}, not {expected}\n{text}"
        );
    }
    assert!(text.contains("\nrelation_http_requests_total{route=\"other\","));
    // The tests share compiled components.
    assert!(text.contains("\nrelation_component_cache_total{result="));
    let tokens = customer.grant.json();
    let text_of = |name: &str| tokens[name].as_str().unwrap().to_owned();
    for secret in [
        CLIENT_SECRET.to_owned(),
        text_of("access_token"),
        text_of("refresh_token"),
        customer.pkid.to_string(),
        customer.organization.uuid.clone(),
        "Canary".to_owned(),
        "canary".to_owned(),
        "sys.Provider".to_owned(),
        receiver.origin(),
    ] {
        assert!(!text.contains(&secret), "{secret} is in\n{text}");
    }
    rules::check_metrics_with_promtool(&text);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_counted_by_their_reason() {
    let observed = Observed::start().await;
    let Observed { world, .. } = &observed;
    let customer = world.add_customer("Contoso").await;
    world.emulator.revoke(&customer.organization);
    let _ = world.host().refresh(&customer.pkid).await.unwrap();
    world
        .host()
        .refresh(&"00000000000000000000abcd".parse().unwrap())
        .await
        .unwrap_err();
    for series in [
        "relation_calls_total{workflow=\"add\",outcome=\"success\"}",
        "relation_calls_total{workflow=\"refresh\",outcome=\"no-tokens\"}",
        "relation_calls_total{workflow=\"refresh\",outcome=\"not-found\"}",
        "relation_connections{state=\"reauthorize\"}",
        "relation_alerts_active{code=\"WEBEX_REAUTHORIZE\",severity=\"critical\"}",
    ] {
        assert_eq!(observed.value(series).await, Some(1.0), "{series}");
    }
    let refused = "relation_webex_requests_total{endpoint=\"token\",class=\"4xx\"}";
    assert!(observed.value(refused).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn late_wakeup_is_a_lag_and_a_missed_deadline() {
    let observed = Observed::start().await;
    let Observed { world, .. } = &observed;
    let _ = world.add_customer("Contoso").await;
    world.run_for(DAY).await;
    // The refresh token has expired.
    world.clock.advance(100 * DAY);
    let oldest = observed.value("relation_oldest_due_seconds").await;
    assert!(oldest.unwrap() > (80 * DAY).as_secs_f64());
    world.dispatcher().run_until_idle().await.unwrap();
    world.clock.advance(Duration::from_secs(15));
    let oldest = observed.value("relation_oldest_due_seconds").await;
    assert!(oldest.unwrap() < 60.0);
    let missed = observed.value("relation_missed_deadlines_total{kind=\"refresh\"}");
    assert_eq!(missed.await, Some(1.0));
    let within_an_hour = "relation_wakeup_lag_seconds_bucket{kind=\"refresh\",le=\"3600\"}";
    let all = "relation_wakeup_lag_seconds_count{kind=\"refresh\"}";
    let late = observed.value(all).await.unwrap() - observed.value(within_an_hour).await.unwrap();
    assert_eq!(late, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn store_is_read_at_most_once_in_15_seconds() {
    let observed = Observed::start().await;
    let Observed {
        world, endpoints, ..
    } = &observed;
    let reads = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&reads);
    world.store_faults.watch(move |_, moment| {
        if moment == Moment::Before {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut seen = Vec::new();
    for advance in [0, 0, 14, 1, 15] {
        world.clock.advance(Duration::from_secs(advance));
        for _ in 0..3 {
            endpoints.scrape().await;
        }
        seen.push(reads.swap(0, Ordering::Relaxed) > 0);
    }
    assert_eq!(seen, [true, false, false, true, true]);
}

#[test]
fn reference_in_docs_is_that_of_the_registry() {
    let rendered = relation_metrics::render_reference(&definitions());
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(file, &rendered).unwrap();
    }
    let stored = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        stored == rendered,
        "docs/metrics.md is not the registry's reference: run this test with INSTA_UPDATE=always"
    );
}

#[test]
fn number_of_series_has_a_bound() {
    let definitions = definitions();
    let series: usize = definitions.iter().map(Definition::max_series).sum();
    assert!(series <= 2000, "{series} series");
    let names: BTreeSet<&str> = definitions.iter().map(|each| each.name.as_str()).collect();
    assert_eq!(names.len(), definitions.len());
    for Definition { name, labels, .. } in &definitions {
        assert!(name.starts_with("relation_"), "{name}");
        for (label, values) in labels {
            let of_process = ["version", "wasmtime", "hash", "component", "digest"].contains(label);
            // At most 1000 customers, and only with `metrics.per-connection`.
            let of_customer = name == "relation_connection_refresh_token_expiry_timestamp_seconds";
            let closed = of_process || of_customer || !values.is_empty();
            assert!(closed, "{label} of {name} has no set of values");
        }
    }
}
