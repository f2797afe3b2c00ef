//! `user`, `key` and `role`: users, API keys and custom roles on the command line, for a server that runs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use relation_e2e::cli_world::{CliWorld, browse};
use relation_e2e::process::free_address;

/// Sends a GET with an API key; returns the response.
fn get_with_key(address: &str, path: &str, key: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn users_and_keys_are_managed_without_a_plugin() {
    let world = CliWorld::new();
    let relation = |arguments: &[&str]| {
        let program = world.workspace.relation(arguments);
        program.args(["--plugin", "missing.wasm"]).run()
    };
    let role = ["--role", "provider-administrator", "--hierarchy", "sys"];
    let added = relation(&[&["user", "add", "ada"], &role[..]].concat()).succeeds();
    let text = added.stdout.clone();
    assert!(
        text.contains("ada: provider-administrator at sys"),
        "{text}"
    );
    assert!(text.contains("\nhttp://127.0.0.1:8400/set-up/"), "{text}");
    relation(&[&["user", "add", "Ada"], &role[..]].concat()).reports(&["name: another user"]);
    let listed = relation(&["user", "list", "--json"]).succeeds().json();
    assert_eq!(listed["items"][0]["has_password"], false);
    relation(&["user", "link", "nobody"])
        .exits(3)
        .reports(&["user list"]);
    relation(&["user", "add", "x", "--role", "wizard", "--hierarchy", "sys"]).exits(2);

    let role = ["--role", "auditor", "--hierarchy", "sys"];
    let key = relation(&[&["key", "add", "siem", "--json"], &role[..]].concat());
    let key = key.succeeds().json()["key"].as_str().unwrap().to_owned();
    let listed = relation(&["key", "list", "--json"]).succeeds();
    assert!(listed.stdout.contains("siem") && !listed.stdout.contains(&key));

    let address = free_address("127.0.0.1").to_string();
    let mut server = world
        .workspace
        .relation(["serve", "--listen", &address])
        .start();
    server.wait_until_serving();
    assert!(!server.stdout().contains("set-up"), "there is a user");
    let (status, _) = browse(&format!("http://{address}/api/session/"));
    assert_eq!(status, 401);
    let shown = get_with_key(&address, "/api/session/", &key);
    assert!(
        shown.starts_with("HTTP/1.1 200") && shown.contains("siem"),
        "{shown}"
    );
    let events = get_with_key(&address, "/api/data/AuditEvent/?format=ndjson", &key);
    assert!(
        events.contains("add-user") && events.contains("command line"),
        "{events}"
    );
    relation(&["key", "revoke", "siem"]).succeeds();
    let refused = get_with_key(&address, "/api/session/", &key);
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    server.terminate();
    let output = server.wait().succeeds();
    for secret in [key.as_str(), "/set-up/"] {
        assert!(!output.stdout.contains(secret) && !output.stderr.contains(secret));
    }
}

#[test]
fn custom_roles_are_managed_and_granted() {
    let world = CliWorld::new();
    let relation = |arguments: &[&str]| {
        let program = world.workspace.relation(arguments);
        program.args(["--plugin", "missing.wasm"]).run()
    };
    let add = |name: &str, node: &str, operations: &str| {
        relation(&[
            "role",
            "add",
            name,
            "--hierarchy",
            node,
            "--operations",
            operations,
            "--json",
        ])
    };
    let added = add("desk", "sys.A", "read,refresh").succeeds().json();
    let pkid = added["pkid"].as_str().unwrap();
    add("desk", "sys.A", "read").reports(&["another role of this node has this name"]);
    add("desk", "sys.A", "write").exits(2);
    let listed = relation(&["role", "list"]).succeeds().stdout;
    assert!(
        listed.contains("desk") && listed.contains("read, refresh"),
        "{listed}"
    );

    let grant = ["--role", "desk", "--hierarchy", "sys.A.B"];
    let user = relation(&[&["user", "add", "ada"], &grant[..]].concat()).succeeds();
    assert!(
        user.stdout.contains("ada: desk at sys.A.B"),
        "{}",
        user.stdout
    );
    let key = relation(&[&["key", "add", "billing", "--json"], &grant[..]].concat());
    let key = key.succeeds().json();
    assert_eq!(key["grants"][0]["role"], pkid);
    let outside = ["--role", "desk", "--hierarchy", "sys"];
    relation(&[&["user", "add", "bob"], &outside[..]].concat())
        .exits(2)
        .reports(&[
            "no role \"desk\" at sys",
            "provider-administrator",
            "role list",
        ]);
    let shown = relation(&["role", "show", "desk"]).succeeds().stdout;
    for part in ["user ada at sys.A.B", "key billing at sys.A.B"] {
        assert!(shown.contains(part), "{shown}");
    }
    relation(&["role", "delete", "desk"]).reports(&[
        "in use",
        "user ada",
        "key billing",
        "role show",
    ]);
    let changed = relation(&["role", "modify", "desk", "--operations", "read"]).succeeds();
    assert!(
        changed.stdout.contains("desk at sys.A: read\n"),
        "{}",
        changed.stdout
    );

    // A name at two nodes is ambiguous.
    add("desk", "sys.C", "read").succeeds();
    relation(&["role", "show", "desk"])
        .exits(2)
        .reports(&["several roles", pkid, "sys.C"]);
    relation(&["user", "disable", "ada"]).succeeds();
    relation(&["key", "revoke", "billing"]).succeeds();
    relation(&["role", "delete", pkid]).succeeds();
    relation(&["role", "show", pkid])
        .exits(3)
        .reports(&["role list"]);
    let roles = relation(&["role", "list", "--json"]).succeeds().json();
    assert_eq!(roles["items"].as_array().unwrap().len(), 1);
}

#[test]
fn roles_of_groups_that_do_not_exist_are_reported() {
    let world = CliWorld::new().with_config_line(
        "[web.oidc]\nissuer = \"https://id.example.com\"\nclient-id = \"relation\"\n\
         client-secret = \"canary-7\"\n\
         grants = [{ group = \"noc\", role = \"desk\", node = \"sys.A\" }]",
    );
    let check = || {
        let program = world.workspace.relation(["check", "--json"]);
        program.run().stdout
    };
    let findings = check();
    assert!(
        findings.contains("do not exist") && findings.contains("at sys.A"),
        "{findings}"
    );
    let add = [
        "role",
        "add",
        "desk",
        "--hierarchy",
        "sys",
        "--operations",
        "read",
    ];
    world.workspace.relation(add).run().succeeds();
    let findings = check();
    assert!(!findings.contains("do not exist"), "{findings}");
}
