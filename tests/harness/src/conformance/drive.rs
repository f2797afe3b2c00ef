//! Makes the calls of a run of the suite, in their order.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Response, Uri};
use relation_host::clock::{Clock as _, ManualClock};
use relation_host::component::{ComponentCache, Plugin};
use relation_host::egress::{Client, ClientOptions, Policy};
use relation_host::reports::ConnectionReport;
use relation_host::schedule::DispatcherOptions;
use relation_host::store::layer::Layered;
use relation_host::store::seal::Sealer;
use relation_host::store::{Store, StoreError};
use relation_host::transactions::TransactionFilter;
use relation_host::types::{Hierarchy, Pkid};
use relation_host::{
    AddRequest, CallError, CallOutput, ComponentSource, Host, HostBuilder, Limits,
};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::error::ConformanceError;
use super::overlap::BusyNotifier;
use super::report::{Report, Status};
use super::server::{ResponseOverride, Server};
use crate::harness::{START_TIME, load_plugin};

/// The time on the clock to wait for wakeups, longer than any host's retry delay.
const DAY: Duration = Duration::from_secs(86_400);
/// The real time to wait for wakeups. Without it, a store that never forgets a wakeup would block forever.
const WAKEUP_TIMEOUT: Duration = Duration::from_secs(120);
/// The real time to wait for a call beyond the host's own limits.
const CALL_GRACE: Duration = Duration::from_secs(30);
/// More calls than there are groups of checks.
const MAX_CHECK_CALLS: usize = 40;
/// The settings that the suite looks for, with its values (`tests/host-conformance`).
const SETTING: (&str, &str) = ("conformance.setting", "plain \u{1f980}");
const SECRET: (&str, &str) = ("conformance.secret", "a-secret-of-the-installation");

/// A function that opens the same store again, as a restarted host would.
type StoreOpener = Box<dyn Fn() -> BoxFuture<'static, OpenedStore> + Send + Sync>;

/// A store that was opened again, or the error.
pub type OpenedStore = Result<Arc<dyn Store>, StoreError>;

/// A function that changes a host before it is built. The clock is the one that the run moves.
type HostModifier = Box<dyn Fn(HostBuilder, &Arc<ManualClock>) -> HostBuilder + Send + Sync>;

/// Returns the limits of a call in a run of the suite: the defaults with a shorter request time, for which
/// the suite waits.
pub fn run_limits() -> Limits {
    Limits {
        request_time: Duration::from_secs(3),
        ..Limits::default()
    }
}

/// A run of the suite on hosts of this library, on one store.
pub struct Conformance {
    component: ComponentSource,
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    reopen: Option<StoreOpener>,
    cache: Option<ComponentCache>,
    limits: Limits,
    /// Whether the host allows the origin that the suite expects to be denied.
    allows_denied: bool,
    modify_host: Option<HostModifier>,
    response_override: Option<ResponseOverride>,
}

/// The state of a run.
pub(super) struct Run {
    plugin: Plugin,
    sealer: Arc<Sealer>,
    pub(super) limits: Limits,
    allow: Vec<String>,
    modify_host: Option<HostModifier>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) server: Server,
    pkid: Option<Pkid>,
    stash: TempDir,
}

impl Conformance {
    /// Creates a run of the suite in `component` on hosts that use `store`. The run changes the store.
    pub fn new(component: ComponentSource, store: Arc<dyn Store>, sealer: Arc<Sealer>) -> Self {
        Self {
            component,
            store,
            sealer,
            reopen: None,
            cache: None,
            limits: run_limits(),
            allows_denied: false,
            modify_host: None,
            response_override: None,
        }
    }

    /// Sets how the store is opened again, to check that commits survive a restart.
    #[must_use]
    pub fn reopen_with<F>(mut self, reopen: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = OpenedStore> + Send + 'static,
    {
        self.reopen = Some(Box::new(move || Box::pin(reopen())));
        self
    }

    /// Caches the compiled suite for later processes. By default nothing is cached.
    #[must_use]
    pub fn component_cache(mut self, cache: ComponentCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Sets the limits of a call. The default is [`run_limits`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Makes the host allow the origin that the suite expects to be denied. The host then does not conform: for
    /// tests of the suite.
    #[must_use]
    pub fn allow_denied_origin(mut self) -> Self {
        self.allows_denied = true;
        self
    }

    /// Changes each host before it is built, so that it does not conform: for tests of the suite. `modify_host`
    /// also receives the clock that the run moves.
    #[must_use]
    pub fn modify_hosts(
        mut self,
        modify_host: impl Fn(HostBuilder, &Arc<ManualClock>) -> HostBuilder + Send + Sync + 'static,
    ) -> Self {
        self.modify_host = Some(Box::new(modify_host));
        self
    }

    /// Replaces the server's response to some requests, as if the host had changed them: for tests of the
    /// suite. The address is absolute when the server is used as a proxy.
    #[must_use]
    pub fn override_responses(
        mut self,
        response_override: impl Fn(&Method, &Uri) -> Option<Response<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        self.response_override = Some(Arc::new(response_override));
        self
    }

    /// Runs the suite from `add` to `delete`.
    pub async fn run(self) -> Result<Report, ConformanceError> {
        // Loaded once for all hosts of the run.
        let plugin = load_plugin(self.component, &self.limits, self.cache.as_ref())
            .map_err(|error| ConformanceError::Host(error.to_string()))?;
        let denied = Server::start().await?;
        let mut run = Run {
            plugin,
            sealer: self.sealer,
            limits: self.limits,
            allow: Vec::new(),
            modify_host: self.modify_host,
            clock: Arc::new(ManualClock::new(START_TIME)),
            server: Server::start_with(self.response_override).await?,
            pkid: None,
            stash: TempDir::new()?,
        };
        let closed = find_closed_origin().await?;
        run.allow = vec![run.server.origin(), closed.clone()];
        if self.allows_denied {
            run.allow.push(denied.origin());
        }
        let first = run.build_host(&self.store).await?;
        let busy = BusyNotifier::default();
        let layered = Layered::new(Arc::clone(&self.store), busy.clone());
        let second = run
            .build_host(&(Arc::new(layered) as Arc<dyn Store>))
            .await?;
        run.add(&first, &denied.origin(), &closed).await?;
        run.checks(&first).await?;
        run.refresh(&first).await?;
        run.check_redaction(&first).await?;
        run.keep(&self.store).await?;
        run.check_concurrent_calls(&first, &second, &busy).await?;
        run.check_lost_lease(&first, &second).await?;
        let host = match &self.reopen {
            None => first,
            Some(reopen) => {
                drop((first, second, self.store));
                let store = reopen().await.map_err(ConformanceError::Reopen)?;
                let host = run.build_host(&store).await?;
                run.modify(&host, &json!({ "do": "after-restart" })).await?;
                host
            }
        };
        let mut report = run.await_wakeups(&host).await?;
        let deleted = host.delete(run.pkid()?, false);
        let deleted = run.finish_in_time("delete", deleted).await?;
        report.decide(
            "delete.leaves-nothing",
            deleted.err().map(|error| error.to_string()),
        );
        Ok(report)
    }
}

/// Returns an origin on which no server listens.
async fn find_closed_origin() -> io::Result<String> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    Ok(format!("http://{}", listener.local_addr()?))
}

impl Run {
    /// Builds a new host on the store, like another process.
    pub(super) async fn build_host(
        &self,
        store: &Arc<dyn Store>,
    ) -> Result<Host, ConformanceError> {
        let wrong = |error: &dyn std::fmt::Display| ConformanceError::Host(error.to_string());
        let proxies = [self.server.origin()];
        let policy = Policy::parse(&self.allow)
            .and_then(|policy| policy.with_proxies(&proxies))
            .map_err(|error| wrong(&error))?;
        let options = ClientOptions {
            max_header_bytes: self.limits.headers,
            max_response_bytes: self.limits.response as u64,
            ..ClientOptions::default()
        };
        let client = Client::new(policy, options).map_err(|error| wrong(&error))?;
        let settings = BTreeMap::from([(SETTING.0.to_owned(), SETTING.1.to_owned())]);
        let builder: HostBuilder = Host::builder()
            .component(ComponentSource::Loaded(Box::new(self.plugin.clone())))
            .store(Arc::clone(store))
            .sealer(Arc::clone(&self.sealer))
            .clock(self.clock.clone())
            .settings(settings)
            .secret_setting(SECRET.0, SecretString::from(SECRET.1))
            .limits(self.limits.clone())
            .stash(self.stash.path())
            .egress(client);
        let builder = match &self.modify_host {
            Some(modify_host) => modify_host(builder, &self.clock),
            None => builder,
        };
        builder.build().await.map_err(|error| wrong(&error))
    }

    fn pkid(&self) -> Result<&Pkid, ConformanceError> {
        let missing = || ConformanceError::Host("the suite's record was not added".to_owned());
        self.pkid.as_ref().ok_or_else(missing)
    }

    async fn add(
        &mut self,
        host: &Host,
        denied: &str,
        closed: &str,
    ) -> Result<(), ConformanceError> {
        let server = self.server.origin();
        let fields = json!({
            "name": "host conformance", "server": server, "denied": denied, "closed": closed,
            "proxy": server, "moment": 60_000,
        });
        let hierarchy = Hierarchy::try_from("sys.Conformance".to_owned());
        let request = AddRequest {
            hierarchy: hierarchy.map_err(|error| ConformanceError::Host(error.to_string()))?,
            fields: object(fields),
            token_response: None,
            idempotency_key: None,
        };
        let call = "add";
        let added = self.finish_in_time(call, host.add(request)).await?;
        let added = added.map_err(|error| ConformanceError::Call { call, error })?;
        Report::parse(&added.value.connection.notes)?;
        self.pkid = Some(added.value.connection.pkid);
        Ok(())
    }

    /// Waits for a call's result, up to the time that the host's limits allow.
    async fn finish_in_time<T>(
        &self,
        call: &'static str,
        work: impl Future<Output = Result<T, CallError>>,
    ) -> Result<Result<T, CallError>, ConformanceError> {
        // The call may wait for another call, and then run, each up to the time limit.
        let timeout = self
            .limits
            .time
            .saturating_mul(2)
            .saturating_add(CALL_GRACE);
        let result = tokio::time::timeout(timeout, work).await;
        let seconds = timeout.as_secs();
        result.map_err(|_| ConformanceError::TimedOut { call, seconds })
    }

    pub(super) async fn try_modify(
        &self,
        host: &Host,
        fields: &Value,
    ) -> Result<Result<CallOutput<ConnectionReport>, CallError>, ConformanceError> {
        let call = host.modify(self.pkid()?, object(fields.clone()), None);
        self.finish_in_time("modify", call).await
    }

    pub(super) async fn modify(
        &self,
        host: &Host,
        fields: &Value,
    ) -> Result<Report, ConformanceError> {
        let called = self.try_modify(host, fields).await?;
        let called = called.map_err(|error| ConformanceError::Call {
            call: "modify",
            error,
        })?;
        Ok(Report::parse(&called.value.notes)?)
    }

    /// Runs all groups of checks. A call that failed is made again, because the suite then records the reason.
    /// A call that never began is not repeated, or the run would wait forever.
    async fn checks(&self, host: &Host) -> Result<(), ConformanceError> {
        let mut last = None;
        for _ in 0..MAX_CHECK_CALLS {
            match self.modify(host, &json!({ "do": "checks" })).await {
                Ok(report) if report.next == "checks" => last = None,
                Ok(_) => return Ok(()),
                Err(error) if error.has_not_begun() => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(ConformanceError::TooManyCalls(MAX_CHECK_CALLS)))
    }

    async fn refresh(&self, host: &Host) -> Result<(), ConformanceError> {
        let call = "refresh";
        let called = self
            .finish_in_time(call, host.refresh(self.pkid()?))
            .await?;
        let _ = called.map_err(|error| ConformanceError::Call { call, error })?;
        Ok(())
    }

    /// Makes a call that exposes a secret, and passes all its visible texts to the suite.
    async fn check_redaction(&self, host: &Host) -> Result<(), ConformanceError> {
        let mut text = String::new();
        if let Err(error) = self
            .try_modify(host, &json!({ "do": "expose-secret" }))
            .await?
        {
            text = format!("{error} {error:?}");
            if let Some(id) = &error.transaction {
                let record = host.store().transaction(id).await;
                let filter = TransactionFilter {
                    parent: Some(id.clone()),
                    ..TransactionFilter::default()
                };
                let parts = host.store().transactions(&filter, None, 10).await;
                text.push_str(&format!("{record:?} {parts:?}"));
            }
        }
        let report = json!({ "do": "check-texts", "text": text });
        self.modify(host, &report).await.map(drop)
    }

    /// Runs due wakeups for a day on the clock.
    async fn await_wakeups(&self, host: &Host) -> Result<Report, ConformanceError> {
        let dispatcher = host.dispatcher(DispatcherOptions::default());
        let until = self.clock.now().after(DAY);
        let run_result =
            tokio::time::timeout(WAKEUP_TIMEOUT, dispatcher.run_through(&self.clock, until)).await;
        let reason = match run_result {
            Ok(Ok(_)) => "it did not come within a day".to_owned(),
            Ok(Err(error)) => format!("wakeups stopped: {error}"),
            Err(_) => "settled wakeups were delivered again and again".to_owned(),
        };
        let call = "check-expiry";
        let looked = self
            .finish_in_time(call, host.check_expiry(self.pkid()?))
            .await?;
        let looked = looked.map_err(|error| ConformanceError::Call { call, error })?;
        let mut report = Report::parse(&looked.value.connection.notes)?;
        if report.with_status(Status::Pending).count() > 0 {
            report.fail_pending(&reason);
        }
        Ok(report)
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
