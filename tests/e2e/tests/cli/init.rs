//! `init`: from an empty directory to a connected customer.

use std::path::Path;

use relation_e2e::artifacts;
use relation_e2e::cli_world::{CliWorld, browse};
use relation_e2e::process::{ProgramOutput, Workspace, eventually, free_address};
use relation_e2e::world::CLIENT_SECRET;
use serde_json::{Value, json};
use webex_emulator::Consent;

/// Creates an empty directory beside an emulated Webex whose client is that of the tests.
fn empty_world() -> CliWorld {
    let world = CliWorld::new().without_store();
    for file in ["relation.toml", "client-secret"] {
        std::fs::remove_file(world.workspace.path(file)).unwrap();
    }
    world
}

fn read(workspace: &Workspace, file: &str) -> String {
    std::fs::read_to_string(workspace.path(file)).unwrap()
}

fn states(report: &Value) -> Vec<(&str, &str)> {
    let files = report["files"].as_array().unwrap().iter();
    files
        .map(|file| {
            (
                file["kind"].as_str().unwrap(),
                file["state"].as_str().unwrap(),
            )
        })
        .collect()
}

#[cfg(unix)]
fn assert_private(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{}", file.display());
}

#[cfg(not(unix))]
fn assert_private(_file: &Path) {}

#[test]
fn empty_directory_becomes_a_connected_customer() {
    let world = empty_world();
    let workspace = &world.workspace;
    let redirect = format!("http://{}/callback", free_address("127.0.0.1"));
    world.emulator.add_redirect_uri(&redirect);
    let contoso = world.emulator.create_organization("Contoso");

    let base_url = world.emulator.base_url();
    let init = ["init", "--base-url", &base_url, "--client-id", "C0ffee"];
    let init = |more: &[&str]| workspace.relation(init).args(more);
    let made = init(&["--redirect", &redirect, "--client-secret", "-"])
        .stdin(format!("{CLIENT_SECRET}\n"))
        .run()
        .succeeds();
    let shown = &made.stdout;
    for text in [
        "relation.toml",
        "made",
        &redirect,
        "webex.scopes: ",
        "identity:tokens_read",
        "webex.contact-center-scopes (for Contact Center customers only): cjp:config_read cjp:config_write",
        "relation-host check --webex",
        "relation-host add --hierarchy",
        "relation-host connect Contoso",
        "relation-host run",
    ] {
        assert!(shown.contains(text), "{text}:\n{shown}");
    }
    assert!(!shown.contains("Missing"), "{shown}");
    assert!(!workspace.all_output().contains(CLIENT_SECRET));
    assert_eq!(
        read(workspace, "client-secret"),
        format!("{CLIENT_SECRET}\n")
    );
    for file in ["client-secret", "relation.key", "relation.db"] {
        assert_private(&workspace.path(file));
    }

    workspace.relation(["check", "--webex"]).run().succeeds();
    workspace.json(["add", "--hierarchy", "sys.Provider", "--name", "Contoso"]);
    let connecting = workspace.relation(["connect", "Contoso"]).start();
    let link = eventually("the link is shown", || {
        let stdout = connecting.stdout();
        stdout.ends_with('\n').then(|| stdout.trim().to_owned())
    });
    let callback = world.emulator.authorize(&link, &Consent::accept(&contoso));
    let (status, page) = browse(&callback.unwrap());
    assert_eq!(status, 200, "{page}");
    connecting.wait().succeeds();
    workspace.relation(["refresh", "Contoso"]).run().succeeds();
}

#[test]
fn repeated_init_changes_nothing() {
    let world = empty_world();
    let workspace = &world.workspace;
    let secret = workspace.write("secret.txt", CLIENT_SECRET);
    let secret = secret.to_str().unwrap();
    let given = ["init", "--client-id", "C1", "--client-secret", secret];
    let made = workspace.json(given);
    let kinds = ["configuration", "client secret", "key", "store"];
    assert_eq!(states(&made), kinds.map(|kind| (kind, "made")));
    assert_eq!(made["missing"], json!([]));
    let before =
        ["relation.toml", "client-secret", "relation.key"].map(|file| read(workspace, file));

    for arguments in [&given[..], &["init"]] {
        let again = workspace.json(arguments);
        assert_eq!(states(&again), kinds.map(|kind| (kind, "existing")));
    }
    let text = workspace.relation(["init"]).run().succeeds().stdout;
    assert_eq!(text.matches("was there already").count(), 4, "{text}");

    // Values that differ are refused, not written.
    let other = [
        "init",
        "--client-id",
        "C2",
        "--redirect",
        "https://example.com/",
    ];
    workspace.relation(other).run().exits(2).reports(&[
        "relation.toml exists, is never changed, and has another webex.client-id, connect.redirect",
    ]);
    let other = workspace.relation(["init", "--client-secret", "-"]);
    let other = other.stdin("0ther").run().exits(2);
    other.reports(&["client-secret exists", "another client secret"]);
    let after =
        ["relation.toml", "client-secret", "relation.key"].map(|file| read(workspace, file));
    assert_eq!(before, after);

    // Only what is missing is made again; a key that the store needs is not replaced.
    std::fs::remove_file(workspace.path("client-secret")).unwrap();
    let report = workspace.json(given);
    assert_eq!(states(&report)[1], ("client secret", "made"));
    std::fs::remove_file(workspace.path("relation.key")).unwrap();
    let without_key = workspace.relation(["init"]).run().exits(6);
    without_key.reports(&["sealed under key", "does not exist"]);
    assert!(!workspace.path("relation.key").exists());
}

#[test]
fn init_names_what_is_missing() {
    let world = empty_world();
    let workspace = &world.workspace;
    std::fs::create_dir(workspace.path("my etc")).unwrap();
    let config = ["--config", "my etc/r.toml"];
    let init = |more: &[&str]| -> ProgramOutput {
        workspace.relation(["init"]).args(config).args(more).run()
    };
    let made = init(&["--store", "sqlite:here.db"]).succeeds().stdout;
    for text in [
        "set webex.client-id in my etc/r.toml",
        "write the integration's client secret to my etc/client-secret, or run `relation-host --config \
         'my etc/r.toml' --store sqlite:here.db init --client-secret -`",
        "relation-host --config 'my etc/r.toml' connect Contoso",
    ] {
        assert!(made.contains(text), "{text}:\n{made}");
    }
    // The path of an option is relative to the working directory.
    assert!(workspace.path("here.db").is_file());
    assert!(workspace.path("my etc/relation.key").is_file());
    let add = ["add", "--hierarchy", "sys.Provider", "--name", "Contoso"];
    let missing = workspace.relation(add).args(config).run().exits(6);
    missing.reports(&[
        "my etc/client-secret",
        "copy the client id",
        "`relation-host --config 'my etc/r.toml' init --client-secret -`",
    ]);
    let no_id = init(&["--client-id", "C1", "--redirect", "https://example.com/"]).exits(2);
    no_id.reports(&[
        "has no webex.client-id and has another connect.redirect",
        "add the line client-id = \"C1\" below [webex]; edit the file",
    ]);

    let nowhere = ["init", "--config", "absent/r.toml"];
    let nowhere = workspace.relation(nowhere).run().exits(1);
    nowhere.reports(&[
        "cannot write the configuration to absent/r.toml",
        "directory",
    ]);
    for (option, value, problem) in [
        ("--base-url", "ftp://a", "not an http or https address"),
        ("--redirect", "http://a/", "another machine"),
        ("--client-secret", "absent.txt", "absent.txt"),
    ] {
        let refused = workspace.relation(["init", option, value]).run().exits(2);
        refused.reports(&[problem]);
    }
    assert!(!workspace.path("relation.toml").exists());
    assert!(!workspace.path("relation.db").exists());
}

#[test]
fn empty_secret_file_counts_as_missing() {
    let world = empty_world();
    let workspace = &world.workspace;
    workspace.write("client-secret", " \n");
    let made = workspace.relation(["init", "--client-id", "C1"]).run();
    let made = made.succeeds().stdout;
    assert!(
        made.contains("or run `relation-host init --client-secret -`"),
        "{made}"
    );
    let add = ["add", "--hierarchy", "sys.Provider", "--name", "Contoso"];
    let refused = workspace.relation(add).run().exits(6);
    refused.reports(&["is empty", "relation-host init --client-secret -"]);

    workspace.write("empty.txt", "\n");
    let empty = ["init", "--client-secret", "empty.txt"];
    let empty = workspace.relation(empty).run().exits(2);
    empty.reports(&["empty.txt is empty", "the secret alone, on one line"]);
    let given = ["init", "--client-secret", "-"];
    let given = workspace.relation(given).stdin(CLIENT_SECRET);
    assert!(given.run().succeeds().stdout.contains("made"));
    assert_eq!(read(workspace, "client-secret").trim(), CLIENT_SECRET);
    assert_private(&workspace.path("client-secret"));
}

#[test]
fn implausible_client_id_is_refused() {
    let world = empty_world();
    let workspace = &world.workspace;
    for (id, problem) in [
        ("bad id", "has no white space; character 4"),
        ("bad\u{1}", "has no control characters; character 4"),
        ("C\u{f8}ffee", "ASCII"),
        ("", "is not empty"),
    ] {
        let refused = workspace.relation(["init", "--client-id", id]).run();
        refused.exits(2).reports(&[problem]);
    }
    assert!(!workspace.path("relation.toml").exists());
    workspace.relation(["init"]).run().succeeds();
    let config = read(workspace, "relation.toml");
    let id = "client-id = \"bad id\"";
    workspace.write(
        "relation.toml",
        &config.replace("# client-id = \"C0123…\"", id),
    );
    let refused = workspace.relation(["list"]).run().exits(2);
    refused.reports(&["client-id", "has no white space"]);
}

#[test]
fn init_below_an_installation_is_refused() {
    let world = empty_world();
    let workspace = &world.workspace;
    workspace.relation(["init"]).run().succeeds();
    std::fs::create_dir_all(workspace.path("a/b")).unwrap();
    let run = |arguments: &[&str]| {
        let mut host = std::process::Command::new(artifacts::program("relation-host"));
        host.args(arguments).env_remove("RELATION_CONFIG");
        let output = host.current_dir(workspace.path("a/b")).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), stderr)
    };
    let init = |more: &[&str]| run(&[&["init"], more].concat());
    // Every other command names the installation above.
    let config = workspace.path("relation.toml").canonicalize().unwrap();
    let config = config.to_str().unwrap();
    for (arguments, exit) in [
        (&["list"][..], 3),
        (&["check"], 3),
        (&["backup", "x.db"], 3),
        (&["list", "--config", "absent.toml"], 2),
    ] {
        let (code, stderr) = run(arguments);
        assert_eq!(code, Some(exit), "{stderr}");
        let hint = match exit {
            3 => format!("use --config {config}"),
            _ => "`relation-host --config absent.toml init`".to_owned(),
        };
        assert!(stderr.contains(&hint), "{hint}: {stderr}");
    }
    assert_eq!(run(&["list", "--config", config]).0, Some(0));
    let (code, stderr) = init(&[]);
    assert_eq!(code, Some(2), "{stderr}");
    for part in ["exists above this directory", "init --config relation.toml"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert!(!workspace.path("a/b/relation.toml").exists());
    assert_eq!(init(&["--config", "relation.toml"]).0, Some(0));
    assert!(workspace.path("a/b/relation.db").exists());
    // The installation exists now, and `init` can be repeated.
    assert_eq!(init(&[]).0, Some(0));
}
