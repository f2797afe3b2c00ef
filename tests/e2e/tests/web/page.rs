//! The page by plain HTTP, as a browser without JavaScript: its forms and its headers.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use relation_e2e::world::WorldBuilder;

use crate::support::{Client, location, post, principal};

/// A name with everything that a page must escape.
const HOSTILE: &str = "Contoso <script>alert(1)</script> \"&'";

#[tokio::test(flavor = "multi_thread")]
async fn page_without_a_session_leads_to_the_log_in() {
    let world = WorldBuilder::default().start().await;
    let client = Client::anonymous(&world).await;
    let response = client.get("/organizations?state=expired").await;
    assert_eq!(
        location(&response),
        "/login?next=%2Forganizations%3Fstate%3Dexpired"
    );
    for path in [
        "/",
        "/transactions",
        "/alerts",
        "/users",
        "/keys",
        "/audit",
        "/organizations/new",
        "/events?transaction=x",
    ] {
        assert!(
            location(&client.get(path).await).starts_with("/login"),
            "{path}"
        );
    }
    assert_eq!(client.get("/login").await.status, StatusCode::OK);
    assert_eq!(
        client.get("/set-up/unknown").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        client.get("/consent/unknown").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        client.get("/callback?state=x&code=y").await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_of_a_stranger_are_limited() {
    let world = WorldBuilder::default().start().await;
    let stranger = Client::anonymous(&world).await;
    let administrator = stranger.with(principal("provider-administrator", "sys"));
    let (pkid, _) = administrator.add("sys.A", "Contoso").await;
    let send = async |client: &Client, address: &str| {
        let address: SocketAddr = address.parse().unwrap();
        let request = Request::get(format!("/callback?state={pkid}.guess&code=x"));
        let request = request.extension(ConnectInfo(address));
        client
            .send(request.body(Body::empty()).unwrap())
            .await
            .status
    };
    for _ in 0..20 {
        let status = send(&stranger, "192.0.2.1:5000").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
    let path = format!("/api/tool/Transaction/?record={pkid}&limit=100");
    let count = async || {
        let list = administrator.get(&path).await.expect(200);
        list["resources"].as_array().unwrap().len()
    };
    let stored = count().await;
    let status = send(&stranger, "192.0.2.1:5001").await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(count().await, stored);
    for (client, address) in [
        (&stranger, "192.0.2.2:5000"),
        (&administrator, "192.0.2.1:5000"),
    ] {
        let status = send(client, address).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn form_adds_and_changes_an_organization() {
    let world = WorldBuilder::default().start().await;
    let client = Client::anonymous(&world).await;
    let client = client.with(principal("provider-administrator", "sys"));

    let wrong = [
        ("hierarchy", "sys.A"),
        ("name", HOSTILE),
        ("account_email", "nobody"),
        ("token", "SECRET-TOKEN"),
    ];
    let refused = post(&client, "/organizations/new", &wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    for part in [
        "id=\"f-account-email-error\"",
        "Refresh Token",
        "href=\"#f-account-email\"",
    ] {
        assert!(refused.text.contains(part), "{part}");
    }
    assert!(!refused.text.contains("SECRET-TOKEN") && !refused.text.contains("<script>alert"));

    let fields = [
        ("hierarchy", "sys.A"),
        ("name", HOSTILE),
        ("idempotency_key", "k1"),
    ];
    let added = location(&post(&client, "/organizations/new", &fields).await);
    let (path, _) = added.split_once('?').unwrap();
    let again = location(&post(&client, "/organizations/new", &fields).await);
    assert!(
        again.starts_with(path),
        "a form that is sent twice adds one record"
    );
    let shown = client.get(&added).await;
    assert_eq!(shown.status, StatusCode::OK, "{shown:?}");
    assert!(shown.text.contains("Connect to Webex Control Hub"));
    assert!(!shown.text.contains("<script>alert"));

    let edit = format!("{path}/edit");
    let form = client.get(&edit).await;
    assert!(form.text.contains("name=\"was.name\""), "{}", form.text);
    let change = [("name", "Fabrikam"), ("was.name", HOSTILE)];
    assert!(location(&post(&client, &edit, &change).await).starts_with(path));
    // Somebody else's form still has the old name.
    let conflict = post(&client, &edit, &[("name", "Globex"), ("was.name", HOSTILE)]).await;
    assert_eq!(conflict.status, StatusCode::CONFLICT);
    assert!(conflict.text.contains("Fabrikam") && conflict.text.contains("Globex"));

    let tried = post(&client, &format!("{path}/delete"), &[]).await;
    assert_eq!(tried.status, StatusCode::OK);
    assert!(tried.text.contains("data/DataSync"), "{}", tried.text);
    let deleted = post(&client, &format!("{path}/delete"), &[("confirmed", "yes")]).await;
    assert_eq!(location(&deleted), "/organizations");
    assert_eq!(client.get(path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_the_headers_of_browsers() {
    let world = WorldBuilder::default().start().await;
    let client = Client::anonymous(&world).await;
    let client = client.with(principal("provider-administrator", "sys"));
    for path in ["/", "/organizations", "/nothing", "/users"] {
        let response = client.get(path).await;
        let policy = response.headers["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("form-action 'self';"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(response.headers["cache-control"], "no-store", "{path}");
        assert!(
            response.headers["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/html"),
            "{path}"
        );
    }
    let german = Request::get("/").header("accept-language", "de");
    let german = client.send(german.body(Body::empty()).unwrap()).await;
    assert!(german.text.contains("<html lang=\"de\""));
    let asset = german
        .text
        .split("href=\"/assets/")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let asset = client.get(&format!("/assets/{asset}")).await;
    assert!(
        asset.headers["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    let foreign = Request::post("/logout").header("sec-fetch-site", "cross-site");
    let foreign = client.send(foreign.body(Body::empty()).unwrap()).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_ends_with_its_transaction() {
    let world = WorldBuilder::default().start().await;
    let client = Client::anonymous(&world).await;
    let client = client.with(principal("provider-administrator", "sys"));
    let (_, transaction) = client.add("sys.A", "Contoso").await;
    let stream = client
        .get(&format!("/events?transaction={transaction}&from=0"))
        .await;
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    assert_eq!(stream.headers["x-accel-buffering"], "no");
    assert!(stream.text.contains("\"running\":false"), "{}", stream.text);
    let events = stream.text.lines().filter(|line| line.starts_with("id:"));
    assert_eq!(events.count(), 1, "{}", stream.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_filters_of_lists_are_refused() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let client = anonymous.with(principal("provider-administrator", "sys"));
    let (pkid, _) = client.add("sys.A", "Contoso").await;
    let data = format!("/organizations/{pkid}/data");
    for (path, wrong, right) in [
        ("/organizations", "state=zz", "q=Contoso"),
        ("/organizations", "order=zz", "state=expired"),
        ("/organizations", "q=a&q=b", "hierarchy=sys.A"),
        ("/organizations", "cursor=", "q=Contoso"),
        ("/organizations", "stat=expired", "q=Contoso"),
        ("/transactions", "status=zz", "action=add"),
        ("/transactions", "hierarchy=", "status=fail"),
        ("/alerts", "severity=zz", "hierarchy=sys.A"),
        ("/", "hierarchy=", ""),
        ("/users", "cursor=", "hierarchy=sys.A"),
        ("/roles", "hierarchy=", ""),
        ("/keys", "hierarchy=", ""),
        ("/audit", "hierarchy=&cursor=", ""),
        (data.as_str(), "cursor=", "model=device%2Fspark%2FUser"),
    ] {
        let back = match right {
            "" => path.to_owned(),
            right => format!("{path}?{right}"),
        };
        let refused = client.get(format!("{path}?{wrong}&{right}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path} {wrong}");
        let name = wrong.split('=').next().unwrap();
        for part in [format!("<code>{name}</code>"), format!("href=\"{back}\"")] {
            assert!(refused.text.contains(&part), "{part}: {}", refused.text);
        }
        assert_eq!(client.get(&back).await.status, StatusCode::OK, "{back}");
    }
    // A cursor of another list leads to the whole list.
    let refused = client.get("/organizations?cursor=zz").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    assert!(
        refused.text.contains("href=\"/organizations\">Show"),
        "{refused:?}"
    );
    // Empty fields of a form are not filters.
    let empty = client.get("/organizations?q=&state=&order=").await;
    assert_eq!(empty.status, StatusCode::OK, "{empty:?}");
}
