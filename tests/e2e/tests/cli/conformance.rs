//! `conformance`: its output, and the stores and components it rejects.

use relation_e2e::artifacts;
use relation_e2e::process::Workspace;

fn workspace() -> Workspace {
    Workspace::new("http://127.0.0.1:9/v1", "secret")
}

#[test]
fn host_passes_with_a_line_per_check() {
    let shown = workspace()
        .relation(["conformance"])
        .run()
        .succeeds()
        .stdout;
    assert!(shown.contains("ok       storage.commit.whole: "), "{shown}");
    assert!(shown.contains(" passed, 0 failed, 0 skipped"), "{shown}");
}

#[test]
fn json_report_of_a_given_suite_component() {
    let suite = artifacts::suite();
    let report = workspace().json([
        "conformance".as_ref(),
        "--component".as_ref(),
        suite.as_os_str(),
    ]);
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.len() > 80, "{report:#}");
    for check in checks {
        assert_eq!(check["status"], "passed", "{check}");
    }
}

#[test]
fn store_with_customers_is_rejected() {
    let workspace = workspace();
    let node = "sys.Provider.Reseller.Contoso";
    let store = ["--store", "sqlite:some.db"];
    let missing = workspace.relation(["conformance"]).args(store).run();
    missing
        .exits(3)
        .reports(&["`relation-host --store sqlite:some.db init`"]);
    workspace.relation(["init"]).args(store).run().succeeds();
    workspace
        .relation(["conformance"])
        .args(store)
        .run()
        .succeeds();
    let listed = workspace
        .relation(["list", "--json"])
        .args(store)
        .run()
        .succeeds();
    assert_eq!(listed.json()["items"].as_array().map(Vec::len), Some(0));

    let add = ["add", "--hierarchy", node, "--name", "Contoso"];
    workspace.relation(add).args(store).run().succeeds();
    let refused = workspace
        .relation(["conformance"])
        .args(store)
        .run()
        .exits(2);
    refused.reports(&["some.db", "holds customers"]);
}

#[test]
fn other_component_is_rejected() {
    let plugin = artifacts::component();
    let workspace = workspace();
    let output = workspace
        .relation([
            "conformance".as_ref(),
            "--component".as_ref(),
            plugin.as_os_str(),
        ])
        .run();
    output.exits(1).reports(&["the suite cannot continue"]);
}
