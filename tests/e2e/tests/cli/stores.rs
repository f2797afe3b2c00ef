//! Missing stores, read-only stores, full disks, and too little address space.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use relation_e2e::artifacts;
use relation_e2e::cli_world::CliWorld;
use relation_e2e::process::{ProgramOutput, eventually};
use webex_emulator::Mode;

/// The id of the user `nobody`, who owns no files.
const NOBODY_UID: u32 = 65_534;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn missing_store_is_named_and_not_created() {
    let world = CliWorld::new().without_store();
    let before = names(world.workspace.directory());
    for arguments in [
        vec!["add", "--hierarchy", "sys.Provider", "--name", "Contoso"],
        vec!["run", "--until-idle"],
        vec!["run", "--record", "night.toml"],
        vec!["connect", "Contoso", "--no-listen"],
        vec!["status"],
        vec!["alerts"],
        vec!["list"],
        vec!["show", "Contoso"],
        vec!["wakeups"],
        vec!["transactions"],
        vec!["keys", "list"],
        vec!["keys", "rotate"],
        vec!["user", "list"],
        vec!["user", "link", "ada"],
        vec!["key", "revoke", "billing"],
        vec!["refresh", "Contoso"],
        vec!["modify", "Contoso", "--name", "Other"],
        vec!["delete", "Contoso", "--yes"],
        vec!["sync", "Contoso"],
        vec!["check-expiry", "Contoso"],
        vec!["backup", "copy.db"],
        vec!["migrate", "--to", "sqlite:new.db"],
        vec!["stash", "apply"],
    ] {
        for store in ["sqlite:relatoin.db", "sqlite:missing/relation.db"] {
            let output = world
                .workspace
                .relation(&arguments)
                .args(["--store", store, "--json"])
                .run()
                .exits(3);
            let error = output.error();
            assert_eq!(error["kind"], "not-found", "{arguments:?}");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("there is no store"), "{message}");
            let hint = error["hint"].as_str().unwrap();
            let init = format!("`relation-host --store {store} init`");
            assert!(hint.contains(&init), "{hint}");
        }
    }
    let hint = world.workspace.relation(["list"]).run().exits(3).reports(&[
        "there is no store relation.db",
        "\nhint: ",
        "--store",
    ]);
    assert!(hint.stdout.is_empty());
    assert_eq!(names(world.workspace.directory()), before);

    // These need only the plugin or the stash.
    world.workspace.relation(["describe"]).run().succeeds();
    world.workspace.relation(["stash", "list"]).run().succeeds();
    assert_eq!(names(world.workspace.directory()), before);

    // A file without keys is not a store yet.
    world.workspace.write("relation.db", "");
    for arguments in [vec!["run", "--until-idle"], vec!["keys", "rotate"]] {
        let unfinished = world.workspace.relation(arguments).run().exits(3);
        unfinished.reports(&["has no keys yet", "relation-host init"]);
    }
    assert!(!world.workspace.path("relation.key").exists());
    world.workspace.relation(["init"]).run().succeeds();
    let run = ["run", "--until-idle"];
    world.workspace.relation(run).run().succeeds();
}

#[test]
fn empty_environment_variables_are_ignored() {
    let world = CliWorld::new();
    world.add_customer("Contoso");
    let output = world.workspace.relation(["list"]);
    let output = output.env("RELATION_CONFIG", "").env("RELATION_LOG", "");
    let output = output
        .env("XDG_CACHE_HOME", "")
        .env("HOME", "")
        .run()
        .succeeds();
    assert!(output.stdout.contains("Contoso"), "{output:?}");
    assert_eq!(output.stderr, "");
}

/// Runs the command as a user without write access to the directory: as `nobody` if this process is root.
fn as_reader(world: &CliWorld, arguments: &[&str]) -> ProgramOutput {
    let mut command = Command::new(artifacts::program("relation-host"));
    command
        .args(arguments)
        .current_dir(world.workspace.directory())
        .env("XDG_CACHE_HOME", "/nonexistent")
        .env_remove("RELATION_CONFIG")
        .env_remove("RELATION_LOG")
        .env("RELATION_TEST_CLOCK_AHEAD", world.time.ahead());
    if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        command.uid(NOBODY_UID).gid(NOBODY_UID);
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    ProgramOutput {
        command: arguments.join(" "),
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn read_only_store_can_be_read() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    let directory = world.workspace.directory();
    for name in names(directory) {
        let path = directory.join(name);
        if path.is_file() {
            set_mode(&path, 0o444);
        }
    }
    set_mode(directory, 0o555);
    let before = names(directory);
    for arguments in [
        vec!["list"],
        vec!["show", "Contoso"],
        vec!["wakeups"],
        vec!["transactions"],
        vec!["keys", "list"],
        vec!["describe"],
    ] {
        let output = as_reader(&world, &arguments).succeeds();
        assert!(!output.stdout.is_empty(), "{output:?}");
    }
    let copies = tempfile::tempdir().unwrap();
    set_mode(copies.path(), 0o777);
    let copy = copies.path().join("copy.db");
    as_reader(&world, &["backup", copy.to_str().unwrap()]).succeeds();
    for arguments in [
        vec!["refresh", "Contoso"],
        vec!["run", "--until-idle"],
        vec!["keys", "rotate"],
    ] {
        as_reader(&world, &arguments).exits(1).reports(&[
            "cannot write the store",
            "belongs to user",
            "\nhint: ",
        ]);
    }
    assert_eq!(names(directory), before);
    set_mode(directory, 0o755);

    // A killed process leaves a write-ahead log, which is read too.
    for name in names(directory) {
        let path = directory.join(name);
        if path.is_file() {
            set_mode(&path, 0o600);
        }
    }
    let mut running = world.workspace.relation(["run"]).start();
    let wal = directory.join("relation.db-wal");
    eventually("the log is there", || {
        fs::metadata(&wal)
            .is_ok_and(|log| log.len() > 0)
            .then_some(())
    });
    world
        .workspace
        .relation(["refresh", &customer.pkid])
        .run()
        .succeeds();
    assert!(running.is_running());
    running.kill();
    for name in names(directory) {
        let path = directory.join(name);
        if path.is_file() {
            set_mode(&path, 0o444);
        }
    }
    set_mode(directory, 0o555);
    let shown = as_reader(&world, &["transactions", "--action", "refresh"]).succeeds();
    assert!(shown.stdout.contains("refresh"), "{shown:?}");
    // The log cannot be read without its index, the `-shm` file, which only a writer can create.
    set_mode(directory, 0o755);
    fs::remove_file(directory.join("relation.db-shm")).unwrap();
    set_mode(directory, 0o555);
    as_reader(&world, &["list"])
        .exits(1)
        .reports(&["relation.db-wal", "copy both files"]);
    set_mode(directory, 0o755);
}

#[test]
fn too_little_address_space_is_named() {
    let world = CliWorld::new();
    let program = artifacts::program("relation-host");
    let script = format!("ulimit -v 3000000; exec {} describe", program.display());
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(world.workspace.directory())
        .env("XDG_CACHE_HOME", artifacts::caches())
        .output()
        .unwrap();
    let reported = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(6), "{reported}");
    for part in ["address space", "limits.calls", "ulimit -v"] {
        assert!(reported.contains(part), "{reported}");
    }
}

/// Needs a mount of its own, which Linux permits most users in a namespace of their own. Skipped elsewhere.
#[test]
fn a_full_disk_alone_loses_no_response() {
    let world = CliWorld::with(webex_emulator::Emulator::builder().mode(Mode::Rotate))
        .with_config_line("limits.request-time = \"5s\"")
        .with_config_line("limits.time = \"10s\"");
    world.emulator.set_reuse_detection(true);
    let (_, grant) = world.organization_with_grant("Contoso");
    let workspace = world.workspace.directory();
    world
        .workspace
        .write("grant.json", &grant.json().to_string());
    fs::create_dir(workspace.join("disk")).unwrap();
    let program = artifacts::program("relation-host");
    let script = format!(
        "mount -t tmpfs -o size=3m tmpfs disk && touch mounted || exit 77
         cp client-secret relation.toml disk && cd disk || exit 1
         host={}
         $host init >/dev/null || exit 2
         $host add --hierarchy sys.P --name Contoso --tokens ../grant.json >/dev/null || exit 2
         touch ../added; while [ ! -e ../go ]; do sleep 0.02; done
         $host refresh Contoso >../refreshed 2>&1 & refresh=$!
         while [ ! -e ../fill ]; do sleep 0.02; done
         dd if=/dev/zero of=filling bs=1k >/dev/null 2>&1; touch ../full
         wait $refresh; $host stash list --json >../stashed
         $host list --json >../listed || exit 3
         rm filling; $host run --until-idle >/dev/null 2>../ran || exit 4
         $host stash list --json >../remaining; $host refresh Contoso >../again 2>&1 || exit 5
         dd if=/dev/zero of=filling bs=1k >/dev/null 2>&1; $host list --json >../read || exit 6
         $host refresh Contoso 2>../stderr; [ $? = 5 ] || exit 7; grep -q 'full' ../stderr",
        program.display()
    );
    let started = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .current_dir(workspace)
        .env("XDG_CACHE_HOME", artifacts::caches())
        .env("RELATION_TEST_CLOCK_AHEAD", world.time.ahead())
        .spawn();
    let Ok(mut child) = started else {
        eprintln!("SKIPPED: there is no `unshare`");
        return;
    };
    let added = workspace.join("added");
    let ended = eventually("the customer is there", || {
        let ended = child.try_wait().unwrap();
        (ended.is_some() || added.exists()).then_some(ended)
    });
    if let Some(status) = ended {
        assert!(
            !workspace.join("mounted").exists(),
            "it ended with {status}"
        );
        eprintln!("SKIPPED: this user cannot mount anything");
        return;
    }
    let gate = world.emulator.gate_after("/v1/access_token");
    fs::write(workspace.join("go"), "").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(gate.reached());
    fs::write(workspace.join("fill"), "").unwrap();
    eventually("the disk is full", || {
        workspace.join("full").exists().then_some(())
    });
    gate.release();
    let status = eventually("the script has ended", || child.try_wait().unwrap());
    let reported = |name: &str| fs::read_to_string(workspace.join(name)).unwrap_or_default();
    assert!(
        status.success(),
        "{status}: {} {}",
        reported("refreshed"),
        reported("again")
    );
    let stashed: serde_json::Value = serde_json::from_str(&reported("stashed")).unwrap();
    assert_eq!(
        stashed["items"][0]["state"],
        "waiting",
        "{}",
        reported("refreshed")
    );
    let remaining: serde_json::Value = serde_json::from_str(&reported("remaining")).unwrap();
    assert_eq!(remaining["items"], serde_json::json!([]));
    assert_eq!(
        remaining["reserve"]["bytes"], remaining["reserve"]["wanted"],
        "{remaining}"
    );
    world.emulator.assert_sound();
}
