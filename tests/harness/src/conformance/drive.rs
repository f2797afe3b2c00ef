//! The calls that make up a run of the suite, in their order.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, Uri};
use relation_host::component::{ComponentCache, Plugin};
use relation_host::egress::{Client, ClientOptions, Policy};
use relation_host::reports::ConnectionReport;
use relation_host::schedule::clock::{Clock as _, ManualClock};
use relation_host::schedule::dispatcher::DispatcherOptions;
use relation_host::store::layer::Layered;
use relation_host::store::seal::Sealer;
use relation_host::store::{Store, StoreError};
use relation_host::types::{Hierarchy, Pkid};
use relation_host::{
    AddRequest, CallError, CallOutput, ComponentSource, Host, HostBuilder, Limits,
};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use super::not_run::NotRun;
use super::overlap::TurnedAway;
use super::report::{Report, Status};
use super::server::{Instead, Server};
use crate::harness::{BEGINNING, loaded};

/// How long wakeups are waited for by the clock, which is longer than any host lets a failed one wait.
const DAY: Duration = Duration::from_secs(86_400);
/// How long they are waited for in real time: a store that forgets nothing would go on for ever.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a call is waited for in real time beyond what the host's own bounds let it take.
const GRACE: Duration = Duration::from_secs(30);
/// More calls than there are groups of checks.
const CALLS: usize = 40;
/// The settings that the suite looks for: its own words (`tests/host-conformance`).
const SETTING: (&str, &str) = ("conformance.setting", "plain \u{1f980}");
const SECRET: (&str, &str) = ("conformance.secret", "a-secret-of-the-installation");

/// Opens the same store once more, as a restarted host would.
pub type Reopen = Box<dyn Fn() -> Result<Arc<dyn Store>, StoreError> + Send + Sync>;

/// What a test makes of a host that is about to be put together, given the clock that the run moves.
type Alter = Box<dyn Fn(HostBuilder, &Arc<ManualClock>) -> HostBuilder + Send + Sync>;

/// The bounds of a call in a run of the suite: those of a host, with less time for a request, which the
/// suite waits for.
pub fn run_limits() -> Limits {
    Limits {
        request_time: Duration::from_secs(3),
        ..Limits::default()
    }
}

/// A run of the suite on hosts of this library, around one store.
pub struct Conformance {
    component: ComponentSource,
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    reopen: Option<Reopen>,
    cache: Option<ComponentCache>,
    limits: Limits,
    /// The host allows what the suite is told that it denies.
    open: bool,
    alter: Option<Alter>,
    instead: Option<Instead>,
}

/// What a run goes on with.
pub(super) struct Run {
    plugin: Plugin,
    sealer: Arc<Sealer>,
    pub(super) limits: Limits,
    allow: Vec<String>,
    alter: Option<Alter>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) server: Server,
    pkid: Option<Pkid>,
}

impl Conformance {
    /// The suite's component, on hosts around `store`, which holds nothing yet that is worth anything.
    pub fn of(component: ComponentSource, store: Arc<dyn Store>, sealer: Arc<Sealer>) -> Self {
        Self {
            component,
            store,
            sealer,
            reopen: None,
            cache: None,
            limits: run_limits(),
            open: false,
            alter: None,
            instead: None,
        }
    }

    /// How the store is opened again, for the check that what was committed survives a restart.
    #[must_use]
    pub fn reopening(mut self, reopen: Reopen) -> Self {
        self.reopen = Some(reopen);
        self
    }

    /// Where the compiled suite is kept for the next process; nowhere by default.
    #[must_use]
    pub fn component_cache(mut self, cache: ComponentCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// The bounds of a call; [`run_limits`] by default.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The host allows what the suite is told that it denies: one that does not conform, for tests of
    /// the suite.
    #[must_use]
    pub fn allowing_what_is_denied(mut self) -> Self {
        self.open = true;
        self
    }

    /// Hosts are put together otherwise, as they should not be: for tests of the suite. What is altered is
    /// given the clock that the run moves.
    #[must_use]
    pub fn altering_hosts(
        mut self,
        alter: impl Fn(HostBuilder, &Arc<ManualClock>) -> HostBuilder + Send + Sync + 'static,
    ) -> Self {
        self.alter = Some(Box::new(alter));
        self
    }

    /// The server answers requests of this method and address otherwise, as if the host had changed
    /// what goes through: for tests of the suite. The address is absolute when it is asked as a proxy.
    #[must_use]
    pub fn answering(
        mut self,
        instead: impl Fn(&Method, &Uri) -> Option<Response<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        self.instead = Some(Arc::new(instead));
        self
    }

    /// Runs the suite from `add` to `delete`.
    pub async fn run(self) -> Result<Report, NotRun> {
        // Once for all hosts of the run.
        let plugin = loaded(self.component, &self.limits, self.cache.as_ref())
            .map_err(|error| NotRun::Host(error.to_string()))?;
        let denied = Server::start().await?;
        let mut run = Run {
            plugin,
            sealer: self.sealer,
            limits: self.limits,
            allow: Vec::new(),
            alter: self.alter,
            clock: Arc::new(ManualClock::new(BEGINNING)),
            server: Server::start_with(self.instead).await?,
            pkid: None,
        };
        let closed = closed().await?;
        run.allow = vec![run.server.origin(), closed.clone()];
        if self.open {
            run.allow.push(denied.origin());
        }
        let first = run.host(&self.store).await?;
        let turned_away = TurnedAway::default();
        let seen = Layered::new(Arc::clone(&self.store), turned_away.clone());
        let second = run.host(&(Arc::new(seen) as Arc<dyn Store>)).await?;
        run.add(&first, &denied.origin(), &closed).await?;
        run.checks(&first).await?;
        run.refresh(&first).await?;
        run.tell(&first).await?;
        run.meet(&first, &second, &turned_away).await?;
        run.outlive(&first, &second).await?;
        let host = match &self.reopen {
            None => first,
            Some(reopen) => {
                drop((first, second, self.store));
                let store = reopen().map_err(NotRun::Reopen)?;
                let host = run.host(&store).await?;
                run.modify(&host, &json!({ "do": "restarted" })).await?;
                host
            }
        };
        let mut report = run.wait(&host).await?;
        let deleted = host.delete(run.pkid()?, false);
        let deleted = run.answer("delete", deleted).await?;
        report.decide(
            "delete.leaves-nothing",
            deleted.err().map(|error| error.to_string()),
        );
        Ok(report)
    }
}

/// An address at which nobody listens.
async fn closed() -> io::Result<String> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    Ok(format!("http://{}", listener.local_addr()?))
}

impl Run {
    /// A host of its own on the store, as another process would be.
    async fn host(&self, store: &Arc<dyn Store>) -> Result<Host, NotRun> {
        let wrong = |error: &dyn std::fmt::Display| NotRun::Host(error.to_string());
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
            .egress(client);
        let builder = match &self.alter {
            Some(alter) => alter(builder, &self.clock),
            None => builder,
        };
        builder.build().await.map_err(|error| wrong(&error))
    }

    fn pkid(&self) -> Result<&Pkid, NotRun> {
        let missing = || NotRun::Host("the suite's record was not added".to_owned());
        self.pkid.as_ref().ok_or_else(missing)
    }

    async fn add(&mut self, host: &Host, denied: &str, closed: &str) -> Result<(), NotRun> {
        let server = self.server.origin();
        let fields = json!({
            "name": "host conformance", "server": server, "denied": denied, "closed": closed,
            "proxy": server, "moment": 60_000,
        });
        let hierarchy = Hierarchy::try_from("sys.Conformance".to_owned());
        let request = AddRequest {
            hierarchy: hierarchy.map_err(|error| NotRun::Host(error.to_string()))?,
            fields: object(fields),
            token_response: None,
            idempotency_key: None,
        };
        let call = "add";
        let added = self.answer(call, host.add(request)).await?;
        let added = added.map_err(|error| NotRun::Call { call, error })?;
        Report::read(&added.value.connection.notes)?;
        self.pkid = Some(added.value.connection.pkid);
        Ok(())
    }

    /// What the host answers to a call, if it does so at all.
    async fn answer<T>(
        &self,
        call: &'static str,
        work: impl Future<Output = Result<T, CallError>>,
    ) -> Result<Result<T, CallError>, NotRun> {
        // It may wait as long as one may last, and then last as long.
        let patience = self.limits.time.saturating_mul(2).saturating_add(GRACE);
        let answered = tokio::time::timeout(patience, work).await;
        let seconds = patience.as_secs();
        answered.map_err(|_| NotRun::Silent { call, seconds })
    }

    pub(super) async fn try_modify(
        &self,
        host: &Host,
        fields: &Value,
    ) -> Result<Result<CallOutput<ConnectionReport>, CallError>, NotRun> {
        let call = host.modify(self.pkid()?, object(fields.clone()), None);
        self.answer("modify", call).await
    }

    pub(super) async fn modify(&self, host: &Host, fields: &Value) -> Result<Report, NotRun> {
        let called = self.try_modify(host, fields).await?;
        let called = called.map_err(|error| NotRun::Call {
            call: "modify",
            error,
        })?;
        Ok(Report::read(&called.value.notes)?)
    }

    /// Group after group. A call that ends in an error is made again: the suite knows why. One that never
    /// began would have it wait for ever.
    async fn checks(&self, host: &Host) -> Result<(), NotRun> {
        let mut last = None;
        for _ in 0..CALLS {
            match self.modify(host, &json!({ "do": "checks" })).await {
                Ok(report) if report.next == "checks" => last = None,
                Ok(_) => return Ok(()),
                Err(error) if error.never_began() => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(NotRun::Endless(CALLS)))
    }

    async fn refresh(&self, host: &Host) -> Result<(), NotRun> {
        let call = "refresh";
        let called = self.answer(call, host.refresh(self.pkid()?)).await?;
        called.map_err(|error| NotRun::Call { call, error })?;
        Ok(())
    }

    /// Everything that is to be seen of a call that says a secret aloud.
    async fn tell(&self, host: &Host) -> Result<(), NotRun> {
        let mut text = String::new();
        if let Err(error) = self.try_modify(host, &json!({ "do": "tell" })).await? {
            text = format!("{error} {error:?}");
            if let Some(id) = &error.transaction {
                let record = host.store().transaction(id).await;
                text.push_str(&format!("{record:?}"));
            }
        }
        let told = json!({ "do": "told", "text": text });
        self.modify(host, &told).await.map(drop)
    }

    /// A day in which wakeups come.
    async fn wait(&self, host: &Host) -> Result<Report, NotRun> {
        let dispatcher = host.dispatcher(DispatcherOptions::default());
        let until = self.clock.now().after(DAY);
        let ran = tokio::time::timeout(PATIENCE, dispatcher.run_through(&self.clock, until)).await;
        let why = match ran {
            Ok(Ok(_)) => "it did not come within a day".to_owned(),
            Ok(Err(error)) => format!("wakeups stopped: {error}"),
            Err(_) => "wakeups that were answered kept coming".to_owned(),
        };
        let call = "check-expiry";
        let looked = self.answer(call, host.check_expiry(self.pkid()?)).await?;
        let looked = looked.map_err(|error| NotRun::Call { call, error })?;
        let mut report = Report::read(&looked.value.connection.notes)?;
        if report.that_are(Status::Pending).count() > 0 {
            report.close(&why);
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
