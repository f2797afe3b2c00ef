//! Secrets that do not open: reported, kept unchanged, and no obstacle to the others.

use relation_e2e::cli_world::{CliWorld, Customer};
use serde_json::Value;

use crate::{last, listed};

const REFRESH: &str = "refresh_token";
const ACCESS: &str = "token";

fn names(unopened: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = unopened.as_array().unwrap().iter();
    rows.map(|row| (text(&row["owner_name"]), text(&row["name"])))
        .collect()
}

fn named(name: &str, secret: &str) -> (String, String) {
    (name.to_owned(), secret.to_owned())
}

#[test]
fn secret_moved_to_another_row_is_rejected() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    let [one, two] = ["Contoso", "Fabrikam"].map(|name| world.add_customer(name));
    let database = world.database();
    let refused = |customer: &Customer| {
        let owner = format!("{REFRESH} of data/SparkCustomer/{}", customer.pkid);
        let output = workspace
            .relation(["refresh", &customer.pkid])
            .run()
            .exits(1);
        output.reports(&[&owner, "does not open", "keys check"]);
        let output = workspace
            .relation(["refresh", &customer.pkid, "--json"])
            .run();
        assert_eq!(output.exits(1).error()["kind"], "internal");
    };

    // Exchanged between two customers.
    let tokens = [&one, &two].map(|customer| database.secret(&customer.pkid, REFRESH));
    database.overwrite_secret(&one.pkid, REFRESH, &tokens[1]);
    database.overwrite_secret(&two.pkid, REFRESH, &tokens[0]);
    refused(&one);
    refused(&two);
    let checked = workspace
        .relation(["keys", "check", "--json"])
        .run()
        .exits(1);
    assert_eq!(last(&checked.stdout)["sound"], 2);
    assert_eq!(listed(workspace), [(1, 4, 2)]);
    database.overwrite_secret(&one.pkid, REFRESH, &tokens[0]);
    database.overwrite_secret(&two.pkid, REFRESH, &tokens[1]);
    workspace.relation(["keys", "check"]).run().succeeds();
    assert_eq!(listed(workspace), [(1, 4, 0)]);

    // Exchanged within one customer.
    let access = database.secret(&one.pkid, ACCESS);
    database.overwrite_secret(&one.pkid, ACCESS, &tokens[0]);
    database.overwrite_secret(&one.pkid, REFRESH, &access);
    refused(&one);
    assert!(
        world.token_requests().is_empty(),
        "no request was sent to Webex"
    );
    workspace.relation(["refresh", &two.pkid]).run().succeeds();
}

#[test]
fn damaged_secret_is_kept_until_a_person_decides() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    let [whole, torn] = ["Contoso", "Fabrikam"].map(|name| world.add_customer(name));
    let database = world.database();
    let mut bytes = database.secret(&torn.pkid, REFRESH);
    *bytes.last_mut().unwrap() ^= 1;
    database.overwrite_secret(&torn.pkid, REFRESH, &bytes);

    for _ in 0..2 {
        let rotated = workspace
            .relation(["keys", "rotate", "--json"])
            .run()
            .exits(1);
        let unopened = &last(&rotated.stdout)["unopened"];
        assert_eq!(names(unopened), [named("Fabrikam", REFRESH)]);
        assert_eq!(unopened[0]["owner"]["pkid"], torn.pkid.as_str());
        assert_eq!(rotated.error()["kind"], "failed");
    }
    assert_eq!(listed(workspace), [(1, 1, 1), (2, 3, 0)]);
    assert_eq!(database.secret(&torn.pkid, REFRESH), bytes);
    let list = workspace.relation(["keys", "list"]).run().succeeds();
    assert!(list.stdout.contains("Fabrikam"), "{}", list.stdout);
    workspace
        .relation(["refresh", &whole.pkid])
        .run()
        .succeeds();

    workspace
        .relation(["keys", "retire", "1"])
        .run()
        .exits(1)
        .reports(&["1 secret that does not open", "--despite-quarantined"]);
    let given_up = ["keys", "retire", "1", "--despite-quarantined"];
    workspace.relation(given_up).run().succeeds();
    assert_eq!(database.secret(&torn.pkid, REFRESH), bytes);
    workspace
        .relation(["refresh", &torn.pkid])
        .run()
        .exits(1)
        .reports(&["sealed with data key 1, which this store does not have"]);

    let grant = world
        .emulator
        .grant(&torn.organization, torn.grant.scopes().iter().cloned());
    workspace
        .relation(["modify", &torn.pkid, "--tokens", "-"])
        .stdin(grant.json().to_string())
        .run()
        .succeeds();
    workspace.relation(["refresh", &torn.pkid]).run().succeeds();
    workspace.relation(["keys", "check"]).run().succeeds();
    assert_eq!(listed(workspace), [(2, 4, 0)]);
}
