//! Calls on one customer and on several, at once on hosts of their own, in orders that are drawn: with leases
//! nothing is lost or doubled in any; without them the known races show, or the exploration would be
//! worth nothing.
//!
//! `SCHEDULE_SEED=n` runs one order and prints it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;

use relation_harness::explore::{Interleaved, Turnstile, interleave};
use webex_emulator::Mode;

use crate::page;
use crate::world::{DAY, World};
use deeds::{Came, Deed, connect, doing, drawn};
use judge::{Wrong, record, wrong};

mod deeds;
mod judge;

/// How many orders are tried.
const ORDERS: u64 = 200;

/// An order that was tried.
struct Tried {
    deeds: Vec<(usize, Deed)>,
    run: Interleaved<Came>,
    /// What must not be, and is.
    wrong: Vec<Wrong>,
}

async fn tried(leases: bool, seed: u64) -> Tried {
    let turnstile = Arc::new(Turnstile::default());
    let mut world = World::with_leases(leases, Mode::Rotate, turnstile.clone()).await;
    world.done(world.add(true)).await;
    let first = world.customer().await;
    let (second, organization) = world.another_customer().await;
    let customers = [first, second];
    let organizations = [world.organization.clone(), organization];
    // The scheduled refresh is due now.
    let due =
        world.snapshot().await.documents[&record(&customers[0])].body["connection"]["next_refresh"]
            .clone();
    let due = relation_host::types::Timestamp(due.as_u64().unwrap());
    world.harness.clock().advance_to(due);

    let deeds = drawn(seed);
    let mut callbacks = [None, None];
    for (whose, _) in deeds
        .iter()
        .filter(|(_, deed)| *deed == Deed::CompleteConnect)
    {
        let begun = world.done(connect(&customers[*whose])).await;
        callbacks[*whose] = Some(world.consent_of(&organizations[*whose], &begun));
    }
    for _ in 1..deeds.len() {
        world.harness.another_host().await.unwrap();
    }
    let world = Arc::new(world);
    let calls = deeds.iter().enumerate().map(|(host, (whose, deed))| {
        let (world, pkid, deed) = (Arc::clone(&world), customers[*whose].clone(), *deed);
        let callback = callbacks[*whose].clone();
        Box::pin(async move { doing(&world, host, pkid, deed, callback).await }) as Doing
    });
    let calls: Vec<Doing> = calls.collect();
    let run = interleave(&turnstile, calls, seed).await;
    // What is left to do runs, the next refresh among it: tokens that are stored must work.
    world.pass(8 * DAY).await;
    let wrong = wrong(&world, &customers, &deeds, &run).await;
    Tried { deeds, run, wrong }
}

type Doing = Pin<Box<dyn Future<Output = Came> + Send>>;

#[derive(Default)]
struct Found {
    orders: BTreeSet<Vec<(usize, &'static str)>>,
    switches: usize,
    wrong: Vec<Tried>,
}

impl Found {
    /// As many orders are different ones at least, and in them the calls meet.
    #[track_caller]
    fn is_wide(&self, different: usize) {
        let (orders, switches) = (self.orders.len(), self.switches as u64);
        assert!(orders >= different, "only {orders} different orders");
        assert!(
            switches > 2 * ORDERS,
            "{switches} switches: they hardly meet"
        );
    }

    /// In how many orders something of each kind was wrong.
    fn kinds(&self) -> BTreeMap<&'static str, usize> {
        let mut kinds = BTreeMap::new();
        for tried in &self.wrong {
            let of_it: BTreeSet<_> = tried.wrong.iter().map(|wrong| wrong.kind).collect();
            for kind in of_it {
                *kinds.entry(kind).or_default() += 1;
            }
        }
        kinds
    }
}

async fn explored(leases: bool, seeds: std::ops::Range<u64>) -> Found {
    let mut found = Found::default();
    for seed in seeds {
        let tried = tried(leases, seed).await;
        let order = tried.run.order.iter();
        found
            .orders
            .insert(order.map(|turn| (turn.call, turn.import.name())).collect());
        found.switches += tried.run.switches();
        if !tried.wrong.is_empty() {
            found.wrong.push(tried);
        }
    }
    found
}

fn described(tried: &Tried) -> String {
    let mut text = format!("{:?}\n{}", tried.deeds, tried.run);
    for Wrong { kind, text: which } in &tried.wrong {
        writeln!(text, "WRONG: {kind}: {which}").unwrap();
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
async fn with_leases_no_order_of_calls_loses_or_doubles_anything() {
    let found = explored(true, seeds()).await;
    let texts: String = found.wrong.iter().map(described).collect();
    assert!(found.wrong.is_empty(), "{texts}");
    if seeds() == (0..ORDERS) {
        // Calls on one customer wait for each other, so that many orders are one.
        found.is_wide(150);
    }
}

#[tokio::test(start_paused = true)]
async fn without_leases_the_races_that_they_prevent_are_found() {
    let found = explored(false, seeds()).await;
    if seeds() != (0..ORDERS) {
        println!("{}", found.wrong.iter().map(described).collect::<String>());
        return;
    }
    found.is_wide(190);
    let kinds = found.kinds();
    // Two refreshes that use one refresh token: the loser is refused, and Webex takes all tokens away.
    for kind in [
        "a refresh token is used that had been replaced",
        "a connection is broken",
    ] {
        assert!(kinds.contains_key(kind), "{kind}: {kinds:?}");
    }
    page::compare("schedules.md", &written(&found));
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_is_the_same_order() {
    let one = tried(true, 5).await;
    let same = tried(true, 5).await;
    assert_eq!(one.run.order, same.run.order);
    assert_eq!(one.run.calls, same.run.calls);
}

fn written(without: &Found) -> String {
    let first = without
        .wrong
        .iter()
        .find(|tried| tried.wrong.len() > 1)
        .unwrap();
    let mut page = include_str!("page.md").to_owned();
    writeln!(
        page,
        "| leases | orders tried | orders that ended wrong |\n|---|---|---|"
    )
    .unwrap();
    writeln!(page, "| on | {ORDERS} | 0 |").unwrap();
    writeln!(page, "| off | {ORDERS} | {} |", without.wrong.len()).unwrap();
    writeln!(
        page,
        "\n| what is wrong with leases off | orders |\n|---|---|"
    )
    .unwrap();
    for (kind, orders) in without.kinds() {
        writeln!(page, "| {kind} | {orders} |").unwrap();
    }
    writeln!(
        page,
        "\nThe first of them with its consequences:\n\n```text\n{}```",
        described(first)
    )
    .unwrap();
    page
}
