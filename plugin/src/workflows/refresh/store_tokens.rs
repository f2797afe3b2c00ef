//! Stores the tokens of a response, whatever else changed in the record, or revokes them.

use super::{Attempt, Prefetched};
use crate::grant::Grant;
use crate::model::derived;
use crate::platform::{Change, Failure, Level, OnUnavailable, Platform, Secret};
use crate::record::Record;
use crate::reports::{ConnectionReport, RefreshOutcome, RefreshReport, Revocation};
use crate::revocation::revoke;
use crate::tokens::{self, StoredTokens, TokenSource};
use crate::webex::token_response::TokenResponse;

/// The maximum number of attempts to store a response while the record keeps changing.
const MAX_ATTEMPTS: u32 = 3;

impl<P: Platform + ?Sized> Attempt<'_, P> {
    /// Stores the tokens of a response.
    pub(super) fn store_tokens(
        &self,
        mut record: Record,
        mut prefetched: Prefetched,
        response: &TokenResponse,
    ) -> Result<RefreshReport, Failure> {
        let mut attempts = 1;
        loop {
            let mut renewed = record.clone();
            let failure = match self.commit_tokens(&mut renewed, &prefetched, response) {
                Ok(report) => return Ok(report),
                Err(failure @ (Failure::Conflict(_) | Failure::Unavailable(_))) => failure,
                Err(failure) => return Err(failure),
            };
            let fresh = match Record::load(self.platform, &record.pkid) {
                Ok(fresh) => fresh,
                Err(gone @ Failure::NotFound(_)) => {
                    self.revoke_tokens(&record, response);
                    return Err(gone);
                }
                Err(_) => return Err(failure),
            };
            let unchanged = fresh.version == record.version;
            if !unchanged && fresh.grant_state(self.grant) == renewed.grant_state(self.grant) {
                // The commit succeeded; only its result was lost.
                return Ok(report_connected(&fresh, self.grant));
            }
            if attempts == MAX_ATTEMPTS || (unchanged && matches!(failure, Failure::Conflict(_))) {
                return Err(failure);
            }
            let held = self.reveal_refresh_token(&fresh)?;
            if held.as_ref() != Some(&self.refresh_token) {
                return Err(Failure::Conflict(format!(
                    "the tokens of {} were replaced while Webex was asked for new ones: \
                     run the refresh again",
                    fresh.display_name(self.grant)
                )));
            }
            if let Ok(newer) = Prefetched::read(self.platform, &fresh, self.grant) {
                prefetched = newer;
            }
            record = fresh;
            attempts += 1;
        }
    }

    fn commit_tokens(
        &self,
        record: &mut Record,
        prefetched: &Prefetched,
        response: &TokenResponse,
    ) -> Result<RefreshReport, Failure> {
        let access_token = match response.expires_in.milliseconds() {
            // Only if the response names no lifetime does it matter whether the token is the same.
            Some(_) => None,
            None => self.reveal_access_token(record)?,
        };
        let held = StoredTokens {
            access_token,
            refresh_token: Some(self.refresh_token.clone()),
        };
        let now = self.platform.now();
        let check = record.version_check();
        let token_update = tokens::apply(
            record,
            self.grant,
            tokens::ReceivedTokens {
                response,
                stored: &held,
                source: TokenSource::Refreshed,
                issued: self.begun,
            },
            now,
            &self.settings,
        )?;
        record.grant_state_mut(self.grant).attempted = Some(self.begun);
        let mut changes = vec![Change::Put(record.to_document()?)];
        changes.extend(token_update.changes);
        changes.extend(prefetched.alerts.clear_resolved(record, now));
        changes.extend(prefetched.refresh_schedule.reschedule(
            record,
            Some(self.begun),
            Some(token_update.next_refresh),
        ));
        if token_update.next_check.is_some() {
            let schedule = &prefetched.expiry_schedule;
            changes.extend(schedule.reschedule(record, None, token_update.next_check));
        }
        self.platform
            .commit_with(vec![check], changes, OnUnavailable::Keep)?;
        for warning in &token_update.warnings {
            self.platform.log(Level::Warning, warning);
        }
        let report = report_connected(record, self.grant);
        self.platform.log(Level::Info, &report.message);
        Ok(report)
    }

    /// Returns the stored access token, or none if the store is unavailable. The response is stored anyway,
    /// with an assumed lifetime.
    fn reveal_access_token(&self, record: &Record) -> Result<Option<Secret>, Failure> {
        let revealed = self
            .platform
            .reveal(&record.reference(), self.grant.access_token());
        match revealed {
            Err(Failure::Unavailable(why)) => {
                let text = format!("it is not known whether the access token is new: {why}");
                self.platform.log(Level::Warning, &text);
                Ok(None)
            }
            revealed => revealed,
        }
    }

    /// Revokes the tokens of a response whose record was deleted.
    fn revoke_tokens(&self, record: &Record, response: &TokenResponse) {
        let access_token = Some(&response.access_token);
        let result = match revoke(
            self.platform,
            &self.settings,
            record,
            access_token,
            &self.proxies,
        ) {
            Revocation::Revoked => "were revoked at Webex".to_owned(),
            Revocation::Skipped(why) => format!("were not revoked at Webex: {why}"),
            Revocation::Failed(why) => format!("could not be revoked at Webex: {why}"),
        };
        let text = format!(
            "{} was deleted while Webex was asked for new tokens; the tokens {result}",
            record.name()
        );
        self.platform.log(Level::Warning, &text);
    }
}

fn report_connected(record: &Record, grant: Grant) -> RefreshReport {
    let connection = ConnectionReport::from_record(record);
    let mut message = "Webex answered with tokens".to_owned();
    let granted = record.grant_state(grant);
    if let Some(access) = granted.access {
        let until = derived::format_timestamp(access.at);
        message.push_str(&format!("; the access token is valid until {until}"));
    }
    if let Some(next) = granted.next_refresh {
        let next = derived::format_timestamp(next);
        message.push_str(&format!(", the next refresh is at {next}"));
    }
    RefreshReport {
        grant,
        outcome: RefreshOutcome::Connected,
        connection,
        message,
        tracking_id: None,
        joined: false,
    }
}
