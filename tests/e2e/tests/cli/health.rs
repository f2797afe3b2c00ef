//! Metrics and health of `run` and `serve` as processes, and the command `health`.

use std::time::Duration;

use relation_e2e::cli_world::{CliWorld, browse};
use relation_e2e::process::{eventually, free_address};
use relation_e2e::world::CLIENT_SECRET;
use serde_json::Value;
use webex_emulator::{Emulator, Mode};

#[test]
fn run_shows_metrics_and_is_not_ready_once_it_stops() {
    let address = free_address("127.0.0.1");
    let world = CliWorld::with(Emulator::builder().mode(Mode::Rotate));
    let world = world.with_config_line(&format!("metrics.listen = \"{address}\""));
    let health = || world.workspace.relation(["health", "--json"]).run();
    let down = health().exits(5).error();
    let message = down["message"].as_str().unwrap();
    assert!(message.contains("does not respond"), "{message}");

    let customer = world.add_customer("Contoso");
    let gate = world.emulator.gate("/v1/access_token");
    let before = gate.arrivals();
    world.time.advance(Duration::from_secs(8 * 86_400));
    let running = world.workspace.relation(["run"]).start();
    eventually("the refresh is in flight", || {
        (gate.arrivals() > before).then_some(())
    });
    let ready = health().succeeds().json();
    assert_eq!(ready["ready"], true);
    let (status, metrics) = browse(&format!("http://{address}/metrics"));
    assert_eq!(status, 200);
    assert!(
        metrics.contains("\nrelation_calls_in_flight 1")
            && metrics.contains("\nrelation_config_info{hash=\""),
        "{metrics}"
    );
    assert!(!metrics.contains(CLIENT_SECRET) && !metrics.contains("Contoso"));

    running.terminate();
    eventually("the process is not ready any more", || {
        let (status, _) = browse(&format!("http://{address}/readyz"));
        (status == 503).then_some(())
    });
    let stopping = health().exits(5);
    let parts = stopping.json()["parts"].clone();
    let is_running = |part: &&Value| part["part"] == "running";
    let running_part = parts.as_array().unwrap().iter().find(is_running);
    assert_eq!(running_part.unwrap()["ok"], false);
    assert_eq!(browse(&format!("http://{address}/livez")).0, 200);
    gate.release();
    let output = running.wait().succeeds();
    assert!(output.stdout.contains("1 refreshed"), "{output:?}");
    assert_eq!(world.state(&customer), "connected");
}

#[test]
fn serve_counts_requests_and_needs_the_token() {
    let address = free_address("127.0.0.1");
    let world = CliWorld::new()
        .with_config_line(&format!("metrics.listen = \"{address}\""))
        .with_config_line("metrics.token-file = \"scrape-token\"");
    world.workspace.write("scrape-token", "canary-token-5c1d\n");
    let (running, served) = world.serve(&[]);
    assert_eq!(
        browse(&format!("http://{served}/api/tool/Transaction/")).0,
        401
    );
    assert_eq!(browse(&format!("http://{address}/metrics")).0, 401);
    world.workspace.relation(["health"]).run().succeeds();
    running.terminate();
    running.wait().succeeds();
    let health = world.workspace.relation(["health"]).run();
    health.exits(5).reports(&["does not respond"]);
}

#[test]
fn serve_that_stops_is_not_ready_and_accepts_requests_for_a_while() {
    let address = free_address("127.0.0.1");
    let world = CliWorld::with(Emulator::builder().mode(Mode::Rotate))
        .with_config_line(&format!("metrics.listen = \"{address}\""))
        .with_config_line("web.drain = \"5s\"");
    let customer = world.add_customer("Contoso");
    let gate = world.emulator.gate("/v1/access_token");
    let before = gate.arrivals();
    world.time.advance(Duration::from_secs(8 * 86_400));
    let (running, served) = world.serve(&[]);
    eventually("the refresh is in flight", || {
        (gate.arrivals() > before).then_some(())
    });
    let ready = || browse(&format!("http://{address}/readyz")).0;
    assert_eq!(ready(), 200);

    running.terminate();
    eventually("the process is not ready any more", || {
        (ready() == 503).then_some(())
    });
    assert_eq!(browse(&format!("http://{served}/login")).0, 200);
    eventually("the server is closed", || {
        std::net::TcpStream::connect(&served).is_err().then_some(())
    });
    // The call goes on, and the listener of the health is the last one.
    assert_eq!(ready(), 503);
    assert_eq!(browse(&format!("http://{address}/livez")).0, 200);
    gate.release();
    running.wait().succeeds();
    assert_eq!(world.state(&customer), "connected");
}

#[test]
fn health_without_an_address_names_the_setting() {
    let world = CliWorld::new();
    let health = world.workspace.relation(["health"]).run();
    health.exits(2).reports(&["metrics.listen"]);
}
