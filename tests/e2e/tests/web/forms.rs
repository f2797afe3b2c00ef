//! Every form of the page by plain HTTP, as a browser without JavaScript sends it.

use std::time::Duration;

use axum::http::{Method, Request, StatusCode, header};
use relation_e2e::world::{World, WorldBuilder};
use serde_json::json;
use webex_emulator::{Consent, Organization};

use crate::support::{Client, PUBLIC_URL, Response, location, post, principal};

mod errors;

/// Creates a world whose Webex knows the redirect address, and a client with every right.
async fn world() -> (World, Client, Client) {
    let world = WorldBuilder::default().start().await;
    let redirect = format!("{PUBLIC_URL}callback");
    world.emulator.add_redirect_uri(&redirect);
    let anonymous = Client::anonymous(&world).await;
    let client = anonymous.with(principal("provider-administrator", "sys"));
    (world, anonymous, client)
}

/// Returns the text between two others.
#[track_caller]
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let found = text.split_once(before);
    let (_, rest) = found.unwrap_or_else(|| panic!("{before:?} is not in {text}"));
    rest.split(after).next().unwrap()
}

/// Returns the path to which Webex sends the browser back after a consent.
fn authorize(world: &World, begun: &Response, consent: &Consent) -> String {
    let callback = world.emulator.authorize(&location(begun), consent);
    format!("/{}", callback.unwrap().trim_start_matches(PUBLIC_URL))
}

async fn add(client: &Client, organization: &Organization, more: &[(&str, &str)]) -> String {
    let mut fields = vec![
        ("hierarchy", "sys.A"),
        ("name", organization.display_name.as_str()),
        ("account_number_external", organization.uuid.as_str()),
    ];
    fields.extend(more);
    let added = location(&post(client, "/organizations/new", &fields).await);
    added.split_once('?').unwrap().0.to_owned()
}

/// Asserts that a form was refused with all of these texts.
#[track_caller]
fn assert_refused(refused: &Response, parts: &[&str]) {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    assert_eq!(refused.status, status, "{refused:?}");
    for part in parts {
        assert!(refused.text.contains(part), "{part}: {}", refused.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_is_declined_mistaken_and_given() {
    let (world, anonymous, client) = world().await;
    let contoso = world.emulator.create_organization("Contoso");
    let other = world.emulator.create_organization("Globex");
    let path = add(&client, &contoso, &[]).await;
    let connect = format!("{path}/connect");
    for (consent, heading) in [
        (Consent::decline(), "The consent was declined"),
        (
            Consent::accept(&other.uuid),
            "Another organization answered",
        ),
    ] {
        let begun = post(&client, &connect, &[("grant", "organization")]).await;
        let ended = client.get(authorize(&world, &begun, &consent)).await;
        assert_eq!(ended.status, StatusCode::BAD_REQUEST, "{ended:?}");
        assert!(ended.text.contains(heading), "{}", ended.text);
        let next = format!("href=\"{connect}\"");
        assert!(ended.text.contains(&next), "{}", ended.text);
    }

    // Somebody else gives the consent, without a log-in here.
    let link = post(&client, &format!("{path}/connect-link"), &[]).await;
    let link = between(&link.text, "class=\"mono copy\">", "<");
    let link = format!("/{}", link.trim_start_matches(PUBLIC_URL));
    assert!(anonymous.get(&link).await.text.contains("Contoso"));
    let begun = post(&anonymous, &link, &[]).await;
    let callback = authorize(&world, &begun, &Consent::accept(&contoso.uuid));
    let ended = anonymous.get(callback).await;
    assert_eq!(ended.status, StatusCode::OK, "{ended:?}");
    assert!(ended.text.contains("The organization is connected"));
    assert_eq!(anonymous.get(&link).await.status, StatusCode::NOT_FOUND);
    let shown = client.get(&path).await.text;
    assert!(shown.contains("RefreshAccessToken"), "{shown}");
    world.emulator.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn wholesale_customers_are_added_and_changed() {
    let (world, _, client) = world().await;
    let partner = world.emulator.create_organization("Adatum");
    let path = add(&client, &partner, &[("wholesale_status", "true")]).await;
    for grant in ["organization", "wholesale-customers", "wholesale-users"] {
        let begun = post(&client, &format!("{path}/connect"), &[("grant", grant)]).await;
        let callback = authorize(&world, &begun, &Consent::accept(&partner.uuid));
        let transaction = location(&client.get(callback).await);
        assert!(transaction.starts_with("/transactions/"), "{transaction}");
    }
    let form = format!("{path}/actions/AddWholesaleCustomer");
    let wrong = [("external_id", "c-17"), ("packages", "webex_meetings")];
    let refused = post(&client, &form, &wrong).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{refused:?}"
    );
    for part in [
        "#f-provisioning-id",
        "#f-city",
        "value=\"c-17\"",
        "value=\"webex_meetings\" checked",
    ] {
        assert!(refused.text.contains(part), "{part}: {}", refused.text);
    }
    let right = [
        ("external_id", "c-17"),
        ("provisioning_id", "P1"),
        ("packages", "webex_meetings"),
        ("name", "Newcomer"),
        ("email", "boss@newcomer.example"),
        ("address_line1", "1 Main Street"),
        ("city", "Austin"),
        ("country", "US"),
    ];
    let added = location(&post(&client, &form, &right).await);
    let shown = client.get(added).await.text;
    assert!(
        shown.contains("c-17") && shown.contains("add: working"),
        "{shown}"
    );
    assert!(!shown.contains("add: provisioned"), "{shown}");
    // The record shows when Webex has carried out the request, without another request of a person.
    world.run_for(Duration::from_mins(10)).await;
    let shown = client.get(&path).await.text;
    for part in ["add: provisioned", ">provisioned</td>", "webex_meetings"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    for (action, fields) in [
        (
            "ModifyWholesaleCustomer",
            &[("customer", "c-17"), ("name", "Newer")][..],
        ),
        ("CheckWholesaleCustomer", &[("customer", "c-17")][..]),
        ("DeleteWholesaleCustomer", &[("customer", "c-17")][..]),
    ] {
        // Webex carries out what was requested before.
        world.run_for(Duration::from_mins(10)).await;
        let done = post(&client, &format!("{path}/actions/{action}"), fields).await;
        assert!(location(&done).starts_with(&path), "{action}: {done:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_imports_are_canceled_and_replayed() {
    let (world, _, client) = world().await;
    let contoso = world.emulator.create_organization("Contoso");
    let path = add(&client, &contoso, &[]).await;
    let act = |action: &str| format!("{path}/actions/{action}");
    let wrong = post(&client, &act("SaveDataSync"), &[]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong:?}");
    assert!(wrong.text.contains("href=\"#f-"), "{}", wrong.text);

    // An organization that is not connected imports nothing: the transaction says so.
    let shown = client.get(&path).await.text;
    let sync = between(&shown, "name=\"sync\" value=\"", "\"");
    let queued = post(&client, &act("ExecuteDataSync"), &[("sync", sync)]).await;
    let queued = location(&queued);
    let page = client.get(&queued).await.text;
    assert!(
        page.contains("Queued") && page.contains("data-live"),
        "{page}"
    );
    world.run_for(Duration::from_secs(1)).await;
    let page = client.get(&queued).await.text;
    assert!(page.contains("Failed"), "{page}");
    // The request is kept, so that a person can replay it.
    let replayed = location(&post(&client, &format!("{queued}/replay"), &[]).await);
    world.run_for(Duration::from_secs(1)).await;
    assert_ne!(replayed, queued);
    assert!(client.get(&replayed).await.text.contains("Failed"));

    // A queued call is canceled, and replayed.
    let pkid = path.rsplit('/').next().unwrap();
    let api = format!("/api/relation/SparkCustomer/{pkid}/?nowait=true");
    let queued = client
        .json(Method::DELETE, &api, &json!({}))
        .await
        .expect(202);
    let queued = format!(
        "/transactions/{}",
        queued["transaction_id"].as_str().unwrap()
    );
    let canceled = post(&client, &format!("{queued}/cancel"), &[]).await;
    assert_eq!(location(&canceled), queued);
    let again = post(&client, &format!("{queued}/cancel"), &[]).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{again:?}");
    let link = format!("href=\"{queued}\"");
    for part in ["there is nothing to cancel", "Open the transaction", &link] {
        assert!(again.text.contains(part), "{part}: {}", again.text);
    }
    assert!(!again.text.contains("Another task"), "{}", again.text);
    let replayed = location(&post(&client, &format!("{queued}/replay"), &[]).await);
    assert_ne!(replayed, queued);
    world.run_for(Duration::from_secs(1)).await;
    assert!(client.get(&replayed).await.text.contains("Success"));
    assert_eq!(client.get(&path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_log_in_until_their_roles_change() {
    let (_world, anonymous, client) = world().await;
    let wrong = [("hierarchy", "not a node"), ("grants[0].role", "king")];
    let refused = post(&client, "/users/new", &wrong).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{refused:?}"
    );
    for part in ["not a node", "one of your nodes", "a name has 1 to 100"] {
        assert!(refused.text.contains(part), "{part}: {}", refused.text);
    }
    let right = [
        ("name", "bob"),
        ("hierarchy", "sys.A"),
        ("grants[0].role", "auditor"),
    ];
    let added = post(&client, "/users/new", &right).await;
    let link = between(&added.text, "class=\"mono copy\">", "<");
    let link = format!("/{}", link.trim_start_matches(PUBLIC_URL));
    let user = between(&added.text, "href=\"/users/", "\"");
    let user = format!("/users/{user}");

    let differs = [("password", "correct horse battery"), ("repeat", "staple")];
    let refused = post(&anonymous, &link, &differs).await;
    assert!(
        refused.text.contains("differs from the password"),
        "{}",
        refused.text
    );
    let same = [
        ("password", "correct horse battery"),
        ("repeat", "correct horse battery"),
    ];
    assert_eq!(location(&post(&anonymous, &link, &same).await), "/login");
    assert_eq!(anonymous.get(&link).await.status, StatusCode::NOT_FOUND);

    let log_in = [
        ("name", "bob"),
        ("password", "correct horse battery"),
        ("next", "/alerts"),
    ];
    let session = post(&anonymous, "/login", &log_in).await;
    assert_eq!(location(&session), "/alerts");
    let cookie = session.headers[header::SET_COOKIE].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let alerts = async || {
        let request = Request::get("/alerts").header(header::COOKIE, &cookie);
        anonymous
            .send(request.body(Default::default()).unwrap())
            .await
    };
    assert_eq!(alerts().await.status, StatusCode::OK);

    let roles = [
        ("grants[0].role", "operator"),
        ("grants[0].node", "sys.A.B"),
    ];
    let changed = post(&client, &format!("{user}/grants"), &roles).await;
    assert_eq!(location(&changed), user);
    assert!(client.get(&user).await.text.contains("sys.A.B"));
    assert!(
        location(&alerts().await).starts_with("/login"),
        "new roles end a session"
    );
    assert_eq!(
        location(&post(&client, &format!("{user}/disable"), &[]).await),
        user
    );
    let refused = post(&anonymous, "/login", &log_in).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{refused:?}"
    );
    assert_eq!(
        location(&post(&client, &format!("{user}/enable"), &[]).await),
        user
    );
    let link = post(&client, &format!("{user}/link"), &[]).await;
    assert!(link.text.contains("/set-up/"), "{}", link.text);
    let request = Request::get("/language/de?next=/users").body(Default::default());
    assert_eq!(location(&anonymous.send(request.unwrap()).await), "/users");
}

#[tokio::test(flavor = "multi_thread")]
async fn api_keys_are_added_rotated_and_revoked() {
    let (_world, _, client) = world().await;
    let refused = post(&client, "/keys/new", &[("hierarchy", "not a node")]).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{refused:?}"
    );
    let with_end = |end| {
        [
            ("name", "billing"),
            ("hierarchy", "sys.A"),
            ("grants[0].role", "machine"),
            ("expires", end),
        ]
    };
    let refused = post(&client, "/keys/new", &with_end("31d")).await;
    assert_refused(&refused, &["Valid for", "choose one of the values"]);
    let added = post(&client, "/keys/new", &with_end("90d")).await;
    let key = between(&added.text, "class=\"mono copy\">", "<");
    assert!(key.starts_with("rel_"), "{}", added.text);
    assert!(!added.text.contains("former secret"), "{}", added.text);
    let stored = &client.get("/api/data/ApiKey/").await.expect(200)["resources"][0];
    let lifetime = stored["expires"].as_u64().unwrap() - stored["created"].as_u64().unwrap();
    assert_eq!(lifetime, 90 * 86_400_000);
    let list = client.get("/keys").await.text;
    assert!(!list.contains(key), "a key is shown once");
    let pkid = between(&list, "action=\"/keys/", "/");

    // The page asks when the former secret ends.
    let path = format!("/keys/{pkid}/rotate");
    let asked = post(&client, &path, &[]).await.text;
    assert!(!asked.contains("rel_"), "{asked}");
    assert!(asked.contains("value=\"24h\" selected"), "{asked}");
    let refused = post(&client, &path, &[("confirmed", "yes"), ("overlap", "8d")]).await;
    assert_refused(&refused, &["choose one of the values"]);
    let mut known = vec![key.to_owned()];
    for (overlap, text, is_kept) in [
        ("7d", "stays valid until", true),
        ("24h", "stays valid until", true),
        ("0", "is not valid any more", false),
    ] {
        let form = [("confirmed", "yes"), ("overlap", overlap)];
        let rotated = post(&client, &path, &form).await.text;
        let key = between(&rotated, "class=\"mono copy\">", "<").to_owned();
        assert!(key.starts_with("rel_"), "{rotated}");
        assert!(!known.contains(&key), "{rotated}");
        assert!(rotated.contains(text), "{overlap}: {rotated}");
        let stored = client.get(format!("/api/data/ApiKey/{pkid}/")).await;
        let former = &stored.expect(200)["former_secret_until"];
        assert_eq!(former.is_u64(), is_kept, "{overlap}: {former}");
        known.push(key);
    }

    let path = format!("/keys/{pkid}/revoke");
    let asked = post(&client, &path, &[]).await.text;
    assert!(asked.contains("never becomes valid again"), "{asked}");
    assert!(!client.get("/keys").await.text.contains("Revoked"));
    let revoked = post(&client, &path, &[("confirmed", "yes")]).await;
    assert_eq!(location(&revoked), "/keys");
    assert!(client.get("/keys").await.text.contains("Revoked"));
}
