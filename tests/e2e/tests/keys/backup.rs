//! A backup that is made while a host runs, and its restoration with and without the right key.

use relation_e2e::process::eventually;
use relation_e2e::scene::Scene;

/// A fresh directory with the configuration of `scene` and its backup in the place of the store.
fn restored(scene: &Scene) -> Scene {
    let elsewhere = Scene::new();
    for file in ["relation.toml", "client-secret"] {
        let text = std::fs::read_to_string(scene.place.path(file)).unwrap();
        elsewhere.place.write(file, &text);
    }
    std::fs::copy(
        scene.place.path("backup.db"),
        elsewhere.place.path("relation.db"),
    )
    .unwrap();
    elsewhere
}

#[test]
fn a_backup_is_restored_with_its_key_and_with_no_other() {
    let scene = Scene::new();
    let place = &scene.place;
    let customer = scene.customer("Contoso");
    let service = place.relation(["run"]).start();
    eventually("the service runs", || {
        service
            .stderr()
            .contains("running due wakeups")
            .then_some(())
    });
    let backup = place.json(["backup", "backup.db"]);
    assert_eq!(backup["secrets"], 2);
    let list = place.json(["keys", "list"]);
    assert_eq!(backup["wrapped_by"], list["data_keys"][0]["wrapped_by"]);
    place
        .relation(["backup", "backup.db"])
        .run()
        .exits(1)
        .says(&["it is there already"]);
    let left: Vec<String> = std::fs::read_dir(place.directory())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("backup.db") || name.starts_with(".tmp"))
        .collect();
    assert_eq!(left, ["backup.db"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let file = std::fs::metadata(place.path("backup.db")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }
    // What happens afterwards is not in it.
    let later = scene.customer("Fabrikam");
    service.terminate();
    service.end().done();

    let copy = restored(&scene);
    let key = std::fs::read_to_string(place.path("relation.key")).unwrap();
    // Without a key none is made, with which nothing could be opened.
    copy.place
        .relation(["run", "--until-idle"])
        .run()
        .exits(1)
        .says(&["sealed under key", "does not exist"]);
    assert!(!copy.place.path("relation.key").exists());
    // The key of another store.
    let other = Scene::new();
    other.customer("Tailspin");
    let wrong = std::fs::read_to_string(other.place.path("relation.key")).unwrap();
    copy.place.write("relation.key", &wrong);
    for command in [vec!["run", "--until-idle"], vec!["keys", "rotate"]] {
        copy.place
            .relation(command)
            .run()
            .exits(1)
            .says(&["sealed under key", backup["wrapped_by"].as_str().unwrap()]);
    }
    copy.place.write("relation.key", &key);
    copy.place.relation(["run", "--until-idle"]).run().done();
    copy.place
        .relation(["refresh", &customer.pkid])
        .run()
        .done();
    copy.place.relation(["keys", "check"]).run().done();
    copy.place.relation(["show", &later.pkid]).run().exits(3);
    scene.emulator.assert_sound();
}

#[test]
fn a_backup_from_before_a_rotation_opens_with_its_own_data_keys() {
    let scene = Scene::new();
    let place = &scene.place;
    let customer = scene.customer("Contoso");
    place.relation(["backup", "backup.db"]).run().done();
    place.relation(["keys", "rotate"]).run().done();
    place.relation(["keys", "retire", "1"]).run().done();
    let copy = restored(&scene);
    let key = std::fs::read_to_string(place.path("relation.key")).unwrap();
    copy.place.write("relation.key", &key);
    copy.place
        .relation(["refresh", &customer.pkid])
        .run()
        .done();
}

#[test]
fn there_is_no_backup_of_a_store_that_is_not_there() {
    let scene = Scene::new();
    scene
        .place
        .relation(["backup", "backup.db"])
        .run()
        .exits(3)
        .says(&["there is no store"]);
    assert!(!scene.place.path("relation.db").exists());
    assert!(!scene.place.path("backup.db").exists());
}
