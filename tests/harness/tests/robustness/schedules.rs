//! Calls on one customer and on several, at once on hosts of their own, in orders that are drawn: with leases
//! nothing is lost or doubled in any; without them the known races show, or the exploration would be
//! worth nothing.
//!
//! `SCHEDULE_SEED=n` runs one order and prints it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;

use relation_harness::explore::{Interleaved, Turnstile, interleave};
use relation_harness::{Call, Failed};
use relation_host::Fired;
use relation_host::entropy::{Entropy as _, SeededEntropy};
use relation_host::reports::Grant;
use relation_host::types::{Failure, Pkid, Reference};
use serde_json::json;
use webex_emulator::Mode;

use crate::page;
use crate::world::{DAY, World};

/// How many orders are tried.
const ORDERS: u64 = 200;

/// What runs at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    ScheduledRefresh,
    ManualRefresh,
    Modify,
    Delete,
    Connect,
    CheckExpiry,
}

const DEEDS: [Deed; 6] = [
    Deed::ScheduledRefresh,
    Deed::ManualRefresh,
    Deed::Modify,
    Deed::Delete,
    Deed::Connect,
    Deed::CheckExpiry,
];

/// What came of a deed: done, or why not.
type Came = Result<(), String>;

/// An order that was tried.
struct Tried {
    deeds: Vec<(usize, Deed)>,
    run: Interleaved<Came>,
    /// What must not be, and is.
    wrong: Vec<String>,
}

fn draw(entropy: &SeededEntropy, among: usize) -> usize {
    let mut bytes = [0; 4];
    entropy.fill(&mut bytes);
    usize::try_from(u32::from_le_bytes(bytes)).unwrap() % among
}

/// Whose deeds: two or three on the first customer, and sometimes one on the second.
fn drawn(seed: u64) -> Vec<(usize, Deed)> {
    // The order of the imports is drawn from the seed itself.
    let entropy = SeededEntropy::new(!seed);
    let mut deeds = Vec::new();
    for _ in 0..2 + draw(&entropy, 2) {
        deeds.push((0, DEEDS[draw(&entropy, DEEDS.len())]));
    }
    if draw(&entropy, 2) == 0 {
        deeds.push((1, DEEDS[draw(&entropy, DEEDS.len())]));
    }
    deeds
}

async fn tried(leases: bool, seed: u64) -> Tried {
    let turnstile = Arc::new(Turnstile::default());
    let mut world = World::with_leases(leases, Mode::Rotate, turnstile.clone()).await;
    world.done(world.add(true)).await;
    let first = world.customer().await;
    let second = world.another_customer().await;
    let customers = [first, second];
    // The scheduled refresh is due now.
    let due =
        world.snapshot().await.documents[&record(&customers[0])].body["connection"]["next_refresh"]
            .clone();
    let due = relation_host::types::Timestamp(due.as_u64().unwrap());
    world.harness.clock().advance_to(due);

    let deeds = drawn(seed);
    for _ in 1..deeds.len() {
        world.harness.another_host().await.unwrap();
    }
    let world = Arc::new(world);
    let calls = deeds.iter().enumerate().map(|(host, (whose, deed))| {
        let (world, pkid, deed) = (Arc::clone(&world), customers[*whose].clone(), *deed);
        Box::pin(async move { doing(&world, host, pkid, deed).await }) as Doing
    });
    let calls: Vec<Doing> = calls.collect();
    let run = interleave(&turnstile, calls, seed).await;
    // What is left to do runs, the next refresh among it: tokens that are stored must work.
    world.pass(8 * DAY).await;
    let wrong = wrong(&world, &customers, &deeds, &run).await;
    Tried { deeds, run, wrong }
}

type Doing = Pin<Box<dyn Future<Output = Came> + Send>>;

fn record(pkid: &Pkid) -> String {
    Reference::record(pkid.clone()).to_string()
}

async fn doing(world: &World, host: usize, pkid: Pkid, deed: Deed) -> Came {
    let call = match deed {
        Deed::ScheduledRefresh => return scheduled(world, host, pkid).await,
        Deed::ManualRefresh => Call::Refresh {
            pkid,
            grant: Grant::Organization,
        },
        Deed::Modify => Call::Modify {
            pkid,
            fields: json!({ "email_domain": "contoso.example" })
                .as_object()
                .unwrap()
                .clone(),
            token_answer: None,
        },
        Deed::Delete => Call::Delete {
            pkid,
            dry_run: false,
        },
        Deed::Connect => Call::Connect {
            pkid,
            grant: Grant::Organization,
            redirect_uri: crate::world::REDIRECT.to_owned(),
        },
        Deed::CheckExpiry => Call::CheckExpiry {
            pkid,
            grant: Grant::Organization,
        },
    };
    told(world.harness.call_on(host, call).await.result.map(drop))
}

/// Who is told to come again, or that there is no such record, was told the truth.
fn told(result: Result<(), Failed>) -> Came {
    match &result {
        Ok(()) => Ok(()),
        Err(failed) => match failed.refusal() {
            Some(Failure::NotFound(_)) => Err("not-found".to_owned()),
            Some(Failure::Conflict(_)) => Err("conflict".to_owned()),
            _ => Err(format!("UNEXPECTED {failed}")),
        },
    }
}

async fn scheduled(world: &World, host: usize, pkid: Pkid) -> Came {
    let host = world.harness.host_at(host);
    let wakeups = host
        .store()
        .wakeups(&Reference::record(pkid))
        .await
        .unwrap();
    let Some(due) = wakeups.into_iter().find(|due| due.wakeup.id == "refresh") else {
        return Err("not-found".to_owned());
    };
    match host.fire(due).await {
        Ok(Fired::Gone) => Err("gone".to_owned()),
        // The dispatcher comes again.
        Ok(Fired::Busy(_)) => Err("busy".to_owned()),
        Ok(Fired::Called(_)) => Ok(()),
        Err(error) => Err(format!("UNEXPECTED {error}")),
    }
}

/// Everything that must hold whatever the order was.
async fn wrong(
    world: &World,
    customers: &[Pkid; 2],
    deeds: &[(usize, Deed)],
    run: &Interleaved<Came>,
) -> Vec<String> {
    let mut wrong = world.webex.violations();
    for (came, (whose, deed)) in run.calls.iter().zip(deeds) {
        match came {
            None => wrong.push(format!("{deed:?} of customer {whose} panicked")),
            Some(Err(why)) if why.starts_with("UNEXPECTED") => {
                wrong.push(format!("{deed:?} of customer {whose}: {why}"));
            }
            Some(_) => {}
        }
    }
    let snapshot = world.snapshot().await;
    for (whose, pkid) in customers.iter().enumerate() {
        let did = |wanted: Deed| {
            let mut all = deeds.iter().zip(&run.calls);
            all.any(|(deed, came)| *deed == (whose, wanted) && *came == Some(Ok(())))
        };
        let name = record(pkid);
        let Some(stored) = snapshot.documents.get(&name) else {
            if !did(Deed::Delete) {
                wrong.push(format!("customer {whose} is gone and nobody deleted it"));
            }
            let left = snapshot.secrets.keys().chain(snapshot.wakeups.keys());
            let left: Vec<&String> = left.filter(|left| left.contains(pkid.as_str())).collect();
            if !left.is_empty() {
                wrong.push(format!(
                    "of customer {whose}, who was deleted, there is {left:?}"
                ));
            }
            continue;
        };
        if did(Deed::Delete) {
            wrong.push(format!("customer {whose} was deleted and is there"));
        }
        let state = &stored.body["connection"]["state"];
        if state != "connected" {
            wrong.push(format!("customer {whose} is {state}"));
        }
        if did(Deed::Modify) && !stored.body.to_string().contains("contoso.example") {
            wrong.push(format!("a change of customer {whose} is lost"));
        }
        for id in ["refresh", "expiry"] {
            if !snapshot.wakeups.contains_key(&format!("{name}#{id}")) {
                wrong.push(format!("nothing wakes customer {whose} for {id}"));
            }
        }
    }
    wrong
}

#[derive(Default)]
struct Found {
    orders: BTreeSet<Vec<(usize, &'static str)>>,
    switches: usize,
    wrong: Vec<Tried>,
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
    for wrong in &tried.wrong {
        writeln!(text, "WRONG: {wrong}").unwrap();
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
        assert!(
            found.switches > 500,
            "the calls hardly met: {} switches",
            found.switches
        );
    }
}

#[tokio::test(start_paused = true)]
async fn without_leases_the_races_that_they_prevent_are_found() {
    let found = explored(false, seeds()).await;
    if seeds() != (0..ORDERS) {
        println!("{}", found.wrong.iter().map(described).collect::<String>());
        return;
    }
    let all: Vec<String> = found
        .wrong
        .iter()
        .flat_map(|tried| tried.wrong.clone())
        .collect();
    let shows = |what: &str| all.iter().any(|wrong| wrong.contains(what));
    // Two refreshes that use one refresh token: the loser is refused, and Webex takes all tokens away.
    assert!(shows("rotated out"), "{all:?}");
    assert!(shows("reauthorize"), "{all:?}");
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
    let mut page = include_str!("schedules.md").to_owned();
    writeln!(
        page,
        "| leases | orders tried | orders that ended wrong |\n|---|---|---|"
    )
    .unwrap();
    writeln!(page, "| on | {ORDERS} | 0 |").unwrap();
    writeln!(page, "| off | {ORDERS} | {} |", without.wrong.len()).unwrap();
    writeln!(
        page,
        "\nThe first of them with its consequences:\n\n```text\n{}```",
        described(first)
    )
    .unwrap();
    page
}
