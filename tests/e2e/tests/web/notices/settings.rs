//! The lifecycle of settings, their errors, and their inheritance.

use axum::body::Body;
use axum::http::{Method, Request, header};
use relation_e2e::world::{Customer, World, WorldBuilder};
use serde_json::{Value, json};

use super::{PATH, SETTINGS, changed, events, webhook};
use crate::support::{Client, Response, notices, principal};

const NODE: &str = "sys.A.B";

async fn put_if(client: &Client, path: &str, body: &Value, tag: &str) -> Response {
    let request = Request::put(path)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::IF_MATCH, tag);
    client
        .send(request.body(Body::from(body.to_string())).unwrap())
        .await
}

fn tag(response: &Response) -> String {
    response.headers[header::ETAG].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_saved_shown_and_removed() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let client = anonymous.with(principal("provider-administrator", "sys.A"));
    let path = format!("{SETTINGS}{NODE}/");
    let none = client.get(&path).await;
    assert_eq!(tag(&none), "\"0\"");
    let shown = none.expect(200);
    assert_eq!(shown["data"]["notify"], "inherit");
    assert_eq!(shown["data"]["recipients"], "inherit");

    let url = format!("https://hooks.example.com/{PATH}");
    let input = json!({
        "thresholds": ["30d", 172_800],
        "recipients": [
            "it@example.com", webhook("tickets", &url),
            webhook("chat", "https://hooks.example.com/canary-path-2"),
        ],
    });
    let first = put_if(&client, &path, &input, "\"0\"").await;
    let saved = first.expect(200);
    assert_eq!(saved["data"]["thresholds"]["values"], json!(["30d", "2d"]));
    assert_eq!(saved["new_secrets"][0]["id"], "tickets");
    assert_eq!(saved["secrets"]["tickets"]["set"], true);
    assert_eq!(saved["health"]["tickets"]["disabled"], Value::Null);
    let stale = put_if(&client, &path, &input, "\"0\"").await;
    assert_eq!(stale.status, 412, "{stale:?}");

    // The shown settings can be saved again: the path of the webhook is kept.
    let mut again = saved["data"].clone();
    again["language"] = "de".into();
    let second = put_if(&client, &path, &again, &tag(&first)).await;
    assert_eq!(second.expect(200)["new_secrets"], json!([]));
    assert_no_path_in_files(&world);
    // Another path of the same server is a change of the recipients.
    again["recipients"]["values"][1]["url"] = "https://hooks.example.com/canary-path-3".into();
    let third = client.json(Method::PUT, &path, &again).await;
    third.expect(200);
    assert_no_path_in_files(&world);
    let wrong = json!({ "recipients": [webhook("tickets", "https://elsewhere.example.com/…")] });
    let wrong = client.json(Method::PUT, &path, &wrong).await;
    wrong.expect(422);
    assert_eq!(wrong.error_fields(), ["recipients.0.url"]);

    let pkid = saved["hierarchy_pkid"].as_str().unwrap();
    let by_pkid = client.get(format!("{SETTINGS}{pkid}/")).await.expect(200);
    assert_eq!(by_pkid["data"]["language"], "de");
    let list = client.get(SETTINGS).await.expect(200);
    assert_eq!(list["resources"][0]["hierarchy"], NODE);
    let node = format!("/api/data/HierarchyNode/{pkid}/");
    let in_use = client.json(Method::DELETE, &node, &json!({})).await;
    assert_eq!(in_use.status, 409, "{in_use:?}");
    for status in [204, 404] {
        let removed = client.json(Method::DELETE, &path, &json!({})).await;
        assert_eq!(removed.status, status, "{removed:?}");
    }
    let in_use = client.json(Method::DELETE, &node, &json!({})).await;
    assert_eq!(in_use.status, 204, "{in_use:?}");

    let saves = events(&client, "save-notice-settings").await;
    assert_eq!(
        changed(&saves[0]),
        [
            "recipients",
            "thresholds",
            "secrets.tickets",
            "secrets.chat"
        ]
    );
    assert_eq!(changed(&saves[1]), ["language"]);
    assert_eq!(changed(&saves[2]), ["recipients"]);
    assert_eq!(saves.len(), 3);
    assert_eq!(events(&client, "remove-notice-settings").await.len(), 1);
    let log = client.get("/api/data/AuditEvent/").await;
    for text in [&first.text, &second.text, &list.to_string(), &log.text] {
        assert!(!text.contains("canary"), "{text}");
    }
}

/// Checks that no file of the store has a part of the path of the webhook.
#[track_caller]
fn assert_no_path_in_files(world: &World) {
    let files = std::fs::read_dir(world.directory()).unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    let mut has_settings = false;
    for file in files.iter().filter(|file| file.is_file()) {
        let bytes = std::fs::read(file).unwrap();
        let has = |text: &str| {
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        has_settings |= has("hooks.example.com");
        assert!(!has("canary-path"), "{}", file.display());
        assert!(!has("canary-query"), "{}", file.display());
    }
    assert!(has_settings, "{files:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_errors_of_settings_are_reported_together() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let client = anonymous.with(principal("provider-administrator", "sys.A"));
    let input = json!({
        "thresholds": ["soon"],
        "recipients": [
            "nobody",
            { "type": "snmp", "name": "NOC", "address": "192.0.2.1", "version": "v3" },
            { "type": "webhook", "name": "W", "url": "http://hooks.example.com/", "secret": "canary-1" },
        ],
        "color": "red",
        "request_meta": { "callback_url": "https://crm.example.com/" },
    });
    let refused = client
        .json(Method::PUT, &format!("{SETTINGS}{NODE}/"), &input)
        .await;
    refused.expect(422);
    let mut fields = refused.error_fields();
    fields.sort();
    let expected = [
        "color",
        "recipients.0",
        "recipients.1.user",
        "recipients.2.secret",
        "recipients.2.url",
        "request_meta.callback_url",
        "thresholds.0",
    ];
    assert_eq!(fields, expected);
    assert!(!refused.text.contains("canary"), "{refused:?}");
    let list = client.get(SETTINGS).await.expect(200);
    assert_eq!(list["pagination"]["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_of_unlisted_servers_are_refused() {
    let world = WorldBuilder::default().start().await;
    let path = format!("{SETTINGS}{NODE}/");
    let client = async |origins: &[&str]| {
        let origins: Vec<String> = origins.iter().map(|&origin| origin.to_owned()).collect();
        let notices = notices(&world, &origins);
        let client = Client::with_options(&world, |options| options.notices = Some(notices)).await;
        client.with(principal("provider-administrator", "sys.A"))
    };
    let save = async |client: &Client, recipients: Value| {
        let input = json!({ "recipients": recipients, "language": "de" });
        client.json(Method::PUT, &path, &input).await
    };
    let url = |host: &str| format!("https://{host}.example.com/{PATH}");
    let (hook, old) = (
        webhook("tickets", &url("hooks")),
        webhook("old", &url("old")),
    );
    // Before the operator has listed servers, settings can be prepared.
    save(&client(&[]).await, json!([old])).await.expect(200);
    let client = client(&["https://hooks.example.com"]).await;
    let others = [
        webhook("one", &url("elsewhere")),
        webhook("two", "https://hooks.example.com:8443/"),
        webhook("old", "https://old.example.com:8443/"),
    ];
    let refused = save(&client, json!([hook, others[0], others[1], others[2], "x"])).await;
    refused.expect(422);
    let mut fields = refused.error_fields();
    fields.sort();
    let expected = [
        "recipients.1.url",
        "recipients.2.url",
        "recipients.3.url",
        "recipients.4",
    ];
    assert_eq!(fields, expected);
    assert!(refused.text.contains("notices.webhook-origins"));
    assert!(!refused.text.contains("canary"), "{refused:?}");
    // A stored webhook does not stand in the way of other changes.
    save(&client, json!([hook, old])).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_need_a_node_that_exists_or_may_be_added() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let client = anonymous.with(principal("customer-administrator", "sys.A"));
    let input = json!({ "language": "de" });
    let below = format!("{SETTINGS}sys.A.New/");
    let refused = client.json(Method::PUT, &below, &input).await;
    refused.expect(422);
    assert_eq!(refused.error_fields(), ["hierarchy"]);
    let own = format!("{SETTINGS}sys.A/");
    client.json(Method::PUT, &own, &input).await.expect(200);
    for role in ["operator", "auditor", "machine"] {
        let reader = anonymous.with(principal(role, "sys.A"));
        assert_eq!(reader.get(&own).await.status, 200, "{role}");
        let refused = reader.json(Method::PUT, &own, &input).await;
        assert_eq!(refused.status, 403, "{role}");
    }
    let root = anonymous.with(principal("provider-administrator", "sys"));
    root.json(Method::PUT, &below, &input).await.expect(200);
}

/// Sets the recipients of three levels, and of another tenant.
async fn set_levels(anonymous: &Client) {
    for (node, recipient) in [
        ("sys.Provider", "noc@provider.example"),
        ("sys.Provider.Reseller", "desk@reseller.example"),
        ("sys.Provider.Reseller.Customer", "it@customer.example"),
        ("sys.Provider.Other", "it@other.example"),
    ] {
        let client = anonymous.with(principal("reseller-administrator", node));
        let mut input = json!({
            "recipients": { "mode": "add-to-inherited", "values": [recipient] },
        });
        if node == "sys.Provider" {
            input["thresholds"] = json!(["20d", "3d"]);
            input["quiet_hours"] = json!({ "from": "22:00", "to": "06:00", "zone": "UTC" });
        }
        let path = format!("{SETTINGS}{node}/");
        client.json(Method::PUT, &path, &input).await.expect(200);
    }
}

fn recipients(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap().iter();
    list.map(|each| each["recipient"]["address"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lower_levels_do_not_see_higher_ones() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    set_levels(&anonymous).await;
    let customer = "sys.Provider.Reseller.Customer";
    let path = format!("{SETTINGS}{customer}/resolved/");
    let all = [
        "it@customer.example",
        "desk@reseller.example",
        "noc@provider.example",
    ];
    for (reader, seen, thresholds) in [
        (customer, 1, "inherited"),
        ("sys.Provider.Reseller", 2, "inherited"),
        ("sys.Provider", 3, "sys.Provider"),
    ] {
        let client = anonymous.with(principal("auditor", reader));
        let response = client.get(&path).await;
        let resolved = response.expect(200);
        assert_eq!(recipients(&resolved["recipients"]), all[..seen], "{reader}");
        assert_eq!(resolved["told_above"], seen < 3, "{reader}");
        assert_eq!(resolved["thresholds"]["origin"], thresholds, "{reader}");
        assert_eq!(resolved["thresholds"]["values"][1]["value"], "3d");
        for hidden in all.iter().skip(seen).chain(&["it@other.example"]) {
            assert!(!response.text.contains(hidden), "{response:?}");
        }
    }
    let other = anonymous.with(principal("reseller-administrator", "sys.Provider.Other"));
    assert_eq!(other.get(&path).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn preview_shows_each_reader_the_own_recipients() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    set_levels(&anonymous).await;
    let Customer { pkid, .. } = world.add_customer("Contoso").await;
    let path = format!("/api/relation/SparkCustomer/{pkid}/notices/");
    let mut times = Vec::new();
    for (reader, seen) in [
        ("sys.Provider.Reseller.Customer", 1),
        ("sys.Provider.Reseller", 2),
        ("sys.Provider", 3),
    ] {
        let client = anonymous.with(principal("auditor", reader));
        let response = client.get(&path).await;
        let preview = response.expect(200);
        let grants = preview["grants"].as_array().unwrap();
        assert_eq!(grants.len(), 1, "{preview}");
        let notices = grants[0]["notices"].as_array().unwrap();
        let kinds: Vec<&Value> = notices.iter().map(|each| &each["notice"]["kind"]).collect();
        assert_eq!(kinds, ["expiring", "expiring", "expired"], "{preview}");
        times.push(
            notices
                .iter()
                .map(|each| each["at"].clone())
                .collect::<Vec<_>>(),
        );
        for notice in notices {
            assert_eq!(recipients(&notice["deliveries"]).len(), seen, "{notice}");
            assert_eq!(notice["told_above"], seen < 3, "{notice}");
        }
        assert_eq!(response.text.contains("noc@provider.example"), seen == 3);
    }
    assert!(times.iter().all(|each| *each == times[0]), "{times:?}");
}
