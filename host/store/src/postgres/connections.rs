//! The connections to the database. Statements share them: a client sends the next statement before the answer to the
//! former one has come. A task for each connection keeps it open.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::error::{Class, Result, classify, describe};
use super::groups::Groups;
use super::servers::{Live, Servers};
use super::takeover::LastOutage;
use super::{Lane, Parameters, PostgresOptions};
use crate::{HostShare, StoreError};

/// How often a statement that reads is tried at least, when its connection breaks.
const READ_TRIES: usize = 3;

/// The pause before a statement that reads is repeated.
const PAUSE: Duration = Duration::from_millis(20);

/// The longest pause between attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A connection that ended sooner counts as a failed attempt to connect.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

/// How long an operation waits in an outage that has lasted for long.
const SHORT_PATIENCE: Duration = Duration::from_millis(200);

/// The difference between the clocks of the database and of this machine, in milliseconds, that is worth a warning.
const TOLERATED_SKEW: i64 = 1000;

/// How long a host counts as one with a dispatcher after that has asked for its share.
const DISPATCHER_MEMORY: Duration = Duration::from_secs(15);

/// The connections of one store. Their tasks end with it.
pub(super) struct Connections {
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
}

/// The state that the tasks share.
pub(super) struct Shared {
    servers: Servers,
    patience: Duration,
    slots: Vec<(Lane, Slot)>,
    /// Changes with each new connection.
    connected: watch::Sender<()>,
    attempts: tokio::sync::Mutex<Attempts>,
    outage: Mutex<Option<Outage>>,
    last_outage: LastOutage,
    skew: AtomicI64,
    events: Events,
    groups: Groups,
    runtime: Handle,
    /// The number of hosts with a heartbeat, this one included.
    hosts: AtomicU32,
    share: Mutex<HostShare>,
    /// When a dispatcher last asked for its share.
    asked: Mutex<Option<Instant>>,
}

/// Numbers of events, for metrics.
#[derive(Default)]
pub(super) struct Events {
    pub(super) reconnects: AtomicU64,
    /// Writes whose answer was lost, by their outcome.
    pub(super) made: AtomicU64,
    pub(super) prevented: AtomicU64,
    pub(super) unknown: AtomicU64,
}

/// The place of one connection.
type Slot = Mutex<Option<Arc<Live>>>;

/// The attempts to connect, which are made one after the other.
#[derive(Default)]
struct Attempts {
    failures: u32,
    not_before: Option<Instant>,
}

/// A time without a server.
struct Outage {
    began: Instant,
    reason: String,
}

/// The failure of a statement.
pub(super) enum Failure {
    /// The server or the client library has reported it.
    Statement(tokio_postgres::Error),
    /// No answer came in time.
    NoAnswer,
    /// The statement was not sent.
    Unreachable(StoreError),
}

impl Failure {
    pub(super) fn class(&self) -> Class {
        match self {
            Self::Statement(error) => classify(error),
            Self::NoAnswer => Class::Broken,
            Self::Unreachable(_) => Class::Final,
        }
    }

    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Statement(error) => describe(&error),
            Self::NoAnswer => StoreError::Unavailable("the server does not answer".to_owned()),
            Self::Unreachable(error) => error,
        }
    }
}

impl Connections {
    /// Begins to connect, with the patience and the number of connections of the options.
    pub(super) fn start(servers: Servers, options: &PostgresOptions) -> Self {
        let mut lanes = vec![Lane::Read, Lane::Read, Lane::Slow];
        if !servers.is_read_only() {
            lanes.resize(lanes.len() + options.writers.max(1), Lane::Write);
        }
        let shared = Arc::new(Shared {
            servers,
            patience: options.patience,
            slots: lanes
                .into_iter()
                .map(|lane| (lane, Slot::default()))
                .collect(),
            connected: watch::Sender::new(()),
            attempts: tokio::sync::Mutex::default(),
            outage: Mutex::default(),
            last_outage: LastOutage::new(options.takeover_delay),
            skew: AtomicI64::new(0),
            events: Events::default(),
            groups: Groups::default(),
            runtime: Handle::current(),
            hosts: AtomicU32::new(1),
            share: Mutex::new(HostShare::WHOLE),
            asked: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for index in 0..shared.slots.len() {
            let shared = Arc::clone(&shared);
            tasks.spawn(async move { shared.keep_connected(index).await });
        }
        Self {
            shared,
            tasks: Mutex::new(tasks),
        }
    }

    /// Runs a task until the store is dropped.
    pub(super) fn spawn<F>(&self, task: impl FnOnce(Arc<Shared>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.lock().spawn(task(Arc::clone(&self.shared)));
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn share(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Runs a statement that reads, and repeats it when its connection breaks, until the end of the patience.
    pub(super) async fn read(
        &self,
        lane: Lane,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>> {
        self.shared.read(lane, statement, parameters).await
    }
}

impl Shared {
    pub(super) fn is_read_only(&self) -> bool {
        self.servers.is_read_only()
    }

    /// Runs a statement with one text on a connection of its own.
    pub(super) async fn run_alone(&self, statement: &str, text: &str) -> Result<(), StoreError> {
        let connected = self.servers.connect(Lane::Write).await?;
        let client = connected.live.client();
        let ran = client
            .execute_typed(statement, &[(&text, Type::TEXT)])
            .await;
        ran.map(drop).map_err(|error| describe(&error))
    }

    pub(super) async fn read(
        &self,
        lane: Lane,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>> {
        let end = self.deadline();
        let mut tries = 0;
        loop {
            let until = self.deadline();
            let failure = match self.attempt(lane, statement, parameters, until).await {
                Ok(rows) => return Ok(rows),
                Err(failure) => failure,
            };
            tries += 1;
            let ended = tries >= READ_TRIES && Instant::now() > end;
            if ended || failure.class() == Class::Final {
                return Err(failure.into_error().into());
            }
            tokio::time::sleep(jitter(PAUSE)).await;
        }
    }

    /// Runs a statement once, on a connection of the lane, for which it waits until `deadline`.
    pub(super) async fn attempt(
        &self,
        lane: Lane,
        statement: &str,
        parameters: Parameters<'_>,
        deadline: Instant,
    ) -> Result<Vec<Row>, Failure> {
        let live = self.find_connection(lane, deadline).await?;
        let sent = Instant::now();
        let answer = live.run(statement, parameters, lane.answer_limit()).await;
        self.last_outage.note_answer(lane, sent.elapsed());
        match answer {
            Some(answer) => answer.map_err(Failure::Statement),
            None => Err(Failure::NoAnswer),
        }
    }

    /// Returns the time until which an operation that begins now waits for a server.
    pub(super) fn deadline(&self) -> Instant {
        let now = Instant::now();
        match &*self.outage.lock() {
            // Each caller of a long outage learns of it soon.
            Some(outage) => (outage.began + self.patience).max(now + SHORT_PATIENCE),
            None => now + self.patience,
        }
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    pub(super) fn last_outage(&self) -> &LastOutage {
        &self.last_outage
    }

    /// Returns the database's clock minus this machine's, in milliseconds.
    pub(super) fn skew(&self) -> i64 {
        self.skew.load(Ordering::Relaxed)
    }

    pub(super) fn events(&self) -> &Events {
        &self.events
    }

    /// Returns the runtime on which the store was opened.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(super) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Returns the number of hosts that were alive at the latest heartbeat.
    pub(super) fn hosts(&self) -> u32 {
        self.hosts.load(Ordering::Relaxed)
    }

    /// Returns the number of writes that wait for their group, and of statements that write and have no answer yet.
    pub(super) fn running_writes(&self) -> u64 {
        let writers = self.slots.iter().filter(|(lane, _)| *lane == Lane::Write);
        let running =
            writers.filter_map(|(_, slot)| slot.lock().as_ref().map(|live| live.running()));
        running.map(|running| running as u64).sum::<u64>() + self.groups.waiting()
    }

    /// Returns the share of the wakeups of this host, which runs a dispatcher.
    pub(super) fn share_of_dispatcher(&self) -> HostShare {
        *self.asked.lock() = Some(Instant::now());
        *self.share.lock()
    }

    /// Returns whether this host runs a dispatcher.
    pub(super) fn dispatches(&self) -> bool {
        let asked = *self.asked.lock();
        asked.is_some_and(|asked| asked.elapsed() < DISPATCHER_MEMORY)
    }

    /// Notes the share of this host, and the number of hosts that are alive.
    pub(super) fn note_hosts(&self, share: HostShare, alive: u32) {
        self.hosts.store(alive, Ordering::Relaxed);
        *self.share.lock() = share;
    }

    /// Notes the database's clock minus this machine's, in milliseconds.
    pub(super) fn note_skew(&self, skew: i64) {
        let before = self.skew.swap(skew, Ordering::Relaxed);
        if skew.abs() > TOLERATED_SKEW && before.abs() <= TOLERATED_SKEW {
            tracing::warn!(
                skew_ms = skew,
                "the clocks of the database and of this machine differ: synchronize both (NTP)"
            );
        }
    }

    /// Returns the connection of the lane on which the fewest statements wait.
    async fn find_connection(&self, lane: Lane, deadline: Instant) -> Result<Arc<Live>, Failure> {
        if !self.slots.iter().any(|(of, _)| *of == lane) {
            let reason = "it was opened for reading";
            return Err(Failure::Unreachable(StoreError::Unavailable(
                reason.to_owned(),
            )));
        }
        let mut connected = self.connected.subscribe();
        loop {
            connected.mark_unchanged();
            let found = self
                .slots
                .iter()
                .filter(|(of, _)| *of == lane)
                .filter_map(|(_, slot)| slot.lock().clone())
                .filter(|live| !live.is_closed())
                .min_by_key(|live| live.running());
            if let Some(live) = found {
                return Ok(live);
            }
            let waited = tokio::time::timeout_at(deadline.into(), connected.changed()).await;
            if waited.is_err() {
                return Err(Failure::Unreachable(self.describe_outage()));
            }
        }
    }

    pub(super) fn describe_outage(&self) -> StoreError {
        let reason = match &*self.outage.lock() {
            Some(outage) => outage.reason.clone(),
            None => "no connection to the database yet".to_owned(),
        };
        StoreError::Unavailable(reason)
    }

    /// Connects again whenever the connection ends.
    async fn keep_connected(&self, index: usize) {
        let Some((lane, slot)) = self.slots.get(index) else {
            return;
        };
        loop {
            let (live, ended) = self.connect_patiently(*lane).await;
            let since = Instant::now();
            *slot.lock() = Some(live);
            self.connected.send_replace(());
            // An aborted connection has ended too.
            let _ = ended.await;
            *slot.lock() = None;
            self.events.reconnects.fetch_add(1, Ordering::Relaxed);
            if since.elapsed() < SHORTEST_LIFE {
                self.attempts.lock().await.delay_next();
            }
        }
    }

    /// Connects, with pauses that grow while it fails.
    async fn connect_patiently(&self, lane: Lane) -> (Arc<Live>, tokio::task::JoinHandle<()>) {
        loop {
            let mut attempts = self.attempts.lock().await;
            if let Some(time) = attempts.not_before {
                tokio::time::sleep_until(time.into()).await;
            }
            match self.servers.connect(lane).await {
                Ok(connected) => {
                    *attempts = Attempts::default();
                    self.note_skew(connected.skew);
                    if let Some(outage) = self.outage.lock().take() {
                        self.last_outage.note_end();
                        let seconds = outage.began.elapsed().as_secs();
                        tracing::info!("connected to the database again after {seconds} s");
                    }
                    return (connected.live, connected.driver);
                }
                Err(error) => {
                    attempts.delay_next();
                    self.note_outage(error);
                }
            }
        }
    }

    fn note_outage(&self, error: StoreError) {
        let reason = match error {
            StoreError::Unavailable(reason) => reason,
            other => other.to_string(),
        };
        let mut outage = self.outage.lock();
        match &mut *outage {
            Some(outage) => outage.reason = reason,
            None => {
                tracing::warn!("cannot connect to the database: {reason}");
                *outage = Some(Outage {
                    began: Instant::now(),
                    reason,
                });
            }
        }
    }
}

impl Attempts {
    /// Delays the next attempt, longer after each failure.
    fn delay_next(&mut self) {
        let pause = Duration::from_millis(25) * 2u32.pow(self.failures.min(8));
        self.failures += 1;
        self.not_before = Some(Instant::now() + jitter(pause.min(LONGEST_PAUSE)));
    }
}

/// Returns a random duration between half of `longest` and `longest`, so that hosts do not come all at once.
pub(super) fn jitter(longest: Duration) -> Duration {
    let random = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
    longest / 2 + longest * random / 512
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}
