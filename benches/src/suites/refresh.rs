//! Compares one refresh through host and component with the same workflow linked natively, and with
//! the floor: one loopback round trip and one durable append.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use relation_host::reports::RefreshOutcome;

use super::{Plan, note};
use crate::customers::{self, Extent};
use crate::floor::{Appender, RawConnections};
use crate::measure::{Measurement, Series, in_flight};
use crate::phases::Phases;
use crate::report::{Bound, Bounds, Report, Row, Unit};
use crate::world::BenchWorld;

pub const TITLE: &str = "one refresh: component, native, floor";

/// Number of lanes for which the bounds are set.
pub const GOAL_LANES: usize = 32;
/// The bounds of the component's rate to the native one.
const TO_NATIVE: Bounds = Bounds::goal(Bound::AtLeast(0.85)).and_limit(Bound::AtLeast(0.4));
/// The bounds of the component's rate to the floor. A slow disk makes the floor slow, but not the component.
const TO_FLOOR: Bounds = Bounds::goal(Bound::AtLeast(0.3)).and_limit(Bound::AtLeast(0.02));

/// Customers per lane: a customer must not come round again while in flight, or within the millisecond that separates
/// two attempts.
const CUSTOMERS_PER_LANE: u64 = 16;

/// The customers to refresh, in rotation.
pub struct CustomerRotation {
    next: AtomicU64,
    customers: u64,
}

impl CustomerRotation {
    /// Creates the rotation for `lanes` in flight and stores its customers.
    pub async fn new(world: &BenchWorld, lanes: usize) -> Result<Self> {
        let customers = CUSTOMERS_PER_LANE * u64::try_from(lanes.max(8))?;
        Self::with_customers(world, customers).await
    }

    /// Creates the rotation of this many customers and stores them.
    pub async fn with_customers(world: &BenchWorld, customers: u64) -> Result<Self> {
        customers::populate(&world.parts, 0, customers, Extent::Whole).await?;
        Ok(Self {
            next: AtomicU64::new(0),
            customers,
        })
    }

    /// Returns the index of the next customer.
    pub fn next_index(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) % self.customers
    }
}

/// Refreshes the next customer through the host and the component.
pub async fn refresh_through_component(
    world: &BenchWorld,
    rotation: &CustomerRotation,
) -> Result<()> {
    let pkid = customers::pkid(rotation.next_index())?;
    let report = world.host.refresh(&pkid).await?.value;
    ensure!(
        report.outcome == RefreshOutcome::Connected && !report.joined,
        "{pkid} got no new tokens: {}",
        report.message
    );
    Ok(())
}

/// Refreshes the next customer natively.
pub async fn refresh_natively(world: &BenchWorld, rotation: &CustomerRotation) -> Result<()> {
    world
        .native
        .refresh(&customers::pkid(rotation.next_index())?)
        .await
}

/// The three sides of the comparison.
struct RefreshBench {
    world: Arc<BenchWorld>,
    rotation: Arc<CustomerRotation>,
    wires: Arc<RawConnections>,
    appender: Arc<Appender>,
}

impl RefreshBench {
    async fn component(&self, lanes: usize, time: Duration) -> Result<Measurement> {
        let (world, rotation) = (Arc::clone(&self.world), Arc::clone(&self.rotation));
        let slot = in_flight(lanes, time, move |_| {
            let (world, rotation) = (Arc::clone(&world), Arc::clone(&rotation));
            async move { refresh_through_component(&world, &rotation).await }
        });
        slot.await.context("a refresh through the component")
    }

    async fn native(&self, lanes: usize, time: Duration) -> Result<Measurement> {
        let (world, rotation) = (Arc::clone(&self.world), Arc::clone(&self.rotation));
        let slot = in_flight(lanes, time, move |_| {
            let (world, rotation) = (Arc::clone(&world), Arc::clone(&rotation));
            async move { refresh_natively(&world, &rotation).await }
        });
        slot.await.context("a native refresh")
    }

    async fn floor(&self, lanes: usize, time: Duration) -> Result<Measurement> {
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

/// Runs the benchmark.
pub async fn run(plan: &Plan) -> Result<Report> {
    let world = plan.world("refresh", Phases::off()).await?;
    let most = plan.most_lanes();
    let bench = RefreshBench {
        rotation: Arc::new(CustomerRotation::new(&world, most).await?),
        world: Arc::new(world),
        wires: Arc::new(
            RawConnections::connect(most, plan.webex(), plan.server.response_length()).await?,
        ),
        appender: Arc::new(Appender::start(&plan.directory, "refresh-floor", true)?),
    };
    let mut rows = Vec::new();
    for &lanes in &plan.lanes {
        let [mut component, mut native, mut floor] = <[Series; 3]>::default();
        // Open connections and readers for this many lanes before the first round.
        let warm = plan.slot / 8;
        bench.component(lanes, warm).await?;
        bench.native(lanes, warm).await?;
        for round in 1..=plan.rounds {
            note(&format!(
                "refresh: {lanes} in flight, round {round}/{}",
                plan.rounds
            ));
            component.add(bench.component(lanes, plan.slot).await?);
            native.add(bench.native(lanes, plan.slot).await?);
            floor.add(bench.floor(lanes, plan.slot).await?);
        }
        let at_goal = lanes == GOAL_LANES;
        let by_cpu = native.ratio(&component, Measurement::cpu_each)?;
        let row = |label: &str, side: &Series| {
            let label = format!("{label}, {lanes} in flight");
            let row = Row::new(label, side.percentiles(Measurement::rate)?, Unit::PerSecond);
            anyhow::Ok(row.cpu(side.percentiles(Measurement::cpu_each)?))
        };
        rows.push(
            row("component", &component)?
                .ratio(
                    "native",
                    component.ratio(&native, Measurement::rate)?,
                    TO_NATIVE.only_if(at_goal),
                )
                .ratio("native, by processor time", by_cpu, Bounds::NONE)
                .ratio(
                    "floor",
                    component.ratio(&floor, Measurement::rate)?,
                    TO_FLOOR.only_if(at_goal),
                ),
        );
        rows.push(row("native", &native)?.ratio(
            "floor",
            native.ratio(&floor, Measurement::rate)?,
            Bounds::NONE,
        ));
        rows.push(row("floor", &floor)?);
    }
    Ok(Report {
        bench: "refresh",
        title: TITLE,
        rows,
        notes: vec![
            "ratios of rates: higher is better".to_owned(),
            "component and native share one store, sealer, HTTP client and token endpoint, and do \
             the same durable work: begin (lease, transaction), the workflow's commit, end"
                .to_owned(),
            "native runs the plugin's own workflow on coroutines over async calls, as the \
             component runs on wasmtime's fibres: neither holds a thread while it waits; it leaves \
             out the per-call limits and the redaction of texts"
                .to_owned(),
            "floor: one round trip over a plain socket to the same endpoint, then one append of \
             4 KiB made durable by fdatasync together with those that wait (one durable write, \
             where a refresh has three)"
                .to_owned(),
            "CPU is that of the whole process, the token endpoint's thread included".to_owned(),
        ],
    })
}
