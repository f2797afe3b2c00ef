//! `conformance`: what it prints, and which stores and components it refuses.

use relation_e2e::artifacts;
use relation_e2e::process::Place;

fn place() -> Place {
    Place::of("http://127.0.0.1:9/v1", "secret")
}

#[test]
fn this_host_passes_with_a_line_for_each_check() {
    let shown = place().relation(["conformance"]).run().done().stdout;
    assert!(shown.contains("ok       storage.commit.whole: "), "{shown}");
    assert!(shown.contains(" passed, 0 failed, 0 skipped"), "{shown}");
}

#[test]
fn the_report_is_one_document_and_another_build_of_the_suite_is_taken() {
    let suite = artifacts::suite();
    let report = place().json([
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
fn a_store_with_customers_is_refused_and_another_one_is_left_empty() {
    let place = place();
    let node = "sys.Provider.Reseller.Contoso";
    let store = ["--store", "sqlite:some.db"];
    place.relation(["conformance"]).args(store).run().done();
    let listed = place.relation(["list", "--json"]).args(store).run().done();
    assert_eq!(listed.json()["items"].as_array().map(Vec::len), Some(0));

    let add = ["add", "--hierarchy", node, "--name", "Contoso"];
    place.relation(add).args(store).run().done();
    let refused = place.relation(["conformance"]).args(store).run().exits(2);
    refused.says(&["some.db", "holds customers"]);
}

#[test]
fn a_component_that_is_not_the_suite_is_told() {
    let plugin = artifacts::component();
    let place = place();
    let ran = place
        .relation([
            "conformance".as_ref(),
            "--component".as_ref(),
            plugin.as_os_str(),
        ])
        .run();
    ran.exits(1).says(&["the suite could not go on"]);
}
