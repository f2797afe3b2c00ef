//! A plugin: compiled and linked once, instantiated for every call.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Store};
use wasmtime_wasi_http::WasiHttpView;

use super::cache::{CacheUse, ComponentCache, load_or_compile};
use super::error::{GuestError, GuestErrorKind};
use super::identity::identity;
use super::inspect::{InspectError, Inspection};
use super::instance::{CallState, Capture, InstanceParams};
use super::{engine, inspect};
use crate::imports::bindings::automate::platform::{
    egress, scheduling, secrets, settings, storage, transactions, types,
};
use crate::imports::bindings::{Plugin as Bindings, PluginPre};
use crate::limits::Limits;
use crate::observer::InstanceEnded;

/// A compatible component, ready to be called. Cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    engine: Engine,
    pre: PluginPre<CallState>,
    name: Arc<str>,
    settings: Arc<BTreeMap<String, String>>,
    limits: Limits,
    cache: CacheUse,
    digest: Arc<str>,
}

impl Plugin {
    /// Compiles and links a component. The error names what is incompatible.
    pub fn load(
        bytes: &[u8],
        settings: impl IntoIterator<Item = (String, String)>,
        limits: Limits,
    ) -> Result<Self, GuestError> {
        Self::load_with(bytes, settings, limits, None)
    }

    /// Works like [`Plugin::load`], but loads the compiled component from the cache if present.
    pub fn load_with(
        bytes: &[u8],
        settings: impl IntoIterator<Item = (String, String)>,
        limits: Limits,
        cache: Option<&ComponentCache>,
    ) -> Result<Self, GuestError> {
        let name = identity(bytes);
        let refuse = |message: String| GuestError {
            plugin: name.clone(),
            kind: GuestErrorKind::Link { message },
            stderr: String::new(),
        };
        let engine = engine::engine(&limits).map_err(|error| GuestError {
            plugin: name.clone(),
            kind: GuestErrorKind::AddressSpace {
                calls: limits.calls,
                message: format!("{error:#}"),
            },
            stderr: String::new(),
        })?;
        let (component, cache) = load_or_compile(&engine, bytes, cache)
            .map_err(|error| refuse(InspectError::from_compile_error(bytes, &error).to_string()))?;
        let linker = linker(&engine).map_err(|error| refuse(format!("{error:#}")))?;
        // Wasmtime's linker provides more than the contract, such as sockets: reject what `inspect`
        // reports as missing.
        let pre = if inspect::provides_imports(&engine, &component) {
            link(&linker, &component)
        } else {
            Err(wasmtime::Error::msg("an import is missing"))
        };
        let pre = pre.map_err(|error| {
            let inspection = inspect::inspect_component(&engine, &linker, &component, name.clone());
            refuse(link_error_text(&inspection, &error))
        })?;
        Ok(Self {
            engine,
            pre,
            name: name.into(),
            settings: Arc::new(settings.into_iter().collect()),
            limits,
            cache,
            digest: digest(bytes).into(),
        })
    }

    /// Returns the beginning of the component's digest, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Returns how the cache of compiled components was used.
    pub fn cache_use(&self) -> CacheUse {
        self.cache
    }

    /// Returns the plain settings.
    pub fn settings(&self) -> &BTreeMap<String, String> {
        &self.settings
    }

    /// Returns the same plugin with other settings, for another host in this process. The compiled
    /// code is shared.
    #[must_use]
    pub fn with_settings(&self, settings: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            settings: Arc::new(settings.into_iter().collect()),
            ..self.clone()
        }
    }

    /// Returns the plugin's name and version.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the limits of the plugin's calls.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Creates a fresh instance and lets `run` call it. The instance is dropped on return.
    pub(crate) async fn call<T>(
        &self,
        params: InstanceParams,
        run: impl AsyncFnOnce(&Bindings, &mut Store<CallState>) -> wasmtime::Result<T>,
    ) -> Result<T, GuestError> {
        let capture = Capture::new(&params, &self.limits);
        let services = Arc::clone(&params.services);
        let began = services.clock.monotonic();
        let state = CallState::new(params, Arc::clone(&self.settings), &capture, &self.limits);
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(self.limits.transfer);
        store.set_max_component_handles(self.limits.handles);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);

        let outcome = tokio::time::timeout(self.limits.time, async {
            let instance = self.pre.instantiate_async(&mut store);
            let instance = instance
                .instrument(tracing::debug_span!("instantiate"))
                .await?;
            let outcome = run(&instance, &mut store);
            outcome.instrument(tracing::debug_span!("workflow")).await
        })
        .await;
        if !services.observers.is_empty() {
            let event = InstanceEnded {
                memory: store.data().limiter.memory(),
                duration: services.clock.monotonic().saturating_sub(began),
            };
            let observers = &services.observers;
            observers.notify(|observer| observer.instance_ended(&event));
        }
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(capture.explain(&self.name, store.data(), &error)),
            Err(_) => Err(capture.timeout_error(&self.name, self.limits.time)),
        }
    }
}

/// Returns the first six bytes of the SHA-256 digest, in hexadecimal.
fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    hex::encode(digest.iter().take(6).copied().collect::<Vec<u8>>())
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Creates a linker with everything that this host provides.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<CallState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    types::add_to_linker::<_, HasSelf<_>>(&mut linker, CallState::call)?;
    storage::add_to_linker::<_, HasSelf<_>>(&mut linker, CallState::call)?;
    scheduling::add_to_linker::<_, HasSelf<_>>(&mut linker, CallState::call)?;
    settings::add_to_linker::<_, HasSelf<_>>(&mut linker, CallState::call)?;
    secrets::add_to_linker::<_, HasSelf<_>>(&mut linker, CallState::call)?;
    transactions::add_to_linker::<_, HasSelf<_>>(&mut linker, CallState::call)?;
    egress::add_to_linker::<_, HasSelf<_>>(&mut linker, CallState::outgoing)?;
    Ok(linker)
}

pub(crate) fn link(
    linker: &Linker<CallState>,
    component: &Component,
) -> wasmtime::Result<PluginPre<CallState>> {
    PluginPre::new(linker.instantiate_pre(component)?)
}

/// Explains a link error by the imports that `inspect` reports, if there are any.
fn link_error_text(inspection: &Inspection, error: &wasmtime::Error) -> String {
    let mut reasons: Vec<String> = inspection
        .imports
        .iter()
        .filter_map(|import| match &import.status {
            inspect::ImportStatus::Provided => None,
            inspect::ImportStatus::Missing => Some(format!(
                "it imports {}, which this host does not have",
                import.name
            )),
            inspect::ImportStatus::WrongVersion { offered } => Some(format!(
                "it imports {}, of which this host has {offered}",
                import.name
            )),
        })
        .collect();
    for export in inspection.exports.iter().filter(|export| !export.present) {
        reasons.push(format!("it does not export {}", export.name));
    }
    if reasons.is_empty() {
        reasons.push(format!("{error:#}"));
    }
    reasons.join("; ")
}

// The trait must be in scope: the linker requires `CallState` to be a view.
const _: fn() = || {
    fn is_view<T: WasiHttpView>() {}
    is_view::<CallState>();
};
