//! The cost of metrics: refreshes on a host that records them against one that does not, and scrapes beside many calls.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use relation_host::clock::SystemClock;
use relation_metrics::{EndpointOptions, Endpoints, Metrics};
use tokio_util::sync::CancellationToken;

use super::refresh::{CustomerRotation, GOAL_LANES, refresh_through_component};
use super::{Plan, note};
use crate::measure::{Measurement, Percentiles, Series, in_flight, micros};
use crate::phases::Phases;
use crate::report::{Bound, Bounds, Report, Row, Unit};
use crate::world::BenchWorld;

pub const TITLE: &str = "refreshes with metrics and without, and a scrape beside 128 of them";

/// The bounds of the rate with metrics to that without.
const TO_PLAIN: Bounds = Bounds::goal(Bound::AtLeast(0.98)).and_limit(Bound::AtLeast(0.8));
/// The bounds of a scrape that reads the store, in milliseconds.
const SCRAPE: Bounds = Bounds::goal(Bound::AtMost(50.0)).and_limit(Bound::AtMost(500.0));

/// The calls that run while the metrics are scraped.
const SCRAPE_LANES: usize = 128;
/// The pause between two scrapes of a slot.
const SCRAPE_PAUSE: Duration = Duration::from_millis(100);

/// A world with its customers.
#[derive(Clone)]
struct Side {
    world: Arc<BenchWorld>,
    rotation: Arc<CustomerRotation>,
}

impl Side {
    async fn new(world: BenchWorld) -> Result<Self> {
        let rotation = CustomerRotation::new(&world, SCRAPE_LANES).await?;
        Ok(Self {
            world: Arc::new(world),
            rotation: Arc::new(rotation),
        })
    }

    async fn refresh(&self, lanes: usize, time: Duration) -> Result<Measurement> {
        let side = self.clone();
        in_flight(lanes, time, move |_| {
            let side = side.clone();
            async move { refresh_through_component(&side.world, &side.rotation).await }
        })
        .await
    }
}

/// Runs the benchmark.
pub async fn run(plan: &Plan) -> Result<Report> {
    let metrics = Metrics::new(Arc::new(SystemClock::new()), "0.0.0", &BTreeSet::new());
    let plain = Side::new(plan.world("metrics-off", Phases::off()).await?).await?;
    let world = plan.world_with_metrics("metrics-on", metrics.clone());
    let recorded = Side::new(world.await?).await?;
    let [mut with, mut without] = <[Series; 2]>::default();
    let mut scrapes = Vec::new();
    for side in [&plain, &recorded] {
        side.refresh(GOAL_LANES, plan.slot / 8).await?;
    }
    for round in 1..=plan.rounds {
        note(&format!("metrics: round {round}/{}", plan.rounds));
        // Neither side is always the first one.
        if round % 2 == 0 {
            with.add(recorded.refresh(GOAL_LANES, plan.slot).await?);
            without.add(plain.refresh(GOAL_LANES, plan.slot).await?);
        } else {
            without.add(plain.refresh(GOAL_LANES, plan.slot).await?);
            with.add(recorded.refresh(GOAL_LANES, plan.slot).await?);
        }
        scrapes.extend(scrape_beside_calls(&recorded, &metrics, plan.slot).await?);
    }
    let row = |label: &str, side: &Series| {
        let label = format!("{label}, {GOAL_LANES} in flight");
        let row = Row::new(label, side.percentiles(Measurement::rate)?, Unit::PerSecond);
        anyhow::Ok(row.cpu(side.percentiles(Measurement::cpu_each)?))
    };
    let by_cpu = without.ratio(&with, Measurement::cpu_each)?;
    let to = "without metrics";
    let by_rate = with.ratio(&without, Measurement::rate)?;
    let scrapes = Percentiles::from_values(scrapes).context("nothing was scraped")?;
    let label = format!("a scrape that reads the store, {SCRAPE_LANES} in flight");
    Ok(Report {
        bench: "metrics",
        title: TITLE,
        rows: vec![
            row("refreshes with metrics", &with)?
                .ratio(to, by_rate, TO_PLAIN)
                .ratio(format!("{to}, by processor time"), by_cpu, Bounds::NONE),
            row(to, &without)?,
            Row::new(label, scrapes, Unit::Millis).bounds(SCRAPE),
        ],
        notes: vec![
            "ratios of rates: higher is better; 0.98 is a cost of 2 %".to_owned(),
            "each scrape reads the store, as one in 15 seconds does".to_owned(),
        ],
    })
}

/// Scrapes while calls run; returns the milliseconds of each scrape.
async fn scrape_beside_calls(side: &Side, metrics: &Metrics, time: Duration) -> Result<Vec<f64>> {
    let calling = side.clone();
    let calls = tokio::spawn(async move { calling.refresh(SCRAPE_LANES, time).await });
    let mut all = Vec::new();
    let begun = Instant::now();
    while all.is_empty() || begun.elapsed() < time {
        tokio::time::sleep(SCRAPE_PAUSE.min(time / 4)).await;
        // A new reader has read nothing yet.
        let stopping = CancellationToken::new();
        let endpoints = Endpoints::new(metrics.clone(), stopping, EndpointOptions::default());
        endpoints.attach(&side.world.host);
        let scraped = Instant::now();
        let text = endpoints.scrape().await;
        all.push(micros(scraped.elapsed()) / 1000.0);
        ensure!(
            text.contains("relation_store_up 1"),
            "the store was not read"
        );
    }
    calls.await.context("the calls")??;
    Ok(all)
}
