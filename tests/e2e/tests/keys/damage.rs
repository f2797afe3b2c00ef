//! Secrets that do not open: told, kept as they are, and no obstacle to the others.

use relation_e2e::scene::{Customer, Scene};
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
fn a_secret_in_another_secrets_row_is_refused_and_named() {
    let scene = Scene::new();
    let place = &scene.place;
    let [one, two] = ["Contoso", "Fabrikam"].map(|name| scene.customer(name));
    let database = scene.database();
    let refused = |customer: &Customer| {
        let owner = format!("{REFRESH} of data/SparkCustomer/{}", customer.pkid);
        let ran = place.relation(["refresh", &customer.pkid]).run().exits(1);
        ran.says(&[&owner, "does not open", "keys check"]);
        let ran = place.relation(["refresh", &customer.pkid, "--json"]).run();
        assert_eq!(ran.exits(1).error()["kind"], "internal");
    };

    // Of two customers.
    let tokens = [&one, &two].map(|customer| database.secret(&customer.pkid, REFRESH));
    database.overwrite_secret(&one.pkid, REFRESH, &tokens[1]);
    database.overwrite_secret(&two.pkid, REFRESH, &tokens[0]);
    refused(&one);
    refused(&two);
    let checked = place.relation(["keys", "check", "--json"]).run().exits(1);
    assert_eq!(last(&checked.stdout)["sound"], 2);
    assert_eq!(listed(place), [(1, 4, 2)]);
    database.overwrite_secret(&one.pkid, REFRESH, &tokens[0]);
    database.overwrite_secret(&two.pkid, REFRESH, &tokens[1]);
    place.relation(["keys", "check"]).run().done();
    assert_eq!(listed(place), [(1, 4, 0)]);

    // Of one customer.
    let access = database.secret(&one.pkid, ACCESS);
    database.overwrite_secret(&one.pkid, ACCESS, &tokens[0]);
    database.overwrite_secret(&one.pkid, REFRESH, &access);
    refused(&one);
    assert!(scene.token_requests().is_empty(), "Webex was not asked");
    place.relation(["refresh", &two.pkid]).run().done();
}

#[test]
fn a_damaged_secret_stays_as_it_is_until_a_person_decides() {
    let scene = Scene::new();
    let place = &scene.place;
    let [whole, torn] = ["Contoso", "Fabrikam"].map(|name| scene.customer(name));
    let database = scene.database();
    let mut bytes = database.secret(&torn.pkid, REFRESH);
    *bytes.last_mut().unwrap() ^= 1;
    database.overwrite_secret(&torn.pkid, REFRESH, &bytes);

    for _ in 0..2 {
        let rotated = place.relation(["keys", "rotate", "--json"]).run().exits(1);
        let unopened = &last(&rotated.stdout)["unopened"];
        assert_eq!(names(unopened), [named("Fabrikam", REFRESH)]);
        assert_eq!(unopened[0]["owner"]["pkid"], torn.pkid.as_str());
        assert_eq!(rotated.error()["kind"], "failed");
    }
    assert_eq!(listed(place), [(1, 1, 1), (2, 3, 0)]);
    assert_eq!(database.secret(&torn.pkid, REFRESH), bytes);
    let list = place.relation(["keys", "list"]).run().done();
    assert!(list.stdout.contains("Fabrikam"), "{}", list.stdout);
    place.relation(["refresh", &whole.pkid]).run().done();

    place
        .relation(["keys", "retire", "1"])
        .run()
        .exits(1)
        .says(&["1 secret that does not open", "--despite-unopened"]);
    let given_up = ["keys", "retire", "1", "--despite-unopened"];
    place.relation(given_up).run().done();
    assert_eq!(database.secret(&torn.pkid, REFRESH), bytes);
    place
        .relation(["refresh", &torn.pkid])
        .run()
        .exits(1)
        .says(&["sealed with data key 1, which this store does not have"]);

    let grant = scene
        .emulator
        .grant(&torn.organization, torn.grant.scopes().iter().cloned());
    place
        .relation(["modify", &torn.pkid, "--tokens", "-"])
        .stdin(grant.json().to_string())
        .run()
        .done();
    place.relation(["refresh", &torn.pkid]).run().done();
    place.relation(["keys", "check"]).run().done();
    assert_eq!(listed(place), [(2, 4, 0)]);
}
