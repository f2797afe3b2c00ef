//! Concurrent calls on one or several customers, each on its own host, in random orders. With leases nothing
//! may be lost or duplicated. Without leases the known races must occur, which proves that the exploration can
//! fail.
//!
//! `SCHEDULE_SEED=n` runs one order and prints it if it has a violation.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;

use relation_harness::explore::{Interleaving, StepScheduler, interleave};
use webex_emulator::Mode;

use crate::page;
use crate::world::{DAY, World};
use actions::{ActionResult, ConcurrentAction, connect, draw_actions, perform};
use invariants::{Violation, find_violations, record};

mod actions;
mod invariants;

/// The number of orders.
const ORDERS: u64 = 200;

/// An explored order.
struct ExploredSchedule {
    actions: Vec<(usize, ConcurrentAction)>,
    run: Interleaving<ActionResult>,
    /// The violated invariants.
    violations: Vec<Violation>,
}

async fn explore_seed(leases: bool, seed: u64) -> ExploredSchedule {
    let scheduler = Arc::new(StepScheduler::default());
    let mut world = World::with_leases(leases, Mode::Rotate, scheduler.clone()).await;
    world.call_ok(world.add(true)).await;
    let first = world.customer().await;
    let (second, organization) = world.another_customer().await;
    let customers = [first, second];
    let organizations = [world.organization.clone(), organization];
    // Make the scheduled refresh due.
    let due =
        world.snapshot().await.documents[&record(&customers[0])].body["connection"]["next_refresh"]
            .clone();
    let due = relation_host::types::Timestamp(due.as_u64().unwrap());
    world.harness.clock().advance_to(due);

    let actions = draw_actions(seed);
    let mut callbacks = [None, None];
    for (customer, _) in actions
        .iter()
        .filter(|(_, action)| *action == ConcurrentAction::CompleteConnect)
    {
        let begun = world.call_ok(connect(&customers[*customer])).await;
        callbacks[*customer] = Some(world.consent_of(&organizations[*customer], &begun));
    }
    for _ in 1..actions.len() {
        world.harness.another_host().await.unwrap();
    }
    let world = Arc::new(world);
    let calls = actions
        .iter()
        .enumerate()
        .map(|(host, (customer, action))| {
            let (world, pkid, action) = (Arc::clone(&world), customers[*customer].clone(), *action);
            let callback = callbacks[*customer].clone();
            Box::pin(async move { perform(&world, host, pkid, action, callback).await })
                as BoxedAction
        });
    let calls: Vec<BoxedAction> = calls.collect();
    let run = interleave(&scheduler, calls, seed).await;
    // The remaining work includes the next refresh, which needs valid tokens.
    world.advance(8 * DAY).await;
    let violations = find_violations(&world, &customers, &actions, &run).await;
    ExploredSchedule {
        actions,
        run,
        violations,
    }
}

type BoxedAction = Pin<Box<dyn Future<Output = ActionResult> + Send>>;

#[derive(Default)]
struct Exploration {
    orders: BTreeSet<Vec<(usize, &'static str)>>,
    switches: usize,
    violations: Vec<ExploredSchedule>,
}

impl Exploration {
    /// Checks that enough orders are different, and that their calls overlap.
    #[track_caller]
    fn is_wide(&self, different: usize) {
        let (orders, switches) = (self.orders.len(), self.switches as u64);
        assert!(orders >= different, "only {orders} different orders");
        assert!(
            switches > 2 * ORDERS,
            "{switches} switches: the calls hardly overlap"
        );
    }

    /// Counts the orders with each kind of violation.
    fn kinds(&self) -> BTreeMap<&'static str, usize> {
        let mut kinds = BTreeMap::new();
        for explored in &self.violations {
            let of_it: BTreeSet<_> = explored
                .violations
                .iter()
                .map(|violation| violation.kind)
                .collect();
            for kind in of_it {
                *kinds.entry(kind).or_default() += 1;
            }
        }
        kinds
    }
}

async fn explore_seeds(leases: bool, seeds: std::ops::Range<u64>) -> Exploration {
    let mut found = Exploration::default();
    for seed in seeds {
        let explored = explore_seed(leases, seed).await;
        let order = explored.run.order.iter();
        found
            .orders
            .insert(order.map(|turn| (turn.call, turn.import.name())).collect());
        found.switches += explored.run.switches();
        if !explored.violations.is_empty() {
            found.violations.push(explored);
        }
    }
    found
}

fn describe(explored: &ExploredSchedule) -> String {
    let mut text = format!("{:?}\n{}", explored.actions, explored.run);
    for Violation { kind, text: which } in &explored.violations {
        writeln!(text, "VIOLATION: {kind}: {which}").unwrap();
    }
    text
}

fn seeds() -> std::ops::Range<u64> {
    match std::env::var("SCHEDULE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        Some(seed) => seed..seed + 1,
        None => 0..ORDERS,
    }
}

#[tokio::test(start_paused = true)]
async fn no_schedule_violates_invariants_with_leases() {
    let found = explore_seeds(true, seeds()).await;
    let texts: String = found.violations.iter().map(describe).collect();
    assert!(found.violations.is_empty(), "{texts}");
    if seeds() == (0..ORDERS) {
        // Calls on one customer wait for each other, so that many orders are equal.
        found.is_wide(150);
    }
}

#[tokio::test(start_paused = true)]
async fn schedules_without_leases_find_races() {
    let found = explore_seeds(false, seeds()).await;
    if seeds() != (0..ORDERS) {
        println!(
            "{}",
            found.violations.iter().map(describe).collect::<String>()
        );
        return;
    }
    found.is_wide(190);
    let kinds = found.kinds();
    // If two refreshes use one refresh token, Webex rejects the second one and revokes all tokens.
    for kind in ["a replaced refresh token is used", "a connection is broken"] {
        assert!(kinds.contains_key(kind), "{kind}: {kinds:?}");
    }
    page::compare("schedules.md", &render_page(&found));
}

#[tokio::test(start_paused = true)]
async fn same_seed_gives_the_same_order() {
    let one = explore_seed(true, 5).await;
    let same = explore_seed(true, 5).await;
    assert_eq!(one.run.order, same.run.order);
    assert_eq!(one.run.calls, same.run.calls);
}

fn render_page(without: &Exploration) -> String {
    let first = without
        .violations
        .iter()
        .find(|explored| explored.violations.len() > 1)
        .unwrap();
    let mut page = include_str!("page.md").to_owned();
    writeln!(
        page,
        "| leases | orders | orders with violations |\n|---|---|---|"
    )
    .unwrap();
    writeln!(page, "| on | {ORDERS} | 0 |").unwrap();
    writeln!(page, "| off | {ORDERS} | {} |", without.violations.len()).unwrap();
    writeln!(page, "\n| violation with leases off | orders |\n|---|---|").unwrap();
    for (kind, orders) in without.kinds() {
        writeln!(page, "| {kind} | {orders} |").unwrap();
    }
    writeln!(
        page,
        "\nThe first order with several violations:\n\n```text\n{}```",
        describe(first)
    )
    .unwrap();
    page
}
