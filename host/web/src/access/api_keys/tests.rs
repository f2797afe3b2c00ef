use axum::http::StatusCode;

use super::*;
use crate::access::testing::{World, address, allow, expose, grant, node, secret};

const DAY: Duration = Duration::from_secs(86_400);

fn new_key(name: &str, at: &str, role: &str) -> NewApiKey {
    NewApiKey {
        name: name.to_owned(),
        hierarchy: node(at),
        grants: vec![grant(role, at)],
        expires: None,
    }
}

async fn issue(world: &World, new: NewApiKey) -> IssuedApiKey {
    add(&world.parts, &Authority::Operator, new).await.unwrap()
}

async fn is_valid(world: &World, text: &SecretString) -> bool {
    authenticate(&world.parts, text).await.unwrap().is_some()
}

#[tokio::test]
async fn key_is_the_principal_of_its_roles() {
    let world = World::new();
    let issued = issue(&world, new_key("billing", "sys.A", "machine")).await;
    let text = expose(&issued.secret);
    let pkid = &issued.api_key.pkid;
    assert!(text.starts_with(&format!("rel_{pkid}_")));
    assert_eq!(text.len(), 4 + 24 + 1 + 64);
    let principal = authenticate(&world.parts, &issued.secret)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(principal.kind, PrincipalKind::ApiKey);
    assert_eq!(
        (&principal.pkid, principal.name.as_str()),
        (pkid, "billing")
    );
    assert_eq!(principal.grants, [grant("machine", "sys.A")]);

    let other = issue(&world, new_key("other", "sys.A", "machine")).await;
    let foreign = text.replace(pkid.as_str(), other.api_key.pkid.as_str());
    let unknown = text.replace(pkid.as_str(), Pkid::random().as_str());
    let short = &text[..text.len() - 1];
    for wrong in [
        &foreign,
        &unknown,
        short,
        "",
        "rel_",
        "rel__",
        "rel_x_y",
        &text[4..],
    ] {
        assert!(!is_valid(&world, &secret(wrong)).await, "{wrong}");
    }
}

#[tokio::test]
async fn rotated_key_overlaps_and_ends() {
    let world = World::new();
    let parts = &world.parts;
    let first = issue(&world, new_key("billing", "sys", "machine")).await;
    let pkid = &first.api_key.pkid;
    let operator = Authority::Operator;
    let second = rotate(parts, &operator, pkid, DAY).await.unwrap();
    assert_eq!(
        second.api_key.former_secret_until,
        Some(parts.now().after(DAY))
    );
    assert!(is_valid(&world, &first.secret).await && is_valid(&world, &second.secret).await);
    world.clock.advance(DAY);
    assert!(!is_valid(&world, &first.secret).await && is_valid(&world, &second.secret).await);

    let third = rotate(parts, &operator, pkid, DAY).await.unwrap();
    let fourth = rotate(parts, &operator, pkid, DAY).await.unwrap();
    assert!(
        !is_valid(&world, &second.secret).await,
        "two secrets are valid at most"
    );
    assert!(is_valid(&world, &third.secret).await && is_valid(&world, &fourth.secret).await);
    let fifth = rotate(parts, &operator, pkid, Duration::ZERO)
        .await
        .unwrap();
    assert!(!is_valid(&world, &fourth.secret).await && is_valid(&world, &fifth.secret).await);
    assert!(
        rotate(parts, &operator, pkid, MAX_OVERLAP + DAY)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn revoked_and_expired_keys_are_invalid() {
    let world = World::new();
    let parts = &world.parts;
    let operator = Authority::Operator;
    let mut new = new_key("billing", "sys", "machine");
    new.expires = Some(parts.now().after(DAY));
    let expiring = issue(&world, new.clone()).await;
    world.clock.advance(DAY - Duration::from_millis(1));
    assert!(is_valid(&world, &expiring.secret).await);
    world.clock.advance(Duration::from_millis(1));
    assert!(!is_valid(&world, &expiring.secret).await);
    new.name = "late".to_owned();
    let late = add(parts, &operator, new.clone()).await.unwrap_err();
    assert_eq!(late.error.field_errors[0].field, "expires");

    new.expires = None;
    let key = issue(&world, new.clone()).await;
    let taken = add(parts, &operator, new.clone()).await.unwrap_err();
    assert_eq!(taken.error.field_errors[0].field, "name");
    let renewed = rotate(parts, &operator, &key.api_key.pkid, DAY)
        .await
        .unwrap();
    let revoked = revoke(parts, &operator, &key.api_key.pkid).await.unwrap();
    assert_eq!(revoked.revoked, Some(parts.now()));
    assert!(!is_valid(&world, &key.secret).await && !is_valid(&world, &renewed.secret).await);
    let refused = rotate(parts, &operator, &key.api_key.pkid, DAY)
        .await
        .unwrap_err();
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(
        add(parts, &operator, new).await.is_ok(),
        "the name is free again"
    );
}

#[tokio::test]
async fn last_use_is_written_once_an_hour() {
    let world = World::new();
    let issued = issue(&world, new_key("billing", "sys", "machine")).await;
    let pkid = &issued.api_key.pkid;
    let mut versions = Vec::new();
    for advance in [0, 3599, 1, 3599, 1] {
        world.clock.advance(Duration::from_secs(advance));
        assert!(is_valid(&world, &issued.secret).await);
        let found = documents::get::<KeyBody>(world.parts.store(), pkid).await;
        versions.push(found.unwrap().unwrap().version);
    }
    assert_eq!(versions, [2, 2, 3, 3, 4]);
}

#[tokio::test]
async fn keys_follow_the_rules_of_roles_and_nodes() {
    let world = World::new();
    let parts = &world.parts;
    let allowed = allow(&[grant("customer-administrator", "sys.A")]);
    let authority = Authority::Principal(&allowed, address());
    // A machine may add and delete, which this administrator may not.
    let error = add(parts, &authority, new_key("m", "sys.A", "machine"))
        .await
        .unwrap_err();
    assert_eq!(error.error.field_errors[0].field, "grants[0]");
    let error = add(parts, &authority, new_key("m", "sys", "operator"))
        .await
        .unwrap_err();
    assert_eq!(error.status, StatusCode::NOT_FOUND);
    let own = add(parts, &authority, new_key("m", "sys.A", "operator"))
        .await
        .unwrap();

    let stronger = issue(&world, new_key("strong", "sys.A", "machine")).await;
    let outside = issue(&world, new_key("m", "sys.B", "operator")).await;
    for (pkid, status) in [
        (&stronger.api_key.pkid, StatusCode::FORBIDDEN),
        (&outside.api_key.pkid, StatusCode::NOT_FOUND),
    ] {
        let rotated = rotate(parts, &authority, pkid, DAY).await.unwrap_err();
        let revoked = revoke(parts, &authority, pkid).await.unwrap_err();
        assert_eq!([rotated.status, revoked.status], [status, status]);
    }
    let page = list(parts, &authority, None, None, 50).await.unwrap();
    assert_eq!(page.items.len(), 2);
    let found = find(parts, &authority, "M").await.unwrap();
    assert_eq!(found, [own.api_key]);
}

#[tokio::test]
async fn clear_keys_are_in_no_document() {
    let world = World::new();
    let first = issue(&world, new_key("billing", "sys", "machine")).await;
    let second = rotate(&world.parts, &Authority::Operator, &first.api_key.pkid, DAY).await;
    let second = second.unwrap();
    assert!(is_valid(&world, &first.secret).await);
    let json = serde_json::to_string(&second.api_key).unwrap();
    let text = [world.dump().await, format!("{first:?} {second:?}"), json].concat();
    for issued in [&first, &second] {
        let secret = expose(&issued.secret).rsplit('_').next().unwrap();
        assert!(!text.contains(secret));
    }
}
