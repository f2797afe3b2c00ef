//! Files that other programs wrote: with a byte order mark, in another encoding, with more than a secret.

use relation_e2e::scene::Scene;

fn utf16(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect()
}

#[test]
fn a_byte_order_mark_is_dropped_from_every_file() {
    let scene = Scene::new();
    let (_, grant) = scene.granted("Contoso");
    let place = &scene.place;
    let mark = |name: &str| {
        let text = std::fs::read_to_string(place.path(name)).unwrap();
        place.write(name, &format!("\u{feff}{text}\r\n"));
    };
    mark("relation.toml");
    mark("client-secret");
    let tokens = format!("\u{feff}{}\r\n", grant.json());
    place.write("tokens.json", &tokens);
    place.write(
        "fields.json",
        "\u{feff}{\"email_domain\": \"contoso.example\"}\r\n",
    );
    scene
        .add("Contoso")
        .args(["--tokens", "tokens.json", "--fields", "fields.json"])
        .run()
        .done();
    mark("relation.key");
    place.relation(["refresh", "Contoso"]).run().done();
    let (_, other) = scene.granted("Fabrikam");
    scene
        .add("Fabrikam")
        .args(["--tokens", "-"])
        .stdin(format!("\u{feff}{}", other.json()))
        .run()
        .done();
}

#[test]
fn other_encodings_are_named() {
    let scene = Scene::new();
    let place = &scene.place;
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
        std::fs::write(place.path("tokens.json"), bytes).unwrap();
        for option in ["--tokens", "--fields", "--https-proxy-file"] {
            let refused = scene.add("Contoso").args([option, "tokens.json"]).run();
            let refused = refused.exits(2).says(&[found]);
            assert!(!refused.stderr.contains("s3cret"), "{refused:?}");
        }
    }
    let configuration = std::fs::read_to_string(place.path("relation.toml")).unwrap();
    std::fs::write(place.path("relation.toml"), utf16(&configuration)).unwrap();
    let refused = place.relation(["list"]).run().exits(2);
    refused.says(&["the file relation.toml is UTF-16; save it as UTF-8"]);
}

#[test]
fn scenario_in_another_encoding_is_named() {
    let scene = Scene::new();
    let place = &scene.place;
    std::fs::write(place.path("wide.toml"), utf16("about = \"x\"\n")).unwrap();
    std::fs::write(place.path("latin.toml"), b"about = \"caf\xe9\"\n").unwrap();
    for (file, found) in [("wide.toml", "it is UTF-16"), ("latin.toml", "Latin-1")] {
        let ran = place.relation(["test", file]).run().exits(2);
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert!(told.contains(found), "{ran:?}");
    }
}

#[test]
fn a_client_secret_is_one_line_without_quotes() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    let place = &scene.place;
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
        place.write("client-secret", content);
        let ran = place.relation(["refresh", &customer.pkid]).run().exits(2);
        let ran = ran.says(&["webex.client-secret-file", found]);
        assert!(!ran.stderr.contains("emulated-client"), "{ran:?}");
    }
}
