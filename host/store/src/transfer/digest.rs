//! Digests of all rows of a kind, to compare two stores.

use secrecy::ExposeSecret as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::run::{Located, in_store};
use super::{Row, RowKind, TransferError};
use crate::seal::{SealError, Sealer, describe_unopened};
use crate::{DueWakeup, Quarantine, StoredSecret};
use relation_types::Timestamp;
use relation_types::transactions::Transaction;

/// The number of rows of a kind, and a digest over their meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) count: u64,
    /// The secrets that do not open.
    pub(super) unopened: u64,
    /// SHA-256. That of secrets covers their clear values, and therefore must not leave this process.
    pub(super) digest: [u8; 32],
}

/// Reads all rows of a kind, and reports the size of each page.
pub(super) async fn read_contents(
    store: Located<'_>,
    sealer: &Sealer,
    kind: RowKind,
    (page, began): (u32, Timestamp),
    mut read: impl FnMut(u64) + Send,
) -> Result<Contents, TransferError> {
    let mut hasher = Sha256::new();
    let (mut count, mut unopened) = (0, 0);
    let mut after = Default::default();
    loop {
        let rows = in_store(store, store.0.read_rows(kind, &after, page).await)?;
        let Some(last) = rows.last() else { break };
        after = last.position();
        let size = rows.len() as u64;
        for row in rows {
            unopened += u64::from(!add_row(&mut hasher, row, sealer, began)?);
        }
        count += size;
        read(size);
    }
    Ok(Contents {
        count,
        unopened,
        digest: hasher.finalize().into(),
    })
}

/// Adds a row to a digest; returns whether the row is anything but a secret that does not open.
fn add_row(
    hasher: &mut Sha256,
    row: Row,
    sealer: &Sealer,
    began: Timestamp,
) -> Result<bool, TransferError> {
    match row {
        Row::Document(document) => add_json(hasher, &document)?,
        Row::Wakeup { found, scheduled } => {
            let DueWakeup {
                wakeup,
                revision,
                attempts,
            } = found;
            add_json(hasher, &(wakeup, revision, attempts, scheduled))?;
        }
        Row::InterruptedCall { subject, began } => add_json(hasher, &(subject, began))?,
        Row::Transaction {
            transaction,
            mut nodes,
        } => {
            nodes.sort();
            let transaction = replace_nul(*transaction);
            let request = transaction.request.clone();
            add_json(hasher, &(transaction, request, nodes))?;
        }
        Row::Secret(secret) => return add_secret(hasher, &secret, sealer, began),
    }
    Ok(true)
}

/// Adds the clear value of a secret; or the stored bytes, if they do not open.
fn add_secret(
    hasher: &mut Sha256,
    secret: &StoredSecret,
    sealer: &Sealer,
    began: Timestamp,
) -> Result<bool, TransferError> {
    for part in [
        secret.owner.model.as_str(),
        secret.owner.pkid.as_str(),
        &secret.name,
    ] {
        add_part(hasher, part.as_bytes());
    }
    match sealer.open_stored(secret) {
        Ok(clear) => {
            add_part(hasher, b"opened");
            add_part(hasher, clear.expose_secret().as_bytes());
            Ok(true)
        }
        Err(error) => {
            let quarantine = find_quarantine(secret, error, began)?;
            add_part(hasher, b"unopened");
            add_part(hasher, &secret.bytes);
            add_part(hasher, quarantine.reason.as_bytes());
            add_part(hasher, &quarantine.since.0.to_be_bytes());
            Ok(false)
        }
    }
}

/// Returns the known reason why a secret does not open, or `error` as found when the transfer began.
pub(super) fn find_quarantine(
    secret: &StoredSecret,
    error: SealError,
    began: Timestamp,
) -> Result<Quarantine, TransferError> {
    match (&secret.quarantined, error) {
        (_, error @ SealError::Failed(_)) => Err(error.into()),
        (Some(known), _) => Ok(known.clone()),
        (None, error) => Ok(Quarantine {
            reason: describe_unopened(&error),
            since: began,
        }),
    }
}

/// Adds the JSON of a row.
fn add_json(hasher: &mut Sha256, row: &impl Serialize) -> Result<(), TransferError> {
    let json = serde_json::to_vec(row);
    let json = json.map_err(|error| TransferError::Unencodable(error.to_string()))?;
    add_part(hasher, &json);
    Ok(())
}

/// Adds bytes with their length, so that other parts have another digest.
fn add_part(hasher: &mut Sha256, part: &[u8]) {
    hasher.update((part.len() as u64).to_be_bytes());
    hasher.update(part);
}

/// Replaces U+0000 in texts for people, as a store does that cannot hold it.
fn replace_nul(mut transaction: Transaction) -> Transaction {
    let texts = [&mut transaction.subject_name, &mut transaction.message];
    let progress = transaction.progress.iter_mut();
    let lines = transaction.log.iter_mut();
    let all = texts
        .into_iter()
        .chain(progress.map(|progress| &mut progress.message))
        .chain(lines.map(|line| &mut line.message));
    for text in all {
        if text.contains('\0') {
            *text = text.replace('\0', "\u{fffd}");
        }
    }
    transaction
}
