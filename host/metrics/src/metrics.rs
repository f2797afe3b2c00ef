//! The metrics of a host: their names, and the functions that record.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use relation_host::clock::Clock;
use relation_host::component::Plugin;
use relation_host::types::Timestamp;
use relation_host::{ENDPOINTS, WASMTIME_VERSION};

use crate::families::{
    About, Counters, Definition, Described, Gauges, Histograms, NamedGauges, ROUTE, ReadCounter,
};
use crate::labels::{
    ALERT_CODES, BEGIN_RESULTS, CACHE_RESULTS, CHANNELS, KINDS, LOGIN_RESULTS, LOST_ANSWERS,
    NOTICE_RESULTS, OPERATIONS, OTHER, OUTCOMES, REQUEST_CLASSES, REVEAL_OUTCOMES, SEVERITIES,
    STATES, STATUS_CLASSES, STORE_RESULTS, SURFACES, TOKENS, WITHIN, WORKFLOWS, login_result,
};

/// Durations of calls and of outbound requests.
const CALL_BUCKETS: &[f64] = &[
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// Delays of wakeups, up to an hour.
const LAG_BUCKETS: &[f64] = &[
    0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0,
];
/// Durations of store operations.
const STORE_BUCKETS: &[f64] = &[
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0,
];

/// Sizes of the memory of an instance, in bytes.
const MEMORY_BUCKETS: &[f64] = &[
    1_048_576.0,
    2_097_152.0,
    4_194_304.0,
    8_388_608.0,
    16_777_216.0,
    33_554_432.0,
    67_108_864.0,
    134_217_728.0,
    268_435_456.0,
    536_870_912.0,
];
/// Waits for a rate limit, up to an hour.
const WAIT_BUCKETS: &[f64] = &[
    0.0, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0,
];

/// The metrics of one host. Clones are the same metrics; two hosts of a process have different ones.
#[derive(Clone)]
pub struct Metrics {
    pub(crate) families: Arc<Families>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The number of spans of traces that were dropped.
    dropped_spans: Arc<AtomicU64>,
}

impl Metrics {
    /// Creates the metrics of a process that started now. `routes` are the patterns of the routes that it serves; all
    /// other requests count as one.
    #[must_use]
    pub fn new(
        clock: Arc<dyn Clock>,
        version: &'static str,
        routes: &BTreeSet<&'static str>,
    ) -> Self {
        let families = Families::new(routes);
        families.start_time.set([], seconds_of(clock.now()));
        families.build_info.set([version, WASMTIME_VERSION], 1.0);
        families.calls_unstored.begin([]);
        for kind in KINDS {
            families.missed_deadlines.begin([kind]);
            families.wakeups_failed.begin([kind]);
        }
        for result in LOGIN_RESULTS {
            families.logins.begin([result]);
        }
        for surface in SURFACES {
            families.rate_limited.begin([surface]);
        }
        families.event_streams.set([], 0.0);
        for channel in CHANNELS {
            families.notices.begin([channel, "dead"]);
        }
        Self {
            families: Arc::new(families),
            clock,
            dropped_spans: Arc::default(),
        }
    }

    /// Sets the number of dropped spans, which the exporter of traces counts.
    #[must_use]
    pub fn with_dropped_spans(self, dropped_spans: Arc<AtomicU64>) -> Self {
        Self {
            dropped_spans,
            ..self
        }
    }

    /// Returns the descriptions of all metrics, in the order of the exposition.
    #[must_use]
    pub fn definitions(&self) -> &[Definition] {
        &self.families.described.definitions
    }

    /// Writes the exposition in Prometheus's text format, with the values that were recorded or collected last.
    #[must_use]
    pub fn encode(&self) -> String {
        crate::process::record(&self.families);
        let dropped = self.dropped_spans.load(Ordering::Relaxed);
        self.families.telemetry_dropped.raise_to([], dropped);
        self.families.described.encode()
    }

    /// Records the hash of the configuration that applies.
    pub fn record_config(&self, hash: &str) {
        let labels = [hash.to_owned()];
        self.families.config_info.replace([(labels, 1.0)]);
    }

    /// Records the component that runs, and where it came from.
    pub(crate) fn record_component(&self, plugin: &Plugin) {
        let families = &self.families;
        let labels = [plugin.name().to_owned(), plugin.digest().to_owned()];
        families.component_info.replace([(labels, 1.0)]);
        let cache = plugin.cache_use().as_str();
        families.component_cache.increment([cache]);
    }

    /// Records a request to this host. `route` is the pattern of its route.
    pub(crate) fn record_response(
        &self,
        method: &Method,
        route: Option<&str>,
        status: u16,
        duration: Duration,
    ) {
        let families = &self.families;
        let route = route.map(|route| route.strip_suffix('/').unwrap_or(route));
        let route = route.and_then(|route| families.routes.get(route).copied());
        let surface = match route {
            Some(route) if route.starts_with("/api/") => "api",
            _ => "page",
        };
        let route = route.unwrap_or(OTHER);
        if let Some(result) = login_result(method, route, status) {
            families.logins.increment([result]);
        }
        if status == StatusCode::TOO_MANY_REQUESTS.as_u16() {
            families.rate_limited.increment([surface]);
        }
        let class = crate::labels::response_class(status);
        families.http_requests.increment([route, class]);
        families.http_duration.observe([surface], duration);
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Returns a time as seconds since the Unix epoch.
pub(crate) fn seconds_of(time: Timestamp) -> f64 {
    Duration::from_millis(time.0).as_secs_f64()
}

macro_rules! families {
    ($($field:ident: $type:ty = $method:ident($name:literal, $help:literal, $worry:literal $(, $argument:expr)*);)+) => {
        /// The metrics.
        pub(crate) struct Families {
            described: Described,
            routes: BTreeSet<&'static str>,
            $(pub $field: $type,)+
        }

        impl Families {
            fn new(routes: &BTreeSet<&'static str>) -> Self {
                let mut described = Described::with_routes(routes.iter().copied().chain([OTHER]));
                $(let $field: $type = described.$method(
                    About { name: $name, help: $help, worry: $worry }
                    $(, $argument)*
                );)+
                Self { routes: routes.clone(), $($field,)+ described }
            }
        }
    };
}

families! {
    build_info: Gauges<2> = gauges("build_info",
        "Always 1; the labels are the versions of this program and of wasmtime.", "",
        [("version", &[]), ("wasmtime", &[])]);
    config_info: NamedGauges<1> = named_gauges("config_info",
        "Always 1; the label is the beginning of the SHA-256 of the configuration file. Missing without a file.",
        "Hosts whose files should be the same have different ones for longer than a change takes.", ["hash"]);
    component_info: NamedGauges<2> = named_gauges("component_info",
        "Always 1; the labels are the name and the digest of the plugin that runs.",
        "Hosts of one store run different ones for longer than an upgrade.", ["component", "digest"]);
    start_time: Gauges<0> = gauges("start_time_seconds",
        "The start of the process, in seconds since the Unix epoch. Counters began at 0 then.",
        "It changes often: the process restarts again and again.", []);

    calls: Counters<2> = counters("calls",
        "Ended calls of workflows, by outcome. `no-tokens` is a refresh for which Webex issued no tokens; \
         `partial` is an import without some lists.",
        "The share of failed refreshes rises.", [("workflow", WORKFLOWS), ("outcome", OUTCOMES)]);
    call_duration: Histograms<1> = histograms("call_duration_seconds",
        "The time from a call's lease to its end.", "It comes near `limits.time`.",
        [("workflow", WORKFLOWS)], CALL_BUCKETS);
    calls_in_flight: Gauges<0> = gauges("calls_in_flight",
        "Calls that hold their record's lease in this process.", "It stays at `limits.calls`.", []);
    instance_duration: Histograms<0> = histograms("instance_seconds",
        "The time from the creation of an instance of the plugin to its end.", "It comes near `limits.time`.",
        [], CALL_BUCKETS);
    guest_memory: Histograms<0> = histograms("guest_memory_bytes",
        "The largest size of the memory of each instance of the plugin.", "It comes near `limits.memory`.",
        [], MEMORY_BUCKETS);
    component_cache: Counters<1> = counters("component_cache",
        "Loads of the component: from the cache (`hit`), compiled (`miss`, or `off` without a cache), or compiled \
         because the cache or its file could not be used (`refused`).", "`refused`: the log has the reason.",
        [("result", CACHE_RESULTS)]);
    calls_unstored: Counters<0> = counters("calls_unstored",
        "Calls whose end the store did not take. Their transactions are resolved later.",
        "Any: the store is not available.", []);

    wakeup_lag: Histograms<1> = histograms("wakeup_lag_seconds",
        "The time from when a wakeup is due to the begin of its run.",
        "Much of it is above a minute: the dispatcher is behind.", [("kind", KINDS)], LAG_BUCKETS);
    wakeups_due: Gauges<0> = gauges("wakeups_due",
        "Due wakeups in the store, at most 10000.", "It rises without falling.", []);
    oldest_due: Gauges<0> = gauges("oldest_due_seconds",
        "How long the earliest due wakeup has been due; 0 if none is.",
        "More than 5 minutes: no dispatcher runs, or it is behind.", []);
    begins: Counters<2> = counters("begins",
        "Runs of due wakeups. `busy`: another call holds the record; `gone`: the wakeup has changed meanwhile.",
        "Most are `busy`.", [("kind", KINDS), ("result", BEGIN_RESULTS)]);
    wakeups_failed: Counters<1> = counters("wakeups_failed",
        "Runs of wakeups that failed and are due again.", "It rises faster than before.",
        [("kind", KINDS)]);
    missed_deadlines: Counters<1> = counters("missed_deadlines",
        "Wakeups that began after their deadline, such as a refresh after the refresh token's expiry.",
        "Any.", [("kind", KINDS)]);

    budget_wait: Histograms<0> = histograms("budget_wait_seconds",
        "How long each due refresh has waited for `dispatch.refresh-rate`.",
        "Much of it is above a minute: raise the rate.", [], WAIT_BUCKETS);

    webex_requests: Counters<2> = counters("webex_requests",
        "Outbound requests of the plugin: the class of the response's status, or why there is none.",
        "`timeout`, `dns`, `tls`, `proxy` or `5xx` rise.",
        [("endpoint", ENDPOINTS), ("class", REQUEST_CLASSES)]);
    webex_duration: Histograms<1> = histograms("webex_request_duration_seconds",
        "The time from sending a request to the head of its response or its error.",
        "It comes near `limits.request-time`.", [("endpoint", ENDPOINTS)], CALL_BUCKETS);
    webex_retry_after: Histograms<0> = histograms("webex_retry_after_seconds",
        "The pauses that responses of Webex ask for (`Retry-After`).",
        "There are many: Webex limits this host.", [], WAIT_BUCKETS);
    token_lifetime: Gauges<1> = gauges("webex_token_lifetime_seconds",
        "The lifetime of the tokens that Webex issued in the latest scheduled refresh.",
        "It is shorter than before: Webex has changed it.", [("token", TOKENS)]);

    store_operations: Counters<2> = counters("store_operations",
        "Operations of the store. `conflict` is normal, when two writers meet.",
        "`unavailable` or `corrupt` rise.", [("op", OPERATIONS), ("result", STORE_RESULTS)]);
    store_duration: Histograms<1> = histograms("store_duration_seconds",
        "The time of an operation of the store.", "Commits take longer than a second.",
        [("op", OPERATIONS)], STORE_BUCKETS);
    store_up: Gauges<0> = gauges("store_up",
        "1 if the latest scrape could read the store. Gauges that are read from the store are missing while it is 0.",
        "0.", []);

    store_queue: Gauges<0> = gauges("store_queue_length",
        "Writes that wait for their turn, or for the response of the database.", "It rises without falling.", []);
    store_grouped_writes: Counters<0> = counters("store_grouped_writes",
        "Writes that were made in groups: in one transaction, to wait for the disk together.", "", []);
    store_groups: Counters<0> = counters("store_groups",
        "The groups of `relation_store_grouped_writes_total`: the quotient is the mean size.", "", []);
    store_reconnects: Counters<0> = counters("store_reconnects",
        "Connections to the database that ended and were made again.", "They rise while the database runs.", []);
    store_lost_answers: Counters<1> = counters("store_lost_answers",
        "Writes whose response was lost with the connection, by what was found out: `made`, `prevented` (it was not \
         made and never will be) or `unknown`.", "`unknown` rises: the outage lasted too long to find out.",
        [("outcome", LOST_ANSWERS)]);
    store_clock_skew: Gauges<0> = gauges("store_clock_skew_seconds",
        "The clock of the store minus that of this machine; 0 for a store on this machine.",
        "More than a second, in either direction.", []);
    store_log: Gauges<0> = gauges("store_log_bytes",
        "The size of SQLite's write-ahead log. Missing for a store without one.",
        "It rises for hours: a process reads for very long.", []);
    store_dead_rows: Gauges<0> = gauges("store_dead_rows",
        "Rows that PostgreSQL has not removed yet. Missing for a store in a file.",
        "It rises for hours: a long transaction keeps them.", []);
    store_oldest_transaction: Gauges<0> = gauges("store_oldest_transaction_seconds",
        "How long the oldest transaction at the PostgreSQL server has run, as far as this host may see; 0 if there is \
         none. Missing for a store in a file.", "More than an hour.", []);
    hosts_alive: Gauges<0> = gauges("hosts_alive",
        "Processes with this PostgreSQL store that had a heartbeat in the last 15 seconds, commands included; 1 for a \
         store in a file.", "Fewer than you run.", []);
    data_key_age: Gauges<0> = gauges("data_key_age_seconds",
        "The age of the data key that seals new secrets.", "It is older than your rule for `keys rotate`.", []);
    reveals: Counters<1> = counters("reveals",
        "Secrets that the plugin asked for.", "`failed` rises: a secret does not open.",
        [("outcome", REVEAL_OUTCOMES)]);

    connections: Gauges<1> = gauges("connections",
        "Customers with a grant in this state, at most 100000 in each.",
        "`reauthorize`, `expired` or `retrying` rise.", [("state", STATES)]);
    expiring: Gauges<1> = gauges("connections_expiring",
        "Grants whose refresh token expires within this time and is not renewed until then, at most 100000. A grant \
         that needs a new consent already is not counted.",
        "`2d` is not 0: no person has acted.", [("within", WITHIN)]);
    earliest_expiry: Gauges<0> = gauges("earliest_refresh_token_expiry_timestamp_seconds",
        "The earliest expiry of a refresh token, in seconds since the Unix epoch. Missing if there is none.",
        "It is less than 2 days away.", []);
    connection_expiry: NamedGauges<2> = named_gauges("connection_refresh_token_expiry_timestamp_seconds",
        "The earliest expiry of the refresh tokens of a customer, with `metrics.per-connection` only. At most 1000.",
        "It is less than 2 days away.", ["pkid", "name"]);
    per_connection: Gauges<0> = gauges("per_connection_active",
        "1 if each customer has a gauge (`metrics.per-connection`); 0 if not, also since there are more than 1000.",
        "It is 0 although you have turned it on.", []);
    alerts: Gauges<2> = gauges("alerts_active",
        "Alerts. Beyond the 1000 most severe ones, the code is `other`.",
        "There are `critical` or `major` ones.", [("code", ALERT_CODES), ("severity", SEVERITIES)]);

    stash_entries: Gauges<0> = gauges("stash_entries",
        "Responses of Webex in the stash, which are not in the store yet.", "Not 0 for minutes.", []);
    stash_oldest: Gauges<0> = gauges("stash_oldest_seconds",
        "The age of the oldest entry of the stash; 0 if there is none.", "It rises.", []);
    stash_quarantined: Gauges<0> = gauges("stash_quarantined",
        "Entries of the stash that cannot be applied.", "Any.", []);
    secrets_quarantined: Gauges<0> = gauges("secrets_quarantined",
        "Stored secrets that are known not to open, at most 100.", "Any.", []);

    notices: Counters<2> = counters("notices",
        "Attempts at deliveries of notices, and deliveries that became a dead letter (`dead`).",
        "`permanent`, `gone` or `dead` rise.", [("channel", CHANNELS), ("result", NOTICE_RESULTS)]);
    outbox_oldest: Gauges<0> = gauges("outbox_oldest_seconds",
        "How long the earliest due notice or delivery has been due; 0 if none is.",
        "More than 10 minutes: no dispatcher sends notices.", []);
    dead_letters: Gauges<0> = gauges("dead_letters",
        "Deliveries of notices that have failed for good, at most 10000.", "It rises.", []);

    http_requests: Counters<2> = counters("http_requests",
        "Responses of the API and of the page, by the pattern of the route.",
        "`5xx` rise.", [(ROUTE, &[]), ("class", STATUS_CLASSES)]);
    http_duration: Histograms<1> = histograms("http_request_duration_seconds",
        "The time until the head of a response. Requests that wait for their call count with it.",
        "It rises.", [("surface", SURFACES)], CALL_BUCKETS);

    event_streams: Gauges<0> = gauges("sse_streams",
        "Open streams of events to browsers, which follow a transaction.", "It rises for days.", []);
    logins: Counters<1> = counters("logins",
        "Log-ins to the API and the page: `success`, `refused`, `limited` after too many failures, or `failed` \
         because of this host or of the OpenID provider.", "`refused` or `limited` rise: somebody tries passwords.",
        [("result", LOGIN_RESULTS)]);
    rate_limited: Counters<1> = counters("rate_limited",
        "Responses with the status 429: a caller sends too many requests or log-ins, or Webex limits the call.",
        "It rises.", [("surface", SURFACES)]);

    telemetry_dropped: Counters<0> = counters("telemetry_dropped",
        "Spans of traces that were dropped: the collector does not take them, or is too slow. Calls do not wait for it.",
        "It rises: the log has the reason.", []);
    collect_duration: Gauges<0> = gauges("collect_duration_seconds",
        "The time that the latest read of the store for these metrics took.",
        "It comes near 5 seconds, after which a read is given up.", []);
    process_cpu: ReadCounter = read_counter("process_cpu_seconds",
        "Processor time of the process.", "");
    process_memory: Gauges<0> = gauges("process_resident_memory_bytes",
        "Resident memory of the process.", "It rises for days.", []);
    process_fds: Gauges<0> = gauges("process_open_fds",
        "Open file descriptors of the process.", "It comes near `relation_process_max_fds`.", []);
    process_max_fds: Gauges<0> = gauges("process_max_fds",
        "The largest number of open file descriptors.", "", []);
}
