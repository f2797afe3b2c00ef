//! Signals that ask a command to stop: it finishes running calls, and loses no response of Webex.

use std::time::Duration;

use relation_e2e::cli_world::CliWorld;
use relation_e2e::process::{RunningProgram, eventually};
use webex_emulator::{Emulator, Mode};

/// Stops a `run` while a refresh is in flight; Webex responds only after the command has noticed
/// the signal.
fn stopped_in_flight(ask: impl Fn(&RunningProgram)) {
    let world = CliWorld::with(Emulator::builder().mode(Mode::Rotate));
    let customer = world.add_customer("Contoso");
    let gate = world.emulator.gate("/v1/access_token");
    let before = gate.arrivals();
    world.time.advance(Duration::from_secs(8 * 86_400));
    let running = world.workspace.relation(["run"]).start();
    eventually("the refresh is in flight", || {
        (gate.arrivals() > before).then_some(())
    });
    ask(&running);
    eventually("the command has heard it", || {
        running
            .stderr()
            .contains("stopping: running calls are finished")
            .then_some(())
    });
    gate.release();
    let output = running.wait().succeeds();
    assert!(output.stdout.contains("1 refreshed"), "{output:?}");
    assert_eq!(world.state(&customer), "connected");
    world.emulator.assert_sound();
}

#[test]
fn hangup_stops_like_termination() {
    stopped_in_flight(RunningProgram::send_sighup);
}

#[test]
fn concurrent_signals_stop_once() {
    stopped_in_flight(|running| {
        running.terminate();
        running.terminate();
        running.interrupt();
        running.send_sighup();
    });
}

#[test]
fn hangup_ends_connect_without_changes() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    let connect = ["connect", &customer.pkid, "--no-listen"];
    let (running, _stdin) = world.workspace.relation(connect).start_with_stdin();
    eventually("the link is shown", || {
        running.stdout().ends_with('\n').then_some(())
    });
    running.send_sighup();
    let output = running.wait().exits(1);
    output.reports(&["stopped while waiting for the consent"]);
}
