use axum::http::StatusCode;

use super::*;
use crate::access::api_keys::{self, NewApiKey};
use crate::access::audit::AuditEvent;
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
    for (at, count) in [("sys.R.C.D", 1), ("sys.R", 0)] {
        let offered = list_grantable(&world.parts, &Authority::Operator, &node(at)).await;
        assert_eq!(offered.unwrap().len(), count, "{at}");
    }
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

    let refused = delete(&world.parts, &Authority::Operator, &role).await;
    let error = refused.unwrap_err();
    assert_eq!(error.status, StatusCode::CONFLICT);
    let hint = error.error.hint.unwrap();
    assert!(
        hint.contains("the user ada") && hint.contains("the key key"),
        "{hint}"
    );

    // A disabled user does not keep a role alive, and loses it.
    users::disable(&world.parts, &Authority::Operator, &ada.pkid)
        .await
        .unwrap();
    let issued = find_key(&world, "key").await;
    api_keys::revoke(&world.parts, &Authority::Operator, &issued)
        .await
        .unwrap();
    delete(&world.parts, &Authority::Operator, &role)
        .await
        .unwrap();
    let ada = users::get(&world.parts, &Authority::Operator, &ada.pkid)
        .await
        .unwrap();
    assert!(ada.grants.is_empty());
    let page = documents::list_objects::<AuditEvent>(&world.parts, &None, None, 50).await;
    let events: Vec<_> = page
        .unwrap()
        .items
        .into_iter()
        .map(|each| each.event)
        .collect();
    let find = |operation: &str| {
        let mut events = events.iter();
        events.find(|event| event.operation == operation).unwrap()
    };
    let (deleted, changed) = (find("delete-role"), find("set-grants"));
    assert_eq!(deleted.changes[0].field, "operations");
    assert_eq!(deleted.changes[0].before, Some(json!(["read", "refresh"])));
    assert_eq!(changed.object.as_ref().unwrap().name, "ada");
    let expected = FieldChange::new(
        "grants",
        json!([{ "role": role, "node": "sys.R.C" }]),
        json!([]),
    );
    assert_eq!(changed.changes, [expected]);
    let gone = get(&world.parts, &Authority::Operator, &role).await;
    assert_eq!(gone.unwrap_err().status, StatusCode::NOT_FOUND);
}

async fn find_key(world: &World, name: &str) -> Pkid {
    let found = api_keys::find(&world.parts, &Authority::Operator, name).await;
    found.unwrap().pop().unwrap().pkid
}

#[tokio::test]
async fn holders_outside_of_the_nodes_are_not_named() {
    let world = World::new();
    let parts = &world.parts;
    let role = add(parts, &Authority::Operator, new("desk", "sys.R", &[Read])).await;
    let role = role.unwrap().pkid;
    for (name, at) in [("inside", "sys.R.C"), ("above", "sys")] {
        let user = NewUser {
            name: name.to_owned(),
            hierarchy: node(at),
            grants: vec![grant(role.as_str(), "sys.R.C")],
            language: None,
        };
        users::add(parts, &Authority::Operator, user).await.unwrap();
    }
    let allowed = allow(&[grant("reseller-administrator", "sys.R")]);
    let author = Authority::Principal(&allowed, address());
    let holders = list_holders(parts, &author, &role).await.unwrap();
    let names: Vec<&str> = holders
        .users
        .iter()
        .map(|user| user.name.as_str())
        .collect();
    assert_eq!(names, ["inside"]);
    assert!(holders.more && holders.keys.is_empty() && !holders.is_empty());
    let error = delete(parts, &author, &role).await.unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("inside") && !text.contains("above"), "{text}");
    // Somebody outside alone keeps the role too.
    let inside = users::find(parts, &Authority::Operator, "inside")
        .await
        .unwrap();
    users::set_grants(parts, &author, &inside.pkid, Vec::new())
        .await
        .unwrap();
    let error = delete(parts, &author, &role).await.unwrap_err();
    assert_eq!(error.status, StatusCode::CONFLICT);
    assert!(!format!("{error:?}").contains("above"), "{error:?}");
    let other = allow(&[grant("reseller-administrator", "sys.S")]);
    let other = Authority::Principal(&other, address());
    let hidden = list_holders(parts, &other, &role).await.unwrap_err();
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn object_at_a_new_node_needs_the_right_to_add_it() {
    let world = World::new();
    let parts = &world.parts;
    let allowed = allow(&[grant("customer-administrator", "sys.R.C")]);
    let author = Authority::Principal(&allowed, address());
    let new_key = |at: &str| NewApiKey {
        name: "key".to_owned(),
        hierarchy: node(at),
        grants: Vec::new(),
        expires: None,
    };
    let new_user = |at: &str| NewUser {
        name: "ada".to_owned(),
        hierarchy: node(at),
        grants: Vec::new(),
        language: None,
    };
    let refused = [
        add(parts, &author, new("desk", "sys.R.C.D", &[Read]))
            .await
            .err(),
        api_keys::add(parts, &author, new_key("sys.R.C.D"))
            .await
            .err(),
        users::add(parts, &author, new_user("sys.R.C.D"))
            .await
            .err(),
    ];
    for error in refused {
        assert_eq!(fields(error.unwrap()), ["hierarchy"]);
    }
    // The node of the custom role is known, and a provider administrator may add any.
    add(parts, &author, new("desk", "sys.R.C", &[Read]))
        .await
        .unwrap();
    let provider = allow(&[grant("provider-administrator", "sys")]);
    let provider = Authority::Principal(&provider, address());
    users::add(parts, &provider, new_user("sys.R.C.D"))
        .await
        .unwrap();
    api_keys::add(parts, &author, new_key("sys.R.C.D"))
        .await
        .unwrap();
}

#[tokio::test]
async fn name_means_the_nearest_role() {
    let world = World::new();
    let parts = &world.parts;
    let mut pkids = Vec::new();
    for at in ["sys", "sys.R"] {
        let role = add(parts, &Authority::Operator, new("desk", at, &[Read])).await;
        pkids.push(role.unwrap().pkid.to_string());
    }
    let mut grants = [
        grant("desk", "sys.R.C"),
        grant("Desk", "sys.S"),
        grant("operator", "sys"),
        grant("wizard", "sys"),
    ];
    resolve_names(parts, &mut grants).await.unwrap();
    let roles: Vec<&str> = grants.iter().map(|grant| grant.role.as_str()).collect();
    assert_eq!(roles, [&pkids[1], &pkids[0], "operator", "wizard"]);
    let custom_roles = load(parts, &grants).await.unwrap();
    let missing = grants.iter().filter(|grant| !exists(grant, &custom_roles));
    assert_eq!(missing.count(), 1);
    assert_eq!(name(&grants[0], &custom_roles), "desk");
}

#[tokio::test]
async fn grantable_role_of_a_node_above_can_be_read() {
    let world = World::new();
    let parts = &world.parts;
    let mut roles = Vec::new();
    for (name, at, operations) in [
        ("desk", "sys.R", &[Read][..]),
        ("wide", "sys.R", &[Read, Audit][..]),
        ("below", "sys.R", &[Read, Add][..]),
        ("sibling", "sys.R.D", &[Read][..]),
    ] {
        let added = add(parts, &Authority::Operator, new(name, at, operations)).await;
        roles.push(added.unwrap().pkid);
    }
    // The second grant permits one more operation at a node below.
    let grants = [
        grant("customer-administrator", "sys.R.C"),
        grant("machine", "sys.R.C.D"),
    ];
    let allowed = allow(&grants);
    let author = Authority::Principal(&allowed, address());
    for (pkid, is_readable) in roles.iter().zip([true, false, true, false]) {
        let found = get(parts, &author, pkid).await;
        let found = found.map_or_else(|error| error.status, |_| StatusCode::OK);
        let expected = match is_readable {
            true => StatusCode::OK,
            false => StatusCode::NOT_FOUND,
        };
        assert_eq!(found, expected);
        let holders = list_holders(parts, &author, pkid).await;
        assert_eq!(holders.unwrap_err().status, StatusCode::NOT_FOUND);
        let status = match is_readable {
            true => StatusCode::FORBIDDEN,
            false => StatusCode::NOT_FOUND,
        };
        let changed = set_operations(parts, &author, pkid, vec![Read]).await;
        assert_eq!(changed.unwrap_err().status, status);
        let deleted = delete(parts, &author, pkid).await;
        assert_eq!(deleted.unwrap_err().status, status);
    }
    let listed = list_grantable(parts, &author, &node("sys.R.C"))
        .await
        .unwrap();
    let mut names: Vec<&str> = listed.iter().map(|role| role.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["below", "desk"]);
    let outside = list_grantable(parts, &author, &node("sys.R")).await;
    assert_eq!(outside.unwrap_err().status, StatusCode::NOT_FOUND);
}
