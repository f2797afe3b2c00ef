//! Deletes a record with everything that belongs to it, and revokes its tokens.

use serde_json::Value;

use crate::alerts::ALERT;
use crate::grant::Grant;
use crate::installation_alert;
use crate::owned_documents::{DATA_SYNC, SCHEDULE, SHADOW_MODEL};
use crate::platform::{
    Change, Document, Failure, Filter, Key, Level, Platform, Reference, Scope, Secret, Storage,
};
use crate::record::{Record, key};
use crate::reports::{Deletion, RemovedDocument, Revocation};
use crate::revocation::revoke;
use crate::settings::Settings;
use crate::sites;
use crate::webex::client::Proxies;
use crate::workflows::sync::{IMPORT_MODEL, SEEN_MODEL, imported_models};
use crate::workflows::wholesale::{ORDER_MODEL, describe_order};

/// Models of owned documents, in the order of removal: a schedule must not run something that has been
/// removed. Network device lists, sites, location mappings and users are left out because other services use them.
const OWNED_MODELS: &[&str] = &[SCHEDULE, DATA_SYNC, SHADOW_MODEL, ALERT];
/// The number of documents in one page of a query.
const PAGE_SIZE: u32 = 100;
/// The maximum number of documents that one commit deletes; hosts allow more.
const COMMIT_SIZE: usize = 500;

/// Secrets for the revocation, revealed before they are deleted.
#[derive(Default)]
struct RevocationSecrets {
    access_tokens: Vec<(Grant, Secret)>,
    proxies: Proxies,
}

/// Deletes the record `pkid` with its schedules, syncs, shadow, alerts, wakeups and secrets in one
/// commit. Then tries to revoke its tokens at Webex. `dry_run` changes nothing and sends nothing, and logs what stays.
///
/// The imported documents are deleted too. Their number is unlimited, so earlier commits delete all but the
/// last part. After an interruption between these commits the record is complete, and a sync or another
/// delete can continue.
///
/// # Errors
/// `not-found`, `conflict`, `unavailable`. A failed revocation is not an error.
pub fn delete(platform: &dyn Platform, pkid: &str, dry_run: bool) -> Result<Deletion, Failure> {
    let record = Record::load(platform, pkid)?;
    let mut documents = find_imported(platform, &record)?;
    let imported = documents.len();
    documents.extend(find_owned(platform, &record)?);
    documents.push(RemovedDocument {
        reference: record.reference(),
        name: record.name().to_owned(),
    });
    let wakeups = platform.wakeups(&record.reference())?;
    let mut deletion = Deletion {
        documents,
        wakeups: wakeups.into_iter().map(|wakeup| wakeup.id).collect(),
        revocation: Revocation::Skipped("a dry run asks nothing of Webex".to_owned()),
    };
    if dry_run {
        let name = record.name();
        if let Some(kept) = sites::describe_kept(platform, &record.hierarchy)? {
            let text = format!(
                "a delete of {name} leaves {kept}, the location mappings and the users of the platform to the other \
                 services that use them"
            );
            platform.log(Level::Info, &text);
        }
        return Ok(deletion);
    }

    let live = |grant: &Grant| {
        let access = record.grant_state(*grant).access;
        access.is_some_and(|expiry| expiry.at > platform.now())
    };
    let grants = record.grants().iter().copied();
    let live: Vec<Grant> = grants.filter(live).collect();
    let access_token_over = live.is_empty() && record.has_tokens();
    let secrets = match live.is_empty() {
        true => Ok(RevocationSecrets::default()),
        false => reveal_secrets(platform, &record, live),
    };
    let mut rest = deletion.documents.as_slice();
    let mut imported = imported;
    loop {
        let size = match imported > COMMIT_SIZE {
            true => COMMIT_SIZE,
            false => rest.len(),
        };
        let (batch, remaining) = rest.split_at(size);
        let deleted = |document: &RemovedDocument| Change::Delete(document.reference.clone());
        let mut changes: Vec<Change> = batch.iter().map(deleted).collect();
        if remaining.is_empty() && has_client_error(&record) {
            // This customer may be the last one. If the error remains, another customer raises the alert again.
            changes.push(installation_alert::clear());
        }
        platform.commit(vec![record.version_check()], changes)?;
        if remaining.is_empty() {
            break;
        }
        (rest, imported) = (remaining, imported.saturating_sub(size));
    }
    platform.log(
        Level::Info,
        &format!(
            "deleted {} with {} documents that belonged to it",
            record.name(),
            deletion.documents.len().saturating_sub(1)
        ),
    );

    // The record is deleted: from here on, the call must not fail.
    deletion.revocation = match (secrets, access_token_over) {
        (_, true) => Revocation::Skipped("the access token has expired".to_owned()),
        (Err(failure), _) => Revocation::Failed(format!("the tokens cannot be opened: {failure}")),
        (Ok(secrets), _) => match Settings::load(platform) {
            Ok(settings) => revoke(
                platform,
                &settings,
                &record,
                &secrets.access_tokens,
                &secrets.proxies,
            ),
            Err(failure) => Revocation::Failed(failure.to_string()),
        },
    };
    Ok(deletion)
}

/// Returns whether the installation's alert reports a failure of this record.
fn has_client_error(record: &Record) -> bool {
    let mut grants = record.grants().iter();
    grants.any(|grant| {
        let retry = record.grant_state(*grant).retry.as_ref();
        retry.is_some_and(|retry| retry.client)
    })
}

fn reveal_secrets(
    platform: &dyn Platform,
    record: &Record,
    grants: Vec<Grant>,
) -> Result<RevocationSecrets, Failure> {
    let owner = record.reference();
    let mut access_tokens = Vec::new();
    for grant in grants {
        let token = platform.reveal(&owner, grant.access_token())?;
        access_tokens.extend(token.map(|token| (grant, token)));
    }
    Ok(RevocationSecrets {
        access_tokens,
        proxies: Proxies::reveal(record, platform)?,
    })
}

// Finds imported documents. Orders and the states of imports come first: neither may resume once other documents are
// deleted.
fn find_imported(
    platform: &dyn Platform,
    record: &Record,
) -> Result<Vec<RemovedDocument>, Failure> {
    let mut found = Vec::new();
    for model in [ORDER_MODEL, IMPORT_MODEL, SEEN_MODEL]
        .into_iter()
        .chain(imported_models())
    {
        for_each_owned(platform, record, model, |document| {
            found.push(document.into());
        })?;
    }
    Ok(found)
}

// Finds the documents that name the record as their owner, and those that the record lists.
fn find_owned(platform: &dyn Platform, record: &Record) -> Result<Vec<RemovedDocument>, Failure> {
    let parts: Vec<Reference> = record
        .body
        .owned_documents
        .iter()
        .map(|owned| owned.reference())
        .collect();
    let mut parts: Vec<Document> = platform.get_many(&parts)?.into_iter().flatten().collect();
    for model in OWNED_MODELS {
        for_each_owned(platform, record, model, |document| parts.push(document))?;
    }
    let position = |document: &Document| {
        let model = document.reference.model.as_str();
        OWNED_MODELS.iter().position(|each| *each == model)
    };
    parts.sort_by_key(|document| (position(document), document.reference.clone()));
    parts.dedup_by(|one, other| one.reference == other.reference);
    Ok(parts.into_iter().map(Into::into).collect())
}

fn for_each_owned(
    storage: &dyn Storage,
    record: &Record,
    model: &str,
    mut take: impl FnMut(Document),
) -> Result<(), Failure> {
    let filter = Filter {
        model: model.to_owned(),
        hierarchy: record.hierarchy.clone(),
        scope: Scope::Node,
        equals: vec![Key::new(key::OWNER, &record.pkid)],
    };
    let mut cursor = None;
    loop {
        let page = storage.find(&filter, cursor.as_deref(), PAGE_SIZE)?;
        page.documents.into_iter().for_each(&mut take);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

impl From<Document> for RemovedDocument {
    fn from(document: Document) -> Self {
        Self {
            name: describe_order(&document).unwrap_or_else(|| find_name(&document)),
            reference: document.reference,
        }
    }
}

// An alert has a code instead of a name. An unreadable body must not prevent the deletion.
fn find_name(document: &Document) -> String {
    let body: Value = serde_json::from_str(&document.body).unwrap_or_default();
    ["name", "displayName", "code", "externalId", "email"]
        .iter()
        .find_map(|field| body.get(*field)?.as_str())
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
#[path = "delete_tests.rs"]
mod tests;
