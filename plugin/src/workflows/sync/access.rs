//! Access to Webex during an import: a token for each grant, refreshed at most once in a call.

use crate::grant::Grant;
use crate::platform::{Failure, Level, Millis, Platform, Secret};
use crate::record::Record;
use crate::settings::{CONTACT_CENTER_URLS, Settings};
use crate::webex::client::{Proxies, Webex};
use crate::webex::directory::{Api, Directory};
use crate::webex::errors::{ErrorKind, WebexError};
use crate::webex::ids::OrgId;
use crate::webex::pages::Page;
use crate::workflows::access_token::require_usable;
use crate::workflows::refresh::refresh;

/// Clients of Webex's APIs with the access tokens of a record.
pub(super) struct WebexAccess<'a> {
    platform: &'a dyn Platform,
    webex: Webex<'a>,
    contact_center: Option<Webex<'a>>,
    tokens: Vec<AccessToken>,
    organization: Option<OrgId>,
}

/// The access token of a grant.
pub(in crate::workflows) struct AccessToken {
    pub(in crate::workflows) grant: Grant,
    pub(in crate::workflows) token: Secret,
    // Whether this call has refreshed it.
    pub(in crate::workflows) is_refreshed: bool,
}

/// The reason why a page was not read.
pub(super) enum FetchError {
    /// The import cannot continue.
    Import(Failure),
    /// The list cannot be read, for this reason; other lists can.
    List(String),
    /// The list cannot be read now; other lists can.
    Temporary(Failure),
    /// The page's address belongs to an API other than the configured one.
    Moved,
    /// The error of Webex.
    Webex(WebexError),
}

impl<'a> WebexAccess<'a> {
    /// Creates the clients for `record`. Tokens are opened when a list needs them.
    ///
    /// # Errors
    /// `limit-exceeded` when the record's proxy cannot be used; storage errors.
    pub(super) fn open(
        platform: &'a dyn Platform,
        settings: &Settings,
        record: &Record,
    ) -> Result<Self, Failure> {
        let proxies = Proxies::reveal(record, platform)?;
        let new_client = |settings: &Settings| {
            Webex::new(platform, settings, &proxies)
                .map_err(|failure| map_proxy_failure(record, failure))
        };
        let region = record.text("base_url_setting");
        let contact_center = region
            .and_then(|region| settings.contact_center_urls.get(region))
            .map(|url| {
                new_client(&Settings {
                    base_url: url.clone(),
                    ..settings.clone()
                })
            });
        Ok(Self {
            platform,
            webex: new_client(settings)?,
            contact_center: contact_center.transpose()?,
            tokens: Vec::new(),
            organization: record
                .organization()
                .and_then(|organization| OrgId::parse(organization).ok()),
        })
    }

    /// Returns the organization of the record.
    pub(super) fn organization(&self) -> Option<OrgId> {
        self.organization
    }

    /// Fetches the page of `directory` at `address`; none: the first page. If Webex rejects the token, it is
    /// refreshed once, and `record` is updated.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub(super) fn fetch_page(
        &mut self,
        record: &mut Record,
        directory: &Directory,
        address: Option<&str>,
    ) -> Result<(String, Page), FetchError> {
        let organization = self.organization;
        let webex = match directory.api {
            Api::Webex => &self.webex,
            Api::ContactCenter => self.contact_center.as_ref().ok_or_else(|| {
                let region = record.text("base_url_setting").unwrap_or("no region");
                FetchError::List(format!("{CONTACT_CENTER_URLS} has no URL for {region}"))
            })?,
        };
        let filters = directory.filters(organization);
        let address = match (address, organization) {
            (Some(address), _) if !webex.has_address(address) => return Err(FetchError::Moved),
            (Some(address), _) => address.to_owned(),
            (None, None) if directory.path.contains(ORGANIZATION_PLACEHOLDER) => {
                let why = "the organization of this customer is not known".to_owned();
                return Err(FetchError::List(why));
            }
            (None, organization) => {
                let uuid = organization.map(|uuid| uuid.external()).unwrap_or_default();
                let path = directory.path.replace(ORGANIZATION_PLACEHOLDER, &uuid);
                let parameters = [filters.clone(), directory.first_page()].concat();
                webex.first_page_url(&path, &parameters)
            }
        };
        let index = match self
            .tokens
            .iter()
            .position(|each| each.grant == directory.grant)
        {
            Some(index) => index,
            None => {
                let opened = open_token(self.platform, record, directory.grant);
                self.tokens
                    .push(opened.map_err(|failure| map_grant_failure(directory.grant, failure))?);
                self.tokens.len().saturating_sub(1)
            }
        };
        let Some(access) = self.tokens.get_mut(index) else {
            return Err(FetchError::List("the access token is missing".to_owned()));
        };
        let mut response = webex.fetch_page(directory, &address, &filters, &access.token);
        let refused = |error: &WebexError| error.kind == ErrorKind::Unauthorized;
        if response.as_ref().is_err_and(refused) && !access.is_refreshed {
            renew_token(self.platform, record, access)
                .map_err(|failure| map_grant_failure(directory.grant, failure))?;
            response = webex.fetch_page(directory, &address, &filters, &access.token);
        }
        response
            .map(|page| (address, page))
            .map_err(FetchError::Webex)
    }

    /// Requests the page of `directory` at `address` without waiting for it. A slow server prepares the page while the
    /// one before is stored.
    pub(super) fn request_page(&self, directory: &Directory, address: &str) {
        let webex = match directory.api {
            Api::Webex => Some(&self.webex),
            Api::ContactCenter => self.contact_center.as_ref(),
        };
        let mut tokens = self.tokens.iter();
        let access = tokens.find(|each| each.grant == directory.grant);
        if let (Some(webex), Some(access)) = (webex, access) {
            webex.request_page(address, &access.token);
        }
    }
}

/// The placeholder of the organization in a list's path.
const ORGANIZATION_PLACEHOLDER: &str = "{organization}";

/// Maps the failure to get a token: a grant besides the organization's concerns only its own lists.
fn map_grant_failure(grant: Grant, failure: Failure) -> FetchError {
    match (grant, failure) {
        (Grant::Organization, failure) => FetchError::Import(failure),
        (_, Failure::Reauthorize(why)) => FetchError::List(why),
        (_, failure @ Failure::Conflict(_)) => FetchError::Import(failure),
        (_, failure) => FetchError::Temporary(failure),
    }
}

/// Reveals the access token of `grant`, after a refresh if the token is known to be expired.
pub(in crate::workflows) fn open_token(
    platform: &dyn Platform,
    record: &mut Record,
    grant: Grant,
) -> Result<AccessToken, Failure> {
    let access = record.grant_state(grant).access;
    // An assumed expiry does not prevent a request.
    let is_expired = access.is_some_and(|access| access.at <= platform.now() && !access.assumed);
    if is_expired {
        refresh_record(platform, record, grant)?;
    }
    Ok(AccessToken {
        grant,
        token: reveal_access_token(platform, record, grant)?,
        is_refreshed: is_expired,
    })
}

/// Maps the host's failure about the record's proxies: the caller named only the record, so its input is not invalid.
pub(in crate::workflows) fn map_proxy_failure(record: &Record, failure: Failure) -> Failure {
    match failure {
        Failure::Invalid(_) | Failure::LimitExceeded(_) => Failure::LimitExceeded(format!(
            "the proxy of {} cannot be used: {failure}",
            record.name()
        )),
        failure => failure,
    }
}

/// Returns why `error` ends a list, with what a person can do. Logs the error.
pub(super) fn explain_list_error(
    platform: &dyn Platform,
    directory: &Directory,
    error: &WebexError,
) -> String {
    platform.log(Level::Warning, &error.to_string());
    let reason = error.reason_with_tracking_id();
    match error.kind {
        ErrorKind::Forbidden => format!(
            "{reason}; reading the {} takes the scope {} and an administrator's role: connect this customer to \
             Webex again, with both",
            directory.plural, directory.scope
        ),
        _ => error.to_string(),
    }
}

/// Returns the failure of an import that Webex's refusal of a token ends.
pub(super) fn map_refusal(platform: &dyn Platform, error: &WebexError) -> Failure {
    platform.log(Level::Warning, &error.to_string());
    let reason = error.reason_with_tracking_id();
    Failure::Reauthorize(format!(
        "{reason}; a refresh did not help: connect this customer to Webex again"
    ))
}

/// Refreshes a token that Webex has rejected, and updates `record`.
///
/// # Errors
/// Errors of the refresh.
pub(in crate::workflows) fn renew_token(
    platform: &dyn Platform,
    record: &mut Record,
    access: &mut AccessToken,
) -> Result<(), Failure> {
    access.is_refreshed = true;
    refresh_record(platform, record, access.grant)?;
    access.token = reveal_access_token(platform, record, access.grant)?;
    Ok(())
}

/// Refreshes the tokens of `grant` and reads `record` again.
///
/// # Errors
/// `reauthorize` also without a request, if Webex has refused the grant's refresh token before.
fn refresh_record(
    platform: &dyn Platform,
    record: &mut Record,
    grant: Grant,
) -> Result<(), Failure> {
    require_usable(record, grant)?;
    // An attempt made in this millisecond yielded the rejected token, so that attempt must not be joined.
    let requested_at = platform.now() + Millis(1);
    let report = refresh(platform, &record.pkid, grant, requested_at)?;
    // A refusal is stored as well, so the record has another version in any case.
    *record = Record::load(platform, &record.pkid)?;
    report.require_tokens().map(drop)
}

fn reveal_access_token(
    platform: &dyn Platform,
    record: &Record,
    grant: Grant,
) -> Result<Secret, Failure> {
    let token = platform.reveal(&record.reference(), grant.access_token())?;
    token.ok_or_else(|| {
        Failure::Reauthorize(format!(
            "{} has no access token: connect this customer to Webex",
            record.display_name(grant)
        ))
    })
}
