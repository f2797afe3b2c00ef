use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use relation_host::store::sqlite::SqliteStore;
use relation_host::types::Scope;

use super::*;
use crate::access::audit::{ActorKind, AuditEvent, AuditResult};
use crate::access::testing::{PASSWORD, World, address, expose, grant, node, secret};
use crate::access::{Authority, RoleGrant, users};

const MINUTE: Duration = Duration::from_secs(60);

fn is_refused(result: Result<NewSession, LogInError>) -> bool {
    matches!(result, Err(LogInError::Refused))
}

fn principal(user: &users::User) -> Principal {
    Principal {
        custom_roles: Vec::new(),
        kind: PrincipalKind::User,
        pkid: user.pkid.clone(),
        name: user.name.clone(),
        grants: user.grants.clone(),
    }
}

#[tokio::test]
async fn refused_log_ins_have_one_answer() {
    let world = World::new();
    world.add_with_password("Ada", "operator", "sys.A").await;
    world.add("new", "operator", "sys").await;
    let gone = world.add_with_password("gone", "operator", "sys").await;
    users::disable(&world.parts, &Authority::Operator, &gone.pkid)
        .await
        .unwrap();

    assert!(is_refused(world.log_in("ada", "wrong-password-1").await));
    assert!(is_refused(world.log_in("nobody", PASSWORD).await));
    assert!(is_refused(world.log_in("new", PASSWORD).await));
    assert!(is_refused(world.log_in("gone", PASSWORD).await));
    assert!(is_refused(
        world
            .log_in("ada", &format!("{PASSWORD}{}", "x".repeat(2000)))
            .await
    ));
    assert!(world.log_in("ADA", PASSWORD).await.is_ok());

    let range = Some((node("sys"), Scope::Subtree));
    let page = documents::list_objects::<AuditEvent>(&world.parts, &range, None, 50)
        .await
        .unwrap();
    let log_ins = page
        .items
        .iter()
        .filter(|event| event.event.operation == "log-in");
    let log_ins: Vec<_> = log_ins.map(|event| &event.event).collect();
    assert_eq!(log_ins.len(), 6);
    assert_eq!(log_ins[0].result, AuditResult::Success);
    assert_eq!(log_ins[0].actor.name, "Ada");
    let unknown = log_ins[4];
    assert_eq!(
        (unknown.result, unknown.actor.kind),
        (AuditResult::Refused, ActorKind::Anonymous)
    );
    assert_eq!((&unknown.object, &unknown.node), (&None, &node("sys")));
    assert_eq!(log_ins[5].object.as_ref().unwrap().name, "Ada");
    assert_eq!(log_ins[5].node, node("sys.A"));
}

#[tokio::test]
async fn session_ends_when_idle_and_at_its_lifetime() {
    let world = World::new();
    world.add_with_password("ada", "operator", "sys").await;
    let new = world.log_in("ada", PASSWORD).await.unwrap();
    assert!(world.is_valid(new.token()).await);
    assert!(!world.is_valid(&secret("0123")).await);
    // Each request keeps it for another half hour, up to twelve hours.
    for _ in 0..24 {
        world.clock.advance(MINUTE * 29);
        assert!(world.is_valid(new.token()).await);
    }
    world.clock.advance(MINUTE * 23);
    assert!(world.is_valid(new.token()).await);
    world.clock.advance(MINUTE);
    assert!(!world.is_valid(new.token()).await);

    let new = world.log_in("ada", PASSWORD).await.unwrap();
    world.clock.advance(MINUTE * 30);
    assert!(!world.is_valid(new.token()).await);
    let removed = crate::access::remove_expired(&world.parts).await.unwrap();
    assert_eq!(removed.sessions, 2);
    assert!(!world.dump().await.contains("host/Session"));
}

#[tokio::test]
async fn last_use_is_written_once_a_minute() {
    let world = World::new();
    world.add_with_password("ada", "operator", "sys").await;
    let new = world.log_in("ada", PASSWORD).await.unwrap();
    let version = async || {
        let found = documents::get::<SessionBody>(world.parts.store(), &new.session.pkid).await;
        found.unwrap().unwrap().version
    };
    for (advance, expected) in [(59, 1), (1, 2), (59, 2), (1, 3)] {
        world.clock.advance(Duration::from_secs(advance));
        assert!(world.is_valid(new.token()).await);
        assert_eq!(version().await, expected);
    }
}

#[tokio::test]
async fn log_in_rotates_and_log_out_ends() {
    let world = World::new();
    world.add_with_password("ada", "operator", "sys").await;
    let first = world.log_in("ada", PASSWORD).await.unwrap();
    let request = LogIn {
        address: address(),
        name: "ada".to_owned(),
        password: secret(PASSWORD),
        previous: Some(first.token().clone()),
        user_agent: None,
    };
    let second = log_in(&world.parts, request).await.unwrap();
    assert_ne!(expose(first.token()), expose(second.token()));
    assert!(!world.is_valid(first.token()).await);
    assert!(world.is_valid(second.token()).await);
    log_out(&world.parts, address(), second.token())
        .await
        .unwrap();
    assert!(!world.is_valid(second.token()).await);
    log_out(&world.parts, address(), second.token())
        .await
        .unwrap();
}

#[tokio::test]
async fn changes_of_the_user_end_sessions() {
    let world = World::new();
    let parts = &world.parts;
    let ada = world.add_with_password("ada", "operator", "sys").await;
    let operator = Authority::Operator;

    let session = world.log_in("ada", PASSWORD).await.unwrap();
    users::set_own_language(parts, &ada.pkid, Some("de".to_owned()))
        .await
        .unwrap();
    let same: Vec<RoleGrant> = vec![grant("operator", "sys")];
    users::set_grants(parts, &operator, &ada.pkid, same)
        .await
        .unwrap();
    assert!(world.is_valid(session.token()).await, "nothing has changed");
    let other = vec![grant("auditor", "sys")];
    users::set_grants(parts, &operator, &ada.pkid, other)
        .await
        .unwrap();
    assert!(!world.is_valid(session.token()).await);

    let session = world.log_in("ada", PASSWORD).await.unwrap();
    users::disable(parts, &operator, &ada.pkid).await.unwrap();
    assert!(!world.is_valid(session.token()).await);
    users::enable(parts, &operator, &ada.pkid).await.unwrap();
    assert!(!world.is_valid(session.token()).await);

    let session = world.log_in("ada", PASSWORD).await.unwrap();
    let link = users::set_up_link(parts, &operator, &ada.pkid)
        .await
        .unwrap();
    assert!(world.is_valid(session.token()).await);
    let token = crate::access::testing::token_of(&link);
    users::set_password(parts, address(), &token, &secret("another-password"))
        .await
        .unwrap();
    assert!(!world.is_valid(session.token()).await);
    assert!(is_refused(world.log_in("ada", PASSWORD).await));
}

#[tokio::test]
async fn own_sessions_are_listed_and_ended() {
    let world = World::new();
    let parts = &world.parts;
    let ada = principal(&world.add_with_password("ada", "operator", "sys").await);
    world.add_with_password("bob", "operator", "sys").await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(world.log_in("ada", PASSWORD).await.unwrap());
        world.clock.advance(MINUTE);
    }
    let bob = world.log_in("bob", PASSWORD).await.unwrap();
    let listed = list_own(parts, &ada).await.unwrap();
    let created: Vec<Timestamp> = listed.iter().map(|session| session.created).collect();
    let expected: Vec<Timestamp> = sessions
        .iter()
        .rev()
        .map(|new| new.session.created)
        .collect();
    assert_eq!(created, expected);
    assert_eq!(listed[0].user_agent.as_deref(), Some("Browser/1"));

    end_all(parts, &ada, address()).await.unwrap();
    assert_eq!(list_own(parts, &ada).await.unwrap(), []);
    for new in &sessions {
        assert!(!world.is_valid(new.token()).await);
    }
    assert!(world.is_valid(bob.token()).await);
}

#[tokio::test]
async fn own_password_is_changed_with_the_present_one() {
    let world = World::new();
    let parts = &world.parts;
    let ada = principal(&world.add_with_password("ada", "operator", "sys").await);
    let session = world.log_in("ada", PASSWORD).await.unwrap();
    let change = async |current: &str, new: &str| {
        users::change_password(parts, &ada, address(), &secret(current), &secret(new)).await
    };
    let weak = change(PASSWORD, "short").await.unwrap_err();
    assert_eq!(weak.error.field_errors[0].field, "password");
    for _ in 0..5 {
        let wrong = change("wrong-password-1", "another-password")
            .await
            .unwrap_err();
        assert_eq!(wrong.error.field_errors[0].field, "current_password");
    }
    let delayed = change(PASSWORD, "another-password").await.unwrap_err();
    assert_eq!(delayed.status, axum::http::StatusCode::TOO_MANY_REQUESTS);
    assert!(world.is_valid(session.token()).await);
    world.clock.advance(MINUTE);
    change(PASSWORD, "another-password").await.unwrap();
    assert!(!world.is_valid(session.token()).await);
    assert!(is_refused(world.log_in("ada", PASSWORD).await));
    assert!(world.log_in("ada", "another-password").await.is_ok());
}

#[tokio::test]
async fn failures_delay_an_account_and_an_address() {
    let world = World::new();
    world.add_with_password("ada", "operator", "sys").await;
    for _ in 0..5 {
        assert!(is_refused(world.log_in("ada", "wrong-password-1").await));
    }
    let delayed = world.log_in("ada", PASSWORD).await;
    assert!(matches!(
        delayed,
        Err(LogInError::TooMany { retry_after }) if retry_after == Duration::from_secs(1)
    ));
    world.clock.advance(Duration::from_secs(1));
    assert!(world.log_in("ada", PASSWORD).await.is_ok());

    let stranger = ClientAddress(Some(IpAddr::from([198, 51, 100, 9])));
    for number in 0..20 {
        let name = format!("name{number}");
        assert!(is_refused(
            world.log_in_from(stranger, &name, PASSWORD).await
        ));
    }
    let delayed = world.log_in_from(stranger, "ada", PASSWORD).await;
    assert!(matches!(delayed, Err(LogInError::TooMany { .. })));
    assert!(
        world.log_in("ada", PASSWORD).await.is_ok(),
        "from another address"
    );
}

#[tokio::test]
async fn outdated_hash_is_replaced_at_log_in() {
    let store = Arc::new(SqliteStore::in_memory().unwrap());
    let mut options = crate::access::testing::create_options("http://127.0.0.1:8400/");
    let world = World::new().restart(Arc::clone(&store), options.clone());
    world.add_with_password("ada", "operator", "sys").await;
    let cheap = world.dump().await;
    options.password_cost.passes += 1;
    let world = world.restart(store, options);
    assert!(is_refused(world.log_in("ada", "wrong-password-1").await));
    assert!(world.log_in("ada", PASSWORD).await.is_ok());
    assert!(cheap.contains("m=8,t=1,p=1") && !cheap.contains("t=2"));
    assert!(world.dump().await.contains("m=8,t=2,p=1"));
    assert!(world.log_in("ada", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn cookie_is_bound_to_the_host_with_https() {
    let plain = World::new();
    plain.add_with_password("ada", "operator", "sys").await;
    let new = plain.log_in("ada", PASSWORD).await.unwrap();
    let token = expose(new.token());
    assert_eq!(token.len(), 64);
    let cookie = new.set_cookie(&plain.parts);
    assert_eq!(
        cookie.to_str().unwrap(),
        format!("relation={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age=43200")
    );
    assert!(cookie.is_sensitive());

    let secure = World::with_url("https://relation.example.com/admin/");
    let cookie = clear_cookie(&secure.parts);
    assert_eq!(
        cookie.to_str().unwrap(),
        "__Host-relation=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Secure"
    );
    let mut headers = HeaderMap::new();
    headers.append(header::COOKIE, HeaderValue::from_static("relation=1; a=2"));
    headers.append(
        header::COOKIE,
        HeaderValue::from_static("b=3;__Host-relation=4"),
    );
    let read = read_cookie(&secure.parts, &headers).unwrap();
    assert_eq!(expose(&read), "4");
}

#[tokio::test]
async fn clear_secrets_are_in_no_document() {
    let world = World::new();
    let parts = &world.parts;
    let ada = world.add("ada", "operator", "sys").await;
    let link = users::set_up_link(parts, &Authority::Operator, &ada.pkid)
        .await
        .unwrap();
    let link_token = crate::access::testing::token_of(&link);
    let pending = world.dump().await;
    users::set_password(parts, address(), &link_token, &secret(PASSWORD))
        .await
        .unwrap();
    let new = world.log_in("ada", PASSWORD).await.unwrap();
    let wrong = "canary-wrong-password";
    let error = world.log_in("ada", wrong).await.unwrap_err();
    // People type their password as the name.
    let other = world
        .log_in("canary-typed-as-name", PASSWORD)
        .await
        .unwrap_err();
    let text = [
        pending,
        world.dump().await,
        format!("{link:?} {new:?} {error:?} {other:?}"),
        format!("{:?}", error.into_web_error()),
    ]
    .concat();
    for canary in [
        PASSWORD,
        wrong,
        "canary-typed",
        expose(&link_token),
        expose(new.token()),
    ] {
        assert!(!text.contains(canary), "{canary}");
    }
}
