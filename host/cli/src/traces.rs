//! Traces of a command's calls, if the program was built with them (feature `otlp`).

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use relation_app::AppError;
use relation_app::config::Config;
use tracing_subscriber::{Layer, Registry};

/// A layer of the subscriber.
pub type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// The traces of a command, which are not sent yet.
pub struct Traces {
    #[cfg(feature = "otlp")]
    traces: Option<relation_traces::Traces>,
}

/// The sending of spans, until the command ends.
pub struct Export {
    #[cfg(feature = "otlp")]
    export: Option<relation_traces::Export>,
}

#[cfg(feature = "otlp")]
impl Traces {
    /// Prepares traces, if configuration or environment name a collector.
    ///
    /// # Errors
    /// They contradict each other, or the collector cannot be used.
    pub fn prepare(config: &Config) -> Result<Self, AppError> {
        let traces = relation_app::traces::traces_target(config)?;
        let traces = traces.map(|target| {
            let headers = target.headers.clone();
            relation_traces::Traces::new(relation_traces::TracesOptions {
                endpoint: target.uri()?,
                client: target.client()?,
                proxy: target.proxy,
                headers: Box::new(move || headers.read().map_err(|error| error.to_string())),
                timeout: target.timeout,
                sample: target.sample,
                service_name: target.service_name,
                service_version: env!("CARGO_PKG_VERSION"),
                customers: target.customers,
            })
            .map_err(|error| AppError::usage(error.to_string()))
        });
        let traces = traces.transpose()?;
        Ok(Self { traces })
    }

    /// Returns the layer that records spans; `None` without traces.
    pub fn layer(&self) -> Option<BoxedLayer> {
        self.traces.as_ref().map(relation_traces::Traces::layer)
    }

    /// Returns the number of spans that were dropped so far.
    pub fn dropped(&self) -> Arc<AtomicU64> {
        let traces = self.traces.as_ref();
        traces.map_or_else(Arc::default, relation_traces::Traces::dropped)
    }

    /// Starts to send spans. Must be called within a tokio runtime.
    pub fn start(self) -> Export {
        let export = self.traces.map(relation_traces::Traces::start);
        Export { export }
    }
}

#[cfg(feature = "otlp")]
impl Export {
    /// Sends the last spans, for at most two seconds.
    pub async fn close(self) {
        if let Some(export) = self.export {
            export.close().await;
        }
    }
}

#[cfg(not(feature = "otlp"))]
impl Traces {
    /// Refuses a configured collector.
    ///
    /// # Errors
    /// The configuration names a collector.
    pub fn prepare(config: &Config) -> Result<Self, AppError> {
        match config.traces.endpoint {
            Some(_) => Err(AppError::usage(
                "traces.endpoint cannot be used: this relation-host was built without traces",
            )
            .hint("remove the section [traces], or build with the feature `otlp`")),
            None => Ok(Self {}),
        }
    }

    /// Returns no layer.
    pub fn layer(&self) -> Option<BoxedLayer> {
        None
    }

    /// Returns a counter that stays at 0.
    pub fn dropped(&self) -> Arc<AtomicU64> {
        Arc::default()
    }

    /// Starts nothing.
    pub fn start(self) -> Export {
        Export {}
    }
}

#[cfg(not(feature = "otlp"))]
impl Export {
    /// Ends nothing.
    pub async fn close(self) {}
}
