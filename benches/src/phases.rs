//! Times the phases of a refresh from outside the host.
//!
//! A wrapper around the store times the store's calls; the host's own spans (`instantiate`,
//! `workflow`, `http`) time the work inside the host. "Wall" is from the beginning of a phase to its end, "busy" the
//! part of it during which the calling thread worked on it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::span;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// A part of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The whole call.
    Call,
    /// The store's `begin`: lease and transaction, durable.
    Begin,
    /// A fresh instance: store, imports, memory.
    Instantiate,
    /// The workflow, with all its calls to the host.
    Workflow,
    /// Documents and wakeups read by the workflow.
    Read,
    /// Sealed values read by the workflow.
    Sealed,
    /// The HTTP request, up to the head of its response.
    Http,
    /// The workflow's commit, durable.
    Commit,
    /// The store's `end`, durable.
    End,
}

/// Number of phases.
const PHASES: usize = 9;

/// Sums per phase. Clones share them; when disabled, nothing is measured.
#[derive(Clone, Default)]
pub struct Phases(Option<Arc<[Sum; PHASES]>>);

#[derive(Default)]
struct Sum {
    count: AtomicU64,
    wall: AtomicU64,
    busy: AtomicU64,
}

/// Total time of a phase.
#[derive(Clone, Copy, Debug, Default)]
pub struct PhaseTime {
    /// The number of runs.
    pub count: u64,
    /// The time from beginning to end.
    pub wall: Duration,
    /// The time while the calling thread worked.
    pub busy: Duration,
}

impl Phases {
    /// Creates enabled sums.
    pub fn on() -> Self {
        Self(Some(Arc::default()))
    }

    /// Creates disabled sums.
    pub fn off() -> Self {
        Self(None)
    }

    /// Runs `work` as `phase`.
    pub async fn time<F: Future>(&self, phase: Phase, work: F) -> F::Output {
        if self.0.is_none() {
            return work.await;
        }
        let begun = Instant::now();
        let mut busy = Duration::ZERO;
        let mut work = pin!(work);
        let output = poll_fn(|cx| {
            let entered = Instant::now();
            let polled = work.as_mut().poll(cx);
            busy += entered.elapsed();
            polled
        })
        .await;
        self.add(phase, begun.elapsed(), busy);
        output
    }

    fn add(&self, phase: Phase, wall: Duration, busy: Duration) {
        let Some(sum) = self.0.as_ref().and_then(|sums| sums.get(phase as usize)) else {
            return;
        };
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        sum.count.fetch_add(1, Ordering::Relaxed);
        sum.wall.fetch_add(nanos(wall), Ordering::Relaxed);
        sum.busy.fetch_add(nanos(busy), Ordering::Relaxed);
    }

    /// Returns the totals of `phase` and resets them.
    pub fn take(&self, phase: Phase) -> PhaseTime {
        let Some(sum) = self.0.as_ref().and_then(|sums| sums.get(phase as usize)) else {
            return PhaseTime::default();
        };
        let take = |value: &AtomicU64| value.swap(0, Ordering::Relaxed);
        PhaseTime {
            count: take(&sum.count),
            wall: Duration::from_nanos(take(&sum.wall)),
            busy: Duration::from_nanos(take(&sum.busy)),
        }
    }

    /// Returns a subscriber that times the host's own spans.
    pub fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + use<> {
        use tracing_subscriber::layer::SubscriberExt as _;
        let spans = Spans(self.clone());
        let only_spans = tracing_subscriber::filter::filter_fn(|metadata| {
            let is_traced = metadata.target() == relation_host::SPAN_TARGET;
            metadata.is_span() && !is_traced && phase_of(metadata.name()).is_some()
        });
        tracing_subscriber::registry().with(spans.with_filter(only_spans))
    }
}

/// Returns the phase that a span of the host stands for.
fn phase_of(span: &str) -> Option<Phase> {
    match span {
        "instantiate" => Some(Phase::Instantiate),
        "workflow" => Some(Phase::Workflow),
        "http" => Some(Phase::Http),
        _ => None,
    }
}

struct Spans(Phases);

/// State kept with each open span.
struct OpenSpan {
    begun: Instant,
    entered: Instant,
    busy: Duration,
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, _: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let now = Instant::now();
            span.extensions_mut().insert(OpenSpan {
                begun: now,
                entered: now,
                busy: Duration::ZERO,
            });
        }
    }

    fn on_enter(&self, id: &span::Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<OpenSpan>()
        {
            open.entered = Instant::now();
        }
    }

    fn on_exit(&self, id: &span::Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<OpenSpan>()
        {
            open.busy += open.entered.elapsed();
        }
    }

    fn on_close(&self, id: span::Id, context: Context<'_, S>) {
        if let Some(span) = context.span(&id)
            && let Some(phase) = phase_of(span.name())
            && let Some(open) = span.extensions().get::<OpenSpan>()
        {
            self.0.add(phase, open.begun.elapsed(), open.busy);
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing::Instrument as _;
    use tracing::instrument::WithSubscriber as _;

    use super::*;

    #[tokio::test]
    async fn phase_is_counted_once_with_busy_within_wall() {
        let phases = Phases::on();
        phases.time(Phase::Begin, tokio::task::yield_now()).await;
        let took = phases.take(Phase::Begin);
        assert_eq!(took.count, 1);
        assert!(took.busy <= took.wall);
        assert_eq!(phases.take(Phase::Begin).count, 0);
    }

    #[tokio::test]
    async fn a_span_of_the_host_is_a_phase() {
        let phases = Phases::on();
        let call = async {
            async {}
                .instrument(tracing::debug_span!("instantiate"))
                .await
        };
        call.with_subscriber(phases.subscriber()).await;
        assert_eq!(phases.take(Phase::Instantiate).count, 1);
    }

    #[tokio::test]
    async fn nothing_is_measured_when_it_is_off() {
        let phases = Phases::off();
        phases.time(Phase::Begin, async {}).await;
        assert_eq!(phases.take(Phase::Begin).count, 0);
    }
}
