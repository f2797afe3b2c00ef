//! The steps of a refresh in storing the tokens of its response.

use super::{Attempt, Prefetched};
use crate::grant::Grant;
use crate::model::derived;
use crate::platform::{Change, Check, Failure, Level, Secret, UnixMillis};
use crate::record::Record;
use crate::reports::{ConnectionReport, RefreshOutcome, RefreshReport, Revocation};
use crate::revocation::revoke;
use crate::store_tokens::{IssuedTokens, StorageSteps, store_tokens};
use crate::tokens::{StoredTokens, TokenSource, TokenUpdate};
use crate::webex::token_response::TokenResponse;

struct RefreshSteps<'a> {
    attempt: &'a Attempt<'a>,
    response: &'a TokenResponse,
    prefetched: Prefetched,
}

impl StorageSteps for RefreshSteps<'_> {
    fn prepare(&mut self, record: &mut Record) -> Result<(StoredTokens, Vec<Check>), Failure> {
        let access_token = match self.response.expires_in.usable() {
            // Only if the response names no lifetime does it matter whether the token is the same.
            Some(_) => None,
            None => self.attempt.reveal_access_token(record)?,
        };
        let stored = StoredTokens {
            access_token,
            refresh_token: Some(self.attempt.refresh_token.clone()),
        };
        Ok((stored, Vec::new()))
    }

    fn plan_changes(
        &mut self,
        record: &mut Record,
        update: &TokenUpdate,
        now: UnixMillis,
    ) -> Result<Vec<Change>, Failure> {
        let begun = Some(self.attempt.begun);
        let (platform, grant) = (self.attempt.platform, self.attempt.grant);
        record.grant_state_mut(grant).attempted = begun;
        let alerts = &self.prefetched.alerts;
        let mut changes = alerts.update_after_tokens(platform, record, grant, now)?;
        let schedule = &self.prefetched.refresh_schedule;
        changes.extend(schedule.reschedule(record, begun, Some(update.next_refresh)));
        if update.next_check.is_some() {
            let schedule = &self.prefetched.expiry_schedule;
            changes.extend(schedule.reschedule(record, None, update.next_check));
        }
        Ok(changes)
    }

    /// Fails if the stored refresh token is not the one that was sent to Webex.
    fn confirm(&mut self, record: &Record) -> Result<(), Failure> {
        let attempt = self.attempt;
        let held = attempt.reveal_refresh_token(record)?;
        if held.as_ref() != Some(&attempt.refresh_token) {
            return Err(Failure::Conflict(format!(
                "the tokens of {} were replaced while Webex was asked for new ones: \
                 run the refresh again",
                record.display_name(attempt.grant)
            )));
        }
        if let Ok(newer) = Prefetched::read(attempt.platform, record, attempt.grant) {
            self.prefetched = newer;
        }
        Ok(())
    }

    fn abandon(&mut self, record: &Record) {
        self.attempt.revoke_tokens(record, self.response);
    }
}

impl Attempt<'_> {
    /// Stores the tokens of a response.
    pub(super) fn store_tokens(
        &self,
        record: Record,
        prefetched: Prefetched,
        response: &TokenResponse,
    ) -> Result<RefreshReport, Failure> {
        let tokens = IssuedTokens {
            grant: self.grant,
            response,
            source: TokenSource::Refreshed,
            issued: self.begun,
        };
        let mut steps = RefreshSteps {
            attempt: self,
            response,
            prefetched,
        };
        let stored = store_tokens(self.platform, &self.settings, &tokens, record, &mut steps)?;
        let report = report_connected(&stored, self.grant);
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
            Err(Failure::Unavailable(reason)) => {
                let text = format!("it is not known whether the access token is new: {reason}");
                self.platform.log(Level::Warning, &text);
                Ok(None)
            }
            revealed => revealed,
        }
    }

    /// Revokes the tokens of a response whose record was deleted.
    fn revoke_tokens(&self, record: &Record, response: &TokenResponse) {
        let tokens = [(self.grant, response.access_token.clone())];
        let result = match revoke(
            self.platform,
            &self.settings,
            record,
            &tokens,
            &self.proxies,
        ) {
            Revocation::Revoked => "were revoked at Webex".to_owned(),
            Revocation::Skipped(reason) => format!("were not revoked at Webex: {reason}"),
            Revocation::Failed(reason) => format!("could not be revoked at Webex: {reason}"),
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
    let mut message = "Webex returned tokens".to_owned();
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
