//! A backup made while a host runs, and its restoration with and without the right key.

use relation_e2e::cli_world::CliWorld;
use relation_e2e::process::eventually;

/// Creates a fresh directory with the configuration of `world` and its backup in the place of the
/// store.
fn restored(world: &CliWorld) -> CliWorld {
    let elsewhere = CliWorld::new();
    for file in ["relation.toml", "client-secret"] {
        let text = std::fs::read_to_string(world.workspace.path(file)).unwrap();
        elsewhere.workspace.write(file, &text);
    }
    std::fs::copy(
        world.workspace.path("backup.db"),
        elsewhere.workspace.path("relation.db"),
    )
    .unwrap();
    elsewhere
}

#[test]
fn backup_is_restored_only_with_its_key() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    let customer = world.add_customer("Contoso");
    let service = workspace.relation(["run"]).start();
    eventually("the service runs", || {
        service
            .stderr()
            .contains("running due wakeups")
            .then_some(())
    });
    let backup = workspace.json(["backup", "backup.db"]);
    assert_eq!(backup["secrets"], 2);
    let list = workspace.json(["keys", "list"]);
    assert_eq!(backup["wrapped_by"], list["data_keys"][0]["wrapped_by"]);
    workspace
        .relation(["backup", "backup.db"])
        .run()
        .exits(1)
        .reports(&["it already exists"]);
    let left: Vec<String> = std::fs::read_dir(workspace.directory())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("backup.db") || name.starts_with(".tmp"))
        .collect();
    assert_eq!(left, ["backup.db"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let file = std::fs::metadata(workspace.path("backup.db")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }
    // Later changes are not in it.
    let later = world.add_customer("Fabrikam");
    service.terminate();
    service.wait().succeeds();

    let copy = restored(&world);
    let key = std::fs::read_to_string(workspace.path("relation.key")).unwrap();
    // Without a key none is created, which could open nothing.
    copy.workspace
        .relation(["run", "--until-idle"])
        .run()
        .exits(6)
        .reports(&["sealed under key", "does not exist"]);
    assert!(!copy.workspace.path("relation.key").exists());
    // The key of another store.
    let other = CliWorld::new();
    other.add_customer("Tailspin");
    let wrong = std::fs::read_to_string(other.workspace.path("relation.key")).unwrap();
    copy.workspace.write("relation.key", &wrong);
    for command in [vec!["run", "--until-idle"], vec!["keys", "rotate"]] {
        copy.workspace
            .relation(command)
            .run()
            .exits(6)
            .reports(&["sealed under key", backup["wrapped_by"].as_str().unwrap()]);
    }
    copy.workspace.write("relation.key", &key);
    copy.workspace
        .relation(["run", "--until-idle"])
        .run()
        .succeeds();
    copy.workspace
        .relation(["refresh", &customer.pkid])
        .run()
        .succeeds();
    copy.workspace.relation(["keys", "check"]).run().succeeds();
    copy.workspace
        .relation(["show", &later.pkid])
        .run()
        .exits(3);
    world.emulator.assert_sound();
}

#[test]
fn backup_from_before_a_rotation_opens() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    let customer = world.add_customer("Contoso");
    workspace.relation(["backup", "backup.db"]).run().succeeds();
    workspace.relation(["keys", "rotate"]).run().succeeds();
    workspace.relation(["keys", "retire", "1"]).run().succeeds();
    let copy = restored(&world);
    let key = std::fs::read_to_string(workspace.path("relation.key")).unwrap();
    copy.workspace.write("relation.key", &key);
    copy.workspace
        .relation(["refresh", &customer.pkid])
        .run()
        .succeeds();
}

#[test]
fn backup_of_a_missing_store_fails() {
    let world = CliWorld::new().without_store();
    world
        .workspace
        .relation(["backup", "backup.db"])
        .run()
        .exits(3)
        .reports(&["there is no store"]);
    assert!(!world.workspace.path("relation.db").exists());
    assert!(!world.workspace.path("backup.db").exists());
}
