use axum::http::StatusCode;

use super::*;
use crate::access::api_keys::{self, NewApiKey};
use crate::access::sessions;
use crate::access::testing::{PASSWORD, World, address, allow, grant, node};
use crate::access::users::NewUser;
use Operation::{Add, Audit, Delete, Modify, Read, Refresh};

fn new(name: &str, at: &str, operations: &[Operation]) -> NewRole {
    NewRole {
        name: name.to_owned(),
        hierarchy: node(at),
        operations: operations.to_vec(),
    }
}

fn fields(error: WebError) -> Vec<String> {
    let errors = error.error.field_errors.into_iter();
    errors.map(|error| error.field).collect()
}

#[tokio::test]
async fn role_has_at_most_the_operations_of_its_author() {
    let world = World::new();
    let allowed = allow(&[grant("customer-administrator", "sys.R.C")]);
    let author = Authority::Principal(&allowed, address());
    let role = add(
        &world.parts,
        &author,
        new("desk", "sys.R.C", &[Modify, Read, Read]),
    )
    .await;
    assert_eq!(role.unwrap().operations, [Read, Modify]);
    let refused = add(
        &world.parts,
        &author,
        new("x y", "sys.R.C.D", &[Read, Add, Delete]),
    )
    .await;
    assert_eq!(
        fields(refused.unwrap_err()),
        ["operations", "operations", "name"]
    );
    for (name, operations) in [
        ("desk", &[Read][..]),
        ("operator", &[Read][..]),
        ("none", &[][..]),
    ] {
        let refused = add(&world.parts, &author, new(name, "sys.R.C", operations)).await;
        assert_eq!(fields(refused.unwrap_err()).len(), 1, "{name}");
    }
    let outside = add(&world.parts, &author, new("desk", "sys.R", &[Read])).await;
    assert_eq!(outside.unwrap_err().status, StatusCode::NOT_FOUND);

    // A role of somebody with more rights can be neither seen above nor changed.
    let above = add(
        &world.parts,
        &Authority::Operator,
        new("all", "sys.R", &[Read, Audit]),
    )
    .await;
    let hidden = get(&world.parts, &author, &above.unwrap().pkid).await;
    assert_eq!(hidden.unwrap_err().status, StatusCode::NOT_FOUND);
    let wide = add(
        &world.parts,
        &Authority::Operator,
        new("wide", "sys.R.C", &[Read, Audit]),
    )
    .await;
    let wide = wide.unwrap().pkid;
    let changed = set_operations(&world.parts, &author, &wide, vec![Read]).await;
    assert_eq!(changed.unwrap_err().status, StatusCode::FORBIDDEN);
    let deleted = delete(&world.parts, &author, &wide).await;
    assert_eq!(deleted.unwrap_err().status, StatusCode::FORBIDDEN);
    // Nor can it be granted.
    let user = NewUser {
        name: "eve".to_owned(),
        hierarchy: node("sys.R.C"),
        grants: vec![grant(wide.as_str(), "sys.R.C")],
        language: None,
    };
    let granted = users::add(&world.parts, &author, user).await;
    assert_eq!(fields(granted.unwrap_err()), ["grants[0]"]);
}

#[tokio::test]
async fn role_is_granted_at_and_below_its_node() {
    let world = World::new();
    let role = add(
        &world.parts,
        &Authority::Operator,
        new("desk", "sys.R.C", &[Read]),
    )
    .await;
    let role = role.unwrap().pkid;
    for (at, errors) in [
        ("sys.R.C", 0),
        ("sys.R.C.D", 0),
        ("sys.R", 1),
        ("sys.R.CC", 1),
    ] {
        let user = NewUser {
            name: format!("user-of-{at}"),
            hierarchy: node("sys"),
            grants: vec![grant(role.as_str(), at)],
            language: None,
        };
        let added = users::add(&world.parts, &Authority::Operator, user).await;
        assert_eq!(
            added.map_or_else(fields, |_| Vec::new()).len(),
            errors,
            "{at}"
        );
    }
    let offered = list_for(&world.parts, &node("sys.R.C.D")).await.unwrap();
    assert_eq!(offered.len(), 1);
    assert!(
        list_for(&world.parts, &node("sys.R"))
            .await
            .unwrap()
            .is_empty()
    );
    let found = find_by_name(&world.parts, "Desk", &node("sys.R.C.D")).await;
    assert_eq!(found.unwrap().unwrap().pkid, role);
}

#[tokio::test]
async fn change_of_a_role_ends_sessions_of_its_holders() {
    let world = World::new();
    let role = add(
        &world.parts,
        &Authority::Operator,
        new("desk", "sys.R", &[Read]),
    )
    .await;
    let role = role.unwrap().pkid;
    world.add_with_password("other", "operator", "sys.R").await;
    let ada = world.add_with_password("ada", "operator", "sys.R").await;
    let grants = vec![grant(role.as_str(), "sys.R.C")];
    users::set_grants(
        &world.parts,
        &Authority::Operator,
        &ada.pkid,
        grants.clone(),
    )
    .await
    .unwrap();
    let new_key = NewApiKey {
        name: "key".to_owned(),
        hierarchy: node("sys.R"),
        grants,
        expires: None,
    };
    let key = api_keys::add(&world.parts, &Authority::Operator, new_key).await;
    let key = key.unwrap().secret;
    let other = world
        .log_in("other", PASSWORD)
        .await
        .unwrap()
        .token()
        .clone();
    let session = world.log_in("ada", PASSWORD).await.unwrap().token().clone();
    let (principal, _) = sessions::authenticate(&world.parts, &session)
        .await
        .unwrap()
        .unwrap();
    assert!(principal.may(Read, &node("sys.R.C.D")));
    assert!(!principal.may(Read, &node("sys.R")) && !principal.may(Refresh, &node("sys.R.C")));

    let operations = vec![Read, Refresh];
    set_operations(&world.parts, &Authority::Operator, &role, operations)
        .await
        .unwrap();
    assert!(!world.is_valid(&session).await && world.is_valid(&other).await);
    let principal = api_keys::authenticate(&world.parts, &key)
        .await
        .unwrap()
        .unwrap();
    assert!(principal.may(Refresh, &node("sys.R.C")));

    let session = world.log_in("ada", PASSWORD).await.unwrap().token().clone();
    delete(&world.parts, &Authority::Operator, &role)
        .await
        .unwrap();
    assert!(!world.is_valid(&session).await && world.is_valid(&other).await);
    let ada = users::get(&world.parts, &Authority::Operator, &ada.pkid)
        .await
        .unwrap();
    assert!(ada.grants.is_empty());
    let principal = api_keys::authenticate(&world.parts, &key)
        .await
        .unwrap()
        .unwrap();
    assert!(principal.grants.is_empty() && !principal.may(Read, &node("sys.R.C")));
}
