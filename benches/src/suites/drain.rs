//! A backlog of due refreshes: a dispatcher without a limit of its rate against callers that keep as many
//! refreshes in flight.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use relation_host::schedule::{DispatchSummary, DispatcherOptions};

use super::refresh::{CustomerRotation, GOAL_LANES, refresh_through_component};
use super::{Plan, note};
use crate::customers;
use crate::measure::{Measurement, Meter, Series, in_flight};
use crate::phases::Phases;
use crate::report::{Bound, Bounds, Report, Row, Unit};
use crate::world::BenchWorld;

pub const TITLE: &str = "a backlog of due refreshes, without a limit of the rate";

/// The bounds of the dispatcher's rate to that of direct calls.
const BOUNDS: Bounds = Bounds::goal(Bound::AtLeast(0.95)).and_limit(Bound::AtLeast(0.5));

/// Runs the benchmark.
pub async fn run(plan: &Plan) -> Result<Report> {
    let world = Arc::new(plan.world("drain", Phases::off()).await?);
    let rotation = Arc::new(CustomerRotation::with_customers(&world, plan.backlog).await?);
    let [mut dispatched, mut called] = <[Series; 2]>::default();
    call(&world, &rotation, plan.slot / 8).await?;
    for round in 1..=plan.rounds {
        note(&format!("drain: round {round}/{}", plan.rounds));
        dispatched.add(drain(&world, plan.backlog).await?);
        called.add(call(&world, &rotation, plan.slot).await?);
    }
    let row = |label: String, side: &Series| {
        let row = Row::new(label, side.percentiles(Measurement::rate)?, Unit::PerSecond);
        anyhow::Ok(row.cpu(side.percentiles(Measurement::cpu_each)?))
    };
    let label = format!("dispatcher, {} due", plan.backlog);
    let to_calls = dispatched.ratio(&called, Measurement::rate)?;
    let to = format!("direct calls, {GOAL_LANES} in flight");
    Ok(Report {
        bench: "drain",
        title: TITLE,
        rows: vec![
            row(label, &dispatched)?.ratio(to.clone(), to_calls, BOUNDS),
            row(to, &called)?,
        ],
        notes: vec!["ratios of rates: higher is better".to_owned()],
    })
}

/// Makes all customers due and runs the dispatcher until none is left.
async fn drain(world: &BenchWorld, backlog: u64) -> Result<Measurement> {
    // A wakeup that is due in the millisecond of an earlier attempt counts as completed by it.
    tokio::time::sleep(Duration::from_millis(2)).await;
    customers::make_due(&world.parts, 0..backlog).await?;
    let dispatcher = world.host.dispatcher(DispatcherOptions {
        concurrency: GOAL_LANES,
        ..DispatcherOptions::default()
    });
    let meter = Meter::start();
    let summary = dispatcher.run_until_idle().await?;
    let slot = meter.stop(backlog);
    let expected = DispatchSummary {
        done: backlog,
        refreshed: backlog,
        ..DispatchSummary::default()
    };
    ensure!(summary == expected, "the dispatcher summary {summary:?}");
    Ok(slot)
}

async fn call(
    world: &Arc<BenchWorld>,
    rotation: &Arc<CustomerRotation>,
    time: Duration,
) -> Result<Measurement> {
    let (world, rotation) = (Arc::clone(world), Arc::clone(rotation));
    in_flight(GOAL_LANES, time, move |_| {
        let (world, rotation) = (Arc::clone(&world), Arc::clone(&rotation));
        async move { refresh_through_component(&world, &rotation).await }
    })
    .await
}
