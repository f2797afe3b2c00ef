//! One instance: the state of its imports, and the explanation of its failure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use secrecy::SecretString;
use wasmtime::component::{ResourceTable, ResourceTableError};
use wasmtime::{ResourceLimiter, Trap};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::entropy_rng::EntropyRng;
use super::error::{GuestError, GuestErrorKind, panic_message};
use crate::clock::Clock;
use crate::egress::Client;
use crate::imports::http::OutgoingHttp;
use crate::imports::journal::Journal;
use crate::imports::{
    Call, CallSettings, CommitMark, Redactor, RetryPolicy, Services, UnreportedEffects,
};
use crate::limits::{Limit, LimitExceeded, Limits};
use crate::store::Lease;
use crate::types::Hierarchy;

/// The maximum size of captured standard error, in bytes.
const STDERR: usize = 16 << 10;

/// The parameters of one instance.
pub(crate) struct InstanceParams {
    pub services: Arc<Services>,
    pub client: Client,
    pub lease: Option<Lease>,
    /// The node of a record that the call adds.
    pub node: Option<Hierarchy>,
    /// The secrets in the plugin's input.
    pub input_secrets: Vec<SecretString>,
    /// The monotonic time until which the lease may be relied on.
    pub lease_until: Option<Duration>,
    pub journal: Journal,
    /// The effects that the call's result may not report.
    pub effects: Arc<UnreportedEffects>,
    /// Stored by each commit of a queued call that is bound to a version of its record.
    pub commit_mark: Option<CommitMark>,
}

/// The state of one instance.
pub struct CallState {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outgoing: OutgoingHttp,
    call: Call,
    pub(crate) limiter: Limiter,
}

impl CallState {
    pub(crate) fn new(
        params: InstanceParams,
        settings: Arc<BTreeMap<String, String>>,
        capture: &Capture,
        limits: &Limits,
    ) -> Self {
        let clock = Arc::clone(&params.services.clock);
        let mut wasi = WasiCtx::builder();
        wasi.stderr(capture.stderr.clone())
            .wall_clock(GuestClock(Arc::clone(&clock)))
            .monotonic_clock(GuestClock(clock));
        if let Some(entropy) = &params.services.entropy {
            let mut seed = [0; 16];
            entropy.fill(&mut seed);
            wasi.secure_random(EntropyRng(Arc::clone(entropy)))
                .insecure_random(EntropyRng(Arc::clone(entropy)))
                .insecure_random_seed(u128::from_le_bytes(seed));
        }
        let wasi = wasi.build();
        let mut call = Call::new(
            Arc::clone(&params.services),
            params.lease.clone(),
            params.journal.clone(),
        );
        call.redactor = capture.redactor.clone();
        call.settings = CallSettings::new(settings, params.node);
        let outgoing = OutgoingHttp::new(
            params.client,
            params.services,
            params.journal,
            call.gate.clone(),
            params.lease_until,
            Arc::clone(&params.effects),
            capture.redactor.clone(),
        );
        let response_received = Arc::clone(&outgoing.response_received);
        call.retry_policy = RetryPolicy::new(response_received, params.lease_until, limits);
        call.effects = params.effects;
        call.commit_mark = params.commit_mark;
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        Self {
            table,
            wasi,
            http: WasiHttpCtx::new(),
            outgoing,
            call,
            limiter: Limiter {
                limits: limits.clone(),
                memory_exceeded: Arc::clone(&capture.memory_exceeded),
                memory: 0,
            },
        }
    }

    pub(crate) fn call(&mut self) -> &mut Call {
        &mut self.call
    }

    pub(crate) fn outgoing(&mut self) -> &mut OutgoingHttp {
        &mut self.outgoing
    }

    fn exceeded(&self) -> Option<LimitExceeded> {
        self.call
            .exceeded
            .clone()
            .or_else(|| self.outgoing.exceeded.lock().clone())
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

/// A limiter that traps a guest beyond its memory or table limit, so that the error can name the limit.
pub(crate) struct Limiter {
    limits: Limits,
    memory_exceeded: Arc<Mutex<bool>>,
    /// The size of all memories of the instance, in bytes. Memories never shrink.
    memory: usize,
}

impl Limiter {
    /// Returns the largest size of the instance's memories so far, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.limits.memory {
            *self.memory_exceeded.lock() = true;
            return Err(wasmtime::Error::new(self.limits.exceeded(Limit::Memory)));
        }
        self.memory = self.memory.saturating_add(desired.saturating_sub(current));
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.limits.table {
            return Err(wasmtime::Error::new(self.limits.exceeded(Limit::Table)));
        }
        Ok(true)
    }
}

/// Data that outlives a failed instance and explains the failure.
pub(crate) struct Capture {
    stderr: MemoryOutputPipe,
    pub(crate) redactor: Redactor,
    memory_exceeded: Arc<Mutex<bool>>,
    limits: Limits,
}

impl Capture {
    pub(crate) fn new(params: &InstanceParams, limits: &Limits) -> Self {
        let redactor = Redactor::default();
        let settings = params.services.secret_settings.values();
        let settings = settings.filter_map(|setting| setting.current());
        for secret in settings.chain(params.input_secrets.iter().cloned()) {
            // Unlimited: the plugin does not control their number.
            redactor.add(&secret, usize::MAX);
        }
        Self {
            stderr: MemoryOutputPipe::new(STDERR),
            redactor,
            memory_exceeded: Arc::default(),
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
        let kind = if *self.memory_exceeded.lock() {
            GuestErrorKind::Memory {
                limit: self.limits.memory,
            }
        } else if let Some(hit) = self.find_limit(error) {
            GuestErrorKind::Limit(hit)
        } else if let Some(message) = panicked {
            GuestErrorKind::Panic { message }
        } else if let Some(trap) = error.downcast_ref::<Trap>() {
            let message = match state.exceeded() {
                Some(hit) => format!("{trap}, after it ran into a limit: {hit}"),
                None => trap.to_string(),
            };
            GuestErrorKind::Trap { message }
        } else {
            GuestErrorKind::Trap {
                message: self.redactor.redact(&format!("{error:#}")),
            }
        };
        GuestError {
            plugin: plugin.to_owned(),
            kind,
            stderr,
        }
    }

    /// Returns the limit that made wasmtime stop the instance.
    fn find_limit(&self, error: &wasmtime::Error) -> Option<LimitExceeded> {
        if let Some(exceeded) = error.downcast_ref::<LimitExceeded>() {
            return Some(exceeded.clone());
        }
        if let Some(ResourceTableError::Full) = error.downcast_ref() {
            return Some(self.limits.exceeded(Limit::Handles));
        }
        // Wasmtime has no public types for these errors.
        let text = error.root_cause().to_string();
        if text.contains("store handle limit exceeded") {
            return Some(self.limits.exceeded(Limit::Handles));
        }
        text.contains("fuel allocated for hostcalls has been exhausted")
            .then(|| self.limits.exceeded(Limit::Transfer))
    }

    pub(crate) fn timeout_error(&self, plugin: &str, limit: Duration) -> GuestError {
        GuestError {
            plugin: plugin.to_owned(),
            kind: GuestErrorKind::Time { limit },
            stderr: self.stderr(),
        }
    }

    fn stderr(&self) -> String {
        let bytes = self.stderr.contents();
        self.redactor.redact(&String::from_utf8_lossy(&bytes))
    }
}
