//! Records the events of the host, of its notices and of its store.

use std::sync::Arc;
use std::time::Duration;

use relation_host::reports::{RefreshReport, WakeReport};
use relation_host::store::layer::{Layered, Operation, StoreLayer};
use relation_host::store::{Store, StoreError};
use relation_host::transactions::SecretAccessOutcome;
use relation_host::types::Timestamp;
use relation_host::{
    CallEnded, InstanceEnded, Observer, RequestEnded, WakeupEnded, WakeupOutcome, endpoint_name,
};
use relation_notify::runner::DeliveryObserver;
use relation_notify::settings::ChannelKind;
use relation_notify::{DeliveryErrorKind, Receipt};

use crate::labels::{
    KINDS, OUTCOMES, REQUEST_CLASSES, notice_result, operation, pick, status_class, store_result,
    workflow,
};
use crate::metrics::Metrics;

impl Observer for Metrics {
    fn call_ended(&self, event: &CallEnded<'_>) {
        let families = &self.families;
        let workflow = workflow(event.action);
        let outcome = pick(OUTCOMES, event.outcome());
        families.calls.increment([workflow, outcome]);
        families.call_duration.observe([workflow], event.duration);
        if !event.stored {
            families.calls_unstored.increment([]);
        }
    }

    fn wakeup_ended(&self, event: &WakeupEnded<'_>) {
        let families = &self.families;
        let wakeup = &event.due.wakeup;
        let kind = pick(KINDS, wakeup.kind());
        let result = match event.outcome {
            WakeupOutcome::Busy(_) => "busy",
            WakeupOutcome::Gone => "gone",
            _ => "started",
        };
        families.begins.increment([kind, result]);
        if result != "started" {
            return;
        }
        families
            .wakeup_lag
            .observe([kind], event.begun.since(wakeup.due));
        if wakeup
            .deadline
            .is_some_and(|deadline| deadline < event.begun)
        {
            families.missed_deadlines.increment([kind]);
        }
        let WakeupOutcome::Finished(result) = event.outcome else {
            return;
        };
        match &**result {
            Ok(output) => {
                if let WakeReport::Refreshed(report) = &output.value {
                    self.record_lifetimes(report, event.begun);
                }
            }
            Err(_) => families.wakeups_failed.increment([kind]),
        }
    }

    fn request_ended(&self, event: &RequestEnded<'_>) {
        let families = &self.families;
        let endpoint = endpoint_name(event.path);
        let class = match event.result {
            Ok(status) => status_class(status.as_u16()),
            Err(error) => pick(REQUEST_CLASSES, error.class()),
        };
        families.webex_requests.increment([endpoint, class]);
        families.webex_duration.observe([endpoint], event.duration);
        if let Some(pause) = event.retry_after {
            families.webex_retry_after.observe([], pause);
        }
    }

    fn instance_ended(&self, event: &InstanceEnded) {
        let families = &self.families;
        families.instance_duration.observe([], event.duration);
        let memory = event.memory as f64;
        families.guest_memory.observe_value([], memory);
    }

    fn secret_requested(&self, outcome: SecretAccessOutcome) {
        self.families.reveals.increment([outcome.as_str()]);
    }

    fn budget_waited(&self, waited: Duration) {
        self.families.budget_wait.observe([], waited);
    }
}

impl Metrics {
    /// Records the lifetimes of the tokens that a refresh has stored. A refresh that another one has made is left out.
    fn record_lifetimes(&self, report: &RefreshReport, begun: Timestamp) {
        if !report.is_connected() || report.joined {
            return;
        }
        let grants = report.connection.grants.iter();
        let mut grants = grants.filter(|status| status.grant == report.grant);
        let Some(status) = grants.next() else {
            return;
        };
        let gauge = &self.families.token_lifetime;
        if let Some(expiry) = status.access_token_expires
            && !expiry.assumed
        {
            gauge.set(["access"], expiry.at.since(begun).as_secs_f64());
        }
        if let Some(lifetime) = status.refresh_token_lifetime_ms {
            let lifetime = Duration::from_millis(lifetime);
            gauge.set(["refresh"], lifetime.as_secs_f64());
        }
    }

    /// Puts a layer around a store that counts and times its operations.
    #[must_use]
    pub fn observe_store(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Layered::new(store, StoreTimer(self.clone())))
    }
}

impl DeliveryObserver for Metrics {
    fn attempt_ended(&self, channel: ChannelKind, result: Result<&Receipt, DeliveryErrorKind>) {
        let labels = [channel.as_str(), notice_result(result)];
        self.families.notices.increment(labels);
    }

    fn dead_letter(&self, channel: ChannelKind) {
        self.families.notices.increment([channel.as_str(), "dead"]);
    }
}

/// The layer around the store.
struct StoreTimer(Metrics);

impl StoreLayer for StoreTimer {
    async fn wrap<T: Send>(
        &self,
        kind: Operation,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let Self(metrics) = self;
        let began = metrics.clock.monotonic();
        let result = work.await;
        let took = metrics.clock.monotonic().saturating_sub(began);
        let (op, families) = (operation(kind), &metrics.families);
        families
            .store_operations
            .increment([op, store_result(&result)]);
        families.store_duration.observe([op], took);
        result
    }
}
