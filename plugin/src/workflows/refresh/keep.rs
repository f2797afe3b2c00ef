//! What becomes of an answer with tokens: it is stored, whatever else happened to the record
//! meanwhile, or given back.

use super::{Attempt, Surroundings};
use crate::grant::Grant;
use crate::model::derived;
use crate::platform::{Change, Failure, Level, OnUnavailable, Platform, Secret};
use crate::record::Record;
use crate::reports::{Connection, RefreshOutcome, RefreshReport, Revocation};
use crate::revocation::revoke;
use crate::tokens::{self, Held, Origin};
use crate::webex::answer::TokenResponse;

/// How often an answer is tried to be stored while the record keeps changing.
const TRIES: u32 = 3;

impl<P: Platform + ?Sized> Attempt<'_, P> {
    /// Stores the tokens of an answer.
    pub(super) fn keep(
        &self,
        mut record: Record,
        mut around: Surroundings,
        answer: &TokenResponse,
    ) -> Result<RefreshReport, Failure> {
        let mut tries = 1;
        loop {
            let mut renewed = record.clone();
            let failure = match self.store(&mut renewed, &around, answer) {
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
            let unchanged = fresh.version == record.version;
            if !unchanged && fresh.connection(self.grant) == renewed.connection(self.grant) {
                // The commit was made; only word of it was lost.
                return Ok(connected(&fresh, self.grant));
            }
            if tries == TRIES || (unchanged && matches!(failure, Failure::Conflict(_))) {
                return Err(failure);
            }
            let held = self.held_by(&fresh)?;
            if held.as_ref() != Some(&self.refresh_token) {
                return Err(Failure::Conflict(format!(
                    "the tokens of {} were replaced while Webex was asked for new ones: \
                     run the refresh again",
                    fresh.called(self.grant)
                )));
            }
            if let Ok(newer) = Surroundings::read(self.platform, &fresh, self.grant) {
                around = newer;
            }
            record = fresh;
            tries += 1;
        }
    }

    fn store(
        &self,
        record: &mut Record,
        around: &Surroundings,
        answer: &TokenResponse,
    ) -> Result<RefreshReport, Failure> {
        let access_token = match answer.expires_in.milliseconds() {
            // Only an answer that does not say the life depends on the token being the same.
            Some(_) => None,
            None => self.access_token_of(record)?,
        };
        let held = Held {
            access_token,
            refresh_token: Some(self.refresh_token.clone()),
        };
        let now = self.platform.now();
        let check = record.unchanged();
        let taken = tokens::take(
            record,
            self.grant,
            tokens::Received {
                answer,
                held: &held,
                origin: Origin::Refreshed,
                issued: self.begun,
            },
            now,
            &self.settings,
        )?;
        record.connection_mut(self.grant).attempted = Some(self.begun);
        let mut changes = vec![Change::Put(record.to_document()?)];
        changes.extend(taken.changes);
        changes.extend(around.alerts.recovery(record, now));
        changes.extend(around.refresh_schedule.reschedule(
            record,
            Some(self.begun),
            Some(taken.next_refresh),
        ));
        if taken.next_check.is_some() {
            let schedule = &around.expiry_schedule;
            changes.extend(schedule.reschedule(record, None, taken.next_check));
        }
        self.platform
            .commit_with(vec![check], changes, OnUnavailable::Keep)?;
        for warning in &taken.warnings {
            self.platform.log(Level::Warning, warning);
        }
        let report = connected(record, self.grant);
        self.platform.log(Level::Info, &report.message);
        Ok(report)
    }

    /// The access token that is stored; none when the store does not answer, which is no reason to
    /// lose an answer: its life is then the assumed one.
    fn access_token_of(&self, record: &Record) -> Result<Option<Secret>, Failure> {
        let revealed = self
            .platform
            .reveal(&record.reference(), self.grant.access_token());
        match revealed {
            Err(Failure::Unavailable(why)) => {
                let text = format!("whether the access token is a new one is not known: {why}");
                self.platform.log(Level::Warning, &text);
                Ok(None)
            }
            revealed => revealed,
        }
    }

    /// Revokes the tokens of an answer that nobody is left to own.
    fn give_back(&self, record: &Record, answer: &TokenResponse) {
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

fn connected(record: &Record, grant: Grant) -> RefreshReport {
    let connection = Connection::of(record);
    let mut message = "Webex answered with tokens".to_owned();
    let granted = record.connection(grant);
    if let Some(access) = granted.access {
        let until = derived::date_time(access.at);
        message.push_str(&format!("; the access token is valid until {until}"));
    }
    if let Some(next) = granted.next_refresh {
        let next = derived::date_time(next);
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
