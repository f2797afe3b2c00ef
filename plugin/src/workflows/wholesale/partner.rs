//! A wholesale partner's access to Webex, and its imported customers.

use crate::grant::Grant;
use crate::platform::{Change, Failure, Filter, Key, Platform, Reference, Scope, Secret};
use crate::record::{Record, key};
use crate::settings::Settings;
use crate::webex::client::{Proxies, Webex};
use crate::webex::directories::WHOLESALE_CUSTOMERS;
use crate::webex::errors::{ErrorKind, WebexError};
use crate::webex::wholesale::Customer;
use crate::workflows::sync::DocumentId;
use crate::workflows::sync::access::{AccessToken, map_proxy_failure, open_token, renew_token};
use crate::workflows::sync::entries::{Difference, LinkedIds, ListedEntry, WEBEX_ID};

/// The grant whose token changes customers.
const GRANT: Grant = Grant::WholesaleCustomers;
/// The scope that changes customers.
const WRITE_SCOPE: &str = "spark-admin:wholesale_customers_write";

/// A wholesale partner during a call.
pub(super) struct Partner<'a> {
    pub platform: &'a dyn Platform,
    pub record: Record,
    settings: Settings,
    // `None` until the first request.
    access: Option<(Webex<'a>, AccessToken)>,
}

/// The reason why a request failed.
pub(super) enum RequestError {
    /// There is no valid access token, or the host cannot send.
    Failure(Failure),
    /// The error of Webex.
    Webex(WebexError),
}

impl RequestError {
    /// Converts the error to the failure of a call that has changed nothing.
    pub fn into_failure(self, platform: &dyn Platform) -> Failure {
        let error = match self {
            Self::Failure(failure) => return failure,
            Self::Webex(error) => error,
        };
        super::log_error(platform, &error.to_string());
        match error.kind {
            ErrorKind::Forbidden => Failure::Reauthorize(format!(
                "{}; changing wholesale customers takes the scope {WRITE_SCOPE} and an administrator's role: \
                 connect the grant {GRANT} again, with both",
                error.reason_with_tracking_id()
            )),
            ErrorKind::Unauthorized => Failure::Reauthorize(format!(
                "{}; a refresh did not help: connect the grant {GRANT} again",
                error.reason_with_tracking_id()
            )),
            _ => error.into_failure(platform.now()),
        }
    }
}

impl<'a> Partner<'a> {
    /// Loads the record, which must be that of a wholesale partner.
    ///
    /// # Errors
    /// `not-found`; `invalid` (`grant`); errors of the storage and the settings.
    pub fn open(platform: &'a dyn Platform, pkid: &str) -> Result<Self, Failure> {
        let record = Record::load(platform, pkid)?;
        record.require_grant(GRANT)?;
        Ok(Self {
            platform,
            record,
            settings: Settings::load(platform)?,
            access: None,
        })
    }

    /// Makes a request with the partner's token. If Webex rejects the token, it is refreshed once.
    ///
    /// # Errors
    /// See [`RequestError::into_failure`].
    pub fn call<T>(
        &mut self,
        request: impl Fn(&Webex<'a>, &Secret) -> Result<T, WebexError>,
    ) -> Result<T, Failure> {
        let platform = self.platform;
        self.try_call(request)
            .map_err(|error| error.into_failure(platform))
    }

    /// Makes a request as [`call`](Self::call) does.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn try_call<T>(
        &mut self,
        request: impl Fn(&Webex<'a>, &Secret) -> Result<T, WebexError>,
    ) -> Result<T, RequestError> {
        let (webex, token) = self.open_access().map_err(RequestError::Failure)?;
        let mut result = request(webex, &token.token);
        let is_rejected =
            |error: &WebexError| error.kind == ErrorKind::Unauthorized && error.status == Some(401);
        if result.as_ref().is_err_and(is_rejected)
            && let Some((webex, token)) = &mut self.access
            && !token.is_refreshed
        {
            renew_token(self.platform, &mut self.record, token).map_err(RequestError::Failure)?;
            result = request(webex, &token.token);
        }
        result.map_err(RequestError::Webex)
    }

    fn open_access(&mut self) -> Result<&(Webex<'a>, AccessToken), Failure> {
        let access = match self.access.take() {
            Some(access) => access,
            None => {
                let token = open_token(self.platform, &mut self.record, GRANT)?;
                let proxies = Proxies::reveal(&self.record, self.platform)?;
                let webex = Webex::new(self.platform, &self.settings, &proxies)
                    .map_err(|failure| map_proxy_failure(&self.record, failure))?;
                (webex, token)
            }
        };
        Ok(self.access.insert(access))
    }

    /// Returns the change that stores a customer as an import does, if the stored document differs.
    ///
    /// # Errors
    /// Storage errors.
    pub fn store_customer(&self, customer: &Customer) -> Result<Option<Change>, Failure> {
        let directory = &WHOLESALE_CUSTOMERS;
        let entry = customer.entry.clone();
        let listed = ListedEntry::read_one(self.platform, &self.record, directory, entry)?;
        let difference = listed.find_difference(&self.record, directory, &mut LinkedIds::new());
        Ok(difference.map(|found| match found {
            Difference::New(document) | Difference::Changed(document) => Change::Put(document),
        }))
    }

    /// Returns the reference to the document of the customer with Webex's id `id`.
    pub fn document_reference(&self, id: &str) -> Reference {
        let model = WHOLESALE_CUSTOMERS.model;
        let key = DocumentId::derive(&self.record.pkid, model, id);
        Reference::new(model, key.to_string())
    }

    /// Finds an imported customer by the partner's own id or Webex's id.
    ///
    /// # Errors
    /// Storage errors.
    pub fn find_imported(&self, selector: &str) -> Result<Option<Customer>, Failure> {
        for name in ["external_id", WEBEX_ID] {
            let filter = Filter {
                model: WHOLESALE_CUSTOMERS.model.to_owned(),
                hierarchy: self.record.hierarchy.clone(),
                scope: Scope::Node,
                equals: vec![
                    Key::new(key::OWNER, &self.record.pkid),
                    Key::new(name, selector),
                ],
            };
            let found = self.platform.find(&filter, None, 1)?.documents;
            let mut found = found.iter();
            if let Some(customer) =
                found.find_map(|document| Customer::parse(document.body.as_bytes()))
            {
                return Ok(Some(customer));
            }
        }
        Ok(None)
    }
}
