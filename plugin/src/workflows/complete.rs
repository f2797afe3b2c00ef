//! Completes a consent: from the callback to a connection that works.
//!
//! The state is used up by a commit of its own before the code is shown to Webex, so that a crash
//! anywhere leaves either the connection as it was, with its tokens, or the new one whole. What a
//! crash between answer and commit loses is only the new consent: the person connects again.

mod asking;

use crate::admission;
use crate::alerts::Standing;
use crate::callback::{Callback, Refusal};
use crate::consent::{self, Fate, Found, Pending};
use crate::grant::Grant;
use crate::model::{Accepted, Faults, derived};
use crate::parts;
use crate::platform::{
    Change, Check, Failure, FieldError, Level, OnUnavailable, Platform, Secret, Timestamp, is_pkid,
};
use crate::record::Record;
use crate::reports::{ConnectReport, Connection, SyncKind};
use crate::settings::{ClientCredentials, Settings};
use crate::timing::SOONEST;
use crate::tokens::{self, Held, Origin};
use crate::webex::answer::TokenResponse;
use crate::webex::ids::OrgId;
use crate::{scopes, workflows::connect};
use asking::Consent;

/// How often new tokens are tried to be stored while the store fails or the record changes.
const TRIES: u32 = 3;
/// How many steps are reported.
const STEPS: u32 = 4;

/// Completes the consent to which `callback` belongs, whatever state the connection is in.
///
/// # Errors
/// As the contract says; each leaves the connection as it was. The consent is used up once Webex
/// has answered it, by a code or by an error; before that, the same callback can be tried again.
pub fn complete_connect<P: Platform + ?Sized>(
    platform: &P,
    pkid: &str,
    callback: &str,
) -> Result<ConnectReport, Failure> {
    let mut record = Record::load(platform, pkid)?;
    let settings = Settings::load(platform)?;
    let callback = Callback::parse(callback).map_err(wrong_callback)?;
    let (grant, pending) = pending(&record, &callback)?;
    if !callback.came_to(&pending.redirect_uri) {
        let expected = &pending.redirect_uri;
        return Err(wrong_callback(&format!(
            "did not come to the redirect address of this consent, {expected}"
        )));
    }
    if pending.expires <= platform.now() {
        use_up(platform, &mut record, grant, Fate::Expired)?;
        return Err(over(grant, Fate::Expired));
    }
    if let Some(refusal) = callback.error() {
        use_up(platform, &mut record, grant, Fate::Used)?;
        let failure = refused(&record, grant, &pending, refusal);
        platform.log(Level::Warning, &failure.to_string());
        return Err(failure);
    }
    let Some(code) = callback.code() else {
        return Err(wrong_callback(
            "has no code: give the whole address to which Webex sent the browser",
        ));
    };

    let client = ClientCredentials::reveal(&settings, platform)?.map_err(connect::missing)?;
    let Some(verifier) = platform.reveal(&record.reference(), consent::verifier(grant))? else {
        return Err(begin_again(&format!(
            "what the consent for the grant {grant} began with is lost"
        )));
    };
    let consent = Consent {
        platform,
        settings: &settings,
        client,
        proxies: asking::proxies(platform, &record)?,
        code: code.clone(),
        verifier,
        redirect_uri: pending.redirect_uri,
    };
    use_up(platform, &mut record, grant, Fate::Used)?;

    platform.progress(1, STEPS, "asking Webex for the tokens of the consent");
    let issued = platform.now();
    let answer = consent.exchange(&record, grant)?;
    platform.progress(2, STEPS, "checking the organisation");
    let organization = consent.organization(&record, &answer)?;
    platform.progress(3, STEPS, "storing the tokens");
    let new = New {
        platform,
        settings: &settings,
        grant,
        answer,
        organization,
        issued,
    };
    let report = new.keep(record)?;
    platform.progress(STEPS, STEPS, &report.message);
    platform.log(Level::Info, &report.message);
    Ok(report)
}

/// The consent that waits for this callback.
fn pending(record: &Record, callback: &Callback) -> Result<(Grant, Pending), Failure> {
    let Some(state) = callback.state().map(Secret::expose) else {
        return Err(begin_again("the callback brings no state"));
    };
    match record.body.consents.find(state) {
        Found::Pending(grant, pending) => Ok((grant, pending)),
        Found::Past(grant, fate) => Err(over(grant, fate)),
        Found::Unknown => Err(begin_again(&match state.split_once('.') {
            Some((pkid, _)) if pkid != record.pkid && is_pkid(pkid) => {
                format!("the callback belongs to another record, {pkid}")
            }
            _ => format!(
                "the callback's state is unknown: it was not given out for {}, or long ago",
                record.name()
            ),
        })),
    }
}

/// Makes the state of the pending consent useless, and its verifier with it.
fn use_up<P: Platform + ?Sized>(
    platform: &P,
    record: &mut Record,
    grant: Grant,
    fate: Fate,
) -> Result<(), Failure> {
    let check = record.unchanged();
    record.body.consents.end(grant, fate);
    record.note_interruption(platform);
    let removal = Change::RemoveSecret(record.reference(), consent::verifier(grant).to_owned());
    platform.commit(
        vec![check],
        vec![Change::Put(record.to_document()?), removal],
    )?;
    *record = Record::load(platform, &record.pkid)?;
    Ok(())
}

fn over(grant: Grant, fate: Fate) -> Failure {
    let fate = match fate {
        Fate::Used => "was used already: each callback counts once",
        Fate::Superseded => "was replaced by one that was begun later: use the newer link",
        Fate::Expired => "has expired: its callback must come within 10 minutes",
    };
    begin_again(&format!("the consent for the grant {grant} {fate}"))
}

fn begin_again(what: &str) -> Failure {
    Failure::Reauthorize(format!(
        "{what}; the connection is as it was, begin again with connect"
    ))
}

fn wrong_callback(what: &str) -> Failure {
    Failure::Invalid(vec![FieldError::new("callback", what)])
}

/// What an error that came in place of a code means.
fn refused(record: &Record, grant: Grant, pending: &Pending, refusal: &Refusal) -> Failure {
    let (name, words) = (record.name(), refusal.words());
    match refusal.error.as_str() {
        "access_denied" => begin_again(&format!(
            "the consent for the grant {grant} of {name} was declined at Webex ({words})"
        )),
        "invalid_scope" => Failure::LimitExceeded(format!(
            "Webex does not accept a scope ({words}): the integration at Webex must have all of \
             {}, or {} must ask for less; the connection is as it was",
            pending.scopes.join(" "),
            scopes::settings_of(record, grant),
        )),
        "unauthorized_client"
        | "invalid_client"
        | "invalid_request"
        | "unsupported_response_type" => Failure::LimitExceeded(format!(
            "Webex does not accept the request ({words}): check webex.client-id, and that the \
             integration at Webex has the redirect address {}; the connection is as it was",
            pending.redirect_uri,
        )),
        "server_error" | "temporarily_unavailable" | "slow_down" => Failure::Unavailable(format!(
            "Webex failed in the middle of the consent ({words}): try again later, beginning with \
             connect; the connection is as it was"
        )),
        _ => begin_again(&format!(
            "Webex ended the consent for the grant {grant} of {name} with an error ({words})"
        )),
    }
}

/// Tokens of a consent that belong to the record.
struct New<'a, P: ?Sized> {
    platform: &'a P,
    settings: &'a Settings,
    grant: Grant,
    answer: TokenResponse,
    organization: OrgId,
    // Just before the code was shown: lives count from here.
    issued: Timestamp,
}

impl<P: Platform + ?Sized> New<'_, P> {
    /// Stores the tokens, also when the store fails once or the record changes meanwhile.
    fn keep(&self, mut record: Record) -> Result<ConnectReport, Failure> {
        let mut tries = 1;
        loop {
            let mut renewed = record.clone();
            let failure = match self.store(&mut renewed) {
                Ok(report) => return Ok(report),
                Err(failure @ (Failure::Conflict(_) | Failure::Unavailable(_))) => failure,
                Err(failure) => return Err(failure),
            };
            let fresh = match Record::load(self.platform, &record.pkid) {
                Ok(fresh) => fresh,
                Err(gone @ Failure::NotFound(_)) => return Err(gone),
                Err(_) => return Err(failure),
            };
            let unchanged = fresh.version == record.version;
            if !unchanged && fresh.connection(self.grant) == renewed.connection(self.grant) {
                // The commit was made; only word of it was lost.
                return Ok(self.report(&fresh, Vec::new()));
            }
            if tries == TRIES || (unchanged && matches!(failure, Failure::Conflict(_))) {
                return Err(failure);
            }
            record = fresh;
            tries += 1;
        }
    }

    fn store(&self, record: &mut Record) -> Result<ConnectReport, Failure> {
        let mut checks = vec![record.unchanged()];
        checks.extend(self.fill_in_organization(record)?);
        let held = Held::by(record, self.grant, self.platform)?;
        let now = self.platform.now();
        let taken = tokens::take(
            record,
            self.grant,
            tokens::Received {
                answer: &self.answer,
                held: &held,
                origin: Origin::Consented,
                issued: self.issued,
            },
            now,
            self.settings,
        )?;
        let mut changes = vec![Change::Put(record.to_document()?)];
        changes.extend(taken.changes);
        let cleared = Standing::of(self.platform, record)?.ended(record, now);
        changes.extend(cleared.iter().cloned().map(Change::Delete));
        let next_runs = [
            (self.grant.refresh_schedule(), Some(taken.next_refresh)),
            (self.grant.expiry_schedule(), taken.next_check),
        ];
        for (role, next) in next_runs {
            // Without a next run, the one that is set stands.
            if next.is_some() {
                let change = parts::reschedule(self.platform, record, role, None, next)?;
                changes.extend(change);
            }
        }
        if let Some(due) = self.sync_due(record) {
            changes.push(SyncKind::RolesLicenses.schedule(&record.reference(), due));
        }
        self.platform
            .commit_with(checks, changes, OnUnavailable::Keep)?;
        for warning in &taken.warnings {
            self.platform.log(Level::Warning, warning);
        }
        Ok(self.report(record, cleared))
    }

    /// Gives a record without account numbers those of the organisation, and says what must hold
    /// at the commit: no other record at the node has it.
    fn fill_in_organization(&self, record: &mut Record) -> Result<Vec<Check>, Failure> {
        if record.organization().is_some() {
            return Ok(Vec::new());
        }
        let mut accepted = Accepted {
            fields: record.body.fields.clone(),
            organization_field: "account_number_external",
            ..Accepted::default()
        };
        accepted.set_organization(self.organization);
        let (node, owner) = (record.hierarchy.clone(), record.reference());
        let mut faults = Faults::default();
        admission::find_doubles(self.platform, &node, &accepted, Some(&owner), &mut faults)?;
        if let Err(failure) = faults.check() {
            return Err(begin_again(&format!(
                "the consent was given by the organisation {} ({failure})",
                self.organization
            )));
        }
        let checks = admission::no_doubles(&node, &accepted, Some(&owner)).collect();
        record.body.fields = accepted.fields;
        Ok(checks)
    }

    /// The import follows the consent of the organisation, at once.
    fn sync_due(&self, record: &Record) -> Option<Timestamp> {
        let refreshed = record.connection(self.grant).refreshed?;
        (self.grant == Grant::Organization).then(|| refreshed.saturating_add(SOONEST))
    }

    fn report(&self, record: &Record, cleared: Vec<crate::platform::Reference>) -> ConnectReport {
        let granted = record.connection(self.grant);
        let mut message = format!(
            "the grant {} of {} is connected to the organisation {}",
            self.grant,
            record.name(),
            self.organization
        );
        for (token, expiry) in [("access", granted.access), ("refresh", granted.refresh)] {
            if let Some(expiry) = expiry {
                let at = derived::date_time(expiry.at);
                message.push_str(&format!("; the {token} token is valid until {at}"));
            }
        }
        let connection = Connection::of(record);
        if !connection.notes.is_empty() {
            message.push_str(&format!("; {}", connection.notes));
        }
        ConnectReport {
            grant: self.grant,
            connection,
            organization: self.organization.external(),
            cleared,
            sync_due: self.sync_due(record),
            message,
        }
    }
}

#[cfg(test)]
mod tests;
