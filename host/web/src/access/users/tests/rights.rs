//! The rule that an administrator cannot become anybody with more rights, for any roles and operations.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::access::{Allowed, Operation, Principal, PrincipalKind, ROLES};

const NODES: &[&str] = &["sys", "sys.A", "sys.A.B", "sys.A.B.C", "sys.AB", "sys.D"];

const OPERATIONS: &[Operation] = &[
    Operation::Read,
    Operation::Add,
    Operation::Modify,
    Operation::Delete,
    Operation::Connect,
    Operation::Refresh,
    Operation::Sync,
    Operation::Act,
    Operation::Administer,
    Operation::Audit,
];

fn any_grants() -> impl Strategy<Value = Vec<RoleGrant>> {
    let roles: Vec<&str> = ROLES.iter().map(|role| role.name).collect();
    let one = (prop::sample::select(roles), prop::sample::select(NODES));
    let one = one.prop_map(|(role, at)| grant(role, at));
    prop::collection::vec(one, 0..4)
}

/// Returns a user as a principal, with the custom roles as they are now.
async fn principal_of(parts: &AccessParts, user: &User) -> Principal {
    Principal {
        custom_roles: roles::load(parts, &user.grants).await.unwrap(),
        kind: PrincipalKind::User,
        pkid: user.pkid.clone(),
        name: user.name.clone(),
        grants: user.grants.clone(),
    }
}

/// Returns an operation that `user` may perform and `actor` may not.
fn find_excess(user: &Principal, actor: &Principal) -> Option<(Operation, &'static str)> {
    let all = OPERATIONS
        .iter()
        .flat_map(|operation| NODES.iter().map(move |at| (*operation, *at)));
    all.into_iter().find(|(operation, at)| {
        user.may(*operation, &node(at)) && !actor.may(*operation, &node(at))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever an administrator does, a user that he or she can become has no more rights.
    #[test]
    fn nobody_grants_more_than_they_have(
        own in any_grants(),
        victim in (prop::sample::select(NODES), any_grants()),
        wanted in prop::collection::vec((prop::sample::select(NODES), any_grants()), 1..6),
    ) {
        let actor = Principal {
            custom_roles: Vec::new(),
            kind: PrincipalKind::User,
            pkid: Pkid::random(),
            name: "actor".to_owned(),
            grants: own,
        };
        let Some(allowed) = Allowed::new(&Arc::new(actor.clone())) else {
            return Ok(());
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let parts = &world.parts;
            let authority = Authority::Principal(&allowed, address());
            let (at, grants) = victim;
            let victim = new_user("victim", at, &grants);
            let victim = add(parts, &Authority::Operator, victim).await.ok();
            for (index, (at, grants)) in wanted.iter().enumerate() {
                let user = new_user(&format!("user{index}"), at, grants);
                if let Ok(user) = add(parts, &authority, user).await {
                    prop_assert_eq!(find_excess(&principal_of(parts, &user).await, &actor), None);
                }
                let Some(victim) = &victim else { continue };
                let before = get(parts, &Authority::Operator, &victim.pkid).await.unwrap();
                let taken_over = set_up_link(parts, &authority, &victim.pkid).await.is_ok();
                if taken_over {
                    prop_assert_eq!(find_excess(&principal_of(parts, &before).await, &actor), None);
                }
                match set_grants(parts, &authority, &victim.pkid, grants.clone()).await {
                    Ok(after) => {
                        prop_assert_eq!(find_excess(&principal_of(parts, &after).await, &actor), None);
                        prop_assert_eq!(find_excess(&principal_of(parts, &before).await, &actor), None);
                    }
                    Err(_) => {
                        let after = get(parts, &Authority::Operator, &victim.pkid).await.unwrap();
                        prop_assert_eq!(before, after);
                    }
                }
            }
            Ok(())
        })?;
    }
}

fn any_operations() -> impl Strategy<Value = Vec<Operation>> {
    // Each role must have `read`.
    prop::collection::vec(prop::sample::select(OPERATIONS), 0..4).prop_map(|mut operations| {
        operations.retain(|each| *each != Operation::Read);
        operations.insert(0, Operation::Read);
        operations
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Custom roles do not evade the rule: neither the administrator's own ones nor those of others.
    #[test]
    fn nobody_grants_more_by_custom_roles(
        own in any_grants(),
        stored in prop::collection::vec((prop::sample::select(NODES), any_operations()), 1..4),
        steps in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::sample::select(NODES), any_operations()), 1..8),
    ) {
        let actor = Principal {
            custom_roles: Vec::new(),
            kind: PrincipalKind::User,
            pkid: Pkid::random(),
            name: "actor".to_owned(),
            grants: own,
        };
        let Some(allowed) = Allowed::new(&Arc::new(actor.clone())) else {
            return Ok(());
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let parts = &world.parts;
            let authority = Authority::Principal(&allowed, address());
            let new_role = |name: String, at: &str, operations: Vec<Operation>| roles::NewRole {
                name,
                hierarchy: node(at),
                operations,
            };
            let mut known = Vec::new();
            for (index, (at, operations)) in stored.into_iter().enumerate() {
                let role = new_role(format!("stored{index}"), at, operations);
                known.push(roles::add(parts, &Authority::Operator, role).await.unwrap());
            }
            for (index, (which, at, operations)) in steps.into_iter().enumerate() {
                let role = new_role(format!("role{index}"), at, operations.clone());
                known.extend(roles::add(parts, &authority, role).await.ok());
                let role = which.get(&known).pkid.clone();
                let user = new_user(&format!("user{index}"), at, &[grant(role.as_str(), at)]);
                let user = add(parts, &authority, user).await.ok();
                let changed = roles::set_operations(parts, &authority, &role, operations).await;
                if let Some(user) = user {
                    // The users of the role, and its present permissions.
                    let user = principal_of(parts, &user).await;
                    prop_assert_eq!(find_excess(&user, &actor), None);
                }
                if let Ok(role) = changed {
                    let beyond = role.operations.iter();
                    let mut beyond = beyond.filter(|each| !actor.may(**each, &role.hierarchy));
                    prop_assert_eq!(beyond.next(), None);
                }
            }
            Ok(())
        })?;
    }
}
