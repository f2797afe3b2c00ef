//! The key from a file, from the environment, and from a command; changed from one to the other.

use relation_e2e::cli_world::{CliWorld, Customer};
use relation_e2e::process::{Program, Workspace};

const ENV: &str = "ab0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd";
/// Base64 of 32 bytes with the value 7.
const COMMAND: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

/// Writes the configuration with another provider of the key.
fn configure(world: &CliWorld, key: &str) {
    let text = std::fs::read_to_string(world.workspace.path("relation.toml")).unwrap();
    let others = text.lines().filter(|line| !line.starts_with("key-"));
    let text: Vec<&str> = [key].into_iter().chain(others).collect();
    world.workspace.write("relation.toml", &text.join("\n"));
}

fn refresh(workspace: &Workspace, customer: &Customer) -> Program {
    workspace
        .relation(["refresh", &customer.pkid, "--log", "trace"])
        .env("RELATION_TEST_KEY", ENV)
}

#[test]
fn key_moves_between_providers() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    let customer = world.add_customer("Contoso");
    let rewrap = |new: &[&str]| {
        workspace
            .relation(["keys", "rewrap"])
            .args(new)
            .env("RELATION_TEST_KEY", ENV)
    };
    let file = std::fs::read_to_string(workspace.path("relation.key")).unwrap();

    for _ in 0..2 {
        let moved = rewrap(&["--new-key-env", "RELATION_TEST_KEY"])
            .run()
            .succeeds();
        let reported = &moved.stdout;
        assert!(
            reported.contains("`key-env = \"RELATION_TEST_KEY\"`"),
            "{reported}"
        );
    }
    refresh(workspace, &customer)
        .run()
        .exits(6)
        .reports(&["sealed under key", "relation.key"]);
    configure(&world, "key-env = \"RELATION_TEST_KEY\"");
    refresh(workspace, &customer).run().succeeds();
    workspace
        .relation(["refresh", &customer.pkid])
        .run()
        .exits(6)
        .reports(&["environment variable RELATION_TEST_KEY: it is not set"]);

    workspace.write("vault", COMMAND);
    rewrap(&["--json", "--new-key-command", "cat", "vault"])
        .run()
        .succeeds();
    configure(&world, "key-command = [\"cat\", \"vault\"]");
    refresh(workspace, &customer).run().succeeds();
    workspace.relation(["keys", "rotate"]).run().succeeds();
    refresh(workspace, &customer).run().succeeds();

    configure(
        &world,
        "key-command = [\"sh\", \"-c\", \"cat vault >&2; exit 4\"]",
    );
    refresh(workspace, &customer)
        .run()
        .exits(6)
        .reports(&["the command sh: it ended with exit code 4"]);
    let printed = workspace.all_output();
    let digits = file.trim().rsplit(' ').next().unwrap();
    assert_eq!(digits.len(), 64);
    for secret in [ENV, COMMAND, digits] {
        assert!(!printed.contains(secret), "a key in an output or log");
    }
}

#[test]
fn rewrap_to_a_new_key_file_retires_the_old() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    let customer = world.add_customer("Contoso");
    let moved = workspace.json(["keys", "rewrap", "--new-key-file", "new.key"]);
    assert_eq!(moved["rewrapped"], 1);
    let configure = moved["configure"].as_str().unwrap();
    let absolute = workspace.directory().join("new.key");
    assert!(
        configure.ends_with("new.key\"") && absolute.is_file(),
        "{configure}"
    );
    refresh(workspace, &customer)
        .run()
        .exits(6)
        .reports(&["sealed under key"]);
    std::fs::rename(absolute, workspace.path("relation.key")).unwrap();
    refresh(workspace, &customer).run().succeeds();
    workspace.relation(["keys", "check"]).run().succeeds();
}

#[test]
fn only_one_key_provider_can_be_configured() {
    let world = CliWorld::new().with_config_line("key-env = \"RELATION_TEST_KEY\"");
    world
        .workspace
        .relation(["keys", "list"])
        .run()
        .exits(2)
        .reports(&[
            "key-env: at most one of `key-file`, `key-env`, `key-command` can be given",
            "`key-file` is given already",
        ]);
}
