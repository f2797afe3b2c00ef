//! Log-ins at a provider that does not exist, and callbacks of log-ins that were never begun. `tests/e2e/` has a real
//! provider.

use relation_app::config::{OidcConfig, OidcSecret};

use super::*;
use crate::access::testing::{World, address, grant};

const ISSUER: &str = "https://id.example.com";

fn provider() -> Provider {
    let config = OidcConfig {
        issuer: ISSUER.to_owned(),
        client_id: "relation".to_owned(),
        client_secret: OidcSecret::Text("canary-secret".into()),
        scopes: vec!["openid".to_owned()],
        groups_claim: "groups".to_owned(),
        name_claim: "preferred_username".to_owned(),
        label: None,
        contact: None,
        allow: Vec::new(),
        grants: Vec::new(),
    };
    Provider::new(config, None).unwrap()
}

/// Stores a log-in as [`begin`] does, and returns its token.
async fn add_pending(world: &World) -> SecretString {
    let token = create_token().unwrap();
    let body = PendingBody {
        digest: digest(&token),
        begun: world.parts.now(),
        next: "/alerts".to_owned(),
    };
    let pending = Entry::new(digest(&token).pkid(), audit::top_node().unwrap(), body);
    let changes = vec![pending.to_put().unwrap()];
    documents::commit(&world.parts, Vec::new(), changes)
        .await
        .unwrap();
    token
}

fn cookie(name: &str, token: &SecretString) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let cookie = format!("a=b; {name}={}", token.expose_secret());
    headers.insert(header::COOKIE, cookie.parse().unwrap());
    headers
}

fn callback(state: &SecretString, error: Option<&str>) -> Callback {
    Callback {
        state: SecretText(state.clone()),
        error: error.map(str::to_owned),
        ..Callback::default()
    }
}

async fn refuse(world: &World, headers: &HeaderMap, callback: Callback) -> String {
    let completed = complete(&world.parts, &provider(), address(), headers, callback).await;
    match completed {
        Err(OidcLogInError::Refused(refusal)) => refusal.key().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn callback_counts_once_for_ten_minutes_per_browser() {
    let world = World::new();
    let token = add_pending(&world).await;
    let state = derive(&token).state;
    let own = cookie("relation-login", &token);
    let declined = || callback(&state, Some("access_denied"));
    for headers in [
        HeaderMap::new(),
        cookie("relation", &token),
        cookie("relation-login", &add_pending(&world).await),
    ] {
        assert_eq!(refuse(&world, &headers, declined()).await, "ended");
    }
    let wrong = callback(&derive(&token).nonce, Some("access_denied"));
    assert_eq!(refuse(&world, &own, wrong).await, "ended");
    assert_eq!(refuse(&world, &own, declined()).await, "declined");
    assert_eq!(
        refuse(&world, &own, declined()).await,
        "ended",
        "it was used"
    );

    let late = add_pending(&world).await;
    let late_callback = || callback(&derive(&late).state, Some("access_denied"));
    world.clock.advance(LOG_IN_LIFETIME);
    let own = cookie("relation-login", &late);
    assert_eq!(refuse(&world, &own, late_callback()).await, "ended");
    assert_eq!(remove_expired(&world.parts).await.unwrap(), 2);

    let dump = world.dump().await;
    assert!(
        dump.contains("oidc: declined") && dump.contains("oidc: ended"),
        "{dump}"
    );
}

#[tokio::test]
async fn cookie_is_bound_to_the_host_with_https() {
    let world = World::with_url("https://relation.example.com/");
    let token = add_pending(&world).await;
    let set = Cookie::LogIn.set(&world.parts, &token, LOG_IN_LIFETIME);
    let expected = format!(
        "__Host-relation-login={}; Path=/; HttpOnly; SameSite=Lax; Max-Age=600; Secure",
        token.expose_secret()
    );
    assert_eq!(set.to_str().unwrap(), expected);
    let set = Cookie::IdToken.set(&world.parts, &token, LOG_IN_LIFETIME);
    let expected = format!(
        "__Secure-relation-id-token={}; Path=/logout; HttpOnly; SameSite=Lax; Max-Age=600; Secure",
        token.expose_secret()
    );
    assert_eq!(set.to_str().unwrap(), expected);
    let headers = cookie("__Host-relation-login", &token);
    let declined = callback(&derive(&token).state, Some("login_required"));
    assert_eq!(refuse(&world, &headers, declined).await, "reported");
}

#[test]
fn values_of_a_log_in_do_not_reveal_each_other() {
    let token = create_token().unwrap();
    let secrets = derive(&token);
    let values = [&token, &secrets.state, &secrets.nonce, &secrets.verifier];
    let values: BTreeSet<&str> = values
        .map(|value| value.expose_secret())
        .into_iter()
        .collect();
    assert_eq!(values.len(), 4);
    // RFC 7636 requires 43 to 128 characters.
    assert_eq!(secrets.verifier.expose_secret().len(), 64);
}

#[test]
fn each_group_grants_its_roles() {
    let grants = [
        ("noc", "operator", "sys.A"),
        ("noc", "auditor", "sys"),
        ("all", "auditor", "sys.B"),
    ];
    let grants = grants.map(|(group, role, node)| OidcGrant {
        group: group.to_owned(),
        role: role.to_owned(),
        node: node.parse().unwrap(),
    });
    let found = |groups: &[&str]| {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        find_grants(&grants, &groups)
    };
    assert_eq!(
        found(&["noc", "x"]),
        [grant("operator", "sys.A"), grant("auditor", "sys")]
    );
    assert_eq!(found(&["NOC", "no"]), []);
}

#[tokio::test]
async fn groups_grant_custom_roles_that_exist() {
    let world = World::new();
    let new = roles::NewRole {
        name: "desk".to_owned(),
        hierarchy: "sys.A".parse().unwrap(),
        operations: vec![crate::access::Operation::Read],
    };
    let operator = crate::access::Authority::Operator;
    let role = roles::add(&world.parts, &operator, new).await.unwrap();
    let grants = ["sys.A.B", "sys"].map(|node| grant("desk", node)).to_vec();
    let (found, missing) = split_missing(&world.parts, grants).await.unwrap();
    assert_eq!(found, [grant(role.pkid.as_str(), "sys.A.B")]);
    assert_eq!(missing, [grant("desk", "sys")]);
}
