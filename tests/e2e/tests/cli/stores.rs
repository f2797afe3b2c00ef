//! Stores that are missing, that nothing can write, or whose disk is full.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use relation_e2e::artifacts;
use relation_e2e::process::{Ran, eventually};
use relation_e2e::scene::Scene;
use webex_emulator::Mode;

/// A user who owns nothing.
const NOBODY: u32 = 65_534;

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
fn a_store_that_is_missing_is_named_and_not_made() {
    let scene = Scene::new();
    let before = names(scene.place.directory());
    for arguments in [
        vec!["list"],
        vec!["show", "Contoso"],
        vec!["wakeups"],
        vec!["transactions"],
        vec!["keys", "list"],
        vec!["keys", "rotate"],
        vec!["refresh", "Contoso"],
        vec!["modify", "Contoso", "--name", "Other"],
        vec!["delete", "Contoso", "--yes"],
        vec!["sync", "Contoso"],
        vec!["check-expiry", "Contoso"],
        vec!["backup", "copy.db"],
        vec!["stash", "apply"],
    ] {
        for store in ["sqlite:relatoin.db", "sqlite:missing/relation.db"] {
            let ran = scene
                .place
                .relation(&arguments)
                .args(["--store", store, "--json"])
                .run()
                .exits(3);
            let error = ran.error();
            assert_eq!(error["kind"], "not-found", "{arguments:?}");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("there is no store"), "{message}");
        }
    }
    let hint = scene.place.relation(["list"]).run().exits(3).says(&[
        "there is no store relation.db",
        "\nhint: ",
        "--store",
    ]);
    assert!(hint.stdout.is_empty());
    assert_eq!(names(scene.place.directory()), before);

    // These ask the plugin or the stash alone.
    scene.place.relation(["describe"]).run().done();
    scene.place.relation(["stash", "list"]).run().done();
    assert_eq!(names(scene.place.directory()), before);

    let elsewhere = [
        "run",
        "--until-idle",
        "--store",
        "sqlite:missing/relation.db",
    ];
    scene.place.relation(elsewhere).run().exits(2);
    let started = scene.place.relation(["run", "--until-idle"]).run().done();
    assert!(
        started.stderr.contains("an empty one was made"),
        "{started:?}"
    );
    let again = scene.place.relation(["run", "--until-idle"]).run().done();
    assert!(!again.stderr.contains("an empty one was made"), "{again:?}");
}

#[test]
fn empty_variables_of_the_environment_count_as_not_set() {
    let scene = Scene::new();
    scene.customer("Contoso");
    let ran = scene.place.relation(["list"]);
    let ran = ran.env("RELATION_CONFIG", "").env("RELATION_LOG", "");
    let ran = ran.env("XDG_CACHE_HOME", "").env("HOME", "").run().done();
    assert!(ran.stdout.contains("Contoso"), "{ran:?}");
    assert_eq!(ran.stderr, "");
}

/// Runs the command as somebody who cannot write the directory: root does so as another user.
fn as_reader(scene: &Scene, arguments: &[&str]) -> Ran {
    let mut command = Command::new(artifacts::program("relation-host"));
    command
        .args(arguments)
        .current_dir(scene.place.directory())
        .env("XDG_CACHE_HOME", "/nonexistent")
        .env_remove("RELATION_CONFIG")
        .env_remove("RELATION_LOG")
        .env("RELATION_TEST_CLOCK_AHEAD", scene.time.ahead());
    if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    Ran {
        command: arguments.join(" "),
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_store_that_cannot_be_written_is_read() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    let directory = scene.place.directory();
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
        let ran = as_reader(&scene, &arguments).done();
        assert!(!ran.stdout.is_empty(), "{ran:?}");
    }
    let copies = tempfile::tempdir().unwrap();
    set_mode(copies.path(), 0o777);
    let copy = copies.path().join("copy.db");
    as_reader(&scene, &["backup", copy.to_str().unwrap()]).done();
    for arguments in [
        vec!["refresh", "Contoso"],
        vec!["run", "--until-idle"],
        vec!["keys", "rotate"],
    ] {
        as_reader(&scene, &arguments).exits(1).says(&[
            "cannot write the store",
            "belongs to user",
            "\nhint: ",
        ]);
    }
    assert_eq!(names(directory), before);
    set_mode(directory, 0o755);

    // A process that was killed leaves a log, which is read too.
    for name in names(directory) {
        let path = directory.join(name);
        if path.is_file() {
            set_mode(&path, 0o600);
        }
    }
    let mut running = scene.place.relation(["run"]).start();
    let wal = directory.join("relation.db-wal");
    eventually("the log is there", || {
        fs::metadata(&wal)
            .is_ok_and(|log| log.len() > 0)
            .then_some(())
    });
    scene
        .place
        .relation(["refresh", &customer.pkid])
        .run()
        .done();
    assert!(running.is_running());
    running.kill();
    for name in names(directory) {
        let path = directory.join(name);
        if path.is_file() {
            set_mode(&path, 0o444);
        }
    }
    set_mode(directory, 0o555);
    let shown = as_reader(&scene, &["transactions", "--action", "refresh"]).done();
    assert!(shown.stdout.contains("refresh"), "{shown:?}");
    // Without its index, which only a writer can make, the log cannot be read.
    set_mode(directory, 0o755);
    fs::remove_file(directory.join("relation.db-shm")).unwrap();
    set_mode(directory, 0o555);
    as_reader(&scene, &["list"])
        .exits(1)
        .says(&["relation.db-wal", "copy both files"]);
    set_mode(directory, 0o755);
}

#[test]
fn too_little_address_space_is_named() {
    let scene = Scene::new();
    let program = artifacts::program("relation-host");
    let script = format!("ulimit -v 3000000; exec {} describe", program.display());
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(scene.place.directory())
        .env("XDG_CACHE_HOME", artifacts::caches())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    for part in ["address space", "limits.calls", "ulimit -v"] {
        assert!(told.contains(part), "{told}");
    }
}

/// Needs a mount of its own, for which Linux lets most users have a namespace.
#[test]
fn a_full_disk_alone_loses_no_response() {
    let scene = Scene::with(webex_emulator::Emulator::builder().mode(Mode::Rotate))
        .configured("limits.request-time = \"5s\"")
        .configured("limits.time = \"10s\"");
    scene.emulator.set_reuse_detection(true);
    let (_, grant) = scene.granted("Contoso");
    let place = scene.place.directory();
    scene.place.write("grant.json", &grant.json().to_string());
    fs::create_dir(place.join("disk")).unwrap();
    let program = artifacts::program("relation-host");
    let script = format!(
        "mount -t tmpfs -o size=3m tmpfs disk && touch mounted || exit 77
         cp client-secret relation.toml disk && cd disk || exit 1
         host={}
         $host add --hierarchy sys.P --name Contoso --tokens ../grant.json >/dev/null || exit 2
         touch ../added; while [ ! -e ../go ]; do sleep 0.02; done
         $host refresh Contoso >../refreshed 2>&1 & refresh=$!
         while [ ! -e ../fill ]; do sleep 0.02; done
         dd if=/dev/zero of=filling bs=1k >/dev/null 2>&1; touch ../full
         wait $refresh; $host stash list --json >../kept
         $host list --json >../listed || exit 3
         rm filling; $host run --until-idle >/dev/null 2>../ran || exit 4
         $host stash list --json >../left; $host refresh Contoso >../again 2>&1 || exit 5
         dd if=/dev/zero of=filling bs=1k >/dev/null 2>&1; $host list --json >../read || exit 6
         $host refresh Contoso 2>../told; [ $? = 5 ] || exit 7; grep -q 'full' ../told",
        program.display()
    );
    let started = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .current_dir(place)
        .env("XDG_CACHE_HOME", artifacts::caches())
        .env("RELATION_TEST_CLOCK_AHEAD", scene.time.ahead())
        .spawn();
    let Ok(mut child) = started else {
        eprintln!("SKIPPED: there is no `unshare`");
        return;
    };
    let added = place.join("added");
    let ended = eventually("the customer is there", || {
        let ended = child.try_wait().unwrap();
        (ended.is_some() || added.exists()).then_some(ended)
    });
    if let Some(status) = ended {
        assert!(!place.join("mounted").exists(), "it ended with {status}");
        eprintln!("SKIPPED: this user cannot mount anything");
        return;
    }
    let gate = scene.emulator.gate_after("/v1/access_token");
    fs::write(place.join("go"), "").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(gate.reached());
    fs::write(place.join("fill"), "").unwrap();
    eventually("the disk is full", || {
        place.join("full").exists().then_some(())
    });
    gate.release();
    let status = eventually("the script has ended", || child.try_wait().unwrap());
    let told = |name: &str| fs::read_to_string(place.join(name)).unwrap_or_default();
    assert!(
        status.success(),
        "{status}: {} {}",
        told("refreshed"),
        told("again")
    );
    let kept: serde_json::Value = serde_json::from_str(&told("kept")).unwrap();
    assert_eq!(
        kept["items"][0]["state"],
        "waiting",
        "{}",
        told("refreshed")
    );
    let left: serde_json::Value = serde_json::from_str(&told("left")).unwrap();
    assert_eq!(left["items"], serde_json::json!([]));
    assert_eq!(
        left["reserve"]["bytes"], left["reserve"]["wanted"],
        "{left}"
    );
    scene.emulator.assert_sound();
}
