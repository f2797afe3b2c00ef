//! A customer's lifecycle by commands, as text for people and as JSON for programs.

use relation_e2e::cli_world::{CliWorld, NODE};
use serde_json::{Value, json};

fn names<'v>(items: &'v Value, member: &str) -> Vec<&'v str> {
    let items = items.as_array().unwrap().iter();
    items.map(|item| item[member].as_str().unwrap()).collect()
}

#[test]
fn lifecycle_in_tables() {
    let world = CliWorld::new().without_store();
    let (organization, grant) = world.organization_with_grant("Contoso");
    let workspace = &world.workspace;
    let say = |arguments: &[&str]| workspace.relation(arguments).run().succeeds().stdout;

    let none = workspace.relation(["list"]).run().exits(3);
    none.reports(&["there is no store", "relation-host init"]);
    say(&["init"]);

    workspace.write("tokens.json", &grant.json().to_string());
    let added = world
        .add("Contoso")
        .args(["--account-number", &organization.uuid])
        .args(["--tokens", "tokens.json"])
        .run()
        .succeeds()
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
    assert_eq!(wakeups.lines().count(), 4, "{wakeups}");
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
    let empty = workspace.relation(["list"]).run().succeeds();
    assert!(
        empty.stdout.is_empty() && empty.stderr.contains("nothing found"),
        "{empty:?}"
    );
    world.emulator.assert_sound();
}

#[test]
fn json_reports_the_whole_lifecycle() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    let workspace = &world.workspace;
    let pkid = customer.pkid.as_str();

    let page = workspace.json(["list"]);
    assert_eq!(page["next"], Value::Null);
    let [row] = page["items"].as_array().unwrap().as_slice() else {
        panic!("one customer: {page:#}");
    };
    assert_eq!(row["pkid"], pkid);
    assert_eq!(row["hierarchy"], NODE);
    assert_eq!(row["state"], "connected");
    assert_eq!(row["access_token_expires"]["assumed"], false);
    assert!(row["refresh_token_expires"]["at"].is_number(), "{row:#}");

    let shown = workspace.json(["show", pkid]);
    assert_eq!(
        shown["fields"]["account_number_external"],
        customer.organization.uuid.as_str()
    );
    assert_eq!(
        shown["fields"]["account_number"],
        customer.organization.id.as_str()
    );
    assert_eq!(shown["owned_documents"].as_array().unwrap().len(), 5);
    assert_eq!(shown["alerts"], json!([]));
    let mut wakeups = names(&shown["wakeups"], "id");
    wakeups.sort_unstable();
    assert_eq!(wakeups, ["expiry", "refresh", "sync.roles-licenses"]);
    assert_eq!(
        workspace.json(["wakeups", pkid])["items"]
            .as_array()
            .unwrap()
            .len(),
        3
    );

    let refreshed = workspace.json(["refresh", pkid]);
    assert_eq!(refreshed["outcome"], "connected");
    assert_eq!(refreshed["joined"], false);
    let id = refreshed["transaction"].as_str().unwrap();
    let transaction = workspace.json(["transactions", id]);
    assert_eq!(transaction["status"], "Success");
    assert_eq!(transaction["subject_name"], "Contoso");
    assert!(transaction["completed"].is_number(), "{transaction:#}");
    let followed = workspace
        .relation(["transactions", id, "--follow", "--json"])
        .run()
        .succeeds();
    let last: Value = serde_json::from_str(followed.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["event"], &last["id"]),
        (&json!("transaction"), &json!(id))
    );

    let checked = workspace.json(["check-expiry", pkid]);
    assert_eq!(checked["alert"], Value::Null);
    assert!(checked["refresh_token_remaining_ms"].as_u64().unwrap() > 89 * 86_400_000);

    let dry = workspace.json(["delete", pkid, "--dry-run"]);
    let done = workspace.json(["delete", pkid, "--yes"]);
    assert_eq!(dry["documents"], done["documents"]);
    assert_eq!(done["documents"].as_array().unwrap().len(), 6);
    assert_eq!(done["revocation"]["result"], "revoked");
    // The transactions of a deleted record still know its key.
    let page = workspace.json(["transactions", "--subject", pkid]);
    let actions = names(&page["items"], "action");
    assert_eq!(actions.first(), Some(&"delete"), "{actions:?}");
    assert_eq!(actions.last(), Some(&"add"), "{actions:?}");
}

#[test]
fn repeated_add_creates_one_customer() {
    let world = CliWorld::new();
    let add = || {
        let add = world.add("Contoso");
        add.args(["--idempotency-key", "order-1"])
    };
    let first = add().arg("--json").run().succeeds().json();
    let second = add().arg("--json").run().succeeds().json();
    assert_eq!(
        (&first["replayed"], &second["replayed"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(first["connection"]["pkid"], second["connection"]["pkid"]);
    assert_eq!(first["created"], second["created"]);
    let reported = add().run().succeeds().stdout;
    assert!(reported.contains("no record was added"), "{reported}");
    assert_eq!(
        world.workspace.json(["list"])["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn modify_changes_fields_and_renames_documents() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    let workspace = &world.workspace;
    let pkid = customer.pkid.as_str();

    workspace.json([
        "modify",
        pkid,
        "--account-email",
        "admin@contoso.example",
        "--name",
        "Fabrikam",
    ]);
    let shown = workspace.json(["show", "Fabrikam"]);
    assert_eq!(shown["fields"]["account_email"], "admin@contoso.example");
    let parts = names(&shown["owned_documents"], "name");
    assert!(parts.contains(&"SyncSparkUsersFabrikam"), "{parts:?}");
    assert!(
        parts.iter().all(|name| !name.contains("Contoso")),
        "{parts:?}"
    );
    workspace.json(["modify", pkid, "--contact-center", "--region", "EU"]);
    workspace.json([
        "modify",
        pkid,
        "--set",
        "webex_contact_center=false",
        "--clear",
        "base_url_setting",
    ]);
    workspace.json(["modify", pkid, "--clear", "account_email"]);
    let shown = workspace.json(["show", pkid]);
    let cleared = &shown["fields"]["account_email"];
    assert!(cleared.is_null() || cleared == "", "{cleared}");

    workspace
        .relation(["modify", pkid])
        .run()
        .exits(2)
        .reports(&["there is nothing to change"]);
    let again = world
        .emulator
        .grant(&customer.organization, customer.grant.scopes().to_vec());
    let modified = workspace
        .relation(["modify", pkid, "--json", "--tokens", "-"])
        .stdin(again.json().to_string())
        .run()
        .succeeds()
        .json();
    assert_eq!(modified["state"], "connected");
    let foreign = world.organization_with_grant("Northwind").1;
    workspace
        .relation(["modify", pkid, "--tokens", "-"])
        .stdin(foreign.json().to_string())
        .run()
        .exits(2)
        .reports(&["the tokens belong to"]);
}

#[test]
fn long_listings_come_in_pages() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    for name in ["A", "B", "C"] {
        workspace.json(["add", "--hierarchy", NODE, "--name", name]);
    }
    let first = workspace.json(["list", "--limit", "2"]);
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let next = first["next"].as_str().expect("there is more").to_owned();
    let second = workspace.json(["list", "--limit", "2", "--cursor", &next]);
    assert_eq!(second["items"].as_array().unwrap().len(), 1);
    assert_eq!(second["next"], Value::Null);
    assert_eq!(
        workspace.json(["list", "--all"])["items"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    let reported = workspace
        .relation(["list", "--limit", "2"])
        .run()
        .succeeds();
    assert!(reported.stderr.contains("--cursor"), "{}", reported.stderr);
    let state = workspace.json(["list", "--state", "not-connected"]);
    assert_eq!(state["items"].as_array().unwrap().len(), 3);
    assert_eq!(
        workspace.json(["list", "--name", "B"])["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    workspace
        .relation(["list", "--state", "conected"])
        .run()
        .exits(2)
        .reports(&["connected"]);
    workspace
        .relation(["list", "--cursor", "nonsense"])
        .run()
        .exits(2);
}

#[test]
fn run_until_idle_runs_only_due_wakeups() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    // Pasted tokens are refreshed a second later, and roles and licenses are imported.
    let first = world.workspace.json(["run", "--until-idle"]);
    assert_eq!((&first["done"], &first["failed"]), (&json!(2), &json!(0)));
    assert_eq!(world.token_requests().len(), 1);
    let idle = world.workspace.json(["run", "--until-idle"]);
    assert_eq!((&idle["done"], &idle["failed"]), (&json!(0), &json!(0)));
    assert_eq!(world.token_requests().len(), 1);
    assert_eq!(world.state(&customer), "connected");
}

#[test]
fn lists_are_sorted_as_requested() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    for name in ["delta", "Bravo", "charlie"] {
        workspace.json(["add", "--hierarchy", NODE, "--name", name]);
    }
    world.add_customer("alpha");
    let below = format!("{NODE}.Below");
    workspace.json(["add", "--hierarchy", &below, "--name", "A"]);
    let listed = |arguments: &[&str]| {
        let page = workspace.json(["list"].iter().chain(arguments));
        let items = names(&page["items"], "name").into_iter();
        let items: Vec<String> = items.map(str::to_owned).collect();
        (items, page["next"].as_str().map(str::to_owned))
    };
    let by_urgency = ["A", "Bravo", "charlie", "delta", "alpha"];
    assert_eq!(listed(&[]).0, by_urgency);
    let by_name = ["A", "Bravo", "alpha", "charlie", "delta"];
    assert_eq!(listed(&["--sort", "name"]).0, by_name);
    assert_eq!(listed(&["--sort", "expiry"]).0[0], "alpha");
    let mut paged = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let cursor = next.iter().flat_map(|cursor| ["--cursor", cursor.as_str()]);
        let arguments: Vec<&str> = ["--limit", "2"].into_iter().chain(cursor).collect();
        let (items, more) = listed(&arguments);
        paged.extend(items);
        let Some(more) = more else { break };
        let other = ["list", "--sort", "name", "--cursor", &more];
        workspace.relation(other).run().exits(2);
        next = Some(more);
    }
    assert_eq!(paged, by_urgency);
}

#[test]
fn table_fits_the_terminal_and_escapes_controls() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    let long = "Gesellschaft für Öffentlichkeitsarbeit und Verwaltung mbH & Co. KG";
    let node = "sys.Provider.Reseller.Sub-Reseller.Gesellschaft.Standort";
    workspace.json(["add", "--hierarchy", node, "--name", long]);
    let customer = world.add_customer("Contoso");
    for (width, most) in [("80", 80), ("60", 60)] {
        for command in [
            vec!["list"],
            vec!["wakeups"],
            vec!["transactions"],
            vec!["keys", "list"],
            vec!["stash", "list"],
            vec!["delete", &customer.pkid, "--dry-run"],
        ] {
            let output = workspace
                .relation(&command)
                .env("COLUMNS", width)
                .run()
                .succeeds();
            let table = output
                .stdout
                .lines()
                .filter(|line| !line.starts_with("tokens:"));
            for line in table {
                assert!(line.chars().count() <= most, "{command:?}: {line}");
            }
        }
    }
    let listed = workspace.relation(["list"]).run().succeeds().stdout;
    assert!(listed.contains(long) && listed.contains(node), "{listed}");
    let refused = workspace
        .relation(["show", "Con\u{202e}toso"])
        .run()
        .exits(3);
    assert!(!refused.stderr.contains('\u{202e}'), "{refused:?}");
}
