//! What becomes of an answer with tokens: it is stored, whatever else happened to the record
//! meanwhile, or given back.

use super::Attempt;
use crate::alerts;
use crate::grant::Grant;
use crate::model::derived;
use crate::parts::{self, EXPIRY_SCHEDULE, REFRESH_SCHEDULE};
use crate::platform::{Change, Failure, Level, Platform};
use crate::record::{Record, secret};
use crate::reports::{Connection, RefreshOutcome, RefreshReport, Revocation};
use crate::revocation::revoke;
use crate::tokens::{self, Held, Origin};
use crate::webex::answer::TokenAnswer;

/// How often an answer is tried to be stored while the record keeps changing.
const TRIES: u32 = 3;

impl<P: Platform + ?Sized> Attempt<'_, P> {
    /// Stores the tokens of an answer.
    pub(super) fn keep(
        &self,
        mut record: Record,
        answer: &TokenAnswer,
    ) -> Result<RefreshReport, Failure> {
        let mut tries = 1;
        loop {
            let mut renewed = record.clone();
            let failure = match self.store(&mut renewed, answer) {
                Ok(report) => return Ok(report),
                Err(failure @ (Failure::Conflict(_) | Failure::Unavailable(_))) => failure,
                Err(failure) => return Err(failure),
            };
            let fresh = match Record::load(self.platform, &record.pkid) {
                Ok(fresh) => fresh,
                Err(gone @ Failure::NotFound(_)) => {
                    self.give_back(&record, answer);
                    return Err(gone);
                }
                Err(_) => return Err(failure),
            };
            if fresh.body.connection == renewed.body.connection {
                // The commit was made; only word of it was lost.
                return Ok(connected(&fresh));
            }
            let unchanged = fresh.version == record.version;
            if tries == TRIES || (unchanged && matches!(failure, Failure::Conflict(_))) {
                return Err(failure);
            }
            let held = self.held_by(&fresh)?;
            if held.as_ref() != Some(&self.refresh_token) {
                return Err(Failure::Conflict(format!(
                    "the tokens of {} were replaced while Webex was asked for new ones: \
                     run the refresh again",
                    fresh.name()
                )));
            }
            record = fresh;
            tries += 1;
        }
    }

    fn store(&self, record: &mut Record, answer: &TokenAnswer) -> Result<RefreshReport, Failure> {
        let access_token = match answer.expires_in.milliseconds() {
            // Only an answer that does not say the life depends on the token being the same.
            Some(_) => None,
            None => self
                .platform
                .reveal(&record.reference(), secret::ACCESS_TOKEN)?,
        };
        let held = Held {
            access_token,
            refresh_token: Some(self.refresh_token.clone()),
        };
        let now = self.platform.now();
        let check = record.unchanged();
        let taken = tokens::take(
            record,
            answer,
            &held,
            Origin::Refreshed,
            self.begun,
            now,
            &self.settings,
        )?;
        record.body.connection.attempted = Some(self.begun);
        let mut changes = vec![Change::Put(record.to_document()?)];
        changes.extend(taken.changes);
        changes.extend(alerts::recovery(self.platform, record)?);
        changes.extend(parts::reschedule(
            self.platform,
            record,
            REFRESH_SCHEDULE,
            Some(self.begun),
            Some(taken.next_refresh),
        )?);
        if taken.next_check.is_some() {
            changes.extend(parts::reschedule(
                self.platform,
                record,
                EXPIRY_SCHEDULE,
                None,
                taken.next_check,
            )?);
        }
        self.platform.commit(vec![check], changes)?;
        for warning in &taken.warnings {
            self.platform.log(Level::Warning, warning);
        }
        let report = connected(record);
        self.platform.log(Level::Info, &report.message);
        Ok(report)
    }

    /// Revokes the tokens of an answer that nobody is left to own.
    fn give_back(&self, record: &Record, answer: &TokenAnswer) {
        let access_token = Some(&answer.access_token);
        let became = match revoke(
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
            "{} was deleted while Webex was asked for new tokens; the tokens {became}",
            record.name()
        );
        self.platform.log(Level::Warning, &text);
    }
}

fn connected(record: &Record) -> RefreshReport {
    let connection = Connection::of(record);
    let mut message = "Webex answered with tokens".to_owned();
    if let Some(access) = connection.access_token_expires {
        let until = derived::date_time(access.at);
        message.push_str(&format!("; the access token is valid until {until}"));
    }
    if let Some(next) = connection.next_refresh {
        let next = derived::date_time(next);
        message.push_str(&format!(", the next refresh is at {next}"));
    }
    RefreshReport {
        grant: Grant::Organization,
        outcome: RefreshOutcome::Connected,
        connection,
        message,
        tracking_id: None,
        joined: false,
    }
}
