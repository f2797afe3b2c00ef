mod rights;

use std::time::Duration;

use axum::http::StatusCode;
use relation_host::types::Scope;

use super::*;
use crate::access::audit::AuditResult;
use crate::access::testing::{
    PASSWORD, World, address, allow, expose, grant, node, secret, token_of,
};

const DAY: Duration = Duration::from_secs(86_400);

fn new_user(name: &str, at: &str, grants: &[RoleGrant]) -> NewUser {
    NewUser {
        name: name.to_owned(),
        hierarchy: node(at),
        grants: grants.to_vec(),
        language: None,
    }
}

fn fields(error: &WebError) -> Vec<&str> {
    let errors = error.error.field_errors.iter();
    errors.map(|error| error.field.as_str()).collect()
}

#[tokio::test]
async fn names_are_unique_in_any_case() {
    let world = World::new();
    let ada = world.add("Ada", "operator", "sys.A").await;
    let parts = &world.parts;
    for name in ["ada", "ADA", "Ada"] {
        let error = add(parts, &Authority::Operator, new_user(name, "sys.B", &[])).await;
        let error = error.unwrap_err();
        assert_eq!(error.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(fields(&error), ["name"]);
        let text = format!("{error:?}");
        assert!(
            !text.contains(ada.pkid.as_str()) && !text.contains("sys.A"),
            "{text}"
        );
    }
    let found = find(parts, &Authority::Operator, "aDA").await.unwrap();
    assert_eq!(found, ada);
}

#[tokio::test]
async fn one_of_concurrent_adds_of_a_name_wins() {
    let world = World::new();
    let adds = (0..8).map(|_| {
        let parts = world.parts.clone();
        tokio::spawn(
            async move { add(&parts, &Authority::Operator, new_user("ada", "sys", &[])).await },
        )
    });
    let adds: Vec<_> = adds.collect();
    let mut added = 0;
    for result in adds {
        match result.await.unwrap() {
            Ok(_) => added += 1,
            Err(error) => assert_eq!(fields(&error), ["name"]),
        }
    }
    assert_eq!(added, 1);
}

#[tokio::test]
async fn concurrent_change_names_the_user() {
    let world = World::new();
    let ada = world.add("ada", "operator", "sys.A").await;
    let parts = &world.parts;
    let before = documents::get::<UserBody>(parts.store(), &ada.pkid).await;
    let before = before.unwrap().unwrap();
    disable(parts, &Authority::Operator, &ada.pkid)
        .await
        .unwrap();
    let event = Authority::<permission::Administer>::Operator.to_event("enable-user", &before);
    let error = write(parts, &before, before.clone(), event)
        .await
        .unwrap_err();
    assert_eq!(error.status, StatusCode::CONFLICT);
    assert_eq!(error.error.message, "ada was changed in the meantime");
    assert!(error.error.hint.unwrap().contains("try again"));
}

#[tokio::test]
async fn all_field_errors_come_at_once() {
    let world = World::new();
    let mut user = new_user(
        "a b",
        "sys.A",
        &[
            grant("wizard", "sys.A"),
            grant("operator", "sys.B"),
            grant("operator", "sys.A.B"),
        ],
    );
    user.language = Some("?".to_owned());
    let error = add(&world.parts, &Authority::Operator, user)
        .await
        .unwrap_err();
    assert_eq!(
        fields(&error),
        ["name", "grants[0]", "grants[1]", "language"]
    );
}

#[tokio::test]
async fn users_outside_of_the_nodes_do_not_exist() {
    let world = World::new();
    let parts = &world.parts;
    let inside = world.add("inside", "operator", "sys.A.B").await;
    let outside = world.add("outside", "operator", "sys.AB").await;
    let allowed = allow(&[grant("customer-administrator", "sys.A")]);
    let authority = Authority::Principal(&allowed, address());

    let page = list(parts, &authority, None, None, 50).await.unwrap();
    assert_eq!(page.items, std::slice::from_ref(&inside));
    let filter = documents::filter::<UserBody>(&authority.range(None).unwrap(), Vec::new());
    assert_eq!(parts.store().count(&filter, 50).await.unwrap(), 1);
    let unknown = get(parts, &authority, &Pkid::random()).await.unwrap_err();
    for error in [
        get(parts, &authority, &outside.pkid).await.unwrap_err(),
        find(parts, &authority, "outside").await.unwrap_err(),
        disable(parts, &authority, &outside.pkid).await.unwrap_err(),
        set_grants(parts, &authority, &outside.pkid, Vec::new())
            .await
            .unwrap_err(),
        set_up_link(parts, &authority, &outside.pkid)
            .await
            .unwrap_err(),
        list(parts, &authority, Some(&node("sys")), None, 50)
            .await
            .unwrap_err(),
    ] {
        assert_eq!(
            (error.status, &error.error),
            (unknown.status, &unknown.error)
        );
    }
    let added = add(parts, &authority, new_user("x", "sys.AB", &[])).await;
    assert_eq!(added.unwrap_err().status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn users_with_more_roles_cannot_be_managed() {
    let world = World::new();
    let parts = &world.parts;
    let boss = world
        .add_with_password("boss", "reseller-administrator", "sys.A")
        .await;
    let allowed = allow(&[grant("customer-administrator", "sys.A")]);
    let authority = Authority::Principal(&allowed, address());
    assert_eq!(get(parts, &authority, &boss.pkid).await.unwrap(), boss);
    for error in [
        disable(parts, &authority, &boss.pkid).await.unwrap_err(),
        enable(parts, &authority, &boss.pkid).await.unwrap_err(),
        set_grants(parts, &authority, &boss.pkid, Vec::new())
            .await
            .unwrap_err(),
        set_up_link(parts, &authority, &boss.pkid)
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn last_provider_administrator_remains() {
    let world = World::new();
    let parts = &world.parts;
    let operator = Authority::Operator;
    let ada = world
        .add_with_password("ada", "provider-administrator", "sys")
        .await;
    // Neither an administrator of a lower node nor one without a password is a replacement.
    world
        .add_with_password("low", "provider-administrator", "sys.A")
        .await;
    let bob = world.add("bob", "provider-administrator", "sys").await;
    for error in [
        disable(parts, &operator, &ada.pkid).await.unwrap_err(),
        set_grants(parts, &operator, &ada.pkid, vec![grant("operator", "sys")])
            .await
            .unwrap_err(),
        set_grants(
            parts,
            &operator,
            &ada.pkid,
            vec![grant("provider-administrator", "sys.A")],
        )
        .await
        .unwrap_err(),
    ] {
        assert_eq!(error.status, StatusCode::CONFLICT);
        assert!(
            error
                .error
                .message
                .contains("last provider administrator of sys")
        );
    }
    let link = set_up_link(parts, &operator, &bob.pkid).await.unwrap();
    set_password(parts, address(), &token_of(&link), &secret(PASSWORD))
        .await
        .unwrap();
    assert!(disable(parts, &operator, &ada.pkid).await.unwrap().disabled);
    assert!(disable(parts, &operator, &bob.pkid).await.is_err());
    assert!(!enable(parts, &operator, &ada.pkid).await.unwrap().disabled);
    assert!(disable(parts, &operator, &bob.pkid).await.unwrap().disabled);
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_cannot_disable_each_other() {
    for _ in 0..10 {
        let world = World::new();
        let one = world
            .add_with_password("one", "provider-administrator", "sys")
            .await;
        let two = world
            .add_with_password("two", "provider-administrator", "sys")
            .await;
        let disable = |pkid: Pkid| {
            let parts = world.parts.clone();
            tokio::spawn(async move { disable(&parts, &Authority::Operator, &pkid).await })
        };
        let (first, second) = (disable(one.pkid), disable(two.pkid));
        let results = [first.await.unwrap(), second.await.unwrap()];
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    }
}

#[tokio::test]
async fn link_is_valid_once_and_for_a_day() {
    let world = World::new();
    let parts = &world.parts;
    let ada = world.add("ada", "operator", "sys").await;
    let operator = Authority::Operator;
    let link = set_up_link(parts, &operator, &ada.pkid).await.unwrap();
    assert_eq!(link.expires, parts.now().after(DAY));
    let token = token_of(&link);
    let url = format!("http://127.0.0.1:8400/set-up/{}", expose(&token));
    assert_eq!(link.url.as_str(), url);
    let purpose = LinkPurpose::SetPassword {
        name: "ada".to_owned(),
    };
    assert_eq!(read_link(parts, &token).await.unwrap(), purpose);

    let refused = set_password(parts, address(), &token, &secret("short"))
        .await
        .unwrap_err();
    assert_eq!(fields(&refused), ["password"]);
    assert!(
        set_password(parts, address(), &token, &secret(PASSWORD))
            .await
            .unwrap()
            .has_password
    );
    for error in [
        read_link(parts, &token).await.unwrap_err(),
        set_password(parts, address(), &token, &secret(PASSWORD))
            .await
            .unwrap_err(),
        read_link(parts, &secret("0123")).await.unwrap_err(),
    ] {
        assert_eq!(error.status, StatusCode::NOT_FOUND);
    }

    let first = set_up_link(parts, &operator, &ada.pkid).await.unwrap();
    let second = set_up_link(parts, &operator, &ada.pkid).await.unwrap();
    assert!(
        read_link(parts, &token_of(&first)).await.is_err(),
        "it was replaced"
    );
    world.clock.advance(DAY - Duration::from_millis(1));
    assert!(read_link(parts, &token_of(&second)).await.is_ok());
    world.clock.advance(Duration::from_millis(1));
    assert!(read_link(parts, &token_of(&second)).await.is_err());
    assert_eq!(remove_expired_links(parts).await.unwrap(), 1);
}

#[tokio::test]
async fn change_of_roles_or_disabling_ends_links() {
    let world = World::new();
    let parts = &world.parts;
    let ada = world.add("ada", "operator", "sys").await;
    let operator = Authority::Operator;
    let link = set_up_link(parts, &operator, &ada.pkid).await.unwrap();
    set_grants(parts, &operator, &ada.pkid, vec![grant("auditor", "sys")])
        .await
        .unwrap();
    assert!(read_link(parts, &token_of(&link)).await.is_err());

    let link = set_up_link(parts, &operator, &ada.pkid).await.unwrap();
    disable(parts, &operator, &ada.pkid).await.unwrap();
    let token = token_of(&link);
    assert!(
        set_password(parts, address(), &token, &secret(PASSWORD))
            .await
            .is_err()
    );
    let refused = set_up_link(parts, &operator, &ada.pkid).await.unwrap_err();
    assert_eq!(refused.status, StatusCode::CONFLICT);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_administrator_is_created_once() {
    let world = World::new();
    let parts = &world.parts;
    let links = [
        first_administrator_link(parts).await.unwrap().unwrap(),
        first_administrator_link(parts).await.unwrap().unwrap(),
    ];
    assert_eq!(
        read_link(parts, &token_of(&links[0])).await.unwrap(),
        LinkPurpose::FirstAdministrator
    );
    let administrator = |name: &str, password: &str| NewAdministrator {
        name: name.to_owned(),
        hierarchy: node("sys"),
        password: secret(password),
    };
    let token = token_of(&links[0]);
    let refused =
        create_first_administrator(parts, address(), &token, administrator("", "x")).await;
    assert_eq!(fields(&refused.unwrap_err()), ["name", "password"]);

    let created = links.map(|link| {
        let (parts, administrator) = (parts.clone(), administrator("ada", PASSWORD));
        tokio::spawn(async move {
            create_first_administrator(&parts, address(), &token_of(&link), administrator).await
        })
    });
    let mut succeeded = 0;
    for result in created {
        succeeded += u32::from(result.await.unwrap().is_ok());
    }
    assert_eq!(succeeded, 1);
    assert!(first_administrator_link(parts).await.unwrap().is_none());
    let session = world.log_in("ada", PASSWORD).await.unwrap();
    assert_eq!(
        session.user.grants,
        [grant("provider-administrator", "sys")]
    );
}

#[test]
fn weak_passwords_are_refused() {
    let refuse = |text: &str| {
        crate::access::passwords::find_password_error(&secret(text), "Ada.Lovelace@example.com")
    };
    assert!(refuse("11-chars-xx").is_some());
    assert!(refuse("12-chars-xxx").is_none());
    assert!(
        refuse("ünïcödé-äöü").is_some(),
        "characters count, not bytes"
    );
    assert!(refuse("ada.lovelace@EXAMPLE.com").is_some());
    assert!(refuse(&"x".repeat(1024)).is_none());
    assert!(refuse(&"x".repeat(1025)).is_some());
}

#[tokio::test]
async fn changes_are_audited() {
    let world = World::new();
    let parts = &world.parts;
    let ada = world.add_with_password("ada", "operator", "sys.A").await;
    let allowed = allow(&[grant("reseller-administrator", "sys.A")]);
    let authority = Authority::Principal(&allowed, address());
    set_grants(
        parts,
        &authority,
        &ada.pkid,
        vec![grant("auditor", "sys.A")],
    )
    .await
    .unwrap();
    disable(parts, &authority, &ada.pkid).await.unwrap();
    disable(parts, &authority, &ada.pkid).await.unwrap();
    enable(parts, &authority, &ada.pkid).await.unwrap();

    let range = Some((node("sys"), Scope::Subtree));
    let page = documents::list_objects::<audit::AuditEvent>(parts, &range, None, 50)
        .await
        .unwrap();
    let operations: Vec<&str> = page
        .items
        .iter()
        .map(|event| event.event.operation.as_str())
        .collect();
    assert_eq!(
        operations,
        [
            "enable-user",
            "disable-user",
            "set-grants",
            "set-password",
            "create-set-up-link",
            "add-user"
        ]
    );
    let event = &page.items[2].event;
    assert_eq!(event.actor.name, "actor");
    assert_eq!(event.address, address().0);
    assert_eq!(event.node, node("sys.A"));
    assert_eq!(event.result, AuditResult::Success);
    assert_eq!(event.object.as_ref().unwrap().name, "ada");
    let before = to_json(&[grant("operator", "sys.A")]);
    let after = to_json(&[grant("auditor", "sys.A")]);
    assert_eq!(event.changes, [FieldChange::new("grants", before, after)]);
    assert_eq!(
        page.items[3].event.changes,
        [FieldChange::secret("password")]
    );
}

#[test]
fn repeated_and_covered_grants_are_removed() {
    let grants = vec![
        grant("operator", "sys.A.B"),
        grant("operator", "sys.A"),
        grant("auditor", "sys.A.B"),
        grant("operator", "sys.A"),
        grant("operator", "sys.AB"),
    ];
    let kept = [
        grant("operator", "sys.A"),
        grant("auditor", "sys.A.B"),
        grant("operator", "sys.AB"),
    ];
    let mut found = deduplicate(grants);
    found.sort_by_key(|grant| (grant.role.clone() != "operator", grant.node.clone()));
    let mut expected = kept.to_vec();
    expected.sort_by_key(|grant| (grant.role.clone() != "operator", grant.node.clone()));
    assert_eq!(found, expected);
}
