//! A customer's life by commands, as a person reads it and as a program does.

use relation_e2e::scene::{NODE, Scene};
use serde_json::{Value, json};

fn names<'v>(items: &'v Value, member: &str) -> Vec<&'v str> {
    let items = items.as_array().unwrap().iter();
    items.map(|item| item[member].as_str().unwrap()).collect()
}

#[test]
fn a_person_follows_it_in_tables() {
    let scene = Scene::new();
    let (organization, grant) = scene.granted("Contoso");
    let place = &scene.place;
    let say = |arguments: &[&str]| place.relation(arguments).run().done().stdout;

    let none = place.relation(["list"]).run().exits(3);
    none.says(&["there is no store", "relation-host add"]);

    place.write("tokens.json", &grant.json().to_string());
    let added = scene
        .add("Contoso")
        .args(["--account-number", &organization.uuid])
        .args(["--tokens", "tokens.json"])
        .run()
        .done()
        .stdout;
    for text in [
        "Contoso",
        "connected",
        "13 d 23 h left",
        "89 d 23 h left",
        "data/DataSync",
    ] {
        assert!(added.contains(text), "{text}:\n{added}");
    }
    let listed = say(&["list"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    for text in [
        "NAME",
        "ACCESS TOKEN",
        "Contoso",
        NODE,
        "connected",
        "13 d 23 h",
        "89 d 23 h",
    ] {
        assert!(listed.contains(text), "{text}:\n{listed}");
    }
    let shown = say(&["show", "Contoso"]);
    for text in [
        organization.uuid.as_str(),
        "SyncSparkContoso",
        "WAKEUP",
        "refresh",
        "expiry",
    ] {
        assert!(shown.contains(text), "{text}:\n{shown}");
    }
    assert!(say(&["refresh", "Contoso"]).contains("connected"));
    assert!(say(&["check-expiry", "Contoso"]).contains("89 d 23 h left"));
    let wakeups = say(&["wakeups"]);
    assert_eq!(wakeups.lines().count(), 3, "{wakeups}");
    let transactions = say(&["transactions"]);
    for text in ["STARTED", "Success", "Contoso", "refresh", " ms"] {
        assert!(transactions.contains(text), "{text}:\n{transactions}");
    }
    let dry = say(&["delete", "Contoso", "--dry-run"]);
    assert!(
        dry.contains("WOULD DELETE") && dry.contains("SyncSparkUsersContoso"),
        "{dry}"
    );
    assert!(say(&["list"]).contains("Contoso"));
    let gone = say(&["delete", "Contoso", "--yes"]);
    assert!(
        gone.contains("DELETED") && gone.contains("revoked at Webex"),
        "{gone}"
    );
    let empty = place.relation(["list"]).run().done();
    assert!(
        empty.stdout.is_empty() && empty.stderr.contains("nothing found"),
        "{empty:?}"
    );
    scene.emulator.assert_sound();
}

#[test]
fn a_program_reads_it_as_json() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    let place = &scene.place;
    let pkid = customer.pkid.as_str();

    let page = place.json(["list"]);
    assert_eq!(page["next"], Value::Null);
    let [row] = page["items"].as_array().unwrap().as_slice() else {
        panic!("one customer: {page:#}");
    };
    assert_eq!(row["pkid"], pkid);
    assert_eq!(row["hierarchy"], NODE);
    assert_eq!(row["state"], "connected");
    assert_eq!(row["access_token_expires"]["assumed"], false);
    assert!(row["refresh_token_expires"]["at"].is_number(), "{row:#}");

    let shown = place.json(["show", pkid]);
    assert_eq!(
        shown["fields"]["account_number_external"],
        customer.organization.uuid.as_str()
    );
    assert_eq!(
        shown["fields"]["account_number"],
        customer.organization.id.as_str()
    );
    assert_eq!(shown["parts"].as_array().unwrap().len(), 5);
    assert_eq!(shown["alerts"], json!([]));
    let mut wakeups = names(&shown["wakeups"], "id");
    wakeups.sort_unstable();
    assert_eq!(wakeups, ["expiry", "refresh"]);
    assert_eq!(
        place.json(["wakeups", pkid])["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    let refreshed = place.json(["refresh", pkid]);
    assert_eq!(refreshed["outcome"], "connected");
    assert_eq!(refreshed["joined"], false);
    let id = refreshed["transaction"].as_str().unwrap();
    let transaction = place.json(["transactions", id]);
    assert_eq!(transaction["status"], "Success");
    assert_eq!(transaction["subject_name"], "Contoso");
    assert!(transaction["completed"].is_number(), "{transaction:#}");
    let followed = place
        .relation(["transactions", id, "--follow", "--json"])
        .run()
        .done();
    let last: Value = serde_json::from_str(followed.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["event"], &last["id"]),
        (&json!("transaction"), &json!(id))
    );

    let checked = place.json(["check-expiry", pkid]);
    assert_eq!(checked["alert"], Value::Null);
    assert!(checked["refresh_token_remaining_ms"].as_u64().unwrap() > 89 * 86_400_000);

    let dry = place.json(["delete", pkid, "--dry-run"]);
    let done = place.json(["delete", pkid, "--yes"]);
    assert_eq!(dry["documents"], done["documents"]);
    assert_eq!(done["documents"].as_array().unwrap().len(), 6);
    assert_eq!(done["revocation"]["result"], "revoked");
    // What was deleted is known by its key to its transactions.
    let page = place.json(["transactions", "--subject", pkid]);
    let actions = names(&page["items"], "action");
    assert_eq!(actions.first(), Some(&"delete"), "{actions:?}");
    assert_eq!(actions.last(), Some(&"add"), "{actions:?}");
}

#[test]
fn the_same_add_twice_makes_one_customer() {
    let scene = Scene::new();
    let add = || {
        let add = scene.add("Contoso");
        add.args(["--idempotency-key", "order-1"])
    };
    let first = add().arg("--json").run().done().json();
    let second = add().arg("--json").run().done().json();
    assert_eq!(
        (&first["replayed"], &second["replayed"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(first["connection"]["pkid"], second["connection"]["pkid"]);
    assert_eq!(first["created"], second["created"]);
    let told = add().run().done().stdout;
    assert!(told.contains("nothing was made"), "{told}");
    assert_eq!(
        scene.place.json(["list"])["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn modify_changes_what_is_given_and_renames_what_carries_the_name() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    let place = &scene.place;
    let pkid = customer.pkid.as_str();

    place.json([
        "modify",
        pkid,
        "--account-email",
        "admin@contoso.example",
        "--name",
        "Fabrikam",
    ]);
    let shown = place.json(["show", "Fabrikam"]);
    assert_eq!(shown["fields"]["account_email"], "admin@contoso.example");
    let parts = names(&shown["parts"], "name");
    assert!(parts.contains(&"SyncSparkUsersFabrikam"), "{parts:?}");
    assert!(
        parts.iter().all(|name| !name.contains("Contoso")),
        "{parts:?}"
    );
    place.json(["modify", pkid, "--contact-center", "--region", "EU"]);
    place.json([
        "modify",
        pkid,
        "--set",
        "webex_contact_center=false",
        "--clear",
        "base_url_setting",
    ]);
    place.json(["modify", pkid, "--clear", "account_email"]);
    let shown = place.json(["show", pkid]);
    let cleared = &shown["fields"]["account_email"];
    assert!(cleared.is_null() || cleared == "", "{cleared}");

    place
        .relation(["modify", pkid])
        .run()
        .exits(2)
        .says(&["nothing is to be changed"]);
    let again = scene
        .emulator
        .grant(&customer.organization, customer.grant.scopes().to_vec());
    let modified = place
        .relation(["modify", pkid, "--json", "--tokens", "-"])
        .stdin(again.json().to_string())
        .run()
        .done()
        .json();
    assert_eq!(modified["state"], "connected");
    let foreign = scene.granted("Northwind").1;
    place
        .relation(["modify", pkid, "--tokens", "-"])
        .stdin(foreign.json().to_string())
        .run()
        .exits(2)
        .says(&["the tokens belong to"]);
}

#[test]
fn long_listings_come_in_pages() {
    let scene = Scene::new();
    let place = &scene.place;
    for name in ["A", "B", "C"] {
        place.json(["add", "--hierarchy", NODE, "--name", name]);
    }
    let first = place.json(["list", "--limit", "2"]);
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let next = first["next"].as_str().expect("there is more").to_owned();
    let second = place.json(["list", "--limit", "2", "--cursor", &next]);
    assert_eq!(second["items"].as_array().unwrap().len(), 1);
    assert_eq!(second["next"], Value::Null);
    assert_eq!(
        place.json(["list", "--all"])["items"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    let told = place.relation(["list", "--limit", "2"]).run().done();
    assert!(told.stderr.contains("--cursor"), "{}", told.stderr);
    let state = place.json(["list", "--state", "not-connected"]);
    assert_eq!(state["items"].as_array().unwrap().len(), 3);
    assert_eq!(
        place.json(["list", "--name", "B"])["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    place
        .relation(["list", "--state", "conected"])
        .run()
        .exits(2)
        .says(&["connected"]);
    place
        .relation(["list", "--cursor", "nonsense"])
        .run()
        .exits(2);
}

#[test]
fn run_until_idle_does_what_is_due_and_nothing_else() {
    let scene = Scene::new();
    let customer = scene.customer("Contoso");
    let idle = scene.place.json(["run", "--until-idle"]);
    assert_eq!((&idle["done"], &idle["failed"]), (&json!(0), &json!(0)));
    assert!(scene.token_requests().is_empty());
    assert_eq!(scene.state(&customer), "connected");
}

#[test]
fn lists_are_in_the_order_that_is_asked_for() {
    let scene = Scene::new();
    let place = &scene.place;
    for name in ["delta", "Bravo", "charlie"] {
        place.json(["add", "--hierarchy", NODE, "--name", name]);
    }
    scene.customer("alpha");
    let below = format!("{NODE}.Below");
    place.json(["add", "--hierarchy", &below, "--name", "A"]);
    let listed = |arguments: &[&str]| {
        let page = place.json(["list"].iter().chain(arguments));
        let items = names(&page["items"], "name").into_iter();
        let items: Vec<String> = items.map(str::to_owned).collect();
        (items, page["next"].as_str().map(str::to_owned))
    };
    let by_name = ["alpha", "Bravo", "charlie", "delta", "A"];
    assert_eq!(listed(&[]).0, by_name);
    assert_eq!(listed(&["--sort", "expiry"]).0[0], "alpha");
    assert_eq!(listed(&["--sort", "state"]).0[4], "alpha");
    let mut paged = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let cursor = next.iter().flat_map(|cursor| ["--cursor", cursor.as_str()]);
        let arguments: Vec<&str> = ["--limit", "2"].into_iter().chain(cursor).collect();
        let (items, more) = listed(&arguments);
        paged.extend(items);
        let Some(more) = more else { break };
        let other = ["list", "--sort", "state", "--cursor", &more];
        place.relation(other).run().exits(2);
        next = Some(more);
    }
    assert_eq!(paged, by_name);
}

#[test]
fn a_table_fits_the_terminal_and_shows_what_cannot_be_seen() {
    let scene = Scene::new();
    let place = &scene.place;
    let long = "Gesellschaft für Öffentlichkeitsarbeit und Verwaltung mbH & Co. KG";
    let node = "sys.Provider.Reseller.Sub-Reseller.Gesellschaft.Standort";
    place.json(["add", "--hierarchy", node, "--name", long]);
    let customer = scene.customer("Contoso");
    for (width, most) in [("80", 80), ("60", 60)] {
        for command in [
            vec!["list"],
            vec!["wakeups"],
            vec!["transactions"],
            vec!["keys", "list"],
            vec!["stash", "list"],
            vec!["delete", &customer.pkid, "--dry-run"],
        ] {
            let ran = place.relation(&command).env("COLUMNS", width).run().done();
            let table = ran
                .stdout
                .lines()
                .filter(|line| !line.starts_with("tokens:"));
            for line in table {
                assert!(line.chars().count() <= most, "{command:?}: {line}");
            }
        }
    }
    let listed = place.relation(["list"]).run().done().stdout;
    assert!(listed.contains(long) && listed.contains(node), "{listed}");
    let refused = place.relation(["show", "Con\u{202e}toso"]).run().exits(3);
    assert!(!refused.stderr.contains('\u{202e}'), "{refused:?}");
}
