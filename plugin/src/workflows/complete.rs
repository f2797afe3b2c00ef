//! Completes a consent: turns a callback into a working connection.
//!
//! A commit of its own uses up the state before the code is sent to Webex. A crash therefore leaves
//! either the old connection with its tokens or the complete new one. A crash between response and
//! commit loses only the new consent: the person connects again. If the request certainly did not reach
//! Webex, another commit makes the consent pending again.

mod exchange;

use crate::alerts::ActiveAlerts;
use crate::callback::{AuthorizationError, Callback};
use crate::consent::{self, ConsentMatch, ConsentOutcome, PendingConsent};
use crate::grant::Grant;
use crate::model::{FieldErrors, ValidatedInput, derived};
use crate::owned_documents;
use crate::platform::{
    Change, Check, Failure, FieldError, Level, Platform, Reference, Secret, UnixMillis, is_pkid,
};
use crate::record::{Record, State};
use crate::reports::{ConnectReport, ConnectionReport};
use crate::scopes;
use crate::settings::{ClientCredentials, Settings};
use crate::store_tokens::{IssuedTokens, StorageSteps, store_tokens};
use crate::timing::MIN_DELAY;
use crate::tokens::{StoredTokens, TokenSource, TokenUpdate};
use crate::uniqueness;
use crate::webex::errors::WebexError;
use crate::webex::ids::OrgId;
use crate::workflows::sync::schedule_roles_licenses;
use exchange::TokenExchange;

/// The number of reported steps.
const STEPS: u32 = 4;

/// Completes the consent of `callback`, whatever the state of the connection. A repeated callback of the consent that
/// connected the grant changes nothing, and succeeds.
///
/// # Errors
/// Errors of the contract; each leaves the connection unchanged. The consent is used up once its code may
/// have reached Webex, or the callback has an error. Before that, the same callback can be tried again.
pub fn complete_connect(
    platform: &dyn Platform,
    pkid: &str,
    callback: &str,
) -> Result<ConnectReport, Failure> {
    let mut record = Record::load(platform, pkid)?;
    let settings = Settings::load(platform)?;
    let callback = Callback::parse(callback).map_err(reject_callback)?;
    if let Some(report) = report_repeated(&record, &callback) {
        return Ok(report);
    }
    let (grant, pending) = find_pending(&record, &callback, &settings)?;
    if !callback.matches_redirect(&pending.redirect_uri) {
        let expected = &pending.redirect_uri;
        return Err(reject_callback(&format!(
            "did not come to the redirect address of this consent, {expected}"
        )));
    }
    if pending.expires <= platform.now() {
        consume(platform, &mut record, grant, ConsentOutcome::Expired)?;
        return Err(consent_ended(
            &record,
            grant,
            ConsentOutcome::Expired,
            &settings,
        ));
    }
    if let Some(refusal) = callback.error() {
        consume(platform, &mut record, grant, ConsentOutcome::Failed)?;
        let failure = map_callback_error(&record, grant, &pending, refusal);
        platform.log(Level::Warning, &failure.to_string());
        return Err(failure);
    }
    let Some(code) = callback.code() else {
        return Err(reject_callback(
            "has no code: give the whole address to which Webex sent the browser",
        ));
    };

    let client = ClientCredentials::reveal(&settings, platform)?.map_err(|missing| {
        let open = describe_open(&pending);
        Failure::LimitExceeded(format!("{missing}; {open}"))
    })?;
    let Some(verifier) = platform.reveal(&record.reference(), consent::verifier_name(grant))?
    else {
        return Err(require_new_consent(&format!(
            "the verifier of the consent for the grant {grant} is lost"
        )));
    };
    let exchange = TokenExchange {
        platform,
        settings: &settings,
        client,
        proxies: exchange::load_proxies(platform, &record, &describe_open(&pending))?,
        code: code.clone(),
        verifier,
        redirect_uri: pending.redirect_uri.clone(),
    };
    consume(platform, &mut record, grant, ConsentOutcome::Failed)?;

    platform.progress(1, STEPS, "asking Webex for the tokens of the consent");
    let issued = platform.now();
    let response = match exchange.exchange_code()? {
        Ok(response) => response,
        Err(error) if error.is_unsent() => {
            let failure = restore(platform, record, grant, pending, exchange.verifier, error);
            platform.log(Level::Warning, &failure.to_string());
            return Err(failure);
        }
        Err(error) => return Err(exchange.map_exchange_error(&record, grant, error)),
    };
    exchange.require_refresh_token(&response)?;
    platform.progress(2, STEPS, "checking the organization");
    let organization = exchange.verify_organization(&record, &response)?;
    platform.progress(3, STEPS, "storing the tokens");
    let tokens = IssuedTokens {
        grant,
        response: &response,
        source: TokenSource::Consented,
        issued,
    };
    let mut steps = ConsentSteps {
        platform,
        grant,
        state: pending.state,
        organization,
        cleared: Vec::new(),
    };
    let stored = store_tokens(platform, &settings, &tokens, record, &mut steps)?;
    let report = steps.build_report(&stored);
    platform.progress(STEPS, STEPS, &report.message);
    platform.log(Level::Info, &report.message);
    Ok(report)
}

/// Returns the report for a repeated callback of the latest consent, if its grant works. No request is sent.
fn report_repeated(record: &Record, callback: &Callback) -> Option<ConnectReport> {
    callback.code()?;
    let state = callback.state()?.expose();
    let ConsentMatch::Past(grant, ConsentOutcome::Used) = record.body.consents.find(state) else {
        return None;
    };
    let works = matches!(
        record.grant_state(grant).state,
        State::Connected | State::Expiring | State::MissingScope | State::Retrying
    );
    let organization = record.organization().filter(|_| works)?.to_owned();
    let message = format!(
        "the consent for the grant {grant} of {} was used already, because each callback counts \
         once; the grant is connected: nothing needs to be done",
        record.name()
    );
    Some(ConnectReport {
        grant,
        connection: ConnectionReport::from_record(record),
        organization,
        sync_due: None,
        cleared: Vec::new(),
        message,
    })
}

/// Finds the pending consent of the callback.
fn find_pending(
    record: &Record,
    callback: &Callback,
    settings: &Settings,
) -> Result<(Grant, PendingConsent), Failure> {
    let Some(state) = callback.state().map(Secret::expose) else {
        return Err(require_new_consent("the callback has no state"));
    };
    match record.body.consents.find(state) {
        ConsentMatch::Pending(grant, pending) => Ok((grant, pending)),
        ConsentMatch::Past(grant, outcome) => Err(consent_ended(record, grant, outcome, settings)),
        ConsentMatch::Unknown => Err(match state.split_once('.') {
            Some((pkid, _)) if pkid != record.pkid && is_pkid(pkid) => {
                Failure::Reauthorize(format!(
                    "the callback belongs to another record, {pkid}: complete it there; the \
                     connection of {} is unchanged",
                    record.name()
                ))
            }
            _ => require_new_consent(&format!(
                "the callback's state is unknown: the address is incomplete, or its consent was not begun for {}, or \
                 long ago",
                record.name()
            )),
        }),
    }
}

/// Invalidates the state of the pending consent and removes its verifier.
fn consume(
    platform: &dyn Platform,
    record: &mut Record,
    grant: Grant,
    outcome: ConsentOutcome,
) -> Result<(), Failure> {
    let check = record.version_check();
    record.body.consents.end(grant, outcome);
    record.note_interruption(platform);
    let removal =
        Change::RemoveSecret(record.reference(), consent::verifier_name(grant).to_owned());
    platform.commit(
        vec![check],
        vec![Change::Put(record.to_document()?), removal],
    )?;
    *record = Record::load(platform, &record.pkid)?;
    Ok(())
}

/// Makes a used-up consent pending again, because its code did not reach Webex. Returns the failure of the call.
fn restore(
    platform: &dyn Platform,
    mut record: Record,
    grant: Grant,
    pending: PendingConsent,
    verifier: Secret,
    error: WebexError,
) -> Failure {
    let open = describe_open(&pending);
    let check = record.version_check();
    record.body.consents.restore(grant, pending);
    let secret = Change::PutSecret {
        owner: record.reference(),
        name: consent::verifier_name(grant).to_owned(),
        value: verifier,
    };
    let stored = record
        .to_document()
        .and_then(|document| platform.commit(vec![check], vec![Change::Put(document), secret]));
    let next = match stored {
        Ok(()) => open,
        Err(failure) => {
            format!("the consent is used up ({failure}): begin again with connect")
        }
    };
    let consequence = format!("the connection is unchanged; {next}");
    error.into_failure_with(platform.now(), &consequence)
}

/// Says that the consent is still pending. Hosts look for these words, see the contract's `complete-connect`.
fn describe_open(pending: &PendingConsent) -> String {
    let until = derived::format_timestamp(pending.expires);
    format!("the consent stays open until {until}: use the same callback again")
}

/// Returns the failure of a callback for a finished consent; each outcome says what to do.
fn consent_ended(
    record: &Record,
    grant: Grant,
    outcome: ConsentOutcome,
    settings: &Settings,
) -> Failure {
    let consent = format!("the consent for the grant {grant} of {}", record.name());
    Failure::Reauthorize(match outcome {
        ConsentOutcome::Used => format!(
            "{consent} was used already, because each callback counts once; the connection is \
             unchanged; begin again with connect"
        ),
        ConsentOutcome::Failed => format!(
            "{consent} was used already, because each callback counts once, and brought no tokens; \
             the connection is unchanged; begin again with connect"
        ),
        ConsentOutcome::Superseded => format!(
            "{consent} was replaced by one that was begun later; the connection is unchanged; use \
             the newer link, or begin again with connect if it is lost"
        ),
        ConsentOutcome::Expired => format!(
            "{consent} has expired, because its callback came too late; the connection is \
             unchanged; begin again with connect, and consent within {}",
            settings.connect_lifetime.to_words()
        ),
    })
}

fn require_new_consent(reason: &str) -> Failure {
    Failure::Reauthorize(format!(
        "{reason}; the connection is unchanged; begin again with connect"
    ))
}

fn reject_callback(reason: &str) -> Failure {
    Failure::Invalid(vec![FieldError::new("callback", reason)])
}

/// Maps an error that the callback has instead of a code.
fn map_callback_error(
    record: &Record,
    grant: Grant,
    pending: &PendingConsent,
    refusal: &AuthorizationError,
) -> Failure {
    let (name, words) = (record.name(), refusal.message());
    match refusal.error.as_str() {
        "access_denied" => require_new_consent(&format!(
            "the consent for the grant {grant} of {name} was declined at Webex ({words})"
        )),
        "invalid_scope" => Failure::LimitExceeded(format!(
            "Webex does not accept a scope ({words}): the integration at Webex must have all of \
             {}, or {} must ask for less; the connection is unchanged",
            pending.scopes.join(" "),
            scopes::setting_names(record, grant),
        )),
        "unauthorized_client"
        | "invalid_client"
        | "invalid_request"
        | "unsupported_response_type" => Failure::LimitExceeded(format!(
            "Webex does not accept the request ({words}): check webex.client-id, and that the \
             integration at Webex has the redirect address {}; the connection is unchanged",
            pending.redirect_uri,
        )),
        "server_error" | "temporarily_unavailable" | "slow_down" => Failure::Unavailable(format!(
            "Webex failed in the middle of the consent ({words}); the connection is unchanged; \
             begin again with connect later"
        )),
        _ => require_new_consent(&format!(
            "Webex ended the consent for the grant {grant} of {name} with an error ({words})"
        )),
    }
}

/// The steps of a consent in storing its tokens.
struct ConsentSteps<'a> {
    platform: &'a dyn Platform,
    grant: Grant,
    // The hash of the consent's state.
    state: String,
    organization: OrgId,
    // The alerts that the latest attempt deletes.
    cleared: Vec<Reference>,
}

impl StorageSteps for ConsentSteps<'_> {
    fn prepare(&mut self, record: &mut Record) -> Result<(StoredTokens, Vec<Check>), Failure> {
        let checks = self.fill_in_organization(record)?;
        record.body.consents.succeed(self.grant, &self.state);
        let stored = StoredTokens::reveal(record, self.grant, self.platform)?;
        Ok((stored, checks))
    }

    fn plan_changes(
        &mut self,
        record: &mut Record,
        update: &TokenUpdate,
        now: UnixMillis,
    ) -> Result<Vec<Change>, Failure> {
        let alerts = ActiveAlerts::load(self.platform, record)?;
        self.cleared = alerts.find_resolved(record, now);
        let mut changes = alerts.update_after_tokens(self.platform, record, self.grant, now)?;
        changes.extend(owned_documents::reschedule_grant(
            self.platform,
            record,
            self.grant,
            update,
        )?);
        if let Some(due) = self.sync_due(record) {
            changes.extend(schedule_roles_licenses(record, due));
        }
        Ok(changes)
    }
}

impl ConsentSteps<'_> {
    /// Sets missing account numbers from the organization. Returns the conditions of the commit: no other
    /// record at the node has the organization.
    fn fill_in_organization(&self, record: &mut Record) -> Result<Vec<Check>, Failure> {
        if record.organization().is_some() {
            return Ok(Vec::new());
        }
        let mut accepted = ValidatedInput {
            fields: record.body.fields.clone(),
            organization_field: "account_number_external",
            ..ValidatedInput::default()
        };
        accepted.set_organization(self.organization);
        let (node, owner) = (record.hierarchy.clone(), record.reference());
        let mut errors = FieldErrors::default();
        uniqueness::find_duplicates(self.platform, &node, &accepted, Some(&owner), &mut errors)?;
        if let Err(failure) = errors.into_result() {
            return Err(require_new_consent(&format!(
                "the consent was given by the organization {} ({failure})",
                self.organization
            )));
        }
        let checks = uniqueness::uniqueness_checks(&node, &accepted, Some(&owner)).collect();
        record.body.fields = accepted.fields;
        Ok(checks)
    }

    /// Returns when the first import is due: immediately after a consent for the organization.
    fn sync_due(&self, record: &Record) -> Option<UnixMillis> {
        let refreshed = record.grant_state(self.grant).refreshed?;
        (self.grant == Grant::Organization).then(|| refreshed + MIN_DELAY)
    }

    fn build_report(self, record: &Record) -> ConnectReport {
        let mut message = format!(
            "the grant {} of {} is connected to the organization {}",
            self.grant,
            record.name(),
            self.organization
        );
        let connection = ConnectionReport::from_record(record);
        if !connection.notes.is_empty() {
            message.push_str(&format!("; {}", connection.notes));
        }
        ConnectReport {
            grant: self.grant,
            connection,
            organization: self.organization.external(),
            sync_due: self.sync_due(record).map(|at| at.0),
            cleared: self.cleared,
            message,
        }
    }
}

#[cfg(test)]
mod tests;
