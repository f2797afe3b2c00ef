//! Commands that need no store: a component's requirements, the model, completions.

use relation_e2e::artifacts;
use relation_e2e::process::Workspace;

/// Creates a workspace for commands without network.
fn workspace() -> Workspace {
    Workspace::new("http://127.0.0.1:9/v1", "secret")
}

#[test]
fn our_component_fits_and_every_import_is_provided() {
    let workspace = workspace();
    for arguments in [
        vec!["inspect".into()],
        vec!["inspect".into(), artifacts::component().into_os_string()],
    ] {
        let found = workspace.json(&arguments);
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
    let shown = workspace.relation(["inspect"]).run().succeeds().stdout;
    assert!(shown.contains("fits this host"), "{shown}");
    assert!(shown.contains("automate:platform/storage@0.1.0"), "{shown}");
}

#[test]
fn core_module_is_rejected() {
    let workspace = workspace();
    // The smallest core module: its magic number and version.
    std::fs::write(workspace.path("core.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let output = workspace.relation(["inspect", "core.wasm"]).run().exits(1);
    assert!(output.stderr.contains("core.wasm"), "{}", output.stderr);
    assert!(output.stderr.contains("module"), "{}", output.stderr);
    let error = workspace
        .relation(["inspect", "core.wasm", "--json"])
        .run()
        .exits(1)
        .error();
    assert_eq!(error["kind"], "plugin");

    std::fs::write(workspace.path("text.wasm"), b"hello").unwrap();
    workspace
        .relation(["inspect", "text.wasm"])
        .run()
        .exits(1)
        .reports(&["text.wasm"]);
    let absent = workspace.relation(["inspect", "absent.wasm"]).run();
    absent.exits(2).reports(&["absent.wasm", "No such file"]);
}

#[test]
fn compatible_component_replaces_the_embedded_one() {
    let workspace = workspace();
    let component = artifacts::component();
    let model = workspace
        .relation(["describe", "--json", "--plugin"])
        .arg(&component)
        .run()
        .succeeds()
        .json();
    assert_eq!(
        model,
        workspace.json(["describe"]),
        "it is the same component"
    );
    std::fs::write(workspace.path("core.wasm"), b"\0asm\x01\0\0\0").unwrap();
    workspace
        .relation(["describe", "--plugin", "core.wasm"])
        .run()
        .exits(1);
}

#[test]
fn the_model_is_described_with_its_rules() {
    let workspace = workspace();
    let model = workspace.json(["describe"]);
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
    let shown = workspace.relation(["describe"]).run().succeeds().stdout;
    assert!(
        shown.contains("Customer Name") && shown.contains("required"),
        "{shown}"
    );
}

#[test]
fn completions_work_with_a_broken_configuration() {
    let workspace = workspace().with_config_line("nonsense = true");
    for (shell, sign) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef relation-host"),
        ("fish", "complete -c relation-host"),
    ] {
        let script = workspace
            .relation(["completions", shell])
            .run()
            .succeeds()
            .stdout;
        assert!(script.contains(sign), "{shell}: {script}");
        assert!(script.contains("check-expiry"), "{shell}");
    }
    workspace.relation(["completions", "sh3ll"]).run().exits(2);
}
