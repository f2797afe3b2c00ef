//! Whether this host can work: the parts of readiness.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use relation_host::Host;
use relation_host::clock::Clock;
use relation_host::store::seal::SealError;
use relation_host::types::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// How old the latest success of the store may be.
const MAX_AGE: Duration = Duration::from_secs(10);
/// How old the latest success may be before the store is asked again.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// How long a probe of the store may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// A part of readiness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartHealth {
    /// The part: `component`, `store`, `key` or `running`.
    pub part: &'static str,
    /// Whether the part works.
    pub ok: bool,
    /// Since when this is so.
    pub since: Timestamp,
    /// The state in words.
    pub message: String,
}

/// The readiness of this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether all parts work.
    pub ready: bool,
    /// The parts.
    pub parts: Vec<PartHealth>,
}

/// The state of the parts. Clones are the same.
#[derive(Clone)]
pub(crate) struct Health(Arc<Parts>);

struct Parts {
    clock: Arc<dyn Clock>,
    stopping: CancellationToken,
    host: Mutex<Option<Host>>,
    known: Mutex<Known>,
    /// Held during a probe, so that there is one at a time.
    probing: tokio::sync::Mutex<()>,
}

/// The results so far.
#[derive(Default)]
struct Known {
    /// The monotonic time of the store's latest success.
    succeeded: Option<Duration>,
    /// The monotonic time of the latest probe.
    probed: Option<Duration>,
    /// Whether the key opens the store.
    key_opens: bool,
    /// The parts of the latest response.
    latest: Vec<PartHealth>,
}

impl Health {
    pub fn new(clock: Arc<dyn Clock>, stopping: CancellationToken) -> Self {
        Self(Arc::new(Parts {
            clock,
            stopping,
            host: Mutex::new(None),
            known: Mutex::default(),
            probing: tokio::sync::Mutex::default(),
        }))
    }

    /// Sets the host, whose component is compiled and whose key has opened the store.
    pub fn attach(&self, host: Host) {
        let Parts { clock, known, .. } = &*self.0;
        let now = clock.monotonic();
        {
            let mut known = known.lock();
            known.key_opens = true;
            known.succeeded = Some(now);
            known.probed = Some(now);
        }
        *self.0.host.lock() = Some(host);
    }

    /// Forgets the host, which then can be dropped.
    pub fn detach(&self) {
        self.0.host.lock().take();
    }

    /// Returns the readiness. Asks the store unless it was asked just before.
    pub async fn check(&self) -> Readiness {
        let host = self.0.host.lock().clone();
        if let Some(host) = &host
            && !self.0.stopping.is_cancelled()
        {
            self.probe(host).await;
        }
        self.read(host.is_some())
    }

    async fn probe(&self, host: &Host) {
        let Parts { clock, known, .. } = &*self.0;
        let _probing = self.0.probing.lock().await;
        let now = clock.monotonic();
        {
            let mut known = known.lock();
            let is_recent =
                |at: Option<Duration>, age| at.is_some_and(|at| now.saturating_sub(at) < age);
            // After a failure, the store is asked again at the next second.
            let is_down = known.probed > known.succeeded;
            if is_recent(known.succeeded, PROBE_INTERVAL) && !is_down
                || is_recent(known.probed, Duration::from_secs(1))
            {
                return;
            }
            known.probed = Some(now);
        }
        // Reads the data keys and opens them.
        let reload = host.sealer().reload(host.store().as_ref());
        let reloaded = tokio::time::timeout(PROBE_TIMEOUT, reload).await;
        let mut known = known.lock();
        match reloaded {
            Ok(Ok(())) => {
                known.succeeded = Some(now);
                known.key_opens = true;
            }
            // A store that is not reachable shows nothing about the key.
            Err(_) | Ok(Err(SealError::Store(_))) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready: the key does not open the store");
                known.succeeded = Some(now);
                known.key_opens = false;
            }
        }
    }

    fn read(&self, has_host: bool) -> Readiness {
        let Parts {
            clock,
            stopping,
            known,
            ..
        } = &*self.0;
        let (now, monotonic) = (clock.now(), clock.monotonic());
        let mut known = known.lock();
        let age = known.succeeded.map(|at| monotonic.saturating_sub(at));
        let store = age.is_some_and(|age| age < MAX_AGE);
        let states = [
            (
                "component",
                has_host,
                ["the component is compiled", "the host is starting"],
            ),
            (
                "store",
                store,
                [
                    "the store responds",
                    "the store has not responded for 10 seconds",
                ],
            ),
            (
                "key",
                known.key_opens,
                [
                    "the key opens the store",
                    "the key does not open the store: the log has the reason",
                ],
            ),
            (
                "running",
                !stopping.is_cancelled(),
                ["the process runs", "the process is stopping"],
            ),
        ];
        let parts = states.map(|(part, ok, [yes, no])| {
            let before = known.latest.iter();
            let mut before = before.filter(|each| each.part == part && each.ok == ok);
            PartHealth {
                part,
                ok,
                since: before.next().map_or(now, |each| each.since),
                message: if ok { yes } else { no }.to_owned(),
            }
        });
        known.latest = parts.to_vec();
        Readiness {
            ready: parts.iter().all(|part| part.ok),
            parts: parts.to_vec(),
        }
    }
}
