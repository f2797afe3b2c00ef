//! Users who log in at an OpenID provider. Each is found by the account there, is added at the first log-in, and has the
//! roles that the provider's groups grant.

use relation_app::{AppError, ErrorKind};
use relation_host::store::{Check, StoreError};
use relation_host::types::{Hierarchy, Key, Pkid};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{UserBody, deduplicate, find_by_name, find_name_error, links, to_json, unique_name};
use crate::WebError;
use crate::access::audit::{self, Actor, ActorKind, FieldChange, NewAuditEvent};
use crate::access::documents::{self, Entry, key};
use crate::access::{AccessParts, ClientAddress, RoleGrant, nodes, sessions};

/// The maximum number of attempts at a log-in that another one at the same moment disturbs.
const ATTEMPTS: usize = 3;
/// The maximum number of users of one name; further ones have a random end.
const MAX_NUMBER: usize = 50;
/// The longest name before its number, in characters.
const MAX_BASE_CHARS: usize = 80;

/// The account of a user at an OpenID provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::access) struct ProviderAccount {
    pub(in crate::access) issuer: String,
    pub(in crate::access) subject: String,
}

impl ProviderAccount {
    /// Returns the search key. Its value has a fixed length, whatever the account.
    pub(super) fn to_key(&self) -> Key {
        // An issuer has no line break, so that no two accounts have the same text.
        let text = format!("{}\n{}", self.issuer, self.subject);
        key("account", hex::encode(Sha256::digest(text.as_bytes())))
    }
}

/// A log-in that the provider has confirmed.
#[derive(Clone, Debug)]
pub(in crate::access) struct ProviderLogIn {
    pub(in crate::access) account: ProviderAccount,
    /// The name at the provider.
    pub(in crate::access) name: Option<String>,
    /// The roles that the groups grant.
    pub(in crate::access) grants: Vec<RoleGrant>,
    pub(in crate::access) address: ClientAddress,
}

/// The user of a log-in at a provider.
#[derive(Clone, Debug)]
pub(in crate::access) enum ProviderUser {
    /// The user may log in.
    Permitted(Box<Entry<UserBody>>),
    /// The groups grant no role. A user whom they granted one has lost it.
    WithoutRole(Option<Box<Entry<UserBody>>>),
    /// The user is disabled.
    Disabled(Box<Entry<UserBody>>),
}

/// Refuses to change what the provider decides.
///
/// # Errors
/// 409 if the user logs in at a provider.
pub(super) fn require_local(user: &Entry<UserBody>) -> Result<(), WebError> {
    let Some(account) = &user.body.account else {
        return Ok(());
    };
    let message = format!(
        "{} logs in at {}, which decides about the password and the roles",
        user.body.name, account.issuer
    );
    let hint = "change the groups at the provider, or disable the user";
    Err(AppError::new(ErrorKind::Conflict, message)
        .hint(hint)
        .into())
}

/// Finds or adds the user of a log-in, and gives the user the roles of the groups. Changed roles end all sessions.
///
/// # Errors
/// The store cannot be read or written.
pub(in crate::access) async fn log_in_at_provider(
    parts: &AccessParts,
    log_in: ProviderLogIn,
) -> Result<ProviderUser, WebError> {
    let log_in = ProviderLogIn {
        grants: deduplicate(log_in.grants),
        ..log_in
    };
    let mut attempts = 1;
    loop {
        let done = match find_by_account(parts, &log_in.account).await? {
            Some(user) => update(parts, user, &log_in).await,
            None => add(parts, &log_in).await,
        };
        match done {
            Ok(user) => return Ok(user),
            Err(Attempt::Store(StoreError::Conflict(_))) if attempts < ATTEMPTS => attempts += 1,
            Err(Attempt::Store(error)) => return Err(error.into()),
            Err(Attempt::Other(error)) => return Err(error),
        }
    }
}

/// An error of one attempt. A conflict is a reason for another one.
enum Attempt {
    Store(StoreError),
    Other(WebError),
}

impl From<StoreError> for Attempt {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<WebError> for Attempt {
    fn from(error: WebError) -> Self {
        Self::Other(error)
    }
}

async fn find_by_account(
    parts: &AccessParts,
    account: &ProviderAccount,
) -> Result<Option<Entry<UserBody>>, StoreError> {
    let filter = documents::filter::<UserBody>(&None, vec![account.to_key()]);
    let page = documents::list::<UserBody>(parts.store(), &filter, false, None, 1).await?;
    let is_same = |user: &Entry<UserBody>| user.body.account.as_ref() == Some(account);
    Ok(page.items.into_iter().next().filter(is_same))
}

async fn update(
    parts: &AccessParts,
    before: Entry<UserBody>,
    log_in: &ProviderLogIn,
) -> Result<ProviderUser, Attempt> {
    if before.body.disabled {
        return Ok(ProviderUser::Disabled(Box::new(before)));
    }
    let mut user = before.clone();
    if before.body.grants != log_in.grants {
        user.body.grants = log_in.grants.clone();
        user.body.epoch += 1;
        user.node = find_common_node(&log_in.grants).unwrap_or(user.node);
        let (old, new) = (to_json(&before.body.grants), to_json(&user.body.grants));
        let change = FieldChange::new("grants", old, new);
        let event = to_event(&user, log_in, "set-grants").with_changes(vec![change]);
        let mut changes = nodes::to_keep(&user.node)?;
        changes.extend([user.to_put()?, audit::to_change(parts, event)?]);
        changes.extend(sessions::to_end_all(parts, &user.pkid).await?);
        changes.extend(links::to_delete_all(parts, &user.pkid).await?);
        documents::commit(parts, vec![before.to_check()], changes).await?;
        // With the version that the store has given it.
        let stored = documents::get::<UserBody>(parts.store(), &user.pkid).await?;
        user = stored.ok_or_else(WebError::not_found)?;
    }
    let user = Box::new(user);
    Ok(match user.body.grants.is_empty() {
        true => ProviderUser::WithoutRole(Some(user)),
        false => ProviderUser::Permitted(user),
    })
}

async fn add(parts: &AccessParts, log_in: &ProviderLogIn) -> Result<ProviderUser, Attempt> {
    let Some(node) = find_common_node(&log_in.grants) else {
        return Ok(ProviderUser::WithoutRole(None));
    };
    let body = UserBody {
        name: choose_name(parts, log_in.name.as_deref()).await?,
        grants: log_in.grants.clone(),
        disabled: false,
        language: None,
        created: parts.now(),
        password: None,
        epoch: 0,
        account: Some(log_in.account.clone()),
    };
    let user = Entry::new(Pkid::random(), node, body);
    let event = to_event(&user, log_in, "add-user").with_changes(vec![
        FieldChange::new("name", Value::Null, user.body.name.clone()),
        FieldChange::new("issuer", Value::Null, log_in.account.issuer.clone()),
        FieldChange::new("grants", json!([]), to_json(&user.body.grants)),
    ]);
    let same_account = documents::filter::<UserBody>(&None, vec![log_in.account.to_key()]);
    let checks = vec![
        user.to_check(),
        unique_name(&user),
        Check::Unique(same_account, Some(user.reference())),
    ];
    let mut changes = nodes::to_keep(&user.node)?;
    changes.extend([user.to_put()?, audit::to_change(parts, event)?]);
    documents::commit(parts, checks, changes).await?;
    let stored = documents::get::<UserBody>(parts.store(), &user.pkid).await?;
    let user = stored.ok_or_else(WebError::not_found)?;
    Ok(ProviderUser::Permitted(Box::new(user)))
}

fn to_event(user: &Entry<UserBody>, log_in: &ProviderLogIn, operation: &str) -> NewAuditEvent {
    let actor = Actor {
        kind: ActorKind::User,
        name: user.body.name.clone(),
        pkid: Some(user.pkid.clone()),
    };
    NewAuditEvent::new(actor, log_in.address, operation, &user.node).on(user.to_audit_object())
}

/// Returns a name that no user has: the one at the provider, as far as its characters are permitted.
async fn choose_name(parts: &AccessParts, name: Option<&str>) -> Result<String, StoreError> {
    let permit = |c: char| match find_name_error(c.encode_utf8(&mut [0; 4])) {
        None => c,
        Some(_) => '-',
    };
    let name = name.unwrap_or_default().trim();
    let base: String = name.chars().take(MAX_BASE_CHARS).map(permit).collect();
    let base = match base.trim_matches('-') {
        "" => "user",
        base => base,
    };
    for number in 1..=MAX_NUMBER {
        let name = match number {
            1 => base.to_owned(),
            number => format!("{base}-{number}"),
        };
        if find_by_name(parts, &name).await?.is_none() {
            return Ok(name);
        }
    }
    let random = Pkid::random();
    let end = random.as_str().get(..12).unwrap_or_default();
    Ok(format!("{base}-{end}"))
}

/// Returns the lowest node that covers all roles. `None` without a role.
fn find_common_node(grants: &[RoleGrant]) -> Option<Hierarchy> {
    let (first, others) = grants.split_first()?;
    let mut names: Vec<&str> = first.node.as_str().split('.').collect();
    for other in others {
        let other = other.node.as_str().split('.');
        let same = names
            .iter()
            .zip(other)
            .take_while(|(one, other)| *one == other);
        let same = same.count();
        names.truncate(same);
    }
    names.join(".").try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Authority;
    use crate::access::testing::{PASSWORD, World, address, grant};
    use crate::access::users::{self, enable};

    fn log_in(subject: &str, name: &str, grants: &[RoleGrant]) -> ProviderLogIn {
        ProviderLogIn {
            account: ProviderAccount {
                issuer: "https://id.example.com".to_owned(),
                subject: subject.to_owned(),
            },
            name: Some(name.to_owned()),
            grants: grants.to_vec(),
            address: address(),
        }
    }

    async fn permitted(world: &World, log_in: ProviderLogIn) -> Entry<UserBody> {
        match log_in_at_provider(&world.parts, log_in).await.unwrap() {
            ProviderUser::Permitted(user) => *user,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn user_is_found_by_the_account_only() {
        let world = World::new();
        world
            .add_with_password("ada", "provider-administrator", "sys")
            .await;
        let roles = [grant("operator", "sys.A.B"), grant("auditor", "sys.A.C")];
        let user = permitted(&world, log_in("1", "Ada", &roles)).await;
        assert_eq!(user.body.name, "Ada-2", "the local user keeps the name");
        assert_eq!(user.node.as_str(), "sys.A");
        let again = permitted(&world, log_in("1", "renamed", &roles)).await;
        assert_eq!((again.pkid, again.body.name.as_str()), (user.pkid, "Ada-2"));
        let other = permitted(&world, log_in("2", "ada", &roles)).await;
        assert_eq!(other.body.name, "ada-3");
        let odd = permitted(&world, log_in("3", " Zo\u{eb} <x>\u{202e} ", &roles)).await;
        assert_eq!(odd.body.name, "Zo\u{eb}--x");
        let refused = world.log_in("Ada-2", "").await;
        assert!(refused.is_err(), "it has no password");
    }

    #[tokio::test]
    async fn groups_decide_about_the_roles() {
        let world = World::new();
        let parts = &world.parts;
        let none = log_in_at_provider(parts, log_in("1", "ada", &[])).await;
        assert!(matches!(none, Ok(ProviderUser::WithoutRole(None))));
        let operator = [grant("operator", "sys.A")];
        let user = permitted(&world, log_in("1", "ada", &operator)).await;
        let pkid = user.pkid.clone();
        let epoch = user.body.epoch;
        let same = permitted(&world, log_in("1", "ada", &operator)).await;
        assert_eq!(same.body.epoch, epoch, "its sessions go on");
        let auditor = [grant("auditor", "sys.B")];
        let changed = permitted(&world, log_in("1", "ada", &auditor)).await;
        assert!(changed.body.epoch > epoch, "its sessions have ended");
        assert_eq!(changed.node.as_str(), "sys.B");
        let none = log_in_at_provider(parts, log_in("1", "ada", &[])).await;
        assert!(matches!(none, Ok(ProviderUser::WithoutRole(Some(_)))));
        let stored = users::get(parts, &Authority::Operator, &pkid)
            .await
            .unwrap();
        assert!(stored.grants.is_empty());

        users::disable(parts, &Authority::Operator, &pkid)
            .await
            .unwrap();
        let disabled = log_in_at_provider(parts, log_in("1", "ada", &operator)).await;
        assert!(matches!(disabled, Ok(ProviderUser::Disabled(_))));
        enable(parts, &Authority::Operator, &pkid).await.unwrap();
        permitted(&world, log_in("1", "ada", &operator)).await;
    }

    #[tokio::test]
    async fn passwords_and_roles_are_not_set_here() {
        let world = World::new();
        let roles = [grant("provider-administrator", "sys")];
        let user = permitted(&world, log_in("1", "ada", &roles)).await;
        let (parts, operator) = (&world.parts, Authority::Operator);
        let link = users::set_up_link(parts, &operator, &user.pkid).await;
        assert_eq!(link.unwrap_err().error.kind, ErrorKind::Conflict);
        let set = users::set_grants(parts, &operator, &user.pkid, Vec::new()).await;
        assert_eq!(set.unwrap_err().error.kind, ErrorKind::Conflict);
        // The local administrator remains: a provider may not be there when it is needed.
        let local = world
            .add_with_password("local", "provider-administrator", "sys")
            .await;
        let disabled = users::disable(parts, &operator, &local.pkid).await;
        assert_eq!(disabled.unwrap_err().error.kind, ErrorKind::Conflict);
        assert!(world.log_in("local", PASSWORD).await.is_ok());
    }
}
