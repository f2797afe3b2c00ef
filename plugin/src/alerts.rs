//! Alerts: notices about a connection, one per threshold and refresh-token generation.
//!
//! An alert is a document of `data/Alert` at the record's node. Found again, its count rises; a
//! recovery deletes it.

use serde::{Deserialize, Serialize};

use crate::grant::Grant;
use crate::model::derived;
use crate::parts;
use crate::platform::{
    Change, Document, Environment, Failure, Filter, Key, Reference, Scope, Storage, Timestamp,
};
use crate::record::{Record, State, key};
use crate::reports;
use crate::timing;

/// The model of alerts.
pub const ALERT: &str = "data/Alert";

/// What alerts are about.
pub mod code {
    /// The refresh token expires within a threshold.
    pub const EXPIRING: &str = "WEBEX_REFRESH_TOKEN_EXPIRING";
    /// The refresh token has expired.
    pub const EXPIRED: &str = "WEBEX_REFRESH_TOKEN_EXPIRED";
    /// Webex refused the refresh token.
    pub const REAUTHORIZE: &str = "WEBEX_REAUTHORIZE";
    /// Webex does not accept the integration: of the installation, not of a record.
    pub const CLIENT: &str = "WEBEX_INTEGRATION_REFUSED";
    /// An import found so little that it removed nothing. The connection itself works.
    pub const REMOVALS_HELD: &str = "WEBEX_IMPORT_REMOVALS_HELD";
}

pub(crate) const CATEGORY: &str = "webex";

/// How much an alert matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// There is plenty of time.
    #[default]
    Info,
    /// It should be planned.
    Minor,
    /// It should be done now.
    Major,
    /// The connection does not work, or stops working at its next step.
    Critical,
}

impl Severity {
    /// The severity of crossing `threshold`, by its place among `thresholds`: the last is major,
    /// the last but one minor.
    pub fn of(threshold: u64, thresholds: &[u64]) -> Self {
        let smaller = thresholds.iter().filter(|each| **each < threshold).count();
        match smaller {
            0 => Self::Major,
            1 => Self::Minor,
            _ => Self::Info,
        }
    }
}

/// Something to tell about a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// One of [`code`].
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// For the administrator; never holds a secret.
    pub message: String,
    /// The threshold that was crossed, in milliseconds before the expiry; 0: the expiry itself,
    /// or no threshold at all.
    pub threshold: u64,
}

/// The body of an alert's document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Its primary key.
    pub id: String,
    /// One of [`code`].
    pub code: String,
    /// `webex`.
    pub category: String,
    /// How much it matters.
    pub severity: Severity,
    /// For the administrator.
    pub message: String,
    /// How often it was found.
    pub count: u32,
    /// When it was first found, RFC 3339.
    pub first: String,
    /// When it was last found, RFC 3339.
    pub latest: String,
    /// The record that it is about.
    pub subject: String,
    /// Milliseconds before the expiry.
    pub threshold: u64,
    /// The refresh-token generation that it is about.
    pub generation: u64,
    /// The grant that it is about.
    #[serde(default)]
    pub grant: Grant,
}

/// The alerts that stand for a record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing(Vec<(Reference, Body)>);

impl Standing {
    /// Finds the alerts of `record`.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn of(storage: &(impl Storage + ?Sized), record: &Record) -> Result<Self, Failure> {
        let filter = Filter {
            model: ALERT.to_owned(),
            hierarchy: record.hierarchy.clone(),
            scope: Scope::Node,
            equals: vec![Key::new(key::OWNER, &record.pkid)],
        };
        let mut standing = Vec::new();
        let mut cursor = None;
        loop {
            let page = storage.find(&filter, cursor.as_deref(), 100)?;
            for document in page.documents {
                // One that cannot be read counts as one of long ago, which the next recovery
                // deletes: it must not stand in the way of a refresh.
                let body = serde_json::from_str(&document.body).unwrap_or_default();
                standing.push((document.reference, body));
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(Self(standing)),
            }
        }
    }

    /// Tells `notice` about `grant` of the record as it is now: a new alert, or the count of the one that
    /// already tells it of this generation. The change is to be committed with the record.
    ///
    /// # Errors
    /// `internal` when the alert cannot be written as JSON.
    pub fn raise(
        &self,
        record: &Record,
        grant: Grant,
        notice: &Notice,
        now: Timestamp,
        environment: &(impl Environment + ?Sized),
    ) -> Result<(reports::Alert, Change), Failure> {
        let generation = record.connection(grant).generation;
        let earlier = self.0.iter().find(|(_, body)| {
            body.grant == grant
                && body.code == notice.code
                && body.threshold == notice.threshold
                && body.generation == generation
        });
        let latest = derived::format_timestamp(now);
        let (reference, first, count) = match earlier {
            Some((reference, body)) => (reference.clone(), body.first.clone(), body.count),
            None => {
                let reference = Reference::new(ALERT, parts::new_pkid(environment));
                (reference, latest.clone(), 0)
            }
        };
        let body = Body {
            id: reference.pkid.clone(),
            code: notice.code.to_owned(),
            category: CATEGORY.to_owned(),
            severity: notice.severity,
            message: notice.message.clone(),
            count: count.saturating_add(1),
            first,
            latest,
            subject: record.reference().to_string(),
            threshold: notice.threshold,
            generation,
            grant,
        };
        Ok((report(&reference, &body), put(record, &reference, &body)?))
    }

    /// Whether one tells already that this `threshold` of the grant's generation was crossed.
    pub fn tell(&self, record: &Record, grant: Grant, threshold: u64) -> bool {
        let generation = record.connection(grant).generation;
        self.0.iter().any(|(_, body)| {
            body.grant == grant
                && body.code == code::EXPIRING
                && body.threshold == threshold
                && body.generation == generation
        })
    }

    /// The alert that matters most among those of the grant's generation.
    pub fn foremost(&self, record: &Record, grant: Grant) -> Option<reports::Alert> {
        let generation = record.connection(grant).generation;
        self.0
            .iter()
            .filter(|(_, body)| body.code != code::REMOVALS_HELD)
            .filter(|(_, body)| body.grant == grant && body.generation == generation)
            .min_by_key(|(_, body)| body.threshold)
            .map(|(reference, body)| report(reference, body))
    }

    /// The changes that end the alerts which are over, now that `record` has taken new tokens.
    pub fn recovery(&self, record: &Record, now: Timestamp) -> Vec<Change> {
        self.ended(record, now)
            .into_iter()
            .map(Change::Delete)
            .collect()
    }

    /// Lists the alerts that a recovery has ended:
    ///
    /// - alerts of earlier generations of their grant,
    /// - alerts that a person is needed, while the grant works,
    /// - alerts of a threshold that is not crossed at `now`, which a wrong clock raised.
    pub fn ended(&self, record: &Record, now: Timestamp) -> Vec<Reference> {
        self.0
            .iter()
            .filter(|(_, body)| body.code != code::REMOVALS_HELD)
            .filter(|(_, body)| {
                let connection = record.connection(body.grant);
                let works = matches!(
                    connection.state,
                    State::Connected | State::Expiring | State::MissingScope
                );
                let ahead = connection
                    .refresh
                    .is_some_and(|refresh| timing::left(refresh.at, now) > body.threshold);
                let over = if body.code == code::EXPIRING {
                    ahead
                } else {
                    works
                };
                body.generation < connection.generation || over
            })
            .map(|(reference, _)| reference.clone())
            .collect()
    }
}

/// Tells `notice` of an import of the record in the alert `reference`, in place of `earlier`.
///
/// # Errors
/// `internal` when the alert cannot be written as JSON.
pub fn raise_import(
    record: &Record,
    reference: Reference,
    earlier: Option<Document>,
    notice: &Notice,
    now: Timestamp,
) -> Result<Change, Failure> {
    let earlier: Option<Body> =
        earlier.and_then(|earlier| serde_json::from_str(&earlier.body).ok());
    let latest = derived::format_timestamp(now);
    let body = Body {
        id: reference.pkid.clone(),
        code: notice.code.to_owned(),
        category: CATEGORY.to_owned(),
        severity: notice.severity,
        message: notice.message.clone(),
        count: earlier
            .as_ref()
            .map_or(1, |body| body.count.saturating_add(1)),
        first: earlier.map_or_else(|| latest.clone(), |body| body.first),
        latest,
        subject: record.reference().to_string(),
        threshold: notice.threshold,
        generation: 0,
        grant: Grant::Organization,
    };
    put(record, &reference, &body)
}

fn put(record: &Record, reference: &Reference, body: &Body) -> Result<Change, Failure> {
    Ok(Change::Put(Document {
        reference: reference.clone(),
        hierarchy: record.hierarchy.clone(),
        version: 0,
        body: serde_json::to_string(body)
            .map_err(|error| Failure::Internal(format!("the alert cannot be written: {error}")))?,
        keys: vec![Key::new(key::OWNER, &record.pkid)],
    }))
}

/// The changes that end the alerts which are over, now that `record` has taken new tokens.
///
/// # Errors
/// Those of the storage.
pub fn recovery(
    storage: &(impl Storage + ?Sized),
    record: &Record,
    now: Timestamp,
) -> Result<Vec<Change>, Failure> {
    Ok(Standing::of(storage, record)?.recovery(record, now))
}

fn report(reference: &Reference, body: &Body) -> reports::Alert {
    reports::Alert {
        reference: reference.clone(),
        grant: body.grant,
        code: body.code.clone(),
        threshold_ms: body.threshold,
        count: body.count,
    }
}
