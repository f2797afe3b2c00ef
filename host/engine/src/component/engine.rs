//! The engine configuration, the same for precompiling and running.

use std::time::Duration;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::limits::Limits;

/// The interval at which a running guest yields, so that its time is measured and other calls
/// proceed.
pub const TICK: Duration = Duration::from_millis(10);

/// Memory of an instance slot that stays mapped for the next call: most calls use less.
const KEEP_RESIDENT: usize = 1 << 20;

/// Returns the configuration of every engine of this host.
pub fn config(limits: &Limits) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits.calls)
        // A component consists of several core modules: the plugin's, and the adapters that the
        // linker adds.
        .total_core_instances(limits.calls.saturating_mul(8))
        .total_memories(limits.calls)
        .total_tables(limits.calls.saturating_mul(4))
        .total_stacks(limits.calls)
        .max_memories_per_component(1)
        .max_memory_size(limits.memory)
        .table_elements(limits.table)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        // Clears only the pages that a call has written (Linux 6.7 and later), which halves the
        // cost of a fresh instance. Elsewhere all resident memory is cleared.
        .pagemap_scan(Enabled::Auto)
        .table_keep_resident(16 << 10)
        .async_stack_keep_resident(64 << 10);

    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        // The contract has no async functions: without the async machinery, calls are 20 to 40 %
        // cheaper.
        .concurrency_support(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    // With this variable, wasmtime writes a map from which `perf` names the plugin's functions.
    #[cfg(feature = "test-util")]
    if std::env::var_os("RELATION_PERF_MAP").is_some() {
        config.profiler(wasmtime::ProfilingStrategy::PerfMap);
    }
    config
}

/// Creates an engine, and a thread that advances its epoch while the engine is in use.
pub fn engine(limits: &Limits) -> wasmtime::Result<Engine> {
    let engine = Engine::new(&config(limits))?;
    let ticking = engine.weak();
    std::thread::Builder::new()
        .name("relation-epoch".into())
        .spawn(move || {
            while let Some(engine) = ticking.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })?;
    Ok(engine)
}
