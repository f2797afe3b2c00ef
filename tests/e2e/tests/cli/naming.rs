//! Ways to name a record in a command: by its key, by its name, and by its node.

use relation_e2e::cli_world::CliWorld;

fn add(world: &CliWorld, hierarchy: &str, name: &str) -> String {
    let added = world
        .workspace
        .json(["add", "--hierarchy", hierarchy, "--name", name]);
    added["connection"]["pkid"].as_str().unwrap().to_owned()
}

#[test]
fn a_record_is_found_by_its_key_and_by_its_name() {
    let world = CliWorld::new();
    let contoso = add(&world, "sys.Provider.North", "Contoso");
    add(&world, "sys.Provider.North", "Fabrikam");
    for name in [contoso.as_str(), "Contoso"] {
        let shown = world.workspace.json(["show", name]);
        assert_eq!(shown["connection"]["pkid"], contoso.as_str());
        assert_eq!(shown["fields"]["name"], "Contoso");
    }
    // At other nodes there is no such record.
    let elsewhere = ["show", &contoso, "--hierarchy", "sys.Provider.South"];
    world
        .workspace
        .relation(elsewhere)
        .run()
        .exits(3)
        .reports(&["sys.Provider.South"]);
}

#[test]
fn ambiguous_name_needs_its_node() {
    let world = CliWorld::new();
    let north = add(&world, "sys.Provider.North", "Contoso");
    let south = add(&world, "sys.Provider.South", "Contoso");
    let below = add(&world, "sys.Provider.South.Below", "Contoso");
    let workspace = &world.workspace;

    workspace
        .relation(["show", "Contoso"])
        .run()
        .exits(2)
        .reports(&[
            "more than one record is called \"Contoso\"",
            &north,
            &south,
            "sys.Provider.North",
            "\nhint: ",
            "--hierarchy",
        ]);
    let at = |node: &str| {
        workspace.json(["show", "Contoso", "--hierarchy", node])["connection"]["pkid"].clone()
    };
    assert_eq!(at("sys.Provider.North"), north.as_str());
    assert_eq!(
        at("sys.Provider.South"),
        south.as_str(),
        "the node itself comes first"
    );
    assert_eq!(at("sys.Provider.South.Below"), below.as_str());
    workspace
        .relation(["show", "Contoso", "--hierarchy", "sys.Provider"])
        .run()
        .exits(2);
    workspace
        .relation(["delete", "Contoso", "--yes"])
        .run()
        .exits(2);
    assert_eq!(
        workspace.json(["list"])["items"].as_array().unwrap().len(),
        3
    );
}

#[test]
fn duplicate_name_at_one_node_is_rejected() {
    let world = CliWorld::new();
    let first = add(&world, "sys.Provider.North", "Contoso");
    let again = [
        "add",
        "--hierarchy",
        "sys.Provider.North",
        "--name",
        "Contoso",
    ];
    world
        .workspace
        .relation(again)
        .run()
        .exits(2)
        .reports(&["name: is taken", &first]);
}

#[test]
fn missing_record_is_not_found() {
    let world = CliWorld::new();
    add(&world, "sys.Provider.North", "Contoso");
    for command in ["show", "refresh", "check-expiry", "wakeups"] {
        let output = world
            .workspace
            .relation([command, "Nobody", "--json"])
            .run()
            .exits(3);
        assert_eq!(output.error()["kind"], "not-found", "{command}");
        assert!(output.stdout.is_empty(), "{}", output.stdout);
    }
    for pkid in ["Nobody", "0123456789abcdef01234567"] {
        let delete = ["delete", pkid, "--yes"];
        world
            .workspace
            .relation(delete)
            .run()
            .exits(3)
            .reports(&[pkid, "\nhint: "]);
    }
    world
        .workspace
        .relation(["transactions", "no-such-id"])
        .run()
        .exits(3)
        .reports(&["no-such-id"]);
}
