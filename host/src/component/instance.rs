//! One instance: the state that its imports work on, and what is told when it fails.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use wasmtime::component::{ResourceTable, ResourceTableError};
use wasmtime::{ResourceLimiter, Trap};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::error::{GuestError, GuestErrorKind, panic_message};
use crate::egress::Client;
use crate::entropy::Generator;
use crate::imports::http::Outgoing;
use crate::imports::{Call, LimitHit, Patience, Scrubber, Services, Traces};
use crate::limits::Limits;
use crate::schedule::clock::Clock;
use crate::store::Lease;
use crate::sync::lock;
use crate::transactions::journal::Journal;

/// The most that is kept of what an instance writes to its standard error, in bytes.
const STDERR: usize = 16 << 10;

/// What a call starts with.
pub(crate) struct Opening {
    pub services: Arc<Services>,
    pub client: Client,
    pub lease: Option<Lease>,
    /// The secrets in what the plugin is handed.
    pub given: Vec<SecretString>,
    /// The monotonic moment until which the lease may be relied on.
    pub lease_until: Option<Duration>,
    pub journal: Journal,
    /// Where the call leaves what its result may not tell.
    pub traces: Arc<Traces>,
}

/// The state of one instance.
pub struct CallState {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outgoing: Outgoing,
    call: Call,
    pub(crate) limiter: Limiter,
}

impl CallState {
    pub(crate) fn new(
        opening: Opening,
        settings: Arc<BTreeMap<String, String>>,
        capture: &Capture,
        limits: &Limits,
    ) -> Self {
        let clock = Arc::clone(&opening.services.clock);
        let mut wasi = WasiCtx::builder();
        wasi.stderr(capture.stderr.clone())
            .wall_clock(GuestClock(Arc::clone(&clock)))
            .monotonic_clock(GuestClock(clock));
        if let Some(entropy) = &opening.services.entropy {
            let mut seed = [0; 16];
            entropy.fill(&mut seed);
            wasi.secure_random(Generator(Arc::clone(entropy)))
                .insecure_random(Generator(Arc::clone(entropy)))
                .insecure_random_seed(u128::from_le_bytes(seed));
        }
        let wasi = wasi.build();
        let mut call = Call::new(
            Arc::clone(&opening.services),
            opening.lease.clone(),
            opening.journal.clone(),
        );
        call.scrubber = capture.scrubber.clone();
        call.settings = settings;
        let outgoing = Outgoing::new(
            opening.client,
            opening.services,
            opening.journal,
            call.gate.clone(),
            opening.lease_until,
            Arc::clone(&opening.traces),
        );
        let answered = Arc::clone(&outgoing.answered);
        call.patience = Patience::of(answered, opening.lease_until, limits);
        call.traces = opening.traces;
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        Self {
            table,
            wasi,
            http: WasiHttpCtx::new(),
            outgoing,
            call,
            limiter: Limiter {
                memory: limits.memory,
                table: limits.table,
                hit: Arc::clone(&capture.memory),
            },
        }
    }

    pub(crate) fn call(&mut self) -> &mut Call {
        &mut self.call
    }

    pub(crate) fn outgoing(&mut self) -> &mut Outgoing {
        &mut self.outgoing
    }

    fn hit(&self) -> Option<LimitHit> {
        self.call
            .hit
            .clone()
            .or_else(|| lock(&self.outgoing.hit).clone())
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for CallState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.outgoing,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// The host's clock as the guest sees it.
struct GuestClock(Arc<dyn Clock>);

impl HostWallClock for GuestClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now().0)
    }
}

impl HostMonotonicClock for GuestClock {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.monotonic().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Refuses memory and tables past their bounds by a trap, so that the error can name the bound.
pub(crate) struct Limiter {
    memory: usize,
    table: usize,
    hit: Arc<Mutex<bool>>,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.memory {
            *lock(&self.hit) = true;
            return Err(wasmtime::Error::new(LimitHit::Memory(self.memory)));
        }
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.table {
            return Err(wasmtime::Error::new(LimitHit::Table(self.table)));
        }
        Ok(true)
    }
}

/// What outlives an instance that failed, to say why it did.
pub(crate) struct Capture {
    stderr: MemoryOutputPipe,
    pub(crate) scrubber: Scrubber,
    memory: Arc<Mutex<bool>>,
    limits: Limits,
}

impl Capture {
    pub(crate) fn new(opening: &Opening, limits: &Limits) -> Self {
        let scrubber = Scrubber::default();
        let settings = opening.services.secret_settings.values();
        for secret in settings.chain(&opening.given) {
            // However many there are: the plugin has no say in it.
            scrubber.learn(secret, usize::MAX);
        }
        Self {
            stderr: MemoryOutputPipe::new(STDERR),
            scrubber,
            memory: Arc::default(),
            limits: limits.clone(),
        }
    }

    pub(crate) fn explain(
        &self,
        plugin: &str,
        state: &CallState,
        error: &wasmtime::Error,
    ) -> GuestError {
        let stderr = self.stderr();
        let panicked = panic_message(&stderr);
        let kind = if *lock(&self.memory) {
            GuestErrorKind::Memory {
                limit: self.limits.memory,
            }
        } else if let Some(hit) = self.limit_of(error) {
            GuestErrorKind::Limit(hit)
        } else if let Some(message) = panicked {
            GuestErrorKind::Panic { message }
        } else if let Some(trap) = error.downcast_ref::<Trap>() {
            let message = match state.hit() {
                Some(hit) => format!("{trap}, after it ran into a limit: {hit}"),
                None => trap.to_string(),
            };
            GuestErrorKind::Trap { message }
        } else {
            GuestErrorKind::Trap {
                message: self.scrubber.scrub(&format!("{error:#}")),
            }
        };
        GuestError {
            plugin: plugin.to_owned(),
            kind,
            stderr,
        }
    }

    /// The bound that made wasmtime stop the instance.
    fn limit_of(&self, error: &wasmtime::Error) -> Option<LimitHit> {
        if let Some(hit) = error.downcast_ref::<LimitHit>() {
            return Some(hit.clone());
        }
        if let Some(ResourceTableError::Full) = error.downcast_ref() {
            return Some(LimitHit::Handles(self.limits.handles));
        }
        // wasmtime has no types for these that others can name.
        let text = error.root_cause().to_string();
        if text.contains("store handle limit exceeded") {
            return Some(LimitHit::Handles(self.limits.handles));
        }
        text.contains("fuel allocated for hostcalls has been exhausted")
            .then_some(LimitHit::Transfer(self.limits.transfer))
    }

    pub(crate) fn out_of_time(&self, plugin: &str, limit: Duration) -> GuestError {
        GuestError {
            plugin: plugin.to_owned(),
            kind: GuestErrorKind::Time { limit },
            stderr: self.stderr(),
        }
    }

    fn stderr(&self) -> String {
        let bytes = self.stderr.contents();
        self.scrubber.scrub(&String::from_utf8_lossy(&bytes))
    }
}
