//! `relation-host run` ends in the middle of a refresh, killed at each step or gracefully: nothing
//! is lost, and Webex gets no unnecessary second request.

use relation_e2e::cli_world::{CliWorld, Customer};
use relation_e2e::process::{ProgramOutput, RunningProgram, eventually};
use relation_e2e::world::DAY;
use serde_json::{Value, json};
use webex_emulator::Outcome;

const TOKEN: &str = "/v1/access_token";

/// Creates a customer whose first refresh is due, and the second one only after days.
fn world() -> (CliWorld, Customer) {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    // Pasted tokens start an import; afterwards, only the refresh and the expiry check are scheduled.
    world.workspace.json(["sync", &customer.pkid]);
    world.time.advance(8 * DAY);
    (world, customer)
}

fn run(world: &CliWorld) -> RunningProgram {
    world.workspace.relation(["run"]).start()
}

/// Runs what is due, if need be what is due in a moment.
#[track_caller]
fn recover(world: &CliWorld) -> Value {
    let output: ProgramOutput = world
        .workspace
        .relation(["run", "--until-idle", "--json"])
        .run();
    output.succeeds().json()
}

/// Returns the stored refreshes, newest first.
#[track_caller]
fn refreshes(world: &CliWorld, customer: &Customer) -> Vec<(String, String)> {
    let page = world
        .workspace
        .json(["transactions", "--subject", &customer.pkid, "--all"]);
    let all = page["items"].as_array().expect("a page has items").iter();
    let text = |transaction: &Value, name: &str| transaction[name].as_str().unwrap().to_owned();
    all.filter(|transaction| transaction["action"] == "refresh")
        .map(|transaction| (text(transaction, "status"), text(transaction, "message")))
        .collect()
}

/// Asserts that the customer is connected with working tokens, and keeps everything created with
/// it.
#[track_caller]
fn assert_nothing_is_lost(world: &CliWorld, customer: &Customer) {
    let shown = world.workspace.json(["show", &customer.pkid]);
    assert_eq!(shown["connection"]["state"], "connected", "{shown:#}");
    assert_eq!(
        shown["owned_documents"].as_array().unwrap().len(),
        5,
        "{shown:#}"
    );
    let mut wakeups: Vec<&str> = shown["wakeups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wakeup| wakeup["id"].as_str().unwrap())
        .collect();
    wakeups.sort_unstable();
    assert_eq!(wakeups, ["expiry", "refresh"]);
    // Webex lets only a valid access token revoke.
    let deleted = world.workspace.json(["delete", &customer.pkid, "--yes"]);
    assert_eq!(deleted["revocation"]["result"], "revoked", "{deleted:#}");
    world.emulator.assert_sound();
}

#[track_caller]
fn assert_interrupted(transaction: &(String, String)) {
    let (status, message) = transaction;
    assert_eq!(status, "Fail");
    assert!(message.contains("interrupted"), "{message}");
}

#[test]
fn kill_before_processing_repeats_the_request() {
    let (world, customer) = world();
    let gate = world.emulator.gate(TOKEN);
    let running = run(&world);
    eventually("the request is held", || {
        (gate.arrivals() == 1).then_some(())
    });
    running.kill();
    eventually("Webex has seen the end of the connection", || {
        (world.token_requests()[0].status == Outcome::Abandoned).then_some(())
    });
    gate.release();

    let summary = recover(&world);
    assert_eq!(
        (&summary["done"], &summary["failed"]),
        (&json!(1), &json!(0))
    );
    let requests = world.token_requests();
    assert_eq!(requests.len(), 2, "{requests:#?}");
    assert!(!requests[0].processed);
    assert_eq!(requests[1].status, Outcome::Status(200));
    let refreshes = refreshes(&world, &customer);
    assert_eq!(refreshes.len(), 2, "{refreshes:?}");
    assert_eq!(refreshes[0].0, "Success");
    assert_interrupted(&refreshes[1]);
    assert_nothing_is_lost(&world, &customer);
}

#[test]
fn kill_before_the_commit_repeats_the_request() {
    let (world, customer) = world();
    let database = world.database();
    let gate = world.emulator.gate_after(TOKEN);
    let running = run(&world);
    eventually("the response is held", || {
        (gate.arrivals() == 1).then_some(())
    });
    let before = database.record(&customer.pkid);
    database.lock();
    gate.release();
    eventually("Webex has sent its response", || {
        (world.token_requests()[0].status == Outcome::Status(200)).then_some(())
    });
    running.kill();
    database.unlock();
    assert_eq!(
        database.record(&customer.pkid),
        before,
        "nothing was committed"
    );

    let summary = recover(&world);
    assert_eq!(
        (&summary["done"], &summary["failed"]),
        (&json!(1), &json!(0))
    );
    let requests = world.token_requests();
    assert_eq!(requests.len(), 2, "{requests:#?}");
    assert!(
        requests.iter().all(|request| request.processed),
        "{requests:#?}"
    );
    let refreshes = refreshes(&world, &customer);
    assert_eq!(refreshes.len(), 2, "{refreshes:?}");
    assert_eq!(refreshes[0].0, "Success");
    assert_interrupted(&refreshes[1]);
    assert_nothing_is_lost(&world, &customer);
}

#[test]
fn kill_after_the_commit_repeats_nothing() {
    let (world, customer) = world();
    let database = world.database();
    // The record's version proves less: a service's first check writes to it too.
    let refreshed = || {
        let (_, record) = database.record(&customer.pkid).expect("it is there");
        record["connection"]["refreshed"].clone()
    };
    let before = refreshed();
    let running = run(&world);
    eventually("the response is committed", || {
        (refreshed() != before).then_some(())
    });
    running.kill();
    let committed = database.record(&customer.pkid);

    let summary = recover(&world);
    assert_eq!(
        (&summary["done"], &summary["failed"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(world.token_requests().len(), 1);
    assert_eq!(database.record(&customer.pkid), committed);
    // The transaction ends in its own commit, which may have been in time.
    let refreshes = refreshes(&world, &customer);
    assert_eq!(refreshes.len(), 1, "{refreshes:?}");
    if refreshes[0].0 != "Success" {
        assert_interrupted(&refreshes[0]);
    }
    assert_nothing_is_lost(&world, &customer);
}

#[test]
fn termination_finishes_running_calls() {
    let (world, customer) = world();
    let gate = world.emulator.gate(TOKEN);
    let mut running = run(&world);
    eventually("the request is held", || {
        (gate.arrivals() == 1).then_some(())
    });
    running.terminate();
    eventually("it says so", || {
        running
            .stderr()
            .contains("finishing what runs")
            .then_some(())
    });
    assert!(running.is_running(), "{}", running.stderr());
    gate.release();

    let output = running.wait().succeeds();
    assert!(output.stdout.contains("1 wakeup run"), "{}", output.stdout);
    assert_eq!(world.token_requests().len(), 1);
    let refreshes = refreshes(&world, &customer);
    assert_eq!(refreshes.len(), 1, "{refreshes:?}");
    assert_eq!(refreshes[0].0, "Success");
    assert_nothing_is_lost(&world, &customer);
}

#[test]
fn termination_when_idle_ends_immediately() {
    let world = CliWorld::new();
    let running = run(&world);
    eventually("it runs", || {
        running
            .stderr()
            .contains("running due wakeups")
            .then_some(())
    });
    running.terminate();
    let output = running.wait().succeeds();
    assert!(output.stdout.contains("0 wakeups run"), "{}", output.stdout);
}
