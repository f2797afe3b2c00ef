//! The way to Webex during an import: the access token, refreshed at most once in a call.

use crate::grant::Grant;
use crate::platform::{Failure, Level, Platform, Secret};
use crate::record::{Record, secret};
use crate::reports::RefreshOutcome;
use crate::settings::Settings;
use crate::webex::client::{Proxies, Webex};
use crate::webex::directory::Directory;
use crate::webex::errors::{ErrorKind, WebexError};
use crate::webex::ids::OrgId;
use crate::webex::pages::Page;
use crate::workflows::refresh::refresh;

/// Webex, and the token with which it is asked.
pub(super) struct Access<'a, P: ?Sized> {
    platform: &'a P,
    webex: Webex<'a, P>,
    token: Secret,
    organization: Option<OrgId>,
    refreshed: bool,
}

impl<'a, P: Platform + ?Sized> Access<'a, P> {
    /// Opens the access token of `record`, a new one when it is known to be over; the record
    /// comes back as it is then stored.
    ///
    /// # Errors
    /// `reauthorize` when there is no access token and none to be had; `unavailable`.
    pub(super) fn open(
        platform: &'a P,
        settings: Settings,
        record: Record,
    ) -> Result<(Record, Self), Failure> {
        let access = record.body.connection.access;
        // An end that is only assumed is no reason not to ask.
        let over = access.is_some_and(|access| access.at <= platform.now() && !access.assumed);
        let record = match over {
            true => renewed(platform, &record)?,
            false => record,
        };
        let token = held(platform, &record)?;
        let proxies = Proxies::of(&record, platform)?;
        let access = Self {
            platform,
            webex: Webex::new(platform, &settings, &proxies)
                .map_err(|failure| of_the_proxy(&record, failure))?,
            token,
            organization: record
                .organization()
                .and_then(|organization| OrgId::parse(organization).ok()),
            refreshed: over,
        };
        Ok((record, access))
    }

    /// The page of `directory` at `address`; none: the first. A token that Webex does not accept
    /// is refreshed once, which `record` then is the result of.
    ///
    /// # Errors
    /// The outer ones are those of the refresh, the inner one is Webex's.
    pub(super) fn page(
        &mut self,
        record: &mut Record,
        directory: &Directory,
        address: Option<&str>,
    ) -> Result<Result<(String, Page), WebexError>, Failure> {
        let filters = directory.filters(self.organization);
        let address = match address {
            Some(address) => address.to_owned(),
            None => self.webex.first_page(directory.path, &filters),
        };
        let mut answer = self.webex.page(&address, &filters, &self.token);
        let refused = |error: &WebexError| error.kind == ErrorKind::Unauthorized;
        if answer.as_ref().is_err_and(refused) && !self.refreshed {
            self.refreshed = true;
            *record = renewed(self.platform, record)?;
            self.token = held(self.platform, record)?;
            answer = self.webex.page(&address, &filters, &self.token);
        }
        Ok(answer.map(|page| (address, page)))
    }
}

/// What the host says of the record's proxies: a caller who only named the record has given nothing invalid.
fn of_the_proxy(record: &Record, failure: Failure) -> Failure {
    match failure {
        Failure::Invalid(_) | Failure::LimitExceeded(_) => Failure::LimitExceeded(format!(
            "the proxy of {} cannot be used: {failure}",
            record.name()
        )),
        failure => failure,
    }
}

/// The failure of an import that `error` ends; what it says is logged, whatever the failure can say.
pub(super) fn failure<P: Platform + ?Sized>(
    platform: &P,
    directory: &Directory,
    error: WebexError,
) -> Failure {
    platform.log(Level::Warning, &error.to_string());
    let advice = match error.kind {
        ErrorKind::Forbidden => format!(
            "reading the {} takes the scope {} and an administrator's role: connect this customer \
             to Webex again, with both",
            directory.what, directory.scope
        ),
        ErrorKind::Unauthorized | ErrorKind::Refused => {
            "a refresh did not help: connect this customer to Webex again".to_owned()
        }
        _ => return error.into_failure(platform.now()),
    };
    let tracking_id = match &error.tracking_id {
        Some(tracking_id) => format!(" (tracking id {tracking_id})"),
        None => String::new(),
    };
    Failure::Reauthorize(format!("{}{tracking_id}; {advice}", error.reason()))
}

/// The record after a refresh that brought tokens.
fn renewed<P: Platform + ?Sized>(platform: &P, record: &Record) -> Result<Record, Failure> {
    // An attempt of this very moment brought the token that does not work.
    let asked = platform.now().saturating_add(1);
    let report = refresh(platform, &record.pkid, Grant::Organization, asked)?;
    match report.outcome {
        RefreshOutcome::Connected => Record::load(platform, &record.pkid),
        RefreshOutcome::Retrying => Err(Failure::Unavailable(report.message)),
        RefreshOutcome::Reauthorize | RefreshOutcome::Expired => {
            Err(Failure::Reauthorize(report.message))
        }
    }
}

fn held<P: Platform + ?Sized>(platform: &P, record: &Record) -> Result<Secret, Failure> {
    let token = platform.reveal(&record.reference(), secret::ACCESS_TOKEN)?;
    token.ok_or_else(|| {
        Failure::Reauthorize(format!(
            "{} has no access token: connect this customer to Webex",
            record.name()
        ))
    })
}
