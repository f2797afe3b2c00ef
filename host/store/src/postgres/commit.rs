//! Commits as the parameters of one function: see `functions/commit.sql`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio_postgres::types::Type;

use super::error::{WriteError, from_sql_count, require_text, to_millis, to_sql_count};
use super::updates::{encode_new, encode_update, parse_result};
use super::{Parameters, PostgresStore};
use crate::{Change, Check, Commit, StoreError};
use relation_types::{Document, Filter, Key, Reference, Scope};

/// The largest number of changes of a commit in a group, so that the others do not wait for long.
const LARGEST_IN_GROUP: usize = 32;

/// Applies a valid commit.
pub(super) async fn commit(store: &PostgresStore, commit: &Commit) -> Result<(), StoreError> {
    let parameters = CommitParameters::encode(commit)?;
    let changes = &parameters.changes;
    let fence = commit.fence.as_ref();
    if let Some(lease) = fence {
        require_text("the model of a subject", &lease.subject.model)?;
    }
    let fence_model = fence.map(|lease| lease.subject.model.as_str());
    let fence_pkid = fence.map(|lease| lease.subject.pkid.as_str());
    let epoch = fence.map(|lease| to_sql_count(lease.epoch));
    let update = commit.transaction.as_ref().map(encode_update).transpose()?;
    let update = update.as_ref();
    let update_text = update.map(|update| update.update.as_str());
    let lines = update.map(|update| update.lines.as_str());
    let reveals = update.map(|update| update.reveals.as_str());
    let now = to_millis(commit.now);
    let parameters: Parameters<'_> = &[
        (&store.holder, Type::TEXT),
        (&fence_model, Type::TEXT),
        (&fence_pkid, Type::TEXT),
        (&epoch, Type::INT8),
        (&parameters.lock_models, Type::TEXT_ARRAY),
        (&parameters.lock_pkids, Type::TEXT_ARRAY),
        (&parameters.lock_writes, Type::BOOL_ARRAY),
        (&parameters.checks, Type::TEXT),
        (&parameters.is_absence, Type::BOOL),
        (&parameters.seals, Type::INT8_ARRAY),
        (&commit.older_keys, Type::BOOL),
        (&changes.kinds, Type::TEXT_ARRAY),
        (&changes.models, Type::TEXT_ARRAY),
        (&changes.pkids, Type::TEXT_ARRAY),
        (&changes.names, Type::TEXT_ARRAY),
        (&changes.nodes, Type::TEXT_ARRAY),
        (&changes.keys, Type::TEXT_ARRAY),
        (&changes.bodies, Type::TEXT_ARRAY),
        (&changes.bytes, Type::BYTEA_ARRAY),
        (&changes.dues, Type::INT8_ARRAY),
        (&changes.deadlines, Type::INT8_ARRAY),
        (&now, Type::INT8),
        (&parameters.owner_models, Type::TEXT_ARRAY),
        (&parameters.owner_pkids, Type::TEXT_ARRAY),
        (&parameters.queued, Type::TEXT),
        (&update_text, Type::TEXT),
        (&lines, Type::TEXT),
        (&reveals, Type::TEXT),
    ];
    let function = "relation.commit_v1";
    let written = match find_group(commit) {
        Some(subject) => store.write_in_group(function, subject, parameters).await,
        None => store.write(function, parameters).await,
    };
    match written {
        Ok(_) => {
            let scheduled = commit.changes.iter().filter_map(|change| match change {
                Change::Schedule(wakeup) => Some(to_millis(wakeup.due)),
                _ => None,
            });
            if let Some(due) = scheduled.min() {
                store.earliest.note(due);
            }
            Ok(())
        }
        Err(WriteError::Refused { code, detail }) => Err(describe_refusal(commit, &code, &detail)?),
        Err(WriteError::Store(error)) => Err(error),
    }
}

/// Returns the subject of a commit that can be made in a group, because it is short and locks nothing but what belongs to
/// this subject.
fn find_group(commit: &Commit) -> Option<&Reference> {
    let subject = &commit.fence.as_ref()?.subject;
    let is_short = commit.changes.len() <= LARGEST_IN_GROUP;
    let is_plain = commit.queued.is_empty() && !commit.older_keys;
    let is_own = commit
        .changes
        .iter()
        .all(|change| find_subject(change) == subject)
        && commit
            .checks
            .iter()
            .all(|check| matches!(check, Check::Version(of, _) if of == subject));
    (is_short && is_plain && is_own).then_some(subject)
}

/// The parameters of `commit_v1` that are derived from a commit.
#[derive(Debug, Default)]
struct CommitParameters<'a> {
    lock_models: Vec<&'a str>,
    lock_pkids: Vec<&'a str>,
    lock_writes: Vec<bool>,
    checks: Option<String>,
    is_absence: bool,
    seals: Vec<i64>,
    changes: Changes<'a>,
    owner_models: Vec<&'a str>,
    owner_pkids: Vec<&'a str>,
    queued: Option<String>,
}

/// The changes as parallel lists.
#[derive(Debug, Default)]
struct Changes<'a> {
    kinds: Vec<&'a str>,
    models: Vec<&'a str>,
    pkids: Vec<&'a str>,
    names: Vec<Option<&'a str>>,
    nodes: Vec<Option<&'a str>>,
    keys: Vec<Option<String>>,
    bodies: Vec<Option<&'a str>>,
    bytes: Vec<Option<&'a [u8]>>,
    dues: Vec<Option<i64>>,
    deadlines: Vec<Option<i64>>,
}

/// One change as a row of [`Changes`].
#[derive(Debug, Default)]
struct Row<'a> {
    kind: &'a str,
    name: Option<&'a str>,
    node: Option<&'a str>,
    keys: Option<String>,
    body: Option<&'a str>,
    bytes: Option<&'a [u8]>,
    due: Option<i64>,
    deadline: Option<i64>,
}

impl<'a> CommitParameters<'a> {
    fn encode(commit: &'a Commit) -> Result<Self, StoreError> {
        let mut parameters = Self::default();
        // Which documents to lock, and whether for a change.
        let mut locks: BTreeMap<&Reference, bool> = BTreeMap::new();
        let mut checks = Vec::new();
        for check in &commit.checks {
            if let Check::Version(reference, _) = check {
                locks.insert(reference, false);
            }
            parameters.is_absence |= matches!(check, Check::Absent(_) | Check::Unique(..));
            checks.push(encode_check(check)?);
        }
        // Documents that the commit does not put, but that must exist for their secrets and wakeups.
        let mut owners = BTreeSet::new();
        let mut put = BTreeSet::new();
        for change in &commit.changes {
            let subject = find_subject(change);
            require_text("the model of a document", &subject.model)?;
            locks.insert(subject, true);
            match change {
                Change::Put(_) => {
                    owners.remove(subject);
                    put.insert(subject);
                }
                Change::Delete(_) => {
                    owners.remove(subject);
                    put.remove(subject);
                }
                Change::PutSecret { .. } | Change::Schedule(_) if !put.contains(subject) => {
                    owners.insert(subject);
                }
                Change::PutSecret { .. } | Change::Schedule(_) => {}
                Change::RemoveSecret(..) | Change::Cancel(..) => {}
            }
            if let Change::PutSecret { sealed, .. } = change {
                let key = i64::from(sealed.key());
                if !parameters.seals.contains(&key) {
                    parameters.seals.push(key);
                }
            }
        }
        // Changes of different documents may be applied in any order.
        let mut changes: Vec<&Change> = commit.changes.iter().collect();
        changes.sort_by_key(|change| find_subject(change));
        for change in changes {
            parameters.changes.push(change)?;
        }
        for (reference, is_change) in locks {
            parameters.lock_models.push(&reference.model);
            parameters.lock_pkids.push(reference.pkid.as_str());
            parameters.lock_writes.push(is_change);
        }
        for owner in owners {
            parameters.owner_models.push(&owner.model);
            parameters.owner_pkids.push(owner.pkid.as_str());
        }
        let queued = commit.queued.iter().map(encode_new);
        let queued = queued.collect::<Result<Vec<_>, _>>()?;
        parameters.checks = encode_list(checks);
        parameters.queued = encode_list(queued);
        Ok(parameters)
    }
}

impl<'a> Changes<'a> {
    fn push(&mut self, change: &'a Change) -> Result<(), StoreError> {
        let subject = find_subject(change);
        let row = Row::encode(change)?;
        if let Some(name) = row.name {
            require_text("a name", name)?;
        }
        self.kinds.push(row.kind);
        self.models.push(&subject.model);
        self.pkids.push(subject.pkid.as_str());
        self.names.push(row.name);
        self.nodes.push(row.node);
        self.keys.push(row.keys);
        self.bodies.push(row.body);
        self.bytes.push(row.bytes);
        self.dues.push(row.due);
        self.deadlines.push(row.deadline);
        Ok(())
    }
}

impl<'a> Row<'a> {
    fn encode(change: &'a Change) -> Result<Self, StoreError> {
        Ok(match change {
            Change::Put(document) => Self::encode_put(document)?,
            Change::Delete(_) => Self {
                kind: "delete",
                ..Self::default()
            },
            Change::PutSecret { name, sealed, .. } => Self {
                kind: "seal",
                name: Some(name),
                bytes: Some(sealed.as_bytes()),
                ..Self::default()
            },
            Change::RemoveSecret(_, name) => Self {
                kind: "unseal",
                name: Some(name),
                ..Self::default()
            },
            Change::Schedule(wakeup) => Self {
                kind: "schedule",
                name: Some(&wakeup.id),
                bytes: Some(wakeup.payload.as_bytes()),
                due: Some(to_millis(wakeup.due)),
                // Wakeups without a deadline come last.
                deadline: Some(wakeup.deadline.map_or(i64::MAX, to_millis)),
                ..Self::default()
            },
            Change::Cancel(_, id) => Self {
                kind: "cancel",
                name: Some(id),
                ..Self::default()
            },
        })
    }

    fn encode_put(document: &'a Document) -> Result<Self, StoreError> {
        require_text("the body of a document", &document.body)?;
        Ok(Self {
            kind: "put",
            node: Some(document.hierarchy.as_str()),
            keys: Some(encode_keys(&document.keys)?),
            body: Some(&document.body),
            ..Self::default()
        })
    }
}

/// Returns the document that a change belongs to.
fn find_subject(change: &Change) -> &Reference {
    match change {
        Change::Put(document) => &document.reference,
        Change::Schedule(wakeup) => &wakeup.subject,
        Change::PutSecret { owner, .. } => owner,
        Change::Delete(subject) | Change::RemoveSecret(subject, _) | Change::Cancel(subject, _) => {
            subject
        }
    }
}

/// Encodes keys as JSON: `[["name","value"],…]`.
pub(super) fn encode_keys(keys: &[Key]) -> Result<String, StoreError> {
    let mut pairs = Vec::with_capacity(keys.len());
    for key in keys {
        check_key(key)?;
        pairs.push((&key.name, &key.value));
    }
    serde_json::to_string(&pairs).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn check_key(key: &Key) -> Result<(), StoreError> {
    require_text("the name of a key", &key.name)?;
    require_text("the value of a key", &key.value)
}

fn encode_check(check: &Check) -> Result<Value, StoreError> {
    let checked = match check {
        Check::Version(reference, _) | Check::Absent(reference) => &reference.model,
        Check::Unique(filter, _) => &filter.model,
    };
    require_text("the model of a document", checked)?;
    Ok(match check {
        Check::Version(reference, version) => json!({
            "kind": "version",
            "model": reference.model,
            "pkid": reference.pkid.as_str(),
            "version": to_sql_count(*version),
        }),
        Check::Absent(reference) => json!({
            "kind": "absent",
            "model": reference.model,
            "pkid": reference.pkid.as_str(),
        }),
        Check::Unique(filter, except) => encode_unique(filter, except.as_ref())?,
    })
}

fn encode_unique(filter: &Filter, except: Option<&Reference>) -> Result<Value, StoreError> {
    filter.equals.iter().try_for_each(check_key)?;
    let keys = || filter.equals.iter();
    let place = filter.hierarchy.as_ref();
    let except = except.filter(|except| except.model == filter.model);
    Ok(json!({
        "kind": "unique",
        "model": filter.model,
        "node": place.map(|(node, _)| node.as_str()),
        "subtree": place.is_some_and(|(_, scope)| *scope == Scope::Subtree),
        "names": keys().map(|key| key.name.as_str()).collect::<Vec<_>>(),
        "values": keys().map(|key| key.value.as_str()).collect::<Vec<_>>(),
        "except": except.map(|except| except.pkid.as_str()),
    }))
}

fn encode_list(list: Vec<Value>) -> Option<String> {
    match list.is_empty() {
        true => None,
        false => Some(Value::Array(list).to_string()),
    }
}

/// The check that does not hold, and what was found instead.
#[derive(Debug, Deserialize)]
struct FailedCheck {
    check: usize,
    #[serde(default)]
    found: Option<i64>,
    #[serde(default)]
    other: String,
}

/// Describes why the function has refused the commit.
fn describe_refusal(commit: &Commit, code: &str, detail: &str) -> Result<StoreError, StoreError> {
    let unknown = || StoreError::Corrupt(format!("a commit was refused with {code}: {detail}"));
    Ok(match code {
        "RL001" => commit
            .fence
            .as_ref()
            .map_or_else(unknown, StoreError::fenced),
        "RL002" | "RL003" | "RL004" => {
            let failed: FailedCheck = parse_result(detail)?;
            match commit.checks.get(failed.check) {
                Some(Check::Version(reference, expected)) => {
                    let found = failed.found.map(|found| from_sql_count(found, "a version"));
                    StoreError::version_conflict(reference, *expected, found.transpose()?)
                }
                Some(Check::Absent(reference)) => StoreError::already_exists(reference),
                Some(Check::Unique(filter, _)) => StoreError::not_unique(filter, &failed.other),
                None => unknown(),
            }
        }
        "RL005" => {
            let owner: Reference = parse_result(detail)?;
            StoreError::missing_owner(&owner)
        }
        "RL006" => detail
            .parse()
            .map_or_else(|_| unknown(), StoreError::StaleKey),
        "RL007" => StoreError::duplicate_transaction(detail),
        "RL008" => StoreError::unknown_transaction(detail),
        _ => unknown(),
    })
}
