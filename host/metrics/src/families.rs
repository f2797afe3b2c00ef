//! The registry: the only module that uses `prometheus_client`. Every metric is described here once, for the exposition and
//! for `docs/metrics.md`.

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

/// The media type of the exposition.
pub(crate) const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// The prefix of every name.
pub(crate) const PREFIX: &str = "relation_";

/// The label of routes, whose values the program that serves them knows.
pub(crate) const ROUTE: &str = "route";

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A count since the start of the process.
    Counter,
    /// A value that rises and falls.
    Gauge,
    /// A distribution.
    Histogram {
        /// The number of buckets, without that of all values.
        buckets: usize,
    },
}

impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram { .. } => "histogram",
        })
    }
}

/// The description of a metric.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The name, as it is exposed.
    pub name: String,
    /// The kind.
    pub kind: MetricKind,
    /// The meaning.
    pub help: &'static str,
    /// When to act; empty: the value alone is not a reason.
    pub worry: &'static str,
    /// The labels, each with all of its values. A label without values has one value in a process.
    pub labels: Vec<(&'static str, Vec<&'static str>)>,
}

impl Definition {
    /// Returns the largest number of series.
    pub fn max_series(&self) -> usize {
        let labels = self.labels.iter();
        let sets: usize = labels.map(|(_, values)| values.len().max(1)).product();
        match self.kind {
            MetricKind::Counter | MetricKind::Gauge => sets,
            // With the bucket of all values, the sum and the count.
            MetricKind::Histogram { buckets } => sets * (buckets + 3),
        }
    }
}

/// The description of a metric, without its labels.
#[derive(Clone, Copy)]
pub(crate) struct About {
    pub name: &'static str,
    pub help: &'static str,
    pub worry: &'static str,
}

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// A label and its values.
pub(crate) type Dimension<'a> = (&'static str, &'a [&'static str]);

/// Returns the values with the names of their labels.
fn name_values<const N: usize>(names: &[&'static str; N], values: [&'static str; N]) -> Labels<N> {
    let mut values = values.into_iter();
    names.map(|name| (name, values.next().unwrap_or_default()))
}

/// Counters by labels.
pub(crate) struct Counters<const N: usize> {
    names: [&'static str; N],
    family: Family<Labels<N>, Counter>,
}

impl<const N: usize> Counters<N> {
    pub fn increment(&self, values: [&'static str; N]) {
        let labels = name_values(&self.names, values);
        self.family.get_or_create(&labels).inc();
    }

    /// Raises the counter to a value that is counted elsewhere; it never falls.
    pub fn raise_to(&self, values: [&'static str; N], value: u64) {
        let labels = name_values(&self.names, values);
        let counter = self.family.get_or_create(&labels);
        counter.inc_by(value.saturating_sub(counter.get()));
    }

    /// Shows the counter as 0. An alert about its first increase needs a value before that.
    pub fn begin(&self, values: [&'static str; N]) {
        let labels = name_values(&self.names, values);
        drop(self.family.get_or_create(&labels));
    }
}

/// Gauges by labels.
pub(crate) struct Gauges<const N: usize> {
    names: [&'static str; N],
    family: Family<Labels<N>, Gauge<f64, AtomicU64>>,
}

impl<const N: usize> Gauges<N> {
    pub fn set(&self, values: [&'static str; N], value: f64) {
        let labels = name_values(&self.names, values);
        self.family.get_or_create(&labels).set(value);
    }

    /// Adds to the value, which can be negative.
    pub fn add(&self, values: [&'static str; N], change: f64) {
        let labels = name_values(&self.names, values);
        self.family.get_or_create(&labels).inc_by(change);
    }

    /// Removes every value, since none is known.
    pub fn clear(&self) {
        self.family.clear();
    }
}

/// Gauges by labels whose values are not known in advance. Whoever sets them bounds their number.
pub(crate) struct NamedGauges<const N: usize> {
    names: [&'static str; N],
    family: Family<[(&'static str, String); N], Gauge<f64, AtomicU64>>,
}

impl<const N: usize> NamedGauges<N> {
    /// Replaces all values.
    pub fn replace(&self, all: impl IntoIterator<Item = ([String; N], f64)>) {
        self.family.clear();
        for (values, value) in all {
            let mut values = values.into_iter();
            let labels = self
                .names
                .map(|name| (name, values.next().unwrap_or_default()));
            self.family.get_or_create(&labels).set(value);
        }
    }
}

/// A counter that is read elsewhere, such as from the operating system.
pub(crate) struct ReadCounter(Counter<f64, AtomicU64>);

impl ReadCounter {
    /// Raises the counter to `value`; it never falls.
    pub fn raise_to(&self, value: f64) {
        let before = self.0.get();
        if value > before {
            self.0.inc_by(value - before);
        }
    }
}

/// Histograms by labels, in the unit of their name.
pub(crate) struct Histograms<const N: usize> {
    names: [&'static str; N],
    family: Family<Labels<N>, Histogram, BucketList>,
}

#[derive(Clone, Copy)]
pub(crate) struct BucketList(&'static [f64]);

impl prometheus_client::metrics::family::MetricConstructor<Histogram> for BucketList {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

impl<const N: usize> Histograms<N> {
    pub fn observe(&self, values: [&'static str; N], duration: std::time::Duration) {
        self.observe_value(values, duration.as_secs_f64());
    }

    pub fn observe_value(&self, values: [&'static str; N], value: f64) {
        let labels = name_values(&self.names, values);
        self.family.get_or_create(&labels).observe(value);
    }
}

/// A registry with the descriptions of its metrics.
#[derive(Default)]
pub(crate) struct Described {
    registry: Registry,
    routes: Vec<&'static str>,
    pub definitions: Vec<Definition>,
}

impl Described {
    /// Creates an empty registry. `routes` are the values of the label [`ROUTE`].
    pub fn with_routes(routes: impl Iterator<Item = &'static str>) -> Self {
        Self {
            routes: routes.collect(),
            ..Self::default()
        }
    }

    pub fn counters<const N: usize>(
        &mut self,
        about: About,
        labels: [Dimension<'_>; N],
    ) -> Counters<N> {
        let family = Family::default();
        self.add(about, MetricKind::Counter, &labels, family.clone());
        let names = labels.map(|(name, _)| name);
        Counters { names, family }
    }

    pub fn read_counter(&mut self, about: About) -> ReadCounter {
        let counter = Counter::default();
        self.add(about, MetricKind::Counter, &[], counter.clone());
        ReadCounter(counter)
    }

    pub fn gauges<const N: usize>(
        &mut self,
        about: About,
        labels: [Dimension<'_>; N],
    ) -> Gauges<N> {
        let family = Family::default();
        self.add(about, MetricKind::Gauge, &labels, family.clone());
        let names = labels.map(|(name, _)| name);
        Gauges { names, family }
    }

    pub fn named_gauges<const N: usize>(
        &mut self,
        about: About,
        names: [&'static str; N],
    ) -> NamedGauges<N> {
        const ANY: &[&str] = &[];
        let family = Family::default();
        let labels = names.map(|name| (name, ANY));
        self.add(about, MetricKind::Gauge, &labels, family.clone());
        NamedGauges { names, family }
    }

    pub fn histograms<const N: usize>(
        &mut self,
        about: About,
        labels: [Dimension<'_>; N],
        buckets: &'static [f64],
    ) -> Histograms<N> {
        let family = Family::new_with_constructor(BucketList(buckets));
        let kind = MetricKind::Histogram {
            buckets: buckets.len(),
        };
        self.add(about, kind, &labels, family.clone());
        let names = labels.map(|(name, _)| name);
        Histograms { names, family }
    }

    fn add(
        &mut self,
        about: About,
        kind: MetricKind,
        labels: &[Dimension<'_>],
        metric: impl Metric,
    ) {
        let About { name, help, worry } = about;
        let suffix = match kind {
            MetricKind::Counter => "_total",
            MetricKind::Gauge | MetricKind::Histogram { .. } => "",
        };
        let values_of = |(name, values): &Dimension<'_>| match *name {
            ROUTE => (ROUTE, self.routes.clone()),
            name => (name, values.to_vec()),
        };
        let labels = labels.iter().map(values_of).collect();
        self.definitions.push(Definition {
            name: format!("{PREFIX}{name}{suffix}"),
            kind,
            help,
            worry,
            labels,
        });
        // The library adds the full stop.
        let help = help.strip_suffix('.').unwrap_or(help);
        self.registry
            .register(format!("{PREFIX}{name}"), help, metric);
    }

    /// Writes the exposition in Prometheus's text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = prometheus_text::encode(&mut text, &self.registry);
        text
    }
}
