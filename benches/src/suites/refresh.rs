//! One refresh through host and component, against the same workflow linked natively, against the
//! floor: one loopback round trip and one durable append.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use relation_host::reports::RefreshOutcome;

use super::{Plan, note};
use crate::customers::{self, Extent};
use crate::floor::{Appender, Wires};
use crate::measure::{Side, Slot, in_flight};
use crate::phases::Phases;
use crate::report::{Goal, Report, Row, Unit};
use crate::world::World;

pub const TITLE: &str = "one refresh: component, native, floor";

/// Where the first mark for component against native is set.
const MARKED_LANES: usize = 32;
/// The first mark.
const MARK: f64 = 0.4;

/// Customers for each operation in flight: one must not come round again while it is in flight, or
/// within the millisecond that tells one attempt from the next.
const CUSTOMERS_PER_LANE: u64 = 16;

/// The customers that are refreshed, in turns.
pub struct Turns {
    next: AtomicU64,
    customers: u64,
}

impl Turns {
    /// Turns for `lanes` in flight, and their customers stored.
    pub async fn new(world: &World, lanes: usize) -> Result<Self> {
        let customers = CUSTOMERS_PER_LANE * u64::try_from(lanes.max(8))?;
        customers::populate(&world.parts, 0, customers, Extent::Whole).await?;
        Ok(Self {
            next: AtomicU64::new(0),
            customers,
        })
    }

    /// Whose turn it is.
    pub fn take(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) % self.customers
    }
}

/// Refreshes the next customer through the host and the component.
pub async fn through_component(world: &World, turns: &Turns) -> Result<()> {
    let pkid = customers::pkid(turns.take())?;
    let report = world.host.refresh(&pkid).await?.value;
    ensure!(
        report.outcome == RefreshOutcome::Connected && !report.joined,
        "{pkid} got no new tokens: {}",
        report.message
    );
    Ok(())
}

/// Refreshes the next customer natively.
pub async fn natively(world: &World, turns: &Turns) -> Result<()> {
    world.native.refresh(&customers::pkid(turns.take())?).await
}

/// What is compared.
struct Sides {
    world: Arc<World>,
    turns: Arc<Turns>,
    wires: Arc<Wires>,
    appender: Arc<Appender>,
}

impl Sides {
    async fn component(&self, lanes: usize, time: Duration) -> Result<Slot> {
        let (world, turns) = (Arc::clone(&self.world), Arc::clone(&self.turns));
        let slot = in_flight(lanes, time, move |_| {
            let (world, turns) = (Arc::clone(&world), Arc::clone(&turns));
            async move { through_component(&world, &turns).await }
        });
        slot.await.context("a refresh through the component")
    }

    async fn native(&self, lanes: usize, time: Duration) -> Result<Slot> {
        let (world, turns) = (Arc::clone(&self.world), Arc::clone(&self.turns));
        let slot = in_flight(lanes, time, move |_| {
            let (world, turns) = (Arc::clone(&world), Arc::clone(&turns));
            async move { natively(&world, &turns).await }
        });
        slot.await.context("a native refresh")
    }

    async fn floor(&self, lanes: usize, time: Duration) -> Result<Slot> {
        let (wires, appender) = (Arc::clone(&self.wires), Arc::clone(&self.appender));
        let slot = in_flight(lanes, time, move |lane| {
            let (wires, appender) = (Arc::clone(&wires), Arc::clone(&appender));
            async move {
                wires.round_trip(lane).await?;
                appender.append().await
            }
        });
        slot.await.context("a round trip and an append")
    }
}

/// Measures it.
pub async fn run(plan: &Plan) -> Result<Report> {
    let world = plan.world("refresh", Phases::off()).await?;
    let most = plan.most_lanes();
    let sides = Sides {
        turns: Arc::new(Turns::new(&world, most).await?),
        world: Arc::new(world),
        wires: Arc::new(Wires::connect(most, plan.webex(), plan.server.answer_length()).await?),
        appender: Arc::new(Appender::start(&plan.directory, "refresh-floor", true)?),
    };
    let mut rows = Vec::new();
    for &lanes in &plan.lanes {
        let [mut component, mut native, mut floor] = <[Side; 3]>::default();
        // Connections and readers for this many in flight are opened before the first round.
        let warm = plan.slot / 8;
        sides.component(lanes, warm).await?;
        sides.native(lanes, warm).await?;
        for round in 1..=plan.rounds {
            note(&format!(
                "refresh: {lanes} in flight, round {round}/{}",
                plan.rounds
            ));
            component.add(sides.component(lanes, plan.slot).await?);
            native.add(sides.native(lanes, plan.slot).await?);
            floor.add(sides.floor(lanes, plan.slot).await?);
        }
        let goal = (lanes == MARKED_LANES).then_some(Goal::AtLeast(MARK));
        let by_cpu = native.ratio(&component, Slot::cpu_each)?;
        let row = |what: &str, side: &Side| {
            let what = format!("{what}, {lanes} in flight");
            let row = Row::new(what, side.spread(Slot::rate)?, Unit::PerSecond);
            anyhow::Ok(row.cpu(side.spread(Slot::cpu_each)?))
        };
        rows.push(
            row("component", &component)?
                .ratio("native", component.ratio(&native, Slot::rate)?, goal)
                .ratio("native, by processor time", by_cpu, None)
                .ratio("floor", component.ratio(&floor, Slot::rate)?, None),
        );
        rows.push(row("native", &native)?.ratio("floor", native.ratio(&floor, Slot::rate)?, None));
        rows.push(row("floor", &floor)?);
    }
    Ok(Report {
        bench: "refresh",
        title: TITLE,
        rows,
        notes: vec![
            "ratios of rates: more is better".to_owned(),
            "component and native share one store, sealer, HTTP client and token endpoint, and do \
             the same durable work: begin (lease, transaction), the workflow's commit, end"
                .to_owned(),
            "native runs the plugin's own workflow on coroutines over async calls, as the \
             component runs on wasmtime's fibres: neither holds a thread while it waits; it leaves \
             out the per-call bounds and the scrubbing of texts"
                .to_owned(),
            "floor: one round trip over a plain socket to the same endpoint, then one append of \
             4 KiB made durable by fdatasync together with those that wait (one durable write, \
             where a refresh has three)"
                .to_owned(),
            "CPU is that of the whole process, the token endpoint's thread included".to_owned(),
        ],
    })
}
