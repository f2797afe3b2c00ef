//! Store commits, grouped and not, against raw `fdatasync`ed appends.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use relation_host::clock::{Clock as _, SystemClock};
use relation_host::store::seal::{KeyFile, Sealer};
use relation_host::store::sqlite::SqliteOptions;
use relation_host::store::{Change, Commit, Store};
use relation_host::types::{Document, Key, Pkid, Reference, Timestamp, Wakeup};
use secrecy::SecretString;

use super::{Plan, note};
use crate::customers;
use crate::floor::Appender;
use crate::measure::{Measurement, Series, in_flight};
use crate::report::{Bound, Bounds, Report, Row, Unit};
use crate::world::open_store;

pub const TITLE: &str = "durable commits of the store, each writer its own record";

/// Number of writers for which the limits are set.
const LIMIT_WRITERS: usize = 32;

/// The writers' changes: each writes about as much as a refresh commits, repeatedly.
struct Writers {
    store: Arc<dyn Store>,
    sealer: Sealer,
    records: Vec<Document>,
    now: Timestamp,
}

impl Writers {
    async fn new(plan: &Plan, name: &str, options: &SqliteOptions) -> Result<Self> {
        let store: Arc<dyn Store> = open_store(&plan.directory, name, options)?;
        let now = SystemClock::new().now();
        let keys = KeyFile::new(plan.directory.join(format!("{name}.key")));
        let sealer = Sealer::open(&*store, keys, now).await?;
        let records = (0..u64::try_from(plan.most_lanes())?)
            .map(record)
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            store,
            sealer,
            records,
            now,
        })
    }

    async fn write(&self, writer: usize) -> Result<()> {
        let document = self.records.get(writer).context("no such writer")?;
        let owner = document.reference.clone();
        let token = SecretString::from(crate::token_server::ACCESS_TOKEN);
        let sealed = self.sealer.seal(&owner, "token", &token)?;
        let commit = Commit {
            changes: vec![
                Change::Put(document.clone()),
                Change::PutSecret {
                    owner: owner.clone(),
                    name: "token".to_owned(),
                    sealed,
                },
                Change::Schedule(Wakeup {
                    id: "refresh".to_owned(),
                    subject: owner,
                    due: self.now.after(Duration::from_secs(604_800)),
                    deadline: None,
                    payload: String::new(),
                }),
            ],
            ..Commit::default()
        };
        Ok(self.store.commit(commit).await?)
    }
}

fn record(writer: u64) -> Result<Document> {
    let pkid: Pkid = customers::pkid(writer)?;
    let name = customers::name(writer);
    // As long as a record.
    let notes = "x".repeat(800);
    Ok(Document {
        reference: Reference::record(pkid),
        hierarchy: customers::node(writer).parse()?,
        version: 0,
        body: serde_json::json!({ "name": name, "notes": notes }).to_string(),
        keys: vec![Key {
            name: "name".to_owned(),
            value: name,
        }],
    })
}

async fn commits(writers: &Arc<Writers>, lanes: usize, time: Duration) -> Result<Measurement> {
    let writers = Arc::clone(writers);
    in_flight(lanes, time, move |writer| {
        let writers = Arc::clone(&writers);
        async move { writers.write(writer).await }
    })
    .await
}

async fn appends(appender: &Arc<Appender>, lanes: usize, time: Duration) -> Result<Measurement> {
    let appender = Arc::clone(appender);
    in_flight(lanes, time, move |_| {
        let appender = Arc::clone(&appender);
        async move { appender.append().await }
    })
    .await
}

/// Runs the benchmark.
pub async fn run(plan: &Plan) -> Result<Report> {
    let grouping = SqliteOptions::default();
    let not_grouping = SqliteOptions {
        group: 1,
        ..SqliteOptions::default()
    };
    let grouped = Arc::new(Writers::new(plan, "commits-grouped", &grouping).await?);
    let single = Arc::new(Writers::new(plan, "commits-single", &not_grouping).await?);
    let raw_grouped = Arc::new(Appender::start(
        &plan.directory,
        "commits-raw-grouped",
        true,
    )?);
    let raw_single = Arc::new(Appender::start(
        &plan.directory,
        "commits-raw-single",
        false,
    )?);

    let mut rows = Vec::new();
    for &lanes in &plan.lanes {
        let [
            mut grouped_side,
            mut single_side,
            mut raw_grouped_side,
            mut raw_side,
        ] = <[Series; 4]>::default();
        commits(&grouped, lanes, plan.slot / 8).await?;
        commits(&single, lanes, plan.slot / 8).await?;
        for round in 1..=plan.rounds {
            note(&format!(
                "commits: {lanes} writers, round {round}/{}",
                plan.rounds
            ));
            grouped_side.add(commits(&grouped, lanes, plan.slot).await?);
            single_side.add(commits(&single, lanes, plan.slot).await?);
            raw_side.add(appends(&raw_single, lanes, plan.slot).await?);
            raw_grouped_side.add(appends(&raw_grouped, lanes, plan.slot).await?);
        }
        let limit =
            |least: f64| Bounds::limit(Bound::AtLeast(least)).only_if(lanes == LIMIT_WRITERS);
        let row = |label: &str, side: &Series| {
            let label = format!("{label}, {lanes} writers");
            let row = Row::new(label, side.percentiles(Measurement::rate)?, Unit::PerSecond);
            anyhow::Ok(row.cpu(side.percentiles(Measurement::cpu_each)?))
        };
        let to_single = grouped_side.ratio(&single_side, Measurement::rate)?;
        let to_raw = grouped_side.ratio(&raw_side, Measurement::rate)?;
        let to_raw_grouped = grouped_side.ratio(&raw_grouped_side, Measurement::rate)?;
        rows.push(
            row("grouped", &grouped_side)?
                .ratio("not grouped", to_single, limit(1.4))
                .ratio("raw, an fdatasync each", to_raw, limit(0.7))
                .ratio("raw, grouped", to_raw_grouped, Bounds::NONE),
        );
        let to_raw = single_side.ratio(&raw_side, Measurement::rate)?;
        let single = row("not grouped", &single_side)?;
        rows.push(single.ratio("raw, an fdatasync each", to_raw, limit(0.35)));
        rows.push(row("raw, an fdatasync each", &raw_side)?);
        rows.push(row("raw, grouped", &raw_grouped_side)?);
    }
    Ok(Report {
        bench: "commits",
        title: TITLE,
        rows,
        notes: vec![
            "ratios of rates: higher is better".to_owned(),
            "a commit replaces a record of about 1 KiB, a sealed token and a wakeup; a raw append \
             is one page of 4 KiB into a file that is long enough"
                .to_owned(),
        ],
    })
}
