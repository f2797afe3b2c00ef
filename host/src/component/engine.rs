//! The one place that configures wasmtime. Whoever precompiles and whoever runs use the same engine.

use std::time::Duration;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::limits::Limits;

/// How often a running guest gives way, so that its time can be measured and other calls go on.
pub const TICK: Duration = Duration::from_millis(10);

/// Memory of a slot that stays mapped for the next call: most calls touch less than this.
const KEEP_RESIDENT: usize = 1 << 20;

/// The configuration of every engine of this host.
pub fn config(limits: &Limits) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits.calls)
        // A component is several core modules: ours, and the adapters that the linker adds.
        .total_core_instances(limits.calls.saturating_mul(8))
        .total_memories(limits.calls)
        .total_tables(limits.calls.saturating_mul(4))
        .total_stacks(limits.calls)
        .max_memories_per_component(1)
        .max_memory_size(limits.memory)
        .table_elements(limits.table)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        // Clears the pages that a call has written and no others (Linux 6.7 and later), which
        // halves the cost of a fresh instance; elsewhere memory is cleared from its start.
        .pagemap_scan(Enabled::Auto)
        .table_keep_resident(16 << 10)
        .async_stack_keep_resident(64 << 10);

    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        // The contract is plain functions: 20 to 40 % cheaper calls without the async machinery.
        .concurrency_support(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// An engine, and the thread that moves its epoch for as long as it is in use.
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
