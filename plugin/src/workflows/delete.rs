//! Deletes a record with everything that belongs to it, and revokes its tokens.

use serde_json::Value;

use crate::alerts::ALERT;
use crate::grant::Grant;
use crate::installation;
use crate::parts::{DATA_SYNC, SCHEDULE, SHADOW_MODEL};
use crate::platform::{
    Change, Document, Failure, Filter, Key, Level, Platform, Reference, Scope, Secret, Storage,
};
use crate::record::{Record, key};
use crate::reports::{Deletion, Revocation};
use crate::revocation::revoke;
use crate::settings::Settings;
use crate::webex::client::Proxies;
use crate::workflows::sync::{IMPORT, IMPORTED, SEEN};

/// Models of what belongs to a record, in the order of removal: a schedule must not be able to
/// run something that is gone. Network device lists, sites and users are not among them; other
/// services use them.
const BELONGINGS: &[&str] = &[SCHEDULE, DATA_SYNC, SHADOW_MODEL, ALERT];
/// How many documents are asked for at once.
const PAGE: u32 = 100;
/// How many documents one commit takes away at most; hosts allow more.
const TOGETHER: usize = 500;

/// What revoking needs, opened while it is still there.
#[derive(Default)]
struct Opened {
    access_token: Option<Secret>,
    proxies: Proxies,
}

/// Deletes the record `pkid` with its schedules, syncs, shadow, alerts, wakeups and secrets in
/// one commit; then revokes its tokens at Webex, best effort. `dry_run` changes and asks nothing.
///
/// What was imported goes too. There may be any number of it, so all but the last of it goes in
/// commits before that one: cut off between them, the record is whole, and a sync or another
/// delete finds what it needs.
///
/// # Errors
/// `not-found`, `conflict`, `unavailable`. What Webex says to the revocation is no error.
pub fn delete<P: Platform + ?Sized>(
    platform: &P,
    pkid: &str,
    dry_run: bool,
) -> Result<Deletion, Failure> {
    let record = Record::load(platform, pkid)?;
    let mut documents = imported(platform, &record)?;
    let imported = documents.len();
    documents.extend(belongings(platform, &record)?);
    documents.push((record.reference(), record.name().to_owned()));
    let wakeups = platform.wakeups(&record.reference())?;
    let mut deletion = Deletion {
        documents,
        wakeups: wakeups.into_iter().map(|wakeup| wakeup.id).collect(),
        revocation: Revocation::Skipped("a dry run asks nothing of Webex".to_owned()),
    };
    if dry_run {
        return Ok(deletion);
    }

    // Webex withdraws all grants of an organisation at once, so any token that works will do.
    let live = |grant: &&Grant| {
        let access = record.connection(**grant).access;
        access.is_some_and(|expiry| expiry.at > platform.now())
    };
    let live = record.grants().iter().find(live).copied();
    let access_token_over = live.is_none() && record.has_tokens();
    let opened = live.map_or_else(
        || Ok(Opened::default()),
        |grant| open(platform, &record, grant),
    );
    let mut rest = deletion.documents.as_slice();
    let mut imported = imported;
    loop {
        let size = match imported > TOGETHER {
            true => TOGETHER,
            false => rest.len(),
        };
        let (batch, behind) = rest.split_at(size);
        let deleted = |(reference, _): &(Reference, String)| Change::Delete(reference.clone());
        let mut changes: Vec<Change> = batch.iter().map(deleted).collect();
        if behind.is_empty() && told_of_client(&record) {
            // This customer may be the last one. A remaining customer that meets the error raises the alert
            // again.
            changes.push(installation::recover());
        }
        platform.commit(vec![record.unchanged()], changes)?;
        if behind.is_empty() {
            break;
        }
        (rest, imported) = (behind, imported.saturating_sub(size));
    }
    platform.log(
        Level::Info,
        &format!(
            "deleted {} with {} documents that belonged to it",
            record.name(),
            deletion.documents.len().saturating_sub(1)
        ),
    );

    // Gone is gone: from here on, nothing can make the call fail.
    deletion.revocation = match (opened, access_token_over) {
        (_, true) => Revocation::Skipped("the access token has expired".to_owned()),
        (Err(failure), _) => Revocation::Failed(format!("the tokens cannot be opened: {failure}")),
        (Ok(opened), _) => match Settings::load(platform) {
            Ok(settings) => revoke(
                platform,
                &settings,
                &record,
                opened.access_token.as_ref(),
                &opened.proxies,
            ),
            Err(failure) => Revocation::Failed(failure.to_string()),
        },
    };
    Ok(deletion)
}

/// Whether the record's own last failures were told by the alert of the installation.
fn told_of_client(record: &Record) -> bool {
    let mut grants = record.grants().iter();
    grants.any(|grant| {
        let retry = record.connection(*grant).retry.as_ref();
        retry.is_some_and(|retry| retry.client)
    })
}

fn open<P: Platform + ?Sized>(
    platform: &P,
    record: &Record,
    grant: Grant,
) -> Result<Opened, Failure> {
    Ok(Opened {
        access_token: platform.reveal(&record.reference(), grant.access_token())?,
        proxies: Proxies::of(record, platform)?,
    })
}

// What imports have stored. Where the last one stood goes first: it must not go on from there once
// any of the rest is gone.
fn imported<P: Platform + ?Sized>(
    platform: &P,
    record: &Record,
) -> Result<Vec<(Reference, String)>, Failure> {
    let mut found = Vec::new();
    for model in [IMPORT, SEEN].iter().chain(IMPORTED) {
        each_owned(platform, record, model, |document| {
            let name = name_of(&document);
            found.push((document.reference, name));
        })?;
    }
    Ok(found)
}

// What names the record as its owner, and what the record names as its part.
fn belongings<P: Platform + ?Sized>(
    platform: &P,
    record: &Record,
) -> Result<Vec<(Reference, String)>, Failure> {
    let parts: Vec<Reference> = record
        .body
        .parts
        .iter()
        .map(|part| part.reference())
        .collect();
    let mut parts: Vec<Document> = platform.get_many(&parts)?.into_iter().flatten().collect();
    for model in BELONGINGS {
        each_owned(platform, record, model, |document| parts.push(document))?;
    }
    let place = |document: &Document| {
        let model = document.reference.model.as_str();
        BELONGINGS.iter().position(|each| *each == model)
    };
    parts.sort_by_key(|document| (place(document), document.reference.clone()));
    parts.dedup_by(|one, other| one.reference == other.reference);
    Ok(parts
        .into_iter()
        .map(|document| {
            let name = name_of(&document);
            (document.reference, name)
        })
        .collect())
}

fn each_owned(
    storage: &(impl Storage + ?Sized),
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
        let page = storage.find(&filter, cursor.as_deref(), PAGE)?;
        page.documents.into_iter().for_each(&mut take);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

// An alert has a code in place of a name. A body that cannot be read must not keep it alive.
fn name_of(document: &Document) -> String {
    let body: Value = serde_json::from_str(&document.body).unwrap_or_default();
    ["name", "displayName", "code"]
        .iter()
        .find_map(|field| body.get(*field)?.as_str())
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
#[path = "delete_tests.rs"]
mod tests;
