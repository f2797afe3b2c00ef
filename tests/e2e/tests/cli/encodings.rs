//! Files that other programs wrote: with a byte order mark, in another encoding, with more than a
//! secret.

use relation_e2e::cli_world::CliWorld;

fn utf16(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect()
}

#[test]
fn a_byte_order_mark_is_dropped_from_every_file() {
    let world = CliWorld::new();
    let (_, grant) = world.organization_with_grant("Contoso");
    let workspace = &world.workspace;
    let mark = |name: &str| {
        let text = std::fs::read_to_string(workspace.path(name)).unwrap();
        workspace.write(name, &format!("\u{feff}{text}\r\n"));
    };
    mark("relation.toml");
    mark("client-secret");
    let tokens = format!("\u{feff}{}\r\n", grant.json());
    workspace.write("tokens.json", &tokens);
    workspace.write(
        "fields.json",
        "\u{feff}{\"email_domain\": \"contoso.example\"}\r\n",
    );
    world
        .add("Contoso")
        .args(["--tokens", "tokens.json", "--fields", "fields.json"])
        .run()
        .succeeds();
    mark("relation.key");
    workspace.relation(["refresh", "Contoso"]).run().succeeds();
    let (_, other) = world.organization_with_grant("Fabrikam");
    world
        .add("Fabrikam")
        .args(["--tokens", "-"])
        .stdin(format!("\u{feff}{}", other.json()))
        .run()
        .succeeds();
}

#[test]
fn other_encodings_are_named() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    let latin1 = b"{\"access_token\": \"s3cret\", \"name\": \"M\xfcller\"}".to_vec();
    let wide = utf16("{\"access_token\": \"s3cret\"}");
    for (bytes, found) in [
        (wide, "tokens.json is UTF-16; save it as UTF-8"),
        (
            latin1,
            "tokens.json is not UTF-8 in line 1, but probably Latin-1",
        ),
        (Vec::new(), "tokens.json is empty"),
    ] {
        std::fs::write(workspace.path("tokens.json"), bytes).unwrap();
        for option in ["--tokens", "--fields", "--https-proxy-file"] {
            let refused = world.add("Contoso").args([option, "tokens.json"]).run();
            let refused = refused.exits(2).reports(&[found]);
            assert!(!refused.stderr.contains("s3cret"), "{refused:?}");
        }
    }
    let configuration = std::fs::read_to_string(workspace.path("relation.toml")).unwrap();
    std::fs::write(workspace.path("relation.toml"), utf16(&configuration)).unwrap();
    let refused = workspace.relation(["list"]).run().exits(2);
    refused.reports(&["the file relation.toml is UTF-16; save it as UTF-8"]);
}

#[test]
fn scenario_in_another_encoding_is_named() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    std::fs::write(workspace.path("wide.toml"), utf16("about = \"x\"\n")).unwrap();
    std::fs::write(workspace.path("latin.toml"), b"about = \"caf\xe9\"\n").unwrap();
    for (file, found) in [("wide.toml", "it is UTF-16"), ("latin.toml", "Latin-1")] {
        let output = workspace.relation(["test", file]).run().exits(2);
        let reported = format!("{}{}", output.stdout, output.stderr);
        assert!(reported.contains(found), "{output:?}");
    }
}

#[test]
fn a_client_secret_is_one_line_without_quotes() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    let workspace = &world.workspace;
    for (content, found) in [
        (
            "emulated-client-secret\nemulated-client-secret\n",
            "holds 2 lines",
        ),
        ("\"emulated-client-secret\"\n", "is in quotes"),
        ("'emulated-client-secret'", "is in quotes"),
        ("emulated-client-secret\u{200b}\n", "U+200B"),
        ("secret: emulated-client-secret\n", "white space"),
        ("\r\n", "is empty"),
    ] {
        workspace.write("client-secret", content);
        let output = workspace
            .relation(["refresh", &customer.pkid])
            .run()
            .exits(6);
        let output = output.reports(&["webex.client-secret-file", found]);
        assert!(!output.stderr.contains("emulated-client"), "{output:?}");
    }
}
