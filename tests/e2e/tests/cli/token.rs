//! `token`: an access token for another program.

use relation_e2e::cli_world::CliWorld;
use serde_json::Value;

#[test]
fn printed_token_is_recorded_as_used() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    let workspace = &world.workspace;
    let printed = workspace.relation(["token", "Contoso"]).run().succeeds();
    let token = printed.stdout.trim().to_owned();
    let token = token.as_str();
    assert!(world.emulator.accepts(token));
    printed.reports(&["valid until "]);
    let report = workspace.json(["token", "Contoso", "--min-valid", "13d"]);
    assert_eq!(report["token"], token);

    let id = report["transaction"].as_str().unwrap();
    let transaction = workspace.json(["transactions", id]);
    assert_eq!(transaction["action"], "access-token");
    let opened = &transaction["reveals"];
    assert!(
        opened.to_string().contains("\"name\":\"token\""),
        "{transaction:#}"
    );
    assert!(!transaction.to_string().contains(token));

    let too_long = workspace
        .relation(["token", "Contoso", "--min-valid", "100d"])
        .run();
    too_long
        .exits(2)
        .reports(&["min-valid", "are not valid for that long"]);
    let grant = ["token", "Contoso", "--grant", "wholesale-users"];
    workspace.relation(grant).run().exits(2);
    world.emulator.revoke(&customer.organization);
    let refused = [
        "token",
        "Contoso",
        "--min-valid",
        "13d 23h 59m 59s",
        "--json",
    ];
    let refused = workspace.relation(refused).run().exits(4);
    assert_eq!(refused.error()["kind"], Value::from("reauthorize"));
}
