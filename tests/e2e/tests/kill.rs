//! `relation-host run` ends in the middle of a refresh, by force at each step of it or gracefully:
//! nothing is lost, and nothing is asked twice of Webex that need not be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on"
)]

use relation_e2e::process::{Ran, Running, eventually};
use relation_e2e::scene::{Customer, Scene};
use relation_e2e::world::DAY;
use serde_json::{Value, json};
use webex_emulator::Outcome;

const TOKEN: &str = "/v1/access_token";

/// A customer whose first refresh is due, and the second one not for days.
fn scene() -> (Scene, Customer) {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    scene.time.pass(8 * DAY);
    (scene, customer)
}

fn run(scene: &Scene) -> Running {
    scene.place.relation(["run"]).start()
}

/// Runs what is due, if need be what is due in a moment.
#[track_caller]
fn recover(scene: &Scene) -> Value {
    let ran: Ran = scene
        .place
        .relation(["run", "--until-idle", "--json"])
        .run();
    ran.done().json()
}

/// The refreshes that the store knows of, the newest first.
#[track_caller]
fn refreshes(scene: &Scene, customer: &Customer) -> Vec<(String, String)> {
    let page = scene
        .place
        .json(["transactions", "--subject", &customer.pkid, "--all"]);
    let all = page["items"].as_array().expect("a page has items").iter();
    let text = |transaction: &Value, name: &str| transaction[name].as_str().unwrap().to_owned();
    all.filter(|transaction| transaction["action"] == "refresh")
        .map(|transaction| (text(transaction, "status"), text(transaction, "message")))
        .collect()
}

/// The customer is connected with tokens that work, and still has everything that came with it.
#[track_caller]
fn assert_nothing_is_lost(scene: &Scene, customer: &Customer) {
    let shown = scene.place.json(["show", &customer.pkid]);
    assert_eq!(shown["connection"]["state"], "connected", "{shown:#}");
    assert_eq!(shown["parts"].as_array().unwrap().len(), 5, "{shown:#}");
    let mut wakeups: Vec<&str> = shown["wakeups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wakeup| wakeup["id"].as_str().unwrap())
        .collect();
    wakeups.sort_unstable();
    assert_eq!(wakeups, ["expiry", "refresh"]);
    // Webex lets only a living access token revoke.
    let deleted = scene.place.json(["delete", &customer.pkid, "--yes"]);
    assert_eq!(deleted["revocation"]["result"], "revoked", "{deleted:#}");
    scene.emulator.assert_sound();
}

#[track_caller]
fn assert_interrupted(transaction: &(String, String)) {
    let (status, message) = transaction;
    assert_eq!(status, "Fail");
    assert!(message.contains("interrupted"), "{message}");
}

#[test]
fn killed_before_the_request_was_carried_out_it_asks_once_more() {
    let (scene, customer) = scene();
    let gate = scene.emulator.gate(TOKEN);
    let running = run(&scene);
    eventually("the request is held", || {
        (gate.arrivals() == 1).then_some(())
    });
    running.kill();
    eventually("Webex has seen the end of the connection", || {
        (scene.token_requests()[0].status == Outcome::Abandoned).then_some(())
    });
    gate.release();

    let summary = recover(&scene);
    assert_eq!(
        (&summary["done"], &summary["failed"]),
        (&json!(1), &json!(0))
    );
    let requests = scene.token_requests();
    assert_eq!(requests.len(), 2, "{requests:#?}");
    assert!(!requests[0].processed);
    assert_eq!(requests[1].status, Outcome::Status(200));
    let refreshes = refreshes(&scene, &customer);
    assert_eq!(refreshes.len(), 2, "{refreshes:?}");
    assert_eq!(refreshes[0].0, "Success");
    assert_interrupted(&refreshes[1]);
    assert_nothing_is_lost(&scene, &customer);
}

#[test]
fn killed_between_the_answer_and_the_commit_it_asks_once_more() {
    let (scene, customer) = scene();
    let database = scene.database();
    let gate = scene.emulator.gate_after(TOKEN);
    let running = run(&scene);
    eventually("the answer is held", || {
        (gate.arrivals() == 1).then_some(())
    });
    let before = database.record(&customer.pkid);
    database.lock();
    gate.release();
    eventually("Webex has sent its answer", || {
        (scene.token_requests()[0].status == Outcome::Status(200)).then_some(())
    });
    running.kill();
    database.unlock();
    assert_eq!(
        database.record(&customer.pkid),
        before,
        "nothing was committed"
    );

    let summary = recover(&scene);
    assert_eq!(
        (&summary["done"], &summary["failed"]),
        (&json!(1), &json!(0))
    );
    let requests = scene.token_requests();
    assert_eq!(requests.len(), 2, "{requests:#?}");
    assert!(
        requests.iter().all(|request| request.processed),
        "{requests:#?}"
    );
    let refreshes = refreshes(&scene, &customer);
    assert_eq!(refreshes.len(), 2, "{refreshes:?}");
    assert_eq!(refreshes[0].0, "Success");
    assert_interrupted(&refreshes[1]);
    assert_nothing_is_lost(&scene, &customer);
}

#[test]
fn killed_after_the_commit_it_has_nothing_left_to_do() {
    let (scene, customer) = scene();
    let database = scene.database();
    // The record's version says less: the first look of a service writes to it too.
    let refreshed = || {
        let (_, record) = database.record(&customer.pkid).expect("it is there");
        record["connection"]["refreshed"].clone()
    };
    let before = refreshed();
    let running = run(&scene);
    eventually("the answer is committed", || {
        (refreshed() != before).then_some(())
    });
    running.kill();
    let committed = database.record(&customer.pkid);

    let summary = recover(&scene);
    assert_eq!(
        (&summary["done"], &summary["failed"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(scene.token_requests().len(), 1);
    assert_eq!(database.record(&customer.pkid), committed);
    // The transaction ends in a commit of its own, which may have been in time.
    let refreshes = refreshes(&scene, &customer);
    assert_eq!(refreshes.len(), 1, "{refreshes:?}");
    if refreshes[0].0 != "Success" {
        assert_interrupted(&refreshes[0]);
    }
    assert_nothing_is_lost(&scene, &customer);
}

#[test]
fn asked_to_stop_it_finishes_what_it_has_begun() {
    let (scene, customer) = scene();
    let gate = scene.emulator.gate(TOKEN);
    let mut running = run(&scene);
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

    let ran = running.end().done();
    assert!(ran.stdout.contains("1 wakeups answered"), "{}", ran.stdout);
    assert_eq!(scene.token_requests().len(), 1);
    let refreshes = refreshes(&scene, &customer);
    assert_eq!(refreshes.len(), 1, "{refreshes:?}");
    assert_eq!(refreshes[0].0, "Success");
    assert_nothing_is_lost(&scene, &customer);
}

#[test]
fn asked_to_stop_when_nothing_runs_it_ends_at_once() {
    let scene = Scene::new();
    let running = run(&scene);
    eventually("it runs", || {
        running
            .stderr()
            .contains("running due wakeups")
            .then_some(())
    });
    running.terminate();
    let ran = running.end().done();
    assert!(ran.stdout.contains("0 wakeups answered"), "{}", ran.stdout);
}
