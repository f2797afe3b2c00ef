//! Alerts: notices about a connection, one per threshold and refresh-token generation.
//!
//! An alert is a document of `data/Alert` at the record's node. Each repetition raises its count; a
//! recovery deletes the alert.

use serde::{Deserialize, Serialize};

use crate::grant::Grant;
use crate::model::derived;
use crate::owned_documents;
use crate::platform::{
    Change, Document, Environment, Failure, Filter, Key, Level, Millis, Platform, Reference, Scope,
    Storage, UnixMillis,
};
use crate::record::{GrantState, Record, State, key};
use crate::reports;

/// The model of alerts.
pub const ALERT: &str = "data/Alert";

/// Codes of alerts.
pub mod code {
    /// The refresh token expires within a threshold.
    pub const EXPIRING: &str = "WEBEX_REFRESH_TOKEN_EXPIRING";
    /// The refresh token has expired.
    pub const EXPIRED: &str = "WEBEX_REFRESH_TOKEN_EXPIRED";
    /// Webex refused the refresh token.
    pub const REAUTHORIZE: &str = "WEBEX_REAUTHORIZE";
    /// The refreshes of a grant have failed for a long time. The host tries again automatically.
    pub const FAILING: &str = "WEBEX_REFRESH_FAILING";
    /// A grant lacks a scope that it requires. The connection itself works.
    pub const MISSING_SCOPE: &str = "WEBEX_MISSING_SCOPE";
    /// Webex does not accept the integration. The alert is about the installation, not about a
    /// record.
    pub const CLIENT: &str = "WEBEX_INTEGRATION_REFUSED";
    /// An import found so little that it removed nothing. The connection itself works.
    pub const REMOVALS_HELD: &str = "WEBEX_IMPORT_REMOVALS_HELD";
    /// An import could not read one of its lists. The connection itself works.
    pub const LIST_FAILED: &str = "WEBEX_IMPORT_LIST_FAILED";
    /// A change of a wholesale customer did not succeed at Webex. The connection itself works.
    pub const ORDER_FAILED: &str = "WEBEX_WHOLESALE_ORDER_FAILED";

    /// Returns whether the alert is about an import or an order: only another one ends it.
    pub fn is_about_import(code: &str) -> bool {
        matches!(code, REMOVALS_HELD | LIST_FAILED | ORDER_FAILED)
    }

    /// Returns whether the alert is about the present state of a grant. A new refresh token alone does not end such an
    /// alert.
    pub fn is_about_state(code: &str) -> bool {
        matches!(code, FAILING | MISSING_SCOPE)
    }
}

pub(crate) const CATEGORY: &str = "webex";

/// The urgency of an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// There is plenty of time for action.
    #[default]
    Info,
    /// Action should be planned.
    Minor,
    /// Action is needed now.
    Major,
    /// The connection does not work, or stops working at its next step.
    Critical,
}

impl Severity {
    /// Returns the severity of crossing `threshold`, by its position in `thresholds`: the smallest
    /// is major, the second smallest minor.
    pub fn for_threshold(threshold: Millis, thresholds: &[Millis]) -> Self {
        let smaller = thresholds.iter().filter(|each| **each < threshold).count();
        match smaller {
            0 => Self::Major,
            1 => Self::Minor,
            _ => Self::Info,
        }
    }
}

/// A message about a record, not yet stored as an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// One of [`code`].
    pub code: &'static str,
    /// The urgency.
    pub severity: Severity,
    /// The text for the administrator; never contains a secret.
    pub message: String,
    /// The crossed threshold before the expiry. Zero means the expiry itself, or no
    /// threshold.
    pub threshold: Millis,
}

/// The body of an alert's document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertBody {
    /// The alert's primary key.
    pub id: String,
    /// One of [`code`].
    pub code: String,
    /// Always `webex`.
    pub category: String,
    /// The urgency.
    pub severity: Severity,
    /// The text for the administrator.
    pub message: String,
    /// The number of occurrences.
    pub count: u32,
    /// The time of the first occurrence, RFC 3339.
    pub first: String,
    /// The time of the latest occurrence, RFC 3339.
    pub latest: String,
    /// The record that the alert is about.
    pub subject: String,
    /// The crossed threshold before the expiry.
    pub threshold: Millis,
    /// The refresh-token generation that the alert is about.
    pub generation: u64,
    /// The grant that the alert is about.
    #[serde(default)]
    pub grant: Grant,
}

impl AlertBody {
    /// Creates the body of the alert `reference` for another occurrence of `notice`, after `earlier` ones.
    fn new(
        record: &Record,
        reference: &Reference,
        notice: &Notice,
        earlier: Option<&Self>,
        now: UnixMillis,
    ) -> Self {
        let latest = derived::format_timestamp(now);
        Self {
            id: reference.pkid.clone(),
            code: notice.code.to_owned(),
            category: CATEGORY.to_owned(),
            severity: notice.severity,
            message: notice.message.clone(),
            count: earlier.map_or(0, |body| body.count).saturating_add(1),
            first: earlier.map_or_else(|| latest.clone(), |body| body.first.clone()),
            latest,
            subject: record.reference().to_string(),
            threshold: notice.threshold,
            generation: 0,
            grant: Grant::Organization,
        }
    }

    /// Returns the keys by which the alert of `owner` is found and listed.
    pub fn keys(&self, owner: &str) -> Vec<Key> {
        let severity = match self.severity {
            Severity::Critical => "0 critical",
            Severity::Major => "1 major",
            Severity::Minor => "2 minor",
            Severity::Info => "3 info",
        };
        vec![
            Key::new(key::OWNER, owner),
            Key::new(key::SEVERITY, severity),
        ]
    }
}

/// The stored alerts of a record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ActiveAlerts(Vec<(Reference, AlertBody)>);

impl ActiveAlerts {
    /// Loads the alerts of `record`.
    ///
    /// # Errors
    /// Storage errors.
    pub fn load(storage: &dyn Storage, record: &Record) -> Result<Self, Failure> {
        let filter = Filter {
            model: ALERT.to_owned(),
            hierarchy: record.hierarchy.clone(),
            scope: Scope::Node,
            equals: vec![Key::new(key::OWNER, &record.pkid)],
        };
        let mut active = Vec::new();
        let mut cursor = None;
        loop {
            let page = storage.find(&filter, cursor.as_deref(), 100)?;
            for document in page.documents {
                // An unreadable alert counts as an old one, which the next recovery deletes, so
                // that it does not block a refresh.
                let body = serde_json::from_str(&document.body).unwrap_or_default();
                active.push((document.reference, body));
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(Self(active)),
            }
        }
    }

    /// Raises `notice` about `grant` of the record: creates an alert, or increases the count of the same alert. The
    /// same alert is of this generation, unless it is about a state. The change must be committed with the record.
    ///
    /// # Errors
    /// `internal` when the alert cannot be written as JSON.
    pub fn raise(
        &self,
        record: &Record,
        grant: Grant,
        notice: &Notice,
        now: UnixMillis,
        environment: &dyn Environment,
    ) -> Result<(reports::Alert, Change), Failure> {
        let generation = record.grant_state(grant).generation;
        let earlier = self.0.iter().find(|(_, body)| {
            body.grant == grant
                && body.code == notice.code
                && body.threshold == notice.threshold
                && (body.generation == generation || code::is_about_state(notice.code))
        });
        let reference = match earlier {
            Some((reference, _)) => reference.clone(),
            None => Reference::new(ALERT, owned_documents::new_pkid(environment)),
        };
        let body = AlertBody {
            generation,
            grant,
            ..AlertBody::new(
                record,
                &reference,
                notice,
                earlier.map(|(_, body)| body),
                now,
            )
        };
        Ok((report(&reference, &body), put(record, &reference, &body)?))
    }

    /// Returns whether an alert exists for this `threshold` and the grant's current generation.
    pub fn has_threshold_alert(&self, record: &Record, grant: Grant, threshold: Millis) -> bool {
        let generation = record.grant_state(grant).generation;
        self.0.iter().any(|(_, body)| {
            body.grant == grant
                && body.code == code::EXPIRING
                && body.threshold == threshold
                && body.generation == generation
        })
    }

    /// Raises the alert that `grant` lacks scopes that it requires. `None` if the grant lacks no scope, or does not
    /// work. The returned change must be committed with the record.
    ///
    /// # Errors
    /// `internal` when the alert cannot be written as JSON.
    pub fn raise_missing_scope(
        &self,
        platform: &dyn Platform,
        record: &Record,
        grant: Grant,
        now: UnixMillis,
    ) -> Result<Option<Change>, Failure> {
        let connection = record.grant_state(grant);
        if !lacks_scopes(connection) {
            return Ok(None);
        }
        let notice = Notice {
            code: code::MISSING_SCOPE,
            severity: Severity::Minor,
            message: format!(
                "the connection of {} lacks scopes: connect this customer again, and consent to {}",
                record.display_name(grant),
                connection.missing_scopes.join(" ")
            ),
            threshold: Millis::ZERO,
        };
        let (raised, change) = self.raise(record, grant, &notice, now, platform)?;
        if raised.count == 1 {
            platform.log(Level::Warning, &notice.message);
        }
        Ok(Some(change))
    }

    /// Raises the alert that the refreshes of `grant` have failed for a long time. `None` if they have not failed for
    /// `failing_after`. Also `None` if Webex does not accept the integration, which the alert of the installation
    /// reports. The change must be committed with the record.
    ///
    /// # Errors
    /// `internal` when the alert cannot be written as JSON.
    pub fn raise_failing(
        &self,
        platform: &dyn Platform,
        record: &Record,
        grant: Grant,
        failing_after: Millis,
        now: UnixMillis,
    ) -> Result<Option<Change>, Failure> {
        let retry = record.grant_state(grant).retry.as_ref();
        let Some((retry, since)) = retry.and_then(|retry| Some((retry, retry.own_since()?))) else {
            return Ok(None);
        };
        if now - since < failing_after {
            return Ok(None);
        }
        let outlook = match retry.needs_change {
            true => "further attempts fail too until the cause is corrected",
            false => "the host tries again automatically",
        };
        let notice = Notice {
            code: code::FAILING,
            severity: Severity::Major,
            message: format!(
                "refreshes of {} have failed since {}: {}; the tokens are kept, and {outlook}",
                record.display_name(grant),
                derived::format_timestamp(since),
                retry.reason
            ),
            threshold: Millis::ZERO,
        };
        let (_, change) = self.raise(record, grant, &notice, now, platform)?;
        Ok(Some(change))
    }

    /// Returns the alert about the expiry or a refusal with the smallest threshold of the grant's current generation.
    pub fn most_urgent(&self, record: &Record, grant: Grant) -> Option<reports::Alert> {
        let generation = record.grant_state(grant).generation;
        self.0
            .iter()
            .filter(|(_, body)| !code::is_about_import(&body.code))
            .filter(|(_, body)| !code::is_about_state(&body.code))
            .filter(|(_, body)| body.grant == grant && body.generation == generation)
            .min_by_key(|(_, body)| body.threshold)
            .map(|(reference, body)| report(reference, body))
    }

    /// Returns the changes of alerts after `grant` of `record` has received new tokens: deletes the resolved ones, and
    /// raises the one about missing scopes.
    ///
    /// # Errors
    /// `internal` when an alert cannot be written as JSON.
    pub fn update_after_tokens(
        &self,
        platform: &dyn Platform,
        record: &Record,
        grant: Grant,
        now: UnixMillis,
    ) -> Result<Vec<Change>, Failure> {
        let mut changes = self.clear_resolved(record, now);
        changes.extend(self.raise_missing_scope(platform, record, grant, now)?);
        Ok(changes)
    }

    /// Returns the changes that delete the resolved alerts, after the state of `record` has changed.
    pub fn clear_resolved(&self, record: &Record, now: UnixMillis) -> Vec<Change> {
        self.find_resolved(record, now)
            .into_iter()
            .map(Change::Delete)
            .collect()
    }

    /// Lists the alerts that the present state has resolved:
    ///
    /// - alerts of earlier generations of their grant,
    /// - alerts about failed refreshes, while none is retried,
    /// - alerts about missing scopes, while none is missing or the connection has ended,
    /// - alerts that ask for a person, while the grant works,
    /// - alerts of a threshold that is not crossed at `now`, raised because of a wrong clock.
    pub fn find_resolved(&self, record: &Record, now: UnixMillis) -> Vec<Reference> {
        self.0
            .iter()
            .filter(|(_, body)| !code::is_about_import(&body.code))
            .filter(|(_, body)| {
                let connection = record.grant_state(body.grant);
                let is_working = matches!(
                    connection.state,
                    State::Connected | State::Expiring | State::MissingScope
                );
                let is_before_threshold = connection
                    .refresh
                    .is_some_and(|refresh| (refresh.at - now) > body.threshold);
                match body.code.as_str() {
                    code::FAILING => connection.state != State::Retrying,
                    code::MISSING_SCOPE => !lacks_scopes(connection),
                    _ if body.generation < connection.generation => true,
                    code::EXPIRING => is_before_threshold,
                    _ => is_working,
                }
            })
            .map(|(reference, _)| reference.clone())
            .collect()
    }
}

/// Returns whether a grant that has not ended lacks scopes.
fn lacks_scopes(connection: &GrantState) -> bool {
    let has_ended = matches!(
        connection.state,
        State::NotConnected | State::Reauthorize | State::Expired
    );
    !has_ended && !connection.missing_scopes.is_empty()
}

/// Raises `notice` about an import of the record in the alert `reference`, replacing `earlier`.
///
/// # Errors
/// `internal` when the alert cannot be written as JSON.
pub fn raise_import(
    record: &Record,
    reference: Reference,
    earlier: Option<Document>,
    notice: &Notice,
    now: UnixMillis,
) -> Result<Change, Failure> {
    let earlier: Option<AlertBody> =
        earlier.and_then(|earlier| serde_json::from_str(&earlier.body).ok());
    let body = AlertBody::new(record, &reference, notice, earlier.as_ref(), now);
    put(record, &reference, &body)
}

/// Returns whether the stored alert has this code.
pub fn has_code(alert: &Document, code: &str) -> bool {
    serde_json::from_str::<AlertBody>(&alert.body).is_ok_and(|body| body.code == code)
}

fn put(record: &Record, reference: &Reference, body: &AlertBody) -> Result<Change, Failure> {
    Ok(Change::Put(Document {
        reference: reference.clone(),
        hierarchy: record.hierarchy.clone(),
        version: 0,
        body: serde_json::to_string(body)
            .map_err(|error| Failure::Internal(format!("the alert cannot be written: {error}")))?,
        keys: body.keys(&record.pkid),
    }))
}

fn report(reference: &Reference, body: &AlertBody) -> reports::Alert {
    reports::Alert {
        reference: reference.clone(),
        grant: body.grant,
        code: body.code.clone(),
        threshold_ms: body.threshold.0,
        count: body.count,
    }
}
