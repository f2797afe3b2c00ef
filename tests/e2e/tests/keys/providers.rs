//! The key from a file, from the environment, and from a command; changed from one to the other.

use relation_e2e::process::{Place, Program};
use relation_e2e::scene::{Customer, Scene};

const ENV: &str = "ab0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd";
/// Base64 of 32 times the byte 7.
const COMMAND: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

/// The configuration with another place of the key.
fn configure(scene: &Scene, key: &str) {
    let text = std::fs::read_to_string(scene.place.path("relation.toml")).unwrap();
    let others = text.lines().filter(|line| !line.starts_with("key-"));
    let text: Vec<&str> = [key].into_iter().chain(others).collect();
    scene.place.write("relation.toml", &text.join("\n"));
}

fn refresh(place: &Place, customer: &Customer) -> Program {
    place
        .relation(["refresh", &customer.pkid, "--log", "trace"])
        .env("RELATION_TEST_KEY", ENV)
}

#[test]
fn the_key_moves_from_a_file_to_the_environment_to_a_command() {
    let scene = Scene::new();
    let place = &scene.place;
    let customer = scene.customer("Contoso");
    let rewrap = |new: &[&str]| {
        place
            .relation(["keys", "rewrap"])
            .args(new)
            .env("RELATION_TEST_KEY", ENV)
    };
    let file = std::fs::read_to_string(place.path("relation.key")).unwrap();

    for _ in 0..2 {
        let moved = rewrap(&["--new-key-env", "RELATION_TEST_KEY"]).run().done();
        let told = &moved.stdout;
        assert!(told.contains("`key-env = \"RELATION_TEST_KEY\"`"), "{told}");
    }
    refresh(place, &customer)
        .run()
        .exits(1)
        .says(&["sealed under key", "relation.key"]);
    configure(&scene, "key-env = \"RELATION_TEST_KEY\"");
    refresh(place, &customer).run().done();
    place
        .relation(["refresh", &customer.pkid])
        .run()
        .exits(1)
        .says(&["environment variable RELATION_TEST_KEY: it is not set"]);

    place.write("vault", COMMAND);
    rewrap(&["--json", "--new-key-command", "cat", "vault"])
        .run()
        .done();
    configure(&scene, "key-command = [\"cat\", \"vault\"]");
    refresh(place, &customer).run().done();
    place.relation(["keys", "rotate"]).run().done();
    refresh(place, &customer).run().done();

    configure(
        &scene,
        "key-command = [\"sh\", \"-c\", \"cat vault >&2; exit 4\"]",
    );
    refresh(place, &customer)
        .run()
        .exits(1)
        .says(&["the command sh: it ended with exit code 4"]);
    let said = place.said();
    let digits = file.trim().rsplit(' ').next().unwrap();
    assert_eq!(digits.len(), 64);
    for secret in [ENV, COMMAND, digits] {
        assert!(!said.contains(secret), "a key in an output or log");
    }
}

#[test]
fn a_new_key_file_is_made_and_the_old_one_opens_nothing_any_more() {
    let scene = Scene::new();
    let place = &scene.place;
    let customer = scene.customer("Contoso");
    let moved = place.json(["keys", "rewrap", "--new-key-file", "new.key"]);
    assert_eq!(moved["rewrapped"], 1);
    let configure = moved["configure"].as_str().unwrap();
    let absolute = place.directory().join("new.key");
    assert!(
        configure.ends_with("new.key\"") && absolute.is_file(),
        "{configure}"
    );
    refresh(place, &customer)
        .run()
        .exits(1)
        .says(&["sealed under key"]);
    std::fs::rename(absolute, place.path("relation.key")).unwrap();
    refresh(place, &customer).run().done();
    place.relation(["keys", "check"]).run().done();
}

#[test]
fn exactly_one_place_of_the_key_can_be_configured() {
    let scene = Scene::new().configured("key-env = \"RELATION_TEST_KEY\"");
    scene
        .place
        .relation(["keys", "list"])
        .run()
        .exits(2)
        .says(&[
            "key-env: exactly one of key-file, key-env, key-command can be given",
            "`key-file` is there already",
        ]);
}
