//! The findings of `check`, each with its own message and hint.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use relation_e2e::artifacts;
use relation_e2e::cli_world::{CliWorld, NODE};
use serde_json::Value;

/// Runs `check` with these arguments, and returns level, message and hint of one finding.
#[track_caller]
fn find(world: &CliWorld, arguments: &[&str], check: &str, code: i32) -> (String, String) {
    let all = ["check", "--json"].iter().chain(arguments);
    let output = world.workspace.relation(all).run().exits(code).stdout;
    pick(&output, check)
}

#[track_caller]
fn pick(output: &str, check: &str) -> (String, String) {
    let findings: Value = serde_json::from_str(output).expect("findings as JSON");
    let findings = findings.as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["check"] == check);
    let finding = finding.unwrap_or_else(|| panic!("no finding {check}:\n{output}"));
    let text = |name: &str| finding[name].as_str().unwrap().to_owned();
    assert_eq!(text("level") == "ok", text("hint").is_empty(), "{output}");
    (text("level"), text("message"))
}

/// Replaces a line of the configuration; an empty `with` removes it.
fn replace_line(world: &CliWorld, key: &str, with: &str) {
    let path = world.workspace.path("relation.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with(key));
    let lines: Vec<&str> = lines.chain([with]).collect();
    world.workspace.write("relation.toml", &lines.join("\n"));
}

/// Creates a world whose store exists.
fn world() -> CliWorld {
    let world = CliWorld::new();
    world
        .workspace
        .json(["add", "--hierarchy", NODE, "--name", "Contoso"]);
    world
}

#[track_caller]
fn assert_error((level, message): (String, String), text: &str) {
    assert_eq!(level, "error", "{message}");
    assert!(message.contains(text), "{message}");
}

#[test]
fn working_installation_has_no_errors() {
    let world = world();
    let output = world
        .workspace
        .relation(["check", "--webex", "--json"])
        .run()
        .succeeds()
        .stdout;
    for check in [
        "plugin", "client", "store", "key", "egress", "base-url", "scopes", "clock",
    ] {
        let (level, message) = pick(&output, check);
        assert_eq!(level, "ok", "{check}: {message}");
    }
    assert!(!output.contains(relation_e2e::world::CLIENT_SECRET));
    // One request that changes nothing.
    assert_eq!(world.token_requests().len(), 1);
    let text = world.workspace.relation(["check"]).run().succeeds().stdout;
    assert!(text.contains("client id and client secret are configured"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let everyone = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(world.workspace.path("client-secret"), everyone).unwrap();
        let exposed = world.workspace.relation(["check", "--webex"]).run();
        let exposed = exposed.succeeds();
        let warning = "others on this machine can read the client secret (chmod 600 client-secret)";
        assert_eq!(exposed.stdout.matches(warning).count(), 1, "{exposed:?}");
        assert_eq!(exposed.stderr, "");
    }
    let (_, message) = pick(&output, "base-url");
    assert!(message.contains("ends with /v1"), "{message}");
}

#[test]
fn configuration_that_cannot_be_read_is_a_finding() {
    let world = world();
    replace_line(&world, "store", "store = 5");
    assert_error(find(&world, &[], "configuration", 2), "store");
    let text = world.workspace.relation(["check"]).run().exits(2).stdout;
    assert!(text.contains("is wrong: line "), "{text}");
}

#[test]
fn configuration_file_is_named() {
    let world = world();
    let (level, message) = find(&world, &[], "configuration", 0);
    assert_eq!(level, "ok");
    assert!(message.contains("relation.toml"), "{message}");
    // In a wrong directory, the exit code is that of every command without a store.
    std::fs::create_dir(world.workspace.path("elsewhere")).unwrap();
    let check = ["check", "--json"];
    let check = world.workspace.relation(check).in_directory("elsewhere");
    let output = check.run().exits(3);
    let (level, message) = pick(&output.stdout, "configuration");
    assert_eq!(level, "error");
    assert!(
        message.contains("no relation.toml in") && message.contains("elsewhere"),
        "{message}"
    );
    let findings: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(findings.as_array().unwrap().len(), 1, "{findings:#}");
    let hint = output.error()["hint"].to_string();
    let above = world
        .workspace
        .path("relation.toml")
        .canonicalize()
        .unwrap();
    let above = format!("use --config {}", above.display());
    assert!(hint.contains(&above), "{hint}");
}

#[test]
fn customer_has_the_exit_code_of_other_commands() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    let check = |record: &str, code: i32, kind: &str| {
        let (level, _) = find(&world, &[record], &format!("connection of {record}"), code);
        assert_eq!(level, "error");
        let output = world.workspace.relation(["check", record, "--json"]).run();
        assert_eq!(output.error()["kind"], kind);
    };
    check("Nobody", 3, "not-found");
    let organizations = "/v1/organizations";
    let fault = webex_emulator::Fault::status(organizations, 503).always();
    world.emulator.inject(fault);
    check("Contoso", 5, "unavailable");
    world.emulator.clear_faults();
    world.emulator.revoke(&customer.organization);
    check("Contoso", 4, "reauthorize");
}

#[test]
fn missing_client_id_and_secret_are_found() {
    let world = world();
    replace_line(&world, "webex.client-id", "");
    assert_error(find(&world, &[], "client", 6), "webex.client-id");
    replace_line(
        &world,
        "webex.client-secret-file",
        "webex.client-id = \"C0ffee\"",
    );
    assert_error(find(&world, &[], "client", 6), "webex.client-secret-file");
    replace_line(&world, "webex.client-id", "");
    let both = world.workspace.relation(["check"]).run().exits(6);
    both.reports(&[
        "the check found 1 error\n",
        "copy the client id",
        "copy the client secret",
    ]);
}

#[test]
fn wrong_secret_is_found_at_webex() {
    let world = world();
    world.workspace.write("client-secret", "another-secret");
    let (level, _) = find(&world, &[], "client", 0);
    assert_eq!(level, "ok");
    let output = world
        .workspace
        .relation(["check", "--webex", "--json"])
        .run()
        .exits(6)
        .stdout;
    assert!(output.contains("invalid_client"), "{output}");
    assert!(!output.contains("another-secret"));
}

#[test]
fn unreachable_base_address_is_found() {
    let world = world();
    let free = relation_e2e::process::free_address("127.0.0.1");
    let base_url = format!("webex.base-url = \"http://{free}/v1\"");
    replace_line(&world, "webex.base-url", &base_url);
    let allow = format!("egress.allow = [\"http://{free}\"]");
    replace_line(&world, "egress.allow", &allow);
    assert_error(find(&world, &["--webex"], "webex", 5), "/v1/access_token");
}

#[test]
fn base_address_without_a_version_is_found() {
    let world = world();
    let base_url = world.emulator.base_url().replace("/v1", "");
    replace_line(
        &world,
        "webex.base-url",
        &format!("webex.base-url = \"{base_url}\""),
    );
    for (arguments, code) in [(&["--webex"][..], 5), (&[], 0)] {
        let (level, message) = find(&world, arguments, "base-url", code);
        assert_eq!(level, "warning");
        assert!(message.contains("does not end with /v1"), "{message}");
    }
}

#[test]
fn allow_list_without_the_base_address_is_found() {
    let world = world();
    replace_line(
        &world,
        "egress.allow",
        "egress.allow = [\"https://webexapis.com\"]",
    );
    assert_error(find(&world, &[], "egress", 6), &world.emulator.base_url());
    replace_line(&world, "egress.allow", "egress.allow = []");
    assert_error(find(&world, &[], "egress", 6), "egress.allow is empty");
}

#[test]
fn allow_list_without_contact_center_is_found() {
    let world = world();
    let findings = world.workspace.json(["check"]);
    let mut findings = findings.as_array().unwrap().iter();
    assert!(findings.all(|finding| finding["check"] != "contact-center"));
    let base_url = world.emulator.base_url();
    for (url, is_allowed) in [("https://wxcc.example.com/x", false), (&base_url, true)] {
        let key = "webex.contact-center-urls";
        replace_line(&world, key, &format!("{key} = [\"EU={url}\"]"));
        let (level, message) = find(&world, &[], "contact-center", 0);
        match is_allowed {
            true => assert_eq!(level, "ok", "{message}"),
            false => {
                assert_eq!(level, "warning", "{message}");
                assert!(message.contains(&format!("EU is {url}: ")), "{message}");
                let text = world.workspace.relation(["check"]).run().succeeds();
                let hint = "add \"https://wxcc.example.com\" to egress.allow";
                assert!(text.stdout.contains(hint), "{text:?}");
            }
        }
    }
}

#[test]
fn proxy_that_wants_a_password_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let _ = connection.read(&mut [0; 4096]);
            let response =
                "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
            let _ = connection.write_all(response.as_bytes());
        }
    });
    let world = CliWorld::new().with_config_line(&format!("egress.proxies = [\"{proxy}\"]"));
    let customer = world.add_customer("Contoso");
    let (level, _) = find(&world, &["Contoso"], "connection of Contoso", 0);
    assert_eq!(level, "ok");
    world
        .workspace
        .relation(["modify", &customer.pkid, "--http-proxy-file", "-"])
        .stdin(proxy.clone())
        .run()
        .succeeds();
    assert_error(
        find(&world, &["Contoso"], "connection of Contoso", 6),
        "407",
    );
}

#[test]
fn key_of_another_store_is_found() {
    let world = world();
    let other = CliWorld::new();
    other
        .workspace
        .json(["add", "--hierarchy", NODE, "--name", "Contoso"]);
    let key = std::fs::read_to_string(other.workspace.path("relation.key")).unwrap();
    world.workspace.write("relation.key", &key);
    assert_error(find(&world, &[], "key", 6), "key");
    // The error is found once, and Webex cannot be asked.
    let all = ["check", "--webex", "Contoso"];
    let all = world.workspace.relation(all).run().exits(6);
    assert!(all.stdout.contains("Webex was not asked"), "{all:?}");
    all.reports(&["the check found 1 error\n"]);
}

/// Needs its own mount, for which Linux lets most users have a namespace.
#[test]
fn full_disk_is_found() {
    let world = CliWorld::new();
    let directory = world.workspace.directory();
    std::fs::create_dir(directory.join("disk")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=3m tmpfs disk || exit 77
         cp client-secret relation.toml disk && cd disk || exit 1
         {host} init >/dev/null || exit 2
         dd if=/dev/zero of=filling bs=1k >/dev/null 2>&1
         {host} check --json 2>/dev/null",
        host = artifacts::program("relation-host").display()
    );
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .current_dir(directory)
        .env("XDG_CACHE_HOME", artifacts::caches())
        .output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: there is no `unshare`");
        return;
    };
    if !output.stdout.starts_with(b"[") {
        eprintln!("SKIPPED: no file system can be mounted here");
        return;
    }
    let found = pick(&String::from_utf8_lossy(&output.stdout), "store");
    assert_error(found, "cannot write a file beside");
}

#[test]
fn wrong_clock_is_found_at_webex() {
    let world = world();
    let output = world
        .workspace
        .relation(["check", "--webex", "--json"])
        .env("RELATION_TEST_CLOCK_AHEAD", "1h")
        .run()
        .exits(6)
        .stdout;
    assert_error(pick(&output, "clock"), "60 min ahead of Webex's");
}

#[test]
fn missing_scopes_are_found() {
    let world = world().with_config_line("webex.scopes = [\"spark-admin:people_read\"]");
    let (level, message) = find(&world, &["--webex"], "scopes", 0);
    assert_eq!(level, "warning");
    assert!(message.contains("spark-admin:licenses_read"), "{message}");
}
