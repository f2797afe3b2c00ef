//! A fresh instance for each call: what the host's wrapping costs over wasmtime alone.

use anyhow::{Result, anyhow, ensure};
use relation_host::Limits;
use relation_host::component::engine;
use relation_host::imports::PluginPre;
use wasmtime::Store;
use wasmtime::component::{Component, InstancePre, Linker};

use super::{Plan, note};
use crate::measure::{Measurement, Series, serially};
use crate::phases::Phases;
use crate::report::{Bound, Bounds, Report, Row, Unit};

pub const TITLE: &str = "store, instantiate, describe() and drop, one call after the other";

/// Calls between two readings of the clock.
const BURST: u64 = 50;

/// wasmtime with the host's engine, every import a trap, and no state.
struct BareWasmtime {
    engine: wasmtime::Engine,
    instance: InstancePre<()>,
    plugin: PluginPre<()>,
}

impl BareWasmtime {
    fn new(component: &[u8]) -> wasmtime::Result<Self> {
        let engine = engine(&Limits::default())?;
        let component = Component::new(&engine, component)?;
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component)?;
        let instance = linker.instantiate_pre(&component)?;
        let plugin = PluginPre::new(instance.clone())?;
        Ok(Self {
            engine,
            instance,
            plugin,
        })
    }

    fn store(&self) -> Store<()> {
        let mut store = Store::new(&self.engine, ());
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store
    }

    async fn instantiate(&self) -> wasmtime::Result<()> {
        let mut store = self.store();
        self.instance.instantiate_async(&mut store).await?;
        Ok(())
    }

    async fn describe(&self) -> wasmtime::Result<usize> {
        let mut store = self.store();
        let plugin = self.plugin.instantiate_async(&mut store).await?;
        let workflows = plugin.automate_spark_customer_workflows();
        let model = workflows.call_describe(&mut store).await?;
        Ok(model.fields.len())
    }
}

/// Runs the benchmark.
pub async fn run(plan: &Plan) -> Result<Report> {
    let world = plan.world("fresh", Phases::off()).await?;
    let wasmtime = BareWasmtime::new(&plan.component).map_err(component_error)?;
    let host = async || {
        for _ in 0..BURST {
            world.host.describe().await?;
        }
        anyhow::Ok(())
    };
    let describe = async || {
        for _ in 0..BURST {
            let fields = wasmtime.describe().await.map_err(component_error)?;
            ensure!(fields > 0, "the model has no fields");
        }
        anyhow::Ok(())
    };
    let instantiate = async || {
        for _ in 0..BURST {
            wasmtime.instantiate().await.map_err(component_error)?;
        }
        anyhow::Ok(())
    };
    // Page everything in and fill every cache before the first round.
    host().await?;
    describe().await?;
    instantiate().await?;

    let [mut hosted, mut described, mut instantiated] = <[Series; 3]>::default();
    for round in 1..=plan.rounds {
        note(&format!("fresh: round {round}/{}", plan.rounds));
        hosted.add(per_call(serially(plan.slot, host).await?));
        described.add(per_call(serially(plan.slot, describe).await?));
        instantiated.add(per_call(serially(plan.slot, instantiate).await?));
    }
    let row = |label: &str, side: &Series| {
        let row = Row::new(label, side.percentiles(Measurement::each)?, Unit::Micros);
        anyhow::Ok(row.cpu(side.percentiles(Measurement::cpu_each)?))
    };
    Ok(Report {
        bench: "fresh",
        title: TITLE,
        rows: vec![
            row("host: describe()", &hosted)?
                .ratio(
                    "bare wasmtime, describe()",
                    hosted.ratio(&described, Measurement::each)?,
                    Bounds::goal(Bound::AtMost(1.1)).and_limit(Bound::AtMost(1.3)),
                )
                .ratio(
                    "bare wasmtime, instantiate only",
                    hosted.ratio(&instantiated, Measurement::each)?,
                    Bounds::NONE,
                ),
            row("bare wasmtime: describe()", &described)?,
            row("bare wasmtime: instantiate only", &instantiated)?,
        ],
        notes: vec![
            "ratios of times: lower is better".to_owned(),
            "bare: the same engine configuration and component, imports that trap, no state; \
             describe() calls no import and returns the whole model, some 20 fields"
                .to_owned(),
        ],
    })
}

fn component_error(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("the component on bare wasmtime: {error:#}")
}

/// Converts a slot of bursts to one of calls.
fn per_call(slot: Measurement) -> Measurement {
    Measurement {
        done: slot.done * BURST,
        ..slot
    }
}
