//! Reads gauges from the store when they are scraped, at most once in 15 seconds. No read scans all documents: each has a
//! bound, or counts by an index.

use std::time::Duration;

use parking_lot::Mutex;
use relation_host::Host;
use relation_host::reports::State;
use relation_host::store::{
    DeadlineCounts, KindFilter, SecretScope, SortOrder, Store, StoreError, StoreStatistics, stash,
};
use relation_host::types::{ALERT_MODEL, Document, Filter, Key, RECORD_MODEL, Timestamp};
use relation_host::wakeup_kinds;
use relation_notify::runner::count_dead;
use serde::Deserialize;

use crate::labels::{ALERT_CODES, OTHER, SEVERITIES, SEVERITY_KEYS, WITHIN_MILLIS, pick};
use crate::metrics::{Metrics, seconds_of};
use crate::per_connection::{self, PerConnection};

/// The shortest time between two reads of the store.
pub(crate) const MIN_INTERVAL: Duration = Duration::from_secs(15);
/// The longest time of a read.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest number of customers that are counted in a state.
const MAX_CUSTOMERS: u64 = 100_000;
/// The largest number of wakeups and of dead letters that are counted.
const MAX_COUNTED: u64 = 10_000;
/// The largest number of alerts that are read.
const MAX_ALERTS: usize = 1000;
/// The number of alerts of a page.
const ALERT_PAGE: u32 = 200;
/// The largest number of quarantined secrets that are counted.
const MAX_QUARANTINED: u32 = 100;

/// The reader of the gauges of a host.
pub(crate) struct Collector {
    metrics: Metrics,
    host: Host,
    /// The monotonic time of the latest read.
    last: Mutex<Option<Duration>>,
    per_connection: PerConnection,
}

/// The values of one read.
struct Figures {
    now: Timestamp,
    by_state: Vec<(&'static str, u64)>,
    alerts: AlertFigures,
    due: u64,
    earliest: Option<Timestamp>,
    earliest_notice: Option<Timestamp>,
    dead_letters: u64,
    quarantined: usize,
    deadlines: DeadlineCounts,
    statistics: StoreStatistics,
    /// When the newest data key was created.
    newest_key: Option<Timestamp>,
    per_connection: Option<per_connection::Expiries>,
}

/// The counted alerts.
#[derive(Default)]
struct AlertFigures {
    /// By code and severity.
    counts: Vec<(&'static str, &'static str, u64)>,
}

/// The members of an alert's body that are counted.
#[derive(Deserialize)]
struct AlertBody {
    code: String,
    severity: String,
}

impl Collector {
    pub fn new(metrics: Metrics, host: Host, per_connection: bool) -> Self {
        Self {
            per_connection: PerConnection::new(per_connection),
            metrics,
            host,
            last: Mutex::new(None),
        }
    }

    /// Reads the gauges, unless the latest read is too recent. A scrape during a read has the values before it.
    pub async fn collect(&self) {
        let families = &self.metrics.families;
        let in_flight = self.host.calls_in_flight();
        families.calls_in_flight.set([], in_flight as f64);
        let began = self.host.clock().monotonic();
        {
            let mut last = self.last.lock();
            if last.is_some_and(|last| began.saturating_sub(last) < MIN_INTERVAL) {
                return;
            }
            *last = Some(began);
        }
        self.collect_stash().await;
        let read = tokio::time::timeout(TIMEOUT, self.read()).await;
        let took = self.host.clock().monotonic().saturating_sub(began);
        families.collect_duration.set([], took.as_secs_f64());
        match read {
            Ok(Ok(figures)) => self.record(&figures),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the store could not be read for the metrics");
                self.forget();
            }
            Err(_) => {
                tracing::debug!("reading the store for the metrics took too long");
                self.forget();
            }
        }
    }

    async fn read(&self) -> Result<Figures, StoreError> {
        let store = self.host.store().as_ref();
        let now = self.host.clock().now();
        let mut by_state = Vec::new();
        for state in State::ALL {
            let key = format!("state.{state}");
            let filter = filter(RECORD_MODEL, key, "yes".to_owned());
            by_state.push((state.as_str(), store.count(&filter, MAX_CUSTOMERS).await?));
        }
        let notices = KindFilter::Only(wakeup_kinds::NOTICE);
        let notices = store.due(now, 1, notices).await?;
        let quarantined = store.secrets(SecretScope::Quarantined, None, MAX_QUARANTINED);
        let times = WITHIN_MILLIS.map(|(_, millis)| now.after(Duration::from_millis(millis)));
        let deadlines = store.count_deadlines(wakeup_kinds::REFRESH, &times, MAX_CUSTOMERS);
        let keys = store.data_keys().await?;
        Ok(Figures {
            deadlines: deadlines.await?,
            statistics: store.statistics().await?,
            newest_key: keys.iter().map(|key| key.created).max(),
            per_connection: self.per_connection.read(store).await?,
            now,
            by_state,
            alerts: read_alerts(store).await?,
            due: store.count_due(now, MAX_COUNTED).await?,
            earliest: store.next_due(None).await?,
            earliest_notice: notices.first().map(|due| due.wakeup.due),
            dead_letters: count_dead(store, MAX_COUNTED).await?,
            quarantined: quarantined.await?.items.len(),
        })
    }

    fn record(&self, figures: &Figures) {
        let families = &self.metrics.families;
        families.store_up.set([], 1.0);
        for (state, count) in &figures.by_state {
            families.connections.set([state], *count as f64);
        }
        families.alerts.clear();
        for (code, severity, count) in &figures.alerts.counts {
            families.alerts.set([code, severity], *count as f64);
        }
        for ((within, _), count) in WITHIN_MILLIS.iter().zip(&figures.deadlines.counts) {
            families.expiring.set([within], *count as f64);
        }
        match figures.deadlines.earliest {
            Some(earliest) => families.earliest_expiry.set([], seconds_of(earliest)),
            None => families.earliest_expiry.clear(),
        }
        if let Some(created) = figures.newest_key {
            let age = figures.now.since(created);
            families.data_key_age.set([], age.as_secs_f64());
        }
        let per_connection = figures.per_connection.as_ref();
        let is_active = f64::from(per_connection.is_some());
        families.per_connection.set([], is_active);
        let expiries = per_connection.into_iter().flatten();
        families.connection_expiry.replace(expiries.cloned());
        self.record_statistics(&figures.statistics);
        let seconds_since = |time: Option<Timestamp>| {
            let age = time.map_or(Duration::ZERO, |time| figures.now.since(time));
            age.as_secs_f64()
        };
        families.wakeups_due.set([], figures.due as f64);
        let earliest = seconds_since(figures.earliest);
        families.oldest_due.set([], earliest);
        let earliest = seconds_since(figures.earliest_notice);
        families.outbox_oldest.set([], earliest);
        families.dead_letters.set([], figures.dead_letters as f64);
        families
            .secrets_quarantined
            .set([], figures.quarantined as f64);
    }

    fn record_statistics(&self, statistics: &StoreStatistics) {
        let families = &self.metrics.families;
        let queued = statistics.queued_writes as f64;
        families.store_queue.set([], queued);
        let skew = statistics.clock_skew_millis as f64 / 1000.0;
        families.store_clock_skew.set([], skew);
        let hosts = f64::from(statistics.hosts.unwrap_or(1));
        families.hosts_alive.set([], hosts);
        for (counter, value) in [
            (&families.store_grouped_writes, statistics.grouped_writes),
            (&families.store_groups, statistics.groups),
            (&families.store_reconnects, statistics.reconnects),
        ] {
            counter.raise_to([], value);
        }
        let lost = statistics.lost_answers;
        for (outcome, value) in [
            ("made", lost.made),
            ("prevented", lost.prevented),
            ("unknown", lost.unknown),
        ] {
            families.store_lost_answers.raise_to([outcome], value);
        }
        let oldest = statistics.oldest_transaction;
        for (gauge, value) in [
            (
                &families.store_log,
                statistics.log_bytes.map(|bytes| bytes as f64),
            ),
            (
                &families.store_dead_rows,
                statistics.dead_rows.map(|rows| rows as f64),
            ),
            (
                &families.store_oldest_transaction,
                oldest.map(|oldest| oldest.as_secs_f64()),
            ),
        ] {
            match value {
                Some(value) => gauge.set([], value),
                None => gauge.clear(),
            }
        }
    }

    /// Removes the gauges that are read from the store, whose values are not known.
    fn forget(&self) {
        let families = &self.metrics.families;
        families.store_up.set([], 0.0);
        families.connections.clear();
        families.alerts.clear();
        families.expiring.clear();
        families.connection_expiry.replace([]);
        for gauge in [
            &families.wakeups_due,
            &families.oldest_due,
            &families.outbox_oldest,
            &families.dead_letters,
            &families.secrets_quarantined,
            &families.earliest_expiry,
            &families.store_queue,
            &families.store_clock_skew,
            &families.store_log,
            &families.store_dead_rows,
            &families.store_oldest_transaction,
            &families.hosts_alive,
            &families.data_key_age,
        ] {
            gauge.clear();
        }
    }

    /// Reads the stash, which needs no store.
    async fn collect_stash(&self) {
        let families = &self.metrics.families;
        let gauges = [
            &families.stash_entries,
            &families.stash_oldest,
            &families.stash_quarantined,
        ];
        let Some(stash) = self.host.stash() else {
            return;
        };
        let directory = stash.directory().to_owned();
        let listed = tokio::task::spawn_blocking(move || stash::list(&directory)).await;
        let Ok(Ok(files)) = listed else {
            tracing::debug!("the stash could not be read for the metrics");
            gauges.iter().for_each(|gauge| gauge.clear());
            return;
        };
        let waiting = files.iter().filter(|file| !file.quarantined);
        let since = waiting
            .clone()
            .filter_map(|file| Some(file.label.as_ref()?.since));
        let now = self.host.clock().now();
        let oldest = since.min().map_or(Duration::ZERO, |since| now.since(since));
        let quarantined = files.len() - waiting.clone().count();
        let values = [
            waiting.count() as f64,
            oldest.as_secs_f64(),
            quarantined as f64,
        ];
        for (gauge, value) in gauges.into_iter().zip(values) {
            gauge.set([], value);
        }
    }
}

fn filter(model: &str, name: String, value: String) -> Filter {
    Filter {
        model: model.to_owned(),
        hierarchy: None,
        equals: vec![Key { name, value }],
    }
}

/// Counts the alerts by severity, and the most severe ones by code too.
async fn read_alerts(store: &dyn Store) -> Result<AlertFigures, StoreError> {
    let mut figures = AlertFigures::default();
    let order = SortOrder {
        key: Some("severity".to_owned()),
        descending: false,
    };
    let all = Filter {
        model: ALERT_MODEL.to_owned(),
        hierarchy: None,
        equals: Vec::new(),
    };
    let mut read = 0;
    let mut cursor = None;
    while read < MAX_ALERTS {
        let page = store.list(&all, &order, cursor.as_deref(), ALERT_PAGE);
        let page = page.await?;
        read += page.items.len();
        page.items.iter().for_each(|document| figures.add(document));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(figures);
        }
    }
    for (severity, value) in SEVERITY_KEYS {
        let filter = filter(ALERT_MODEL, "severity".to_owned(), value.to_owned());
        let all = store.count(&filter, MAX_CUSTOMERS).await?;
        let counted = figures.counts.iter();
        let counted = counted.filter(|(_, each, _)| *each == severity);
        let counted: u64 = counted.map(|(.., count)| count).sum();
        figures.count(OTHER, severity, all.saturating_sub(counted));
    }
    Ok(figures)
}

impl AlertFigures {
    fn add(&mut self, document: &Document) {
        // An alert that cannot be read is left out.
        let Ok(body) = serde_json::from_str::<AlertBody>(&document.body) else {
            return;
        };
        let code = pick(ALERT_CODES, &body.code);
        if let Some(severity) = SEVERITIES.iter().find(|each| **each == body.severity) {
            self.count(code, severity, 1);
        }
    }

    fn count(&mut self, code: &'static str, severity: &'static str, more: u64) {
        let mut counts = self.counts.iter_mut();
        match counts.find(|(each, of, _)| (*each, *of) == (code, severity)) {
            Some((.., count)) => *count += more,
            None => self.counts.push((code, severity, more)),
        }
    }
}
