//! Stores the tokens of a response, which exist nowhere else after Webex has issued them.
//!
//! Refresh and consent use it. `add` and `modify` do not: they commit once, because a conflict there is
//! about other fields of the caller's input.
//!
//! Promises:
//! - The tokens are not lost while the store can be reached. A commit that fails is repeated on the
//!   record as it is then. If the store stays unavailable, the host keeps the commit.
//! - Changes that others made to the record during the request are kept, because each attempt begins
//!   with the stored record. Fields that the response omits keep their value.
//! - A commit whose result was lost is not made twice: the record then has the state of the commit.
//! - The tokens that are stored already stay unchanged if no attempt succeeds.

use crate::grant::Grant;
use crate::platform::{Change, Check, Failure, Level, OnUnavailable, Platform, UnixMillis};
use crate::record::Record;
use crate::settings::Settings;
use crate::tokens::{self, ReceivedTokens, StoredTokens, TokenSource, TokenUpdate};
use crate::webex::token_response::TokenResponse;

/// The maximum number of attempts to store a response while the store fails or the record changes.
const MAX_ATTEMPTS: u32 = 3;

/// A response of Webex with new tokens.
pub struct IssuedTokens<'a> {
    /// The grant that the tokens belong to.
    pub grant: Grant,
    /// The response.
    pub response: &'a TokenResponse,
    /// The request that Webex has responded to.
    pub source: TokenSource,
    /// The time just before the request was sent; lifetimes count from this time.
    pub issued: UnixMillis,
}

/// The steps of [`store_tokens`] that depend on the workflow.
pub trait StorageSteps {
    /// Prepares one attempt on `record`. Returns the stored tokens, for comparison with the response,
    /// and the checks of the commit besides the record's version.
    fn prepare(&mut self, record: &mut Record) -> Result<(StoredTokens, Vec<Check>), Failure>;

    /// Returns the changes of the commit besides the record, its secrets and its wakeups.
    fn plan_changes(
        &mut self,
        record: &mut Record,
        update: &TokenUpdate,
        now: UnixMillis,
    ) -> Result<Vec<Change>, Failure>;

    /// Fails if the response no longer applies to the record, which was read again after a failed
    /// attempt.
    fn confirm(&mut self, _record: &Record) -> Result<(), Failure> {
        Ok(())
    }

    /// Handles the deletion of the record: the tokens cannot be stored.
    fn abandon(&mut self, _record: &Record) {}
}

/// Stores `tokens` in `record` and returns the record as it was stored.
///
/// # Errors
/// `not-found` when the record was deleted; `conflict` and `unavailable` from the last attempt; errors of
/// the `steps`.
pub fn store_tokens(
    platform: &dyn Platform,
    settings: &Settings,
    tokens: &IssuedTokens<'_>,
    mut record: Record,
    steps: &mut impl StorageSteps,
) -> Result<Record, Failure> {
    let mut attempts = 1;
    loop {
        let mut renewed = record.clone();
        let failure = match try_commit(platform, settings, tokens, &mut renewed, steps) {
            Ok(()) => return Ok(renewed),
            Err(failure @ (Failure::Conflict(_) | Failure::Unavailable(_))) => failure,
            Err(failure) => return Err(failure),
        };
        let fresh = match Record::load(platform, &record.pkid) {
            Ok(fresh) => fresh,
            Err(gone @ Failure::NotFound(_)) => {
                steps.abandon(&record);
                return Err(gone);
            }
            Err(_) => return Err(failure),
        };
        let unchanged = fresh.version == record.version;
        if !unchanged && fresh.grant_state(tokens.grant) == renewed.grant_state(tokens.grant) {
            // The commit succeeded; only its result was lost.
            return Ok(fresh);
        }
        if attempts == MAX_ATTEMPTS || (unchanged && matches!(failure, Failure::Conflict(_))) {
            return Err(failure);
        }
        steps.confirm(&fresh)?;
        record = fresh;
        attempts += 1;
    }
}

/// Applies the tokens to `record` and commits it.
fn try_commit(
    platform: &dyn Platform,
    settings: &Settings,
    tokens: &IssuedTokens<'_>,
    record: &mut Record,
    steps: &mut impl StorageSteps,
) -> Result<(), Failure> {
    let mut checks = vec![record.version_check()];
    let (stored, further_checks) = steps.prepare(record)?;
    checks.extend(further_checks);
    let now = platform.now();
    let received = ReceivedTokens {
        response: tokens.response,
        stored: &stored,
        source: tokens.source,
        issued: tokens.issued,
    };
    let mut update = tokens::apply(record, tokens.grant, received, now, settings)?;
    let further_changes = steps.plan_changes(record, &update, now)?;
    let mut changes = vec![Change::Put(record.to_document()?)];
    changes.append(&mut update.changes);
    changes.extend(further_changes);
    platform.commit_with(checks, changes, OnUnavailable::Keep)?;
    for warning in &update.warnings {
        platform.log(Level::Warning, warning);
    }
    Ok(())
}
