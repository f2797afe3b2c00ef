//! Tests of the queue, the pauses and the end, with a collector without sockets and a clock that stands still.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use parking_lot::Mutex;
use prost::Message as _;
use relation_host::egress::{
    Client, ClientOptions, Origin, Policy, ProxyUrl, Transport, TransportError,
};
use relation_host::{CUSTOMER_SPAN_TARGET, SPAN_TARGET};
use tokio::time::Instant;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{Export, Traces, TracesOptions};

const ENDPOINT: &str = "http://collector.example.com:4318/v1/traces";

/// The response to a request.
#[derive(Clone, Copy)]
enum Reply {
    Status(u16, Option<&'static str>),
    Reset,
    Hang,
}

/// A collector that follows a script, and then accepts.
#[derive(Default)]
struct Script {
    replies: Mutex<VecDeque<Reply>>,
    /// When each request began, with the names of its spans.
    requests: Mutex<Vec<(Instant, Vec<String>)>>,
}

#[async_trait]
impl Transport for Script {
    async fn send(
        &self,
        request: Request<Bytes>,
        proxy: Option<&ProxyUrl>,
    ) -> Result<Response<Bytes>, TransportError> {
        assert_eq!(request.uri(), ENDPOINT);
        assert!(proxy.is_none());
        assert_eq!(request.headers()["x-key"], "canary");
        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
        let body = ExportTraceServiceRequest::decode(request.into_body()).unwrap();
        let scopes = body.resource_spans.into_iter();
        let scopes = scopes.flat_map(|of_resource| of_resource.scope_spans);
        let spans = scopes.flat_map(|of_scope| of_scope.spans);
        let names = spans.map(|span| span.name).collect();
        self.requests.lock().push((Instant::now(), names));
        let reply = self.replies.lock().pop_front();
        let (status, pause) = match reply.unwrap_or(Reply::Status(200, None)) {
            Reply::Status(status, pause) => (status, pause),
            Reply::Reset => return Err(TransportError::Reset),
            Reply::Hang => std::future::pending().await,
        };
        let mut response = Response::builder().status(status);
        if let Some(pause) = pause {
            response = response.header("retry-after", pause);
        }
        Ok(response.body(Bytes::new()).unwrap())
    }
}

impl Script {
    fn names(&self) -> Vec<Vec<String>> {
        let requests = self.requests.lock();
        requests.iter().map(|(_, names)| names.clone()).collect()
    }
}

/// Traces whose spans a script receives.
struct Scene {
    script: Arc<Script>,
    traces: Traces,
    _subscriber: DefaultGuard,
}

impl Scene {
    fn new(replies: &[Reply], sample: f64) -> Self {
        let script = Arc::new(Script::default());
        script.replies.lock().extend(replies);
        let origin = Origin::from_uri(&ENDPOINT.parse().unwrap()).unwrap();
        let client = Client::with_transport(
            Policy::for_traces(origin, None),
            ClientOptions::default(),
            Arc::clone(&script) as Arc<dyn Transport>,
        );
        let traces = Traces::new(TracesOptions {
            endpoint: ENDPOINT.parse().unwrap(),
            client,
            proxy: None,
            headers: Box::new(|| {
                let key = ("x-key".parse().unwrap(), HeaderValue::from_static("canary"));
                Ok(HeaderMap::from_iter([key]))
            }),
            timeout: Duration::from_secs(5),
            sample,
            service_name: "test".to_owned(),
            service_version: "0.0.0",
            customers: false,
        });
        let traces = traces.unwrap();
        let subscriber = tracing_subscriber::registry().with(traces.layer());
        Self {
            script,
            traces,
            _subscriber: subscriber.set_default(),
        }
    }

    /// Starts to send; the subscriber stays as long as the last value.
    fn start(self) -> (Arc<Script>, Export, DefaultGuard) {
        (self.script, self.traces.start(), self._subscriber)
    }
}

/// Creates a span that has ended.
fn end_span() {
    drop(tracing::info_span!(target: SPAN_TARGET, "call"));
}

#[tokio::test(start_paused = true)]
async fn attempts_wait_longer_until_the_spans_are_accepted() {
    let replies = [
        Reply::Status(503, None),
        Reply::Status(429, Some("7")),
        Reply::Reset,
        Reply::Hang,
        Reply::Status(200, None),
    ];
    let began = Instant::now();
    let scene = Scene::new(&replies, 1.0);
    let dropped = scene.traces.dropped();
    let (script, export, _subscriber) = scene.start();
    end_span();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let requests = script.requests.lock().clone();
    let seconds: Vec<u64> = requests
        .iter()
        .map(|(at, _)| at.duration_since(began).as_secs())
        .collect();
    // 5 until the batch is sent; pauses of 1, 7, 4 and 8, and 5 until the timeout.
    assert_eq!(seconds, [5, 6, 13, 17, 30]);
    assert!(script.names().iter().all(|names| names == &["call"]));
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
    export.close().await;
}

#[tokio::test(start_paused = true)]
async fn spans_beyond_the_queue_are_dropped_and_counted() {
    let scene = Scene::new(&[], 1.0);
    let dropped = scene.traces.dropped();
    for _ in 0..3000 {
        end_span();
    }
    assert_eq!(dropped.load(Ordering::Relaxed), 3000 - 2048);
    let (script, export, _subscriber) = scene.start();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let sizes: Vec<usize> = script.names().iter().map(Vec::len).collect();
    assert_eq!(sizes, [512; 4]);
    export.close().await;
}

#[tokio::test(start_paused = true)]
async fn refused_spans_are_dropped_and_later_ones_are_sent() {
    let scene = Scene::new(&[Reply::Status(400, None)], 1.0);
    let dropped = scene.traces.dropped();
    let (script, export, _subscriber) = scene.start();
    end_span();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    end_span();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(script.names().len(), 2);
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    export.close().await;
}

#[tokio::test(start_paused = true)]
async fn end_sends_the_last_spans_for_two_seconds() {
    for (reply, seconds, lost) in [
        (Reply::Status(200, None), 0, 0),
        (Reply::Status(503, Some("60")), 0, 1),
        (Reply::Hang, 2, 0),
    ] {
        let scene = Scene::new(&[reply], 1.0);
        let dropped = scene.traces.dropped();
        let (script, export, _subscriber) = scene.start();
        end_span();
        let began = Instant::now();
        export.close().await;
        assert_eq!(began.elapsed().as_secs(), seconds);
        assert_eq!(script.names().len(), 1);
        assert_eq!(dropped.load(Ordering::Relaxed), lost);
    }
}

#[tokio::test(start_paused = true)]
async fn end_interrupts_a_pause_for_one_last_attempt() {
    let replies = [Reply::Status(503, Some("60")), Reply::Status(200, None)];
    let (script, export, _subscriber) = Scene::new(&replies, 1.0).start();
    end_span();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(script.names().len(), 1);
    end_span();
    export.close().await;
    assert_eq!(script.names().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn layer_takes_spans_of_calls_only() {
    let (script, export, _subscriber) = Scene::new(&[], 1.0).start();
    drop(tracing::error_span!("other"));
    drop(tracing::info_span!(target: "relation_host", "log"));
    assert!(!tracing::enabled!(target: CUSTOMER_SPAN_TARGET, tracing::Level::INFO));
    let call = tracing::info_span!(target: SPAN_TARGET, "call", otel.name = "call refresh");
    call.in_scope(|| {
        let between = tracing::error_span!("other");
        between.in_scope(end_span);
    });
    drop(call);
    export.close().await;
    assert_eq!(script.names(), [["call", "call refresh"]]);
}

#[tokio::test(start_paused = true)]
async fn calls_outside_of_the_sample_are_not_sent() {
    let (script, export, _subscriber) = Scene::new(&[], 0.0).start();
    end_span();
    export.close().await;
    assert!(script.names().is_empty());
}
