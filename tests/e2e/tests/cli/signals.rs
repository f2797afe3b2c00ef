//! Signals that ask a command to stop: it finishes what runs, and loses no answer of Webex.

use std::time::Duration;

use relation_e2e::process::{Running, eventually};
use relation_e2e::scene::Scene;
use webex_emulator::{Emulator, Mode};

/// Asks a `run` to stop while a refresh is in flight, and lets Webex answer only when it has heard it.
fn stopped_in_flight(ask: impl Fn(&Running)) {
    let scene = Scene::with(Emulator::builder().mode(Mode::Rotate));
    let customer = scene.customer("Contoso");
    let gate = scene.emulator.gate("/v1/access_token");
    let before = gate.arrivals();
    scene.time.pass(Duration::from_secs(8 * 86_400));
    let running = scene.place.relation(["run"]).start();
    eventually("the refresh is in flight", || {
        (gate.arrivals() > before).then_some(())
    });
    ask(&running);
    eventually("the command has heard it", || {
        running.stderr().contains("asked to stop").then_some(())
    });
    gate.release();
    let ran = running.end().done();
    assert!(ran.stdout.contains("1 refreshed"), "{ran:?}");
    assert_eq!(scene.state(&customer), "connected");
    scene.emulator.assert_sound();
}

#[test]
fn a_hangup_stops_as_a_termination_does() {
    stopped_in_flight(Running::hang_up);
}

#[test]
fn signals_that_come_together_are_one_request() {
    stopped_in_flight(|running| {
        running.terminate();
        running.terminate();
        running.interrupt();
        running.hang_up();
    });
}

#[test]
fn a_hangup_ends_a_connect_and_leaves_the_customer_as_it_was() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    let connect = ["connect", &customer.pkid, "--no-listen"];
    let (running, _stdin) = scene.place.relation(connect).start_with_stdin();
    eventually("the link is shown", || {
        running.stdout().ends_with('\n').then_some(())
    });
    running.hang_up();
    let ran = running.end().exits(1);
    ran.says(&["stopped before anybody consented"]);
}
