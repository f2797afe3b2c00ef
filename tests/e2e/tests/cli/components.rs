//! Commands that need no store: what a component needs of a host, the model, completions.

use relation_e2e::artifacts;
use relation_e2e::process::Place;

/// Nothing is reached by these.
fn place() -> Place {
    Place::of("http://127.0.0.1:9/v1", "secret")
}

#[test]
fn our_component_fits_and_every_import_is_provided() {
    let place = place();
    for arguments in [
        vec!["inspect".into()],
        vec!["inspect".into(), artifacts::component().into_os_string()],
    ] {
        let found = place.json(&arguments);
        assert_eq!(found["fits"], true, "{found:#}");
        let imports = found["imports"].as_array().unwrap();
        assert!(imports.len() >= 8, "{found:#}");
        for import in imports {
            assert!(import.to_string().contains("provided"), "{import}");
        }
        let exports = found["exports"].as_array().unwrap();
        assert!(!exports.is_empty(), "{found:#}");
        assert!(
            exports.iter().all(|export| export["present"] == true),
            "{found:#}"
        );
    }
    let shown = place.relation(["inspect"]).run().done().stdout;
    assert!(shown.contains("fits this host"), "{shown}");
    assert!(shown.contains("automate:platform/storage@0.1.0"), "{shown}");
}

#[test]
fn a_core_module_is_told_from_a_component() {
    let place = place();
    // The smallest core module: its magic number and version.
    std::fs::write(place.path("core.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let ran = place.relation(["inspect", "core.wasm"]).run().exits(1);
    assert!(ran.stderr.contains("core.wasm"), "{}", ran.stderr);
    assert!(ran.stderr.contains("module"), "{}", ran.stderr);
    let error = place
        .relation(["inspect", "core.wasm", "--json"])
        .run()
        .exits(1)
        .error();
    assert_eq!(error["kind"], "plugin");

    std::fs::write(place.path("text.wasm"), b"hello").unwrap();
    place
        .relation(["inspect", "text.wasm"])
        .run()
        .exits(1)
        .says(&["text.wasm"]);
    let absent = place.relation(["inspect", "absent.wasm"]).run();
    absent.exits(2).says(&["absent.wasm", "No such file"]);
}

#[test]
fn a_component_that_fits_can_take_the_place_of_the_carried_one() {
    let place = place();
    let component = artifacts::component();
    let model = place
        .relation(["describe", "--json", "--plugin"])
        .arg(&component)
        .run()
        .done()
        .json();
    assert_eq!(model, place.json(["describe"]), "it is the same component");
    std::fs::write(place.path("core.wasm"), b"\0asm\x01\0\0\0").unwrap();
    place
        .relation(["describe", "--plugin", "core.wasm"])
        .run()
        .exits(1);
}

#[test]
fn the_model_is_described_with_its_rules() {
    let place = place();
    let model = place.json(["describe"]);
    let field = |name: &str| {
        let fields = model["fields"].as_array().unwrap().iter();
        let mut fields = fields.filter(|field| field["name"] == name);
        fields
            .next()
            .unwrap_or_else(|| panic!("{name} is not described"))
            .clone()
    };
    assert_eq!(field("name")["required"], true);
    assert_eq!(field("token")["password"], true);
    assert_eq!(field("token")["title"], "Admin Access Token");
    assert!(
        !field("base_url_setting")["choices"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let actions = model["actions"].as_array().unwrap();
    for name in ["RefreshAccessToken", "CheckTokenExpiry"] {
        let known = actions.iter().any(|action| action["name"] == name);
        assert!(known, "{name}: {actions:#?}");
    }
    let shown = place.relation(["describe"]).run().done().stdout;
    assert!(
        shown.contains("Customer Name") && shown.contains("required"),
        "{shown}"
    );
}

#[test]
fn shells_get_their_completions_even_beside_a_broken_configuration() {
    let place = place().configured("nonsense = true");
    for (shell, sign) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef relation-host"),
        ("fish", "complete -c relation-host"),
    ] {
        let script = place.relation(["completions", shell]).run().done().stdout;
        assert!(script.contains(sign), "{shell}: {script}");
        assert!(script.contains("check-expiry"), "{shell}");
    }
    place.relation(["completions", "sh3ll"]).run().exits(2);
}
