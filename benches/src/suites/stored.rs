//! Measures how costs grow with the number of stored customers. The cost of dispatch must depend on
//! the number of due wakeups, that of a page and of a record on its size.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use relation_host::schedule::{DispatchSummary, Dispatcher, DispatcherOptions};
use relation_host::store::{
    BeginOutcome, CallEnd, CallStart, DueWakeup, KindFilter, WakeupSettlement,
};
use relation_host::transactions::{NewTransaction, Status, TransactionOutcome, TransactionUpdate};
use relation_host::types::{Filter, Hierarchy, Key, RECORD_MODEL, Reference, Scope};

use super::{Plan, note, program};
use crate::customers::{self, Extent};
use crate::measure::{Measurement, Meter, Series, serially};
use crate::phases::Phases;
use crate::report::{Bound, Bounds, Report, Row, Unit};
use crate::world::BenchWorld;

pub const TITLE: &str = "costs by the number of stored customers, few of them due";

/// The number of customers that are due concurrently: as many as a dispatcher has in flight. They are
/// stored with all their documents.
const DUE: u32 = 32;

/// Records per page.
const PAGE: u32 = 50;

/// Records in use, spread over the whole store: the same number in each store, so that caches hold them.
const IN_USE: u64 = 1000;

/// The maximum ratio of the costs in a larger and the smallest store.
const LIMIT: Bound = Bound::AtMost(2.0);
/// The goal for the largest store.
const GOAL: Bound = Bound::AtMost(1.3);

/// The work to measure on each store.
#[derive(Clone, Copy)]
pub(super) enum Work {
    Page,
    NodePage,
    StatePage,
    Show,
    ShowAny,
    FindDue,
    Dispatch,
    Refresh,
}

impl Work {
    /// Returns the bounds of the ratio to the smallest store.
    fn bounds(self, is_largest: bool) -> Bounds {
        match self {
            // The smallest store fits into the caches.
            Self::ShowAny => Bounds::NONE,
            Self::Dispatch | Self::Refresh => Bounds::limit(LIMIT),
            _ if is_largest => Bounds::goal(GOAL).and_limit(LIMIT),
            _ => Bounds::limit(LIMIT),
        }
    }
}

/// A measurement on a store, with its label.
type LabeledWork = (Work, &'static str);

const ALL: [LabeledWork; 8] = [
    (Work::Page, "list: the first page of 50"),
    (Work::NodePage, "list: a page of 50 at one node and below"),
    (Work::StatePage, "list: a page of 50 in one state"),
    (Work::Show, "show: one of 1000 records that are in use"),
    (
        Work::ShowAny,
        "show: any record, including cold caches and disk reads",
    ),
    (Work::FindDue, "find due wakeups: 32 of them"),
    (
        Work::Dispatch,
        "dispatch a wakeup: its share of the search, begin, end",
    ),
    (Work::Refresh, "dispatch a wakeup and refresh, 32 in flight"),
];

const NOTES: [&str; 3] = [
    "ratios of times: lower is better",
    "show: the record by its name, its alerts and its wakeups; the smallest store fits into the \
     caches, so `any record` has no goal",
    "begin and end are durable, one after the other: most of their time is spent on disk writes",
];

/// Returns the name of the store with this many customers.
fn name(customers: u64) -> String {
    format!("stored-{customers}")
}

/// A store with many customers, of which the first [`DUE`] can be made due.
pub(super) struct FilledStore {
    customers: u64,
    world: BenchWorld,
    /// One for all passes: a dispatcher compares all stored times with the clock when it starts.
    dispatcher: Dispatcher,
    /// The record picked last; every run picks the same records.
    picked: u64,
}

impl FilledStore {
    async fn new(plan: &Plan, customers: u64) -> Result<Self> {
        let begun = Instant::now();
        let world = plan.world(&name(customers), Phases::off()).await?;
        let due = u64::from(DUE).min(customers);
        customers::populate(&world.parts, 0, due, Extent::Whole).await?;
        customers::populate(&world.parts, due, customers, Extent::Record).await?;
        let took = begun.elapsed().as_secs_f64();
        note(&format!("stored: {customers} customers in {took:.1} s"));
        Ok(Self::with_world(world, customers))
    }

    /// Creates one of a world whose store has this many customers.
    pub(super) fn with_world(world: BenchWorld, customers: u64) -> Self {
        Self {
            customers,
            dispatcher: world.host.dispatcher(DispatcherOptions::default()),
            world,
            picked: 0,
        }
    }

    async fn measure(&mut self, work: Work, time: Duration) -> Result<Measurement> {
        match work {
            Work::Page => {
                let all = filter(None, None);
                self.pages(&all, time).await
            }
            Work::NodePage => {
                let reseller: Hierarchy = "sys.Provider.Reseller0".parse()?;
                let below = filter(Some((reseller, Scope::Subtree)), None);
                self.pages(&below, time).await
            }
            Work::StatePage => {
                let connected = filter(None, Some(("state.connected", "yes".to_owned())));
                self.pages(&connected, time).await
            }
            Work::Show => {
                let in_use = IN_USE.min(self.customers);
                let nth = |n: u64| n % in_use * self.customers / in_use;
                // Writes since the last pass have emptied the readers' caches.
                for n in 0..in_use {
                    self.show(nth(n)).await?;
                }
                let mut n = 0;
                serially(time, async || {
                    n += 1;
                    self.show(nth(n)).await
                })
                .await
            }
            Work::ShowAny => {
                serially(time, async || {
                    // Steps coprime to the number of records visit all of them in irregular order.
                    self.picked = (self.picked + 611_953) % self.customers;
                    self.show(self.picked).await
                })
                .await
            }
            Work::FindDue => {
                self.make_due().await?;
                serially(time, async || {
                    let due = self.find_due().await?;
                    ensure!(due.len() == DUE as usize, "{} are due", due.len());
                    Ok(())
                })
                .await
            }
            Work::Dispatch => self.repeat_passes(time, Self::dispatch).await,
            Work::Refresh => self.repeat_passes(time, Self::refresh).await,
        }
    }

    async fn pages(&self, filter: &Filter, time: Duration) -> Result<Measurement> {
        let store = &self.world.parts.store;
        serially(time, async || {
            let page = store.find(filter, None, PAGE).await?;
            ensure!(page.items.len() == PAGE as usize, "a page is not full");
            Ok(())
        })
        .await
    }

    /// Reads what the command `show` reads.
    async fn show(&self, index: u64) -> Result<()> {
        let store = &self.world.parts.store;
        let named = filter(None, Some(("name", customers::name(index))));
        let found = store.find(&named, None, 2).await?.items;
        ensure!(found.len() == 1, "{} have this name", found.len());
        let subject = Reference::record(customers::pkid(index)?);
        let owned = Filter {
            model: "data/Alert".to_owned(),
            hierarchy: None,
            equals: vec![Key {
                name: "owner".to_owned(),
                value: subject.pkid.to_string(),
            }],
        };
        store.find(&owned, None, 100).await?;
        store.wakeups(&subject).await?;
        Ok(())
    }

    async fn make_due(&self) -> Result<()> {
        // A wakeup that is due in the millisecond of an earlier attempt counts as completed by it.
        tokio::time::sleep(Duration::from_millis(2)).await;
        customers::make_due(&self.world.parts, 0..u64::from(DUE)).await
    }

    /// Reads what a dispatcher reads.
    async fn find_due(&self) -> Result<Vec<DueWakeup>> {
        let parts = &self.world.parts;
        parts.store.next_due(None).await?;
        Ok(parts
            .store
            .due(parts.clock.now(), DUE, KindFilter::All)
            .await?)
    }

    /// Measures calls of `pass`, each of which completes all due wakeups. The time between calls is not
    /// measured.
    async fn repeat_passes(
        &mut self,
        time: Duration,
        pass: impl AsyncFn(&Self) -> Result<()>,
    ) -> Result<Measurement> {
        let mut all = Measurement {
            done: 0,
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
        };
        loop {
            self.make_due().await?;
            let meter = Meter::start();
            pass(self).await?;
            let slot = meter.stop(u64::from(DUE));
            all.done += slot.done;
            all.wall += slot.wall;
            all.cpu += slot.cpu;
            if all.wall >= time {
                return Ok(all);
            }
        }
    }

    /// Performs the store operations of a call without its workflow.
    async fn dispatch(&self) -> Result<()> {
        let parts = &self.world.parts;
        let due = self.find_due().await?;
        ensure!(due.len() == DUE as usize, "{} are due", due.len());
        for wakeup in due {
            let now = parts.clock.now();
            let id = uuid::Uuid::now_v7().to_string();
            let begin = CallStart {
                transaction: NewTransaction {
                    id: id.clone(),
                    action: "refresh".to_owned(),
                    subject: Some(wakeup.wakeup.subject.clone()),
                    submitted: wakeup.wakeup.due,
                    started: now,
                    ..NewTransaction::default()
                },
                subject: Some(wakeup.wakeup.subject.clone()),
                lease: parts.limits.lease(),
                now,
                wakeup: Some(wakeup.clone()),
            };
            let BeginOutcome::Started(lease) = parts.store.begin(begin).await? else {
                anyhow::bail!("{} could not begin", wakeup.wakeup.subject);
            };
            let end = CallEnd {
                transaction: TransactionUpdate {
                    id,
                    outcome: Some(TransactionOutcome {
                        status: Status::Success,
                        message: "done".to_owned(),
                        completed: now,
                    }),
                    ..TransactionUpdate::default()
                },
                lease,
                wakeup: Some(WakeupSettlement::Done(wakeup)),
                interrupted: false,
            };
            parts.store.end(end).await?;
        }
        Ok(())
    }

    /// Runs the real dispatcher with the real component.
    async fn refresh(&self) -> Result<()> {
        let summary = self.dispatcher.run_until_idle().await?;
        let expected = DispatchSummary {
            done: u64::from(DUE),
            refreshed: u64::from(DUE),
            ..DispatchSummary::default()
        };
        ensure!(summary == expected, "the dispatcher summary {summary:?}");
        Ok(())
    }
}

fn filter(place: Option<(Hierarchy, Scope)>, key: Option<(&str, String)>) -> Filter {
    let key = key.map(|(name, value)| Key {
        name: name.to_owned(),
        value,
    });
    Filter {
        model: RECORD_MODEL.to_owned(),
        hierarchy: place,
        equals: key.into_iter().collect(),
    }
}

/// Measures each work on each store, round by round. The first store, the smallest, is the baseline.
pub(super) async fn compare(
    plan: &Plan,
    name: &str,
    works: &[LabeledWork],
    stores: &mut [FilledStore],
    bounds: impl Fn(Work, bool) -> Bounds,
) -> Result<Vec<Row>> {
    let mut sides = vec![vec![Series::default(); stores.len()]; works.len()];
    // Round 0 fills the caches and is not counted.
    for round in 0..=plan.rounds {
        note(&format!("{name}: round {round}/{}", plan.rounds));
        for ((work, _), sides) in works.iter().zip(&mut sides) {
            for (stored, side) in stores.iter_mut().zip(sides) {
                let time = if round == 0 {
                    Duration::ZERO
                } else {
                    plan.slot / 4
                };
                let slot = stored.measure(*work, time).await?;
                if round > 0 {
                    side.add(slot);
                }
            }
        }
    }
    let mut rows = Vec::new();
    let sizes: Vec<u64> = stores.iter().map(|stored| stored.customers).collect();
    for ((work, label), sides) in works.iter().zip(&sides) {
        for (customers, side) in sizes.iter().zip(sides) {
            let label = format!("{label}; {customers} stored");
            let row = Row::new(label, side.percentiles(Measurement::each)?, Unit::Micros);
            let row = row.cpu(side.percentiles(Measurement::cpu_each)?);
            rows.push(match (sides.first(), sizes.first()) {
                (Some(least), Some(fewest)) if fewest != customers => {
                    let to = format!("{fewest} stored");
                    let by_cpu = format!("{to}, by processor time");
                    let is_largest = sizes.last() == Some(customers);
                    let bounds = bounds(*work, is_largest);
                    let by_time = side.ratio(least, Measurement::each)?;
                    let by_cpu_time = side.ratio(least, Measurement::cpu_each)?;
                    row.ratio(to, by_time, bounds)
                        .ratio(by_cpu, by_cpu_time, Bounds::NONE)
                }
                _ => row,
            });
        }
    }
    Ok(rows)
}

/// Runs the benchmark.
pub async fn run(plan: &Plan) -> Result<Report> {
    let mut stores = Vec::new();
    for &customers in &plan.sizes {
        ensure!(
            customers >= u64::from(PAGE),
            "{customers} customers do not fill a page of {PAGE}"
        );
        stores.push(FilledStore::new(plan, customers).await?);
    }
    let mut rows = compare(plan, "stored", &ALL, &mut stores, Work::bounds).await?;
    let mut notes = Vec::new();
    drop(stores);
    match plan.sizes.last() {
        Some(largest) if program::is_built()? => {
            note(&format!(
                "stored: memory of a host with {largest} customers"
            ));
            rows.extend(program::idle_memory(plan, &name(*largest), *largest)?);
        }
        _ => notes.push(program::MISSING.to_owned()),
    }
    notes.extend(NOTES.map(str::to_owned));
    notes.push(format!(
        "{DUE} customers are complete; the others are only records with keys, sealed tokens and two \
         wakeups each, without data syncs and schedules"
    ));
    Ok(Report {
        bench: "stored",
        title: TITLE,
        rows,
        notes,
    })
}
