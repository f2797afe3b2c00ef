//! Which record a command is about: named by its key, by its name, and by where it is.

use relation_e2e::scene::Scene;

fn add(scene: &Scene, hierarchy: &str, name: &str) -> String {
    let added = scene
        .place
        .json(["add", "--hierarchy", hierarchy, "--name", name]);
    added["connection"]["pkid"].as_str().unwrap().to_owned()
}

#[test]
fn a_record_is_found_by_its_key_and_by_its_name() {
    let scene = Scene::new();
    let contoso = add(&scene, "sys.Provider.North", "Contoso");
    add(&scene, "sys.Provider.North", "Fabrikam");
    for name in [contoso.as_str(), "Contoso"] {
        let shown = scene.place.json(["show", name]);
        assert_eq!(shown["pkid"], contoso.as_str());
        assert_eq!(shown["fields"]["name"], "Contoso");
    }
    // Elsewhere there is no such record.
    let elsewhere = ["show", &contoso, "--hierarchy", "sys.Provider.South"];
    scene
        .place
        .relation(elsewhere)
        .run()
        .exits(3)
        .says(&["sys.Provider.South"]);
}

#[test]
fn a_name_that_is_there_twice_needs_its_node() {
    let scene = Scene::new();
    let north = add(&scene, "sys.Provider.North", "Contoso");
    let south = add(&scene, "sys.Provider.South", "Contoso");
    let below = add(&scene, "sys.Provider.South.Below", "Contoso");
    let place = &scene.place;

    place.relation(["show", "Contoso"]).run().exits(2).says(&[
        "more than one record is called \"Contoso\"",
        &north,
        &south,
        "sys.Provider.North",
        "\nhint: ",
        "--hierarchy",
    ]);
    let at = |node: &str| place.json(["show", "Contoso", "--hierarchy", node])["pkid"].clone();
    assert_eq!(at("sys.Provider.North"), north.as_str());
    assert_eq!(
        at("sys.Provider.South"),
        south.as_str(),
        "the node itself comes first"
    );
    assert_eq!(at("sys.Provider.South.Below"), below.as_str());
    place
        .relation(["show", "Contoso", "--hierarchy", "sys.Provider"])
        .run()
        .exits(2);
    place
        .relation(["delete", "Contoso", "--yes"])
        .run()
        .exits(2);
    assert_eq!(place.json(["list"])["items"].as_array().unwrap().len(), 3);
}

#[test]
fn the_same_name_at_the_same_node_is_refused() {
    let scene = Scene::new();
    let first = add(&scene, "sys.Provider.North", "Contoso");
    let again = [
        "add",
        "--hierarchy",
        "sys.Provider.North",
        "--name",
        "Contoso",
    ];
    scene
        .place
        .relation(again)
        .run()
        .exits(2)
        .says(&["name: is taken", &first]);
}

#[test]
fn what_is_not_there_is_not_found() {
    let scene = Scene::new();
    add(&scene, "sys.Provider.North", "Contoso");
    for command in ["show", "refresh", "check-expiry", "wakeups"] {
        let ran = scene
            .place
            .relation([command, "Nobody", "--json"])
            .run()
            .exits(3);
        assert_eq!(ran.error()["kind"], "not-found", "{command}");
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    }
    for pkid in ["Nobody", "0123456789abcdef01234567"] {
        let delete = ["delete", pkid, "--yes"];
        scene
            .place
            .relation(delete)
            .run()
            .exits(3)
            .says(&[pkid, "\nhint: "]);
    }
    scene
        .place
        .relation(["transactions", "no-such-id"])
        .run()
        .exits(3)
        .says(&["no-such-id"]);
}
