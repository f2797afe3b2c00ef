//! Traces: sends the spans of calls to an OpenTelemetry collector, by OTLP over HTTP with protobuf.
//!
//! [`Traces::layer`] turns the spans of [`relation_host::SPAN_TARGET`] into OpenTelemetry's, and puts those that have ended
//! into a bounded queue. A task ([`Traces::start`]) sends them in batches over the host's own egress client. A call never
//! waits for the collector: while the queue is full, spans are dropped and counted.

mod collector;
mod export;
mod queue;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::{HeaderMap, Uri};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, SpanExporter as _};
use relation_host::egress::{Client, ProxyUrl};
use relation_host::{CUSTOMER_SPAN_TARGET, SPAN_TARGET};
use tokio::sync::mpsc;
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::{Layer, Registry};

use crate::collector::Collector;
pub use crate::export::Export;
use crate::export::Worker;
use crate::queue::SpanQueue;

/// The maximum number of ended spans that wait to be sent.
const QUEUE: usize = 2048;

/// Reads the header fields of a request to the collector, which may have secrets. An error is a text for the operator.
pub type HeaderSource = dyn Fn() -> Result<HeaderMap, String> + Send + Sync;

/// Where spans are sent, and which.
pub struct TracesOptions {
    /// The complete address at the collector, such as `https://collector.example.com:4318/v1/traces`.
    pub endpoint: Uri,
    /// The client, whose policy permits the collector.
    pub client: Client,
    /// The proxy on the way to the collector.
    pub proxy: Option<ProxyUrl>,
    /// The source of further header fields. It is asked for each request.
    pub headers: Box<HeaderSource>,
    /// The maximum time of a request.
    pub timeout: Duration,
    /// The share of calls whose spans are sent, from 0 to 1.
    pub sample: f64,
    /// The name of the service, `service.name`.
    pub service_name: String,
    /// The version of the service, `service.version`.
    pub service_version: &'static str,
    /// Whether spans have the primary key and the name of the customer.
    pub customers: bool,
}

/// The reason why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be sent: {0}")]
pub struct TracesError(String);

/// The traces of a process, whose spans are not sent yet.
pub struct Traces {
    tracer: SdkTracer,
    customers: bool,
    dropped: Arc<AtomicU64>,
    worker: Worker,
}

impl Traces {
    /// Creates the queue and the exporter. Nothing is sent before [`Traces::start`].
    ///
    /// # Errors
    /// The exporter refuses the endpoint.
    pub fn new(options: TracesOptions) -> Result<Self, TracesError> {
        let service = [
            KeyValue::new("service.name", options.service_name.clone()),
            KeyValue::new("service.version", options.service_version),
        ];
        // With the attributes of `OTEL_RESOURCE_ATTRIBUTES`.
        let resource = Resource::builder().with_attributes(service).build();
        let (sample, customers) = (options.sample, options.customers);
        let endpoint = options.endpoint.to_string();
        let collector = Collector::new(options);
        // Attempts are repeated by the worker, which holds back all spans meanwhile.
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(collector.clone())
            .with_endpoint(endpoint)
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .with_retry_policy(RetryPolicy::disabled())
            .build()
            .map_err(|error| TracesError(error.to_string()))?;
        exporter.set_resource(&resource);
        let dropped = Arc::new(AtomicU64::new(0));
        let (sender, receiver) = mpsc::channel(QUEUE);
        let queue = SpanQueue::new(sender, Arc::clone(&dropped));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(queue)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                sample,
            ))))
            .with_resource(resource)
            .build();
        Ok(Self {
            tracer: provider.tracer("relation-host"),
            customers,
            worker: Worker::new(receiver, exporter, collector, Arc::clone(&dropped)),
            dropped,
        })
    }

    /// Returns the layer of the subscriber. It is interested in the spans of calls only, at whatever level others log.
    #[must_use]
    pub fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        let customers = self.customers;
        let filter = FilterFn::new(move |metadata| match metadata.target() {
            SPAN_TARGET => true,
            CUSTOMER_SPAN_TARGET => customers,
            _ => false,
        });
        tracing_opentelemetry::layer()
            .with_tracer(self.tracer.clone())
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            // The parent is the current span of `tracing`: a call changes threads, and runs on the stacks of wasmtime.
            .with_context_activation(false)
            .with_filter(filter.with_max_level_hint(LevelFilter::INFO))
            .boxed()
    }

    /// Returns the number of spans that were dropped so far.
    #[must_use]
    pub fn dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    /// Starts the task that sends spans. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(self) -> Export {
        self.worker.spawn()
    }
}
