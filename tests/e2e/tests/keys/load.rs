//! A data key is rotated while 1 000 customers are refreshed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use relation_e2e::World;
use relation_e2e::database::Database;
use relation_e2e::process::Workspace;
use relation_host::reports::RefreshOutcome;
use relation_host::types::Pkid;
use webex_emulator::Mode;

use crate::last;

const CUSTOMERS: usize = 1000;
const CONCURRENCY: usize = 16;

/// Returns a workspace on the world's store and key, for commands beside its hosts.
fn beside(world: &World) -> Workspace {
    let workspace = Workspace::new(&world.emulator.base_url(), "unused");
    let text = format!(
        "store = \"sqlite:{}\"\nkey-file = \"{}\"\n",
        world.database().display(),
        world.key_file().display()
    );
    workspace.write("relation.toml", &text);
    workspace
}

async fn customers(world: &Arc<World>) -> Vec<Pkid> {
    let next = Arc::new(AtomicUsize::new(0));
    let adders: Vec<_> = (0..CONCURRENCY)
        .map(|_| {
            let (world, next) = (Arc::clone(world), Arc::clone(&next));
            tokio::spawn(async move {
                let mut added = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= CUSTOMERS {
                        return added;
                    }
                    added.push(world.add_customer(&format!("Customer {number}")).await.pkid);
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for adder in adders {
        all.extend(adder.await.unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_under_load_fails_no_refresh() {
    // Each refresh token works once: restoring an old one over a newer one is noticed.
    let world = Arc::new(World::builder().mode(Mode::Rotate).start().await);
    let customers = Arc::new(customers(&world).await);
    let workspace = beside(&world);
    let database = Database::open(&world.database());
    let total = database.secrets_by_key()[&1];
    assert!(total >= 2 * CUSTOMERS, "{total}");

    let rotation = workspace
        .relation(["keys", "rotate", "--step", "20", "--json"])
        .start();
    // Two hosts, until all customers are refreshed and the rotation is over.
    let hosts = [world.host().clone(), world.new_host().await];
    let (next, over) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let lanes: Vec<_> = (0..CONCURRENCY)
        .map(|lane| {
            let host = hosts[lane % 2].clone();
            let (customers, world) = (Arc::clone(&customers), Arc::clone(&world));
            let (next, over) = (Arc::clone(&next), Arc::clone(&over));
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= CUSTOMERS && over.load(Ordering::Relaxed) {
                        return;
                    }
                    if number.is_multiple_of(100) {
                        world.clock.advance(Duration::from_secs(1));
                    }
                    let pkid = &customers[number % CUSTOMERS];
                    let refreshed = host.refresh(pkid).await;
                    let report = refreshed.unwrap_or_else(|error| panic!("{number}: {error}"));
                    let report = report.value;
                    let outcome = report.outcome;
                    assert_eq!(outcome, RefreshOutcome::Connected, "{}", report.message);
                }
            })
        })
        .collect();
    let rotated = tokio::task::spawn_blocking(move || rotation.wait()).await;
    over.store(true, Ordering::Relaxed);
    let counted = database.secrets_by_key();
    let refreshed = next.load(Ordering::Relaxed);
    let rotated = rotated.unwrap().succeeds();
    assert_eq!(counted, [(2, total)].into(), "right after the rotation");
    for lane in lanes {
        lane.await.unwrap();
    }
    assert!(refreshed > 0, "nothing was refreshed meanwhile");
    let ended = last(&rotated.stdout);
    assert_eq!(ended["unopened"], serde_json::json!([]), "{ended}");
    eprintln!(
        "{refreshed} refreshes during the rotation, which sealed {} again",
        ended["resealed"]
    );

    workspace.relation(["keys", "retire", "1"]).run().succeeds();
    assert_eq!(database.secrets_by_key(), [(2, total)].into());
    world.clock.advance(Duration::from_secs(1));
    for pkid in customers.iter().step_by(50) {
        let report = world.host().refresh(pkid).await.unwrap().value;
        assert_eq!(report.outcome, RefreshOutcome::Connected);
    }
    assert_eq!(database.secrets_by_key(), [(2, total)].into());
    world.emulator.assert_sound();
}
