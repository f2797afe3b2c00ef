//! Data syncs that an administrator adds and schedules, by `relation-host invoke`, `sync --list`, `show` and `run`.

use std::time::Duration;

use relation_e2e::cli_world::{CliWorld, NODE};
use serde_json::Value;
use webex_emulator::DEFAULT_SCOPES;

const DAY: Duration = Duration::from_secs(86_400);

/// Creates a world with the customer Contoso, whose first import has run.
fn world() -> CliWorld {
    let world = CliWorld::new();
    let organization = world.emulator.create_organization("Contoso");
    let grant = world.emulator.grant(&organization, DEFAULT_SCOPES);
    world
        .workspace
        .relation(["add", "--hierarchy", NODE, "--name", "Contoso"])
        .args(["--account-number", &organization.uuid, "--tokens", "-"])
        .stdin(grant.json().to_string())
        .run()
        .succeeds();
    run_due(&world);
    world
}

fn run_due(world: &CliWorld) {
    let run = world.workspace.relation(["run", "--until-idle"]);
    run.run().succeeds();
}

/// Returns the data sync `Nightly` as `sync --list` shows it.
fn nightly(world: &CliWorld) -> Value {
    let listed = world.workspace.json(["sync", "Contoso", "--list"]);
    let items = listed["items"].as_array().unwrap().iter();
    let mut items = items.filter(|item| item["name"] == "Nightly");
    items.next().unwrap().clone()
}

#[test]
fn scheduled_data_sync_is_listed_and_run() {
    let world = world();
    let workspace = &world.workspace;
    let save = ["invoke", "SaveDataSync", "Contoso", "name=Nightly"];
    let saved = workspace
        .relation(save)
        .arg("model_type_list=device/spark/Role, device/spark/License")
        .run()
        .succeeds();
    assert!(
        saved.stdout.contains("Nightly was added to Contoso"),
        "{}",
        saved.stdout
    );
    assert_eq!(nightly(&world)["schedule"], Value::Null);
    let schedule = ["invoke", "ScheduleDataSync", "Contoso", "sync=Nightly"];
    workspace
        .relation(schedule)
        .args([
            "start=2026-01-01T03:00",
            "every=1d",
            "time_zone=Asia/Kolkata",
        ])
        .run()
        .succeeds();

    let row = nightly(&world);
    assert_eq!(row["models"].as_array().unwrap().len(), 2);
    assert_eq!(row["schedule"]["time_zone"], "Asia/Kolkata");
    let next = row["schedule"]["next"].as_u64().unwrap();
    let wakeups = workspace.json(["wakeups", "Contoso"]);
    let mut wakeups = wakeups["items"].as_array().unwrap().iter();
    assert!(wakeups.any(|wakeup| wakeup["due"] == next), "{wakeups:?}");
    for command in [&["show", "Contoso"][..], &["sync", "Contoso", "--list"]] {
        let shown = workspace.relation(command).run().succeeds().stdout;
        for text in [
            "DATA SYNC",
            "every 1d from 2026-01-01T03:00 Asia/Kolkata",
            "sync-roles-licenses",
        ] {
            assert!(shown.contains(text), "{text}:\n{shown}");
        }
    }
    assert_eq!(workspace.json(["show", "Contoso"])["data_syncs"][3], row);

    world.time.advance(DAY);
    run_due(&world);
    let row = nightly(&world);
    assert_eq!(row["schedule"]["next"].as_u64(), Some(next + 86_400_000));
    assert!(row["schedule"]["last_executed"].as_u64().unwrap() >= next);
    let shown = workspace.json(["show", "Contoso"]);
    let imports = shown["imports"].as_array().unwrap().iter();
    let mut nightly = imports.filter(|import| import["name"] == "Nightly");
    assert!(nightly.next().unwrap()["finished"].is_u64());
    let transactions = workspace.json(["transactions"]);
    let transactions = transactions["items"].as_array().unwrap().iter();
    let actions: Vec<&str> = transactions
        .filter_map(|each| each["action"].as_str())
        .take(2)
        .collect();
    assert_eq!(actions, ["sync", "schedule"]);
}

#[test]
fn wrong_schedule_is_refused_with_all_errors() {
    let world = world();
    let schedule = ["invoke", "ScheduleDataSync", "Contoso", "sync=Nightly"];
    world
        .workspace
        .relation(schedule)
        .args([
            "start=2026-01-01T03:00Z",
            "time_zone=Europe/Zuerich",
            "every=daily",
        ])
        .run()
        .exits(2)
        .reports(&[
            "has no data sync \"Nightly\"",
            "without an offset",
            "did you mean Europe/Zurich?",
            "such as 12h, 1d or 1mo",
        ]);
    let list = ["sync", "Contoso", "--list", "--accept-removals"];
    world.workspace.relation(list).run().exits(2);
}
