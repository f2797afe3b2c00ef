//! The forms of notices by plain HTTP, as a browser without JavaScript sends them.

use relation_e2e::world::{World, WorldBuilder};

use crate::page_isolation::tenant::put_delivery;
use crate::places::{OWN, Place, objects};
use crate::support::{Client, Response, location, post, principal};

const PATH: &str = "/notices?hierarchy=sys.Provider.Reseller";
const EDIT: &str = "/notices/edit?hierarchy=sys.Provider.Reseller";

/// Creates a world with a node, a client with every right, and one of the node.
async fn world() -> (World, Client, Client) {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let root = anonymous.with(principal("provider-administrator", "sys"));
    objects(&root, Place::Own).await;
    let own = anonymous.with(principal("reseller-administrator", OWN));
    (world, root, own)
}

fn recipient(node: &str, channel: &str) -> String {
    format!("/notices/recipient?hierarchy={node}&type={channel}")
}

#[track_caller]
fn assert_shows(response: &Response, texts: &[&str]) {
    for text in texts {
        assert!(response.text.contains(text), "{text}: {}", response.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_levels_above_are_inherited_and_not_named() {
    let (_world, root, own) = world().await;
    let above = "/notices/edit?hierarchy=sys.Provider";
    let form = [("retrying_after", "12h"), ("language", "de")];
    assert_eq!(post(&root, above, &form).await.status, 303);
    let form = [("address", "noc@provider.example")];
    let added = post(&root, &recipient("sys.Provider", "mail"), &form).await;
    assert_eq!(location(&added), "/notices?hierarchy=sys.Provider");

    let form = own.get(EDIT).await;
    assert_shows(
        &form,
        &[
            "Empty: inherited, 12h (inherited).",
            "Inherit: Deutsch (inherited)",
        ],
    );
    let saved = post(&own, EDIT, &[("language", "en"), ("notify", "no")]).await;
    assert_eq!(location(&saved), PATH);
    let shown = own.get(PATH).await;
    assert_shows(
        &shown,
        &[
            "English",
            "this level",
            "A level above is told too.",
            "Notices are off",
        ],
    );
    for text in ["noc@provider.example", "sys.Provider<", "sys.Provider\""] {
        assert!(!shown.text.contains(text), "{text}: {}", shown.text);
    }
    // The provider sees its own level by name.
    assert_shows(
        &root.get(PATH).await,
        &["noc@provider.example", "sys.Provider<"],
    );

    let asked = post(&own, &PATH.replace("?", "/remove?"), &[]).await;
    assert_shows(&asked, &["Remove the notice settings of this level?"]);
    let removed = post(
        &own,
        &PATH.replace("?", "/remove?"),
        &[("confirmed", "yes")],
    )
    .await;
    assert_eq!(location(&removed), PATH);
    assert!(!own.get(PATH).await.text.contains("English"));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_errors_are_shown_and_nothing_is_lost() {
    let (_world, _, own) = world().await;
    let form = [
        ("thresholds.mode", "inherit"),
        ("thresholds", "21d"),
        ("kinds.mode", "replace"),
        ("budget", "many"),
        ("digest", "daily"),
        ("digest.hour", "25"),
        ("quiet_hours", "off"),
        ("quiet_hours.from", "22:00"),
        ("reminder", "14d"),
    ];
    let refused = post(&own, EDIT, &form).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    for id in [
        "f-thresholds",
        "f-kinds",
        "f-budget",
        "f-digest-hour",
        "f-digest-zone",
        "f-quiet-hours-from",
    ] {
        assert_shows(
            &refused,
            &[&format!("href=\"#{id}\""), &format!("id=\"{id}-error\"")],
        );
    }
    for value in ["21d", "many", "25", "22:00", "14d"] {
        assert_shows(&refused, &[&format!("value=\"{value}\"")]);
    }
    assert!(!own.get(PATH).await.text.contains("Every 14d"));

    // A choice that is taken back drops what the form had shown.
    let form = [
        ("thresholds.mode", "replace"),
        ("thresholds", "21d, 90m"),
        ("kinds.mode", "replace"),
        ("kinds", "expired"),
        ("digest", "daily"),
        ("digest.hour", "7"),
        ("digest.zone", "Europe/Zurich"),
    ];
    assert_eq!(post(&own, EDIT, &form).await.status, 303);
    let wanted = ["21d, 90m", "One a day, at 07:00 Europe/Zurich"];
    assert_shows(&own.get(PATH).await, &wanted);
    let form = [
        ("thresholds.mode", "inherit"),
        ("thresholds", "21d, 90m"),
        ("was.thresholds", "21d, 90m"),
        ("kinds.mode", "inherit"),
        ("kinds", "expired"),
        ("was.kinds", "expired"),
        ("digest", "inherit"),
        ("digest.hour", "7"),
        ("was.digest.hour", "7"),
        ("digest.zone", "Europe/Zurich"),
        ("was.digest.zone", "Europe/Zurich"),
        ("settings-version", "1"),
    ];
    let again = post(&own, EDIT, &form).await;
    assert_eq!(again.status, 303, "{again:?}");
    let late = post(&own, EDIT, &form).await;
    assert_eq!(late.status, 412, "{late:?}");
    assert_shows(
        &late,
        &["Something changed in the meantime", "value=\"21d, 90m\""],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_recipients_are_shown_once_or_never() {
    let (_world, _, own) = world().await;
    let form = [
        ("name", "tickets"),
        ("url", "https://t.example/canary-path?token=canary-token"),
    ];
    let added = post(&own, &recipient(OWN, "webhook"), &form).await;
    assert_shows(&added, &["whsec_", "It is shown only now."]);
    let shown = own.get(PATH).await;
    assert!(!shown.text.contains("whsec_"), "{}", shown.text);
    let (_, id) = shown.text.split_once("id=webhook-").expect("a webhook");
    let id = format!("webhook-{}", &id[..16]);
    let of = |path: &str| format!("/notices/recipient{path}?hierarchy={OWN}&id={id}");
    let edit = own.get(of("")).await;
    assert_shows(&edit, &["https://t.example/…"]);
    // The hidden path is kept.
    let form = [("name", "desk"), ("url", "https://t.example/…")];
    assert_eq!(location(&post(&own, &of(""), &form).await), PATH);
    let form = [("name", "desk"), ("url", "https://other.example/…")];
    let refused = post(&own, &of(""), &form).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_shows(&refused, &["id=\"f-url-error\"", "value=\"desk\""]);
    assert_shows(&post(&own, &of("/rotate"), &[]).await, &["24 hours"]);
    let rotated = post(&own, &of("/rotate"), &[("confirmed", "yes")]).await;
    assert_shows(&rotated, &["whsec_"]);
    assert_eq!(rotated.headers["cache-control"], "no-store");

    let form = [
        ("name", "noc"),
        ("address", "noc.example"),
        ("version", "v2c"),
        ("kind", "trap"),
        ("user", "relation"),
    ];
    let refused = post(&own, &recipient(OWN, "snmp"), &form).await;
    assert_shows(&refused, &["id=\"f-user-error\"", "value=\"relation\""]);
    let added = post(&own, &recipient(OWN, "snmp"), &form[..4]).await;
    let credentials = location(&added);
    assert!(
        credentials.starts_with("/notices/recipient/credentials?"),
        "{credentials}"
    );
    assert_shows(&own.get(PATH).await, &["not set"]);
    let long = "canary-community-".repeat(40);
    let refused = post(&own, &credentials, &[("community", &long)]).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    let set = post(&own, &credentials, &[("community", "canary-community")]).await;
    assert_eq!(location(&set), PATH);
    let removal = of("/remove");
    assert_shows(&post(&own, &removal, &[]).await, &["Remove desk?"]);
    assert_eq!(
        post(&own, &removal, &[("confirmed", "yes")]).await.status,
        303
    );
    let shown = own.get(PATH).await;
    assert!(
        !shown.text.contains("desk") && !shown.text.contains("not set"),
        "{}",
        shown.text
    );
    for response in [&shown, &refused, &edit, &own.get(&credentials).await] {
        assert!(!response.text.contains("canary"), "{}", response.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_delivery_is_sent_again() {
    let (world, root, own) = world().await;
    let record = objects(&root, Place::Below).await.pkid;
    let pkid = put_delivery(&world, Place::Below, &record, "it@contoso.example").await;
    let list = format!("/deliveries?record={record}&state=dead&day=2026-01-01");
    assert_shows(
        &own.get(&list).await,
        &["it@contoso.example", "no such mailbox"],
    );
    let path = format!("/deliveries/{pkid}");
    assert_shows(&own.get(&path).await, &["Send again", "Expired", "Failed"]);
    let reader = Client::anonymous(&world).await;
    let reader = reader.with(principal("auditor", OWN));
    assert!(!reader.get(&path).await.text.contains("Send again"));
    let sent = post(&own, &format!("{path}/resend"), &[]).await;
    assert_eq!(location(&sent), path);
    assert_shows(&own.get(&path).await, &["To come", "once"]);
    assert_eq!(post(&own, &format!("{path}/resend"), &[]).await.status, 409);
    assert_shows(&own.get(&list).await, &["No deliveries"]);
    let refused = own.get("/deliveries?day=yesterday").await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_shows(&refused, &["a day such as 2026-12-07"]);
}
