//! Access to Webex during an import, with at most one refresh of the token in a call.

use crate::grant::Grant;
use crate::platform::{Failure, Level, Millis, Platform, Secret};
use crate::record::{Record, secret};
use crate::settings::Settings;
use crate::webex::client::{Proxies, Webex};
use crate::webex::directory::Directory;
use crate::webex::errors::{ErrorKind, WebexError};
use crate::webex::ids::OrgId;
use crate::webex::pages::Page;
use crate::workflows::refresh::refresh;

/// A Webex client with its access token.
pub(super) struct WebexAccess<'a, P: ?Sized> {
    platform: &'a P,
    webex: Webex<'a, P>,
    token: Secret,
    organization: Option<OrgId>,
    refreshed: bool,
}

impl<'a, P: Platform + ?Sized> WebexAccess<'a, P> {
    /// Reveals the access token of `record`, after a refresh if the token is known to be expired. Returns
    /// the record as it is then stored.
    ///
    /// # Errors
    /// `reauthorize` when there is no access token and a refresh yields none; `unavailable`.
    pub(super) fn open(
        platform: &'a P,
        settings: Settings,
        record: Record,
    ) -> Result<(Record, Self), Failure> {
        let access = record.body.connection.access;
        // An assumed expiry does not prevent a request.
        let expired = access.is_some_and(|access| access.at <= platform.now() && !access.assumed);
        let record = match expired {
            true => refresh_record(platform, &record)?,
            false => record,
        };
        let token = reveal_access_token(platform, &record)?;
        let proxies = Proxies::reveal(&record, platform)?;
        let access = Self {
            platform,
            webex: Webex::new(platform, &settings, &proxies)
                .map_err(|failure| map_proxy_failure(&record, failure))?,
            token,
            organization: record
                .organization()
                .and_then(|organization| OrgId::parse(organization).ok()),
            refreshed: expired,
        };
        Ok((record, access))
    }

    /// Fetches the page of `directory` at `address`; none: the first page. If Webex rejects the token, it is
    /// refreshed once, and `record` is updated.
    ///
    /// # Errors
    /// The outer result has the errors of the refresh, the inner one those of Webex.
    pub(super) fn fetch_page(
        &mut self,
        record: &mut Record,
        directory: &Directory,
        address: Option<&str>,
    ) -> Result<Result<(String, Page), WebexError>, Failure> {
        let filters = directory.filters(self.organization);
        let address = match address {
            Some(address) => address.to_owned(),
            None => self.webex.first_page_url(directory.path, &filters),
        };
        let mut response = self.webex.fetch_page(&address, &filters, &self.token);
        let refused = |error: &WebexError| error.kind == ErrorKind::Unauthorized;
        if response.as_ref().is_err_and(refused) && !self.refreshed {
            self.refreshed = true;
            *record = refresh_record(self.platform, record)?;
            self.token = reveal_access_token(self.platform, record)?;
            response = self.webex.fetch_page(&address, &filters, &self.token);
        }
        Ok(response.map(|page| (address, page)))
    }
}

/// Maps the host's failure about the record's proxies: the caller named only the record, so its input is not invalid.
fn map_proxy_failure(record: &Record, failure: Failure) -> Failure {
    match failure {
        Failure::Invalid(_) | Failure::LimitExceeded(_) => Failure::LimitExceeded(format!(
            "the proxy of {} cannot be used: {failure}",
            record.name()
        )),
        failure => failure,
    }
}

/// Returns the failure of an import that `error` ends. Logs the error, because not every failure has a text.
pub(super) fn map_webex_error<P: Platform + ?Sized>(
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
    let reason = error.reason_with_tracking_id();
    Failure::Reauthorize(format!("{reason}; {advice}"))
}

/// Refreshes the tokens and returns the updated record.
fn refresh_record<P: Platform + ?Sized>(platform: &P, record: &Record) -> Result<Record, Failure> {
    // An attempt made in this millisecond yielded the rejected token, so that attempt must not be joined.
    let requested_at = platform.now() + Millis(1);
    let report = refresh(platform, &record.pkid, Grant::Organization, requested_at)?;
    report.require_tokens()?;
    Record::load(platform, &record.pkid)
}

fn reveal_access_token<P: Platform + ?Sized>(
    platform: &P,
    record: &Record,
) -> Result<Secret, Failure> {
    let token = platform.reveal(&record.reference(), secret::ACCESS_TOKEN)?;
    token.ok_or_else(|| {
        Failure::Reauthorize(format!(
            "{} has no access token: connect this customer to Webex",
            record.name()
        ))
    })
}
