//! Forms that are refused, with all errors at once.

use relation_app::config::RedirectAddress;
use relation_web::access::first_administrator_link;
use relation_web::{Web, WebOptions};

use super::{add, assert_refused, between, world};
use crate::support::{PUBLIC_URL, location, post, principal};

const NODE_ERROR: &str = "#f-hierarchy";
const NAME_ERROR: &str = "a name has 1 to 100";

#[tokio::test(flavor = "multi_thread")]
async fn wrong_node_hides_no_other_error() {
    let (world, anonymous, client) = world().await;
    let redirect = RedirectAddress::parse("http://127.0.0.1:8400/callback").unwrap();
    let options = WebOptions::new(PUBLIC_URL.parse().unwrap(), redirect);
    let model = world.host().describe().await.unwrap();
    let web = Web::new(world.host().clone(), model, options);
    let link = first_administrator_link(web.access()).await.unwrap();
    let link = link.unwrap().url.path().to_owned();
    let wrong = [
        ("name", "a b"),
        ("hierarchy", "sys..A"),
        ("password", "short"),
        ("repeat", "differs"),
    ];
    let parts = [
        NODE_ERROR,
        NAME_ERROR,
        "a password has at least",
        "differs from the password",
    ];
    assert_refused(&post(&anonymous, &link, &wrong).await, &parts);

    let right = [
        ("name", "bob"),
        ("hierarchy", "sys.A"),
        ("grants[0].role", "auditor"),
    ];
    let added = post(&client, "/users/new", &right).await;
    let user = between(&added.text, "href=\"/users/", "\"").to_owned();
    let link = between(&added.text, "class=\"mono copy\">", "<");
    let link = format!("/{}", link.trim_start_matches(PUBLIC_URL));
    let wrong = [("password", "short"), ("repeat", "differs")];
    assert_refused(&post(&anonymous, &link, &wrong).await, &parts[2..]);

    for node in ["sys..A", "not a node"] {
        let wrong = [
            ("name", "a b"),
            ("hierarchy", node),
            // The second field of the form is the first role.
            ("grants[1].role", "king"),
            ("grants[1].node", "sys.A"),
            ("grants[2].role", "auditor"),
            ("grants[2].node", ".."),
        ];
        for path in ["/users/new", "/keys/new"] {
            let refused = post(&client, path, &wrong).await;
            let parts = [
                NODE_ERROR,
                NAME_ERROR,
                "#f-grants-1--role",
                "there is no role",
                "#f-grants-2--node",
            ];
            assert_refused(&refused, &parts);
        }
        let refused = post(&client, "/roles/new", &wrong).await;
        let parts = [NODE_ERROR, NAME_ERROR, "name at least one operation"];
        assert_refused(&refused, &parts);
    }
    for node in ["sys..A", "", "sys.A\u{a0}B"] {
        let long = "x".repeat(1025);
        let wrong = [
            ("name", long.as_str()),
            ("hierarchy", node),
            ("account_email", "nobody"),
        ];
        let refused = post(&client, "/organizations/new", &wrong).await;
        let parts = [
            "#f-hierarchy",
            "has 1025 characters",
            "is not an e-mail address",
        ];
        assert_refused(&refused, &parts);
    }
    let wrong = [
        ("grants[0].role", "king"),
        ("grants[1].role", "auditor"),
        ("grants[1].node", ".."),
    ];
    let refused = post(&client, &format!("/users/{user}/grants"), &wrong).await;
    assert_refused(&refused, &["#f-grants-0--role", "#f-grants-1--node"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn node_and_taken_name_are_wrong_together() {
    let (_world, _, client) = world().await;
    let key = [
        ("name", "sync"),
        ("hierarchy", "sys.A"),
        ("grants[0].role", "machine"),
    ];
    let role = [
        ("name", "desk"),
        ("hierarchy", "sys.A"),
        ("operations", "read"),
    ];
    for (path, fields, wrong) in [
        ("/keys/new", key, ("grants[0].node", "sys.B")),
        ("/roles/new", role, ("operations", "refresh")),
    ] {
        post(&client, path, &fields).await;
        let [name, node, _] = fields;
        let again = [name, node, ("grants[0].role", "machine"), wrong];
        let refused = post(&client, path, &again).await;
        assert_refused(&refused, &["of this node has this name"]);
        assert_eq!(refused.text.matches("<a href=\"#f-").count(), 2, "{path}");
    }
    // A character that changes the order of the others is shown by its code.
    for path in ["/users/new", "/keys/new", "/roles/new"] {
        let fields = [
            ("name", "x"),
            ("hierarchy", "sys.Con\u{202e}toso"),
            ("operations", "read"),
        ];
        let refused = post(&client, path, &fields).await;
        assert_refused(&refused, &[NODE_ERROR, "the character U+202E"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_one_organization_are_named() {
    let (world, anonymous, client) = world().await;
    let contoso = world.emulator.create_organization("Contoso");
    let first = add(&client, &contoso, &[]).await;
    let other = [
        ("hierarchy", "sys.B"),
        ("name", "Contoso again"),
        ("account_number_external", contoso.uuid.as_str()),
    ];
    let second = location(&post(&client, "/organizations/new", &other).await);
    let second = second.split_once('?').unwrap().0;
    let warning = "have the same organization at Webex";
    let shown = client.get(&first).await.text;
    let link = format!("<a href=\"{second}\"><bdi>Contoso again</bdi>");
    assert!(shown.contains(warning) && shown.contains(&link), "{shown}");
    // Without a right at the other node, there is no warning.
    let local = anonymous.with(principal("customer-administrator", "sys.A"));
    let shown = local.get(&first).await.text;
    assert!(!shown.contains(warning) && !shown.contains("Contoso again"));
}
