//! Log-in at a real OpenID provider: `oidc-provider`, installed from npm. If it cannot be installed, the tests are reported
//! as skipped, or fail if `RELATION_REQUIRE_CLIENTS` is set.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode, header};
use relation_app::config::{OidcConfig, OidcGrant, OidcSecret};
use relation_app::oidc::Provider;
use relation_e2e::openid_provider::{CLIENT_ID, OpenIdProvider, SECRET};
use relation_e2e::world::{START_TIME, World, WorldBuilder};
use relation_host::egress::{ClientOptions, Policy, Transport};
use serde_json::{Value, json};

use crate::support::{Client, PUBLIC_URL, Response};

fn config(provider: &OpenIdProvider) -> OidcConfig {
    let grant = |group: &str, role: &str, node: &str| OidcGrant {
        group: group.to_owned(),
        role: role.to_owned(),
        node: node.parse().unwrap(),
    };
    OidcConfig {
        issuer: provider.issuer.clone(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: OidcSecret::Text(SECRET.into()),
        scopes: ["openid", "profile", "groups"].map(str::to_owned).to_vec(),
        groups_claim: "groups".to_owned(),
        name_claim: "preferred_username".to_owned(),
        label: Some("Log in with <Example>".to_owned()),
        contact: Some("Ida <ida@example.com>".to_owned()),
        allow: vec![provider.issuer.clone()],
        grants: vec![
            grant("noc", "operator", "sys.A"),
            grant("admins", "provider-administrator", "sys"),
        ],
    }
}

/// A page whose users log in at the provider.
struct LogInWorld {
    world: World,
    provider: OpenIdProvider,
    client: Client,
    /// Follows redirects of the provider.
    browser: relation_host::egress::Client,
}

impl LogInWorld {
    async fn start() -> Option<Self> {
        let provider = OpenIdProvider::start(PUBLIC_URL, START_TIME)?;
        let world = WorldBuilder::default().start().await;
        let client = Self::create_client(&world, config(&provider)).await;
        let policy = Policy::parse(std::slice::from_ref(&provider.issuer)).unwrap();
        let browser = relation_host::egress::Client::new(policy, ClientOptions::default());
        Some(Self {
            world,
            provider,
            client,
            browser: browser.unwrap(),
        })
    }

    async fn send(&self, request: Request<Bytes>) -> axum::http::Response<Bytes> {
        let response = Transport::send(&self.browser, request, None).await;
        response.unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Follows the redirects of the provider as a browser, and returns the path and query of the callback.
    async fn follow(&self, mut address: String) -> String {
        let mut cookies = BTreeMap::new();
        for _ in 0..10 {
            if let Some(back) = address.strip_prefix(PUBLIC_URL) {
                return format!("/{back}");
            }
            let pairs: Vec<String> = cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let request = Request::get(&address).header(header::COOKIE, pairs.join("; "));
            let response = self.send(request.body(Bytes::new()).unwrap()).await;
            for cookie in response.headers().get_all(header::SET_COOKIE) {
                let pair = cookie.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                cookies.insert(name.to_owned(), value.to_owned());
            }
            let location = response.headers().get(header::LOCATION);
            let location = location.unwrap_or_else(|| panic!("{address}: {response:?}"));
            let location = location.to_str().unwrap();
            address = match location.starts_with('/') {
                true => format!("{}{location}", self.provider.issuer),
                false => location.to_owned(),
            };
        }
        panic!("too many redirects: {address}");
    }

    async fn create_client(world: &World, config: OidcConfig) -> Client {
        Client::with_provider(world, Some(Provider::new(config, None).unwrap())).await
    }

    /// Sends the button of the log-in page. Returns the cookie, and the address at the provider.
    async fn begin(&self) -> (String, String) {
        let body = Body::from("next=%2Falerts");
        let request = Request::post("/login/oidc")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        let begun = self.client.send(request.unwrap()).await;
        assert_eq!(begun.status, StatusCode::OK, "{begun:?}");
        let (_, address) = begun.text.split_once("content=\"0;url=").unwrap();
        let address = address.split('"').next().unwrap();
        let address = address.replace("&#38;", "&").replace("&amp;", "&");
        (find_cookie(&begun, "relation-login"), address)
    }

    async fn complete(&self, cookie: &str, back: &str) -> Response {
        let request = Request::get(back).header(header::COOKIE, cookie);
        self.client.send(request.body(Body::empty()).unwrap()).await
    }

    /// Logs in as a browser does, and returns the last response.
    async fn log_in(&self) -> Response {
        let (cookie, address) = self.begin().await;
        let back = self.follow(address).await;
        self.complete(&cookie, &back).await
    }

    /// Returns the session as the API shows it, with the status.
    async fn session(&self, cookie: &str) -> (u16, Value) {
        let request = Request::get("/api/session/").header(header::COOKIE, cookie);
        let shown = self.client.send(request.body(Body::empty()).unwrap()).await;
        (shown.status.as_u16(), shown.json())
    }

    /// Returns the reasons for refused log-ins, the latest first.
    async fn refusals(&self) -> Vec<String> {
        let mut events = self.world.bodies("host/AuditEvent").await;
        events.sort_by_key(|event| event["at"].to_string());
        let reasons = events
            .iter()
            .rev()
            .filter(|event| event["result"] == "refused");
        let reasons =
            reasons.map(|event| event["changes"][0]["after"].as_str().unwrap().to_owned());
        reasons.collect()
    }
}

/// Returns a cookie that a response sets, as a request sends it.
#[track_caller]
fn find_cookie(response: &Response, name: &str) -> String {
    let cookies = response.headers.get_all(header::SET_COOKIE).iter();
    let mut pairs = cookies.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap());
    let pair = pairs.find(|pair| pair.split('=').next() == Some(name));
    pair.unwrap_or_else(|| panic!("no cookie {name}: {response:?}"))
        .to_owned()
}

#[track_caller]
fn check_logged_in(response: &Response) -> String {
    assert_eq!(response.status, StatusCode::SEE_OTHER, "{response:?}");
    assert_eq!(response.headers[header::LOCATION], "/alerts");
    assert_eq!(find_cookie(response, "relation-login"), "relation-login=");
    find_cookie(response, "relation")
}

#[track_caller]
fn check_refused(response: &Response, text: &str) {
    assert!(
        !response.status.is_success() && !response.status.is_redirection(),
        "{response:?}"
    );
    assert!(response.text.contains(text), "{text}: {}", response.text);
    assert!(!response.text.contains("<script>alert") && !response.text.contains(SECRET));
    let cookies = response.headers.get_all(header::SET_COOKIE).iter();
    let cookies: Vec<_> = cookies
        .filter(|cookie| cookie.as_bytes().starts_with(b"relation="))
        .collect();
    assert!(cookies.is_empty(), "{cookies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_at_the_provider_grant_roles() {
    let Some(world) = LogInWorld::start().await else {
        return;
    };
    let page = world.client.get("/login?next=/alerts").await.text;
    assert!(
        page.contains("action=\"/login/oidc\"") && page.contains("Log in with &#60;Example&#62;"),
        "{page}"
    );

    check_refused(&world.log_in().await, "Ida &#60;ida@example.com&#62;");
    assert_eq!(world.refusals().await, ["oidc: without-role"]);
    assert!(world.world.bodies("host/User").await.is_empty());

    world
        .provider
        .control(&json!({ "groups": ["noc", "other"] }));
    let operator = check_logged_in(&world.log_in().await);
    let (status, session) = world.session(&operator).await;
    assert_eq!((status, session["name"].as_str()), (200, Some("ada")));
    assert_eq!(session["roles"][0]["role"], "operator");
    assert_eq!(session["roles"][0]["node"], "sys.A");

    // The same roles leave the first session alone; others end it.
    let second = check_logged_in(&world.log_in().await);
    assert_eq!(world.session(&operator).await.0, 200);
    world
        .provider
        .control(&json!({ "groups": ["admins"], "name": "renamed" }));
    let administrator = check_logged_in(&world.log_in().await);
    assert_eq!(world.session(&operator).await.0, 401);
    assert_eq!(world.session(&second).await.0, 401);
    let (_, session) = world.session(&administrator).await;
    assert_eq!(
        (
            session["name"].as_str(),
            session["roles"][0]["role"].as_str()
        ),
        (Some("ada"), Some("provider-administrator"))
    );

    let request = Request::get("/users").header(header::COOKIE, &administrator);
    let users = world
        .client
        .send(request.body(Body::empty()).unwrap())
        .await;
    assert!(
        users.text.contains(&world.provider.issuer),
        "{}",
        users.text
    );

    world.provider.control(&json!({ "groups": [] }));
    check_refused(&world.log_in().await, "no role");
    assert_eq!(world.session(&administrator).await.0, 401);

    let stored = format!("{:?}", world.world.bodies("host/AuditEvent").await);
    assert!(
        stored.contains("set-grants") && !stored.contains(SECRET),
        "{stored}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_keys_are_read_again() {
    let Some(world) = LogInWorld::start().await else {
        return;
    };
    world.provider.control(&json!({ "groups": ["noc"] }));
    check_logged_in(&world.log_in().await);
    world.provider.control(&json!({ "rotates": true }));
    check_logged_in(&world.log_in().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_log_ins_say_what_to_do() {
    let Some(world) = LogInWorld::start().await else {
        return;
    };
    world
        .provider
        .control(&json!({ "groups": ["noc"], "declines": true }));
    check_refused(&world.log_in().await, "was declined");
    world.provider.control(&json!({ "declines": false }));

    // A callback in another browser, one that was used, and one that comes too late.
    let (cookie, address) = world.begin().await;
    let back = world.follow(address).await;
    check_refused(&world.complete("", &back).await, "another browser");
    check_logged_in(&world.complete(&cookie, &back).await);
    check_refused(&world.complete(&cookie, &back).await, "used already");
    let (cookie, address) = world.begin().await;
    let back = world.follow(address).await;
    let other_issuer = back.replace("iss=http", "iss=https");
    check_refused(
        &world.complete(&cookie, &other_issuer).await,
        "Another provider",
    );

    // The clocks may differ by five minutes.
    world
        .world
        .clock
        .set_wall(START_TIME.after(Duration::from_secs(290)));
    check_logged_in(&world.log_in().await);
    world
        .world
        .clock
        .set_wall(START_TIME.after(Duration::from_secs(2 * 3600)));
    check_refused(&world.log_in().await, "has expired");
    world.world.clock.set_wall(START_TIME);

    // The provider cannot be reached before anything is known of it.
    let wrong_secret = OidcConfig {
        client_secret: OidcSecret::Text("wrong".into()),
        ..config(&world.provider)
    };
    let wrong = LogInWorld {
        client: LogInWorld::create_client(&world.world, wrong_secret).await,
        ..world
    };
    check_refused(&wrong.log_in().await, "does not accept this installation");
    let client = LogInWorld::create_client(&wrong.world, config(&wrong.provider)).await;
    wrong.provider.control(&json!({ "fails": true }));
    let request = Request::post("/login/oidc")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::empty());
    let refused = client.send(request.unwrap()).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    check_refused(&refused, "not available");

    let mut refusals = wrong.refusals().await;
    refusals.sort_unstable();
    let expected = [
        "client",
        "declined",
        "ended",
        "ended",
        "expired",
        "issuer",
        "unavailable",
    ];
    assert_eq!(refusals, expected.map(|reason| format!("oidc: {reason}")));
}
