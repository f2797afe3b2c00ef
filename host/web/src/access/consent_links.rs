//! Links that are handed on, for a consent by a person without a log-in.
//!
//! A link is for one grant of one record. It is valid for days, until its grant is connected or a newer link for the same
//! grant is made. A person who opens it learns only whom it connects.

use relation_host::reports::Grant;
use relation_host::store::StoreError;
use relation_host::types::{Key, Pkid, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use super::audit::{self, Actor, AuditObject, NewAuditEvent};
use super::documents::{self, Entry, Stored, key};
use super::tokens::{TokenDigest, create_token, digest};
use super::{AccessParts, Allowed, ClientAddress, permission};
use crate::WebError;
use relation_app::records::StoredRecord;
use relation_app::{AppError, ErrorKind};

/// The path of links below the public address; the token follows.
const PATH: &str = "consent";

/// A link with its address, which is shown once.
pub struct ConsentLink {
    /// The address. It contains the token, which must not be logged.
    pub url: Url,
    /// When the link ends.
    pub expires: Timestamp,
}

/// The record and the grant of a valid link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentTarget {
    /// The record's pkid.
    pub record: Pkid,
    /// The grant.
    pub grant: Grant,
    /// When the link ends.
    pub expires: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct LinkBody {
    digest: TokenDigest,
    record: Pkid,
    grant: Grant,
    expires: Timestamp,
}

impl Stored for LinkBody {
    const MODEL: &'static str = "host/ConsentLink";

    fn keys(&self) -> Vec<Key> {
        vec![key("record", self.record.as_str())]
    }
}

/// Creates a link for a grant of a record, in place of earlier ones.
///
/// # Errors
/// The store cannot be read or written.
pub async fn create(
    parts: &AccessParts,
    allowed: &Allowed<permission::Connect>,
    address: ClientAddress,
    record: &StoredRecord,
    grant: Grant,
) -> Result<ConsentLink, WebError> {
    allowed.check(&record.hierarchy)?;
    let token = create_token()?;
    let mut url = parts.options().public_url.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend([PATH, token.expose_secret()]);
    }
    let expires = parts.now().after(parts.options().consent_link_lifetime);
    let digest = digest(&token);
    let pkid = digest.pkid();
    let body = LinkBody {
        digest,
        record: record.pkid.clone(),
        grant,
        expires,
    };
    let actor = Actor::from_principal(allowed.principal());
    let event = NewAuditEvent::new(actor, address, "create-consent-link", &record.hierarchy);
    let event = event.on(AuditObject::new(record.reference(), record.name()));
    let earlier = list(parts, &record.pkid).await?.into_iter();
    let earlier = earlier.filter(|link| link.body.grant == grant);
    let mut changes: Vec<_> = earlier.map(|link| link.to_delete()).collect();
    let link: Entry<LinkBody> = Entry::new(pkid, record.hierarchy.clone(), body);
    changes.extend([link.to_put()?, audit::to_change(parts, event)?]);
    documents::commit(parts, Vec::new(), changes).await?;
    Ok(ConsentLink { url, expires })
}

/// Reads a link.
///
/// # Errors
/// 404 if the link was used or replaced, has ended, or never existed.
pub async fn read(parts: &AccessParts, token: &SecretString) -> Result<ConsentTarget, WebError> {
    let digest = digest(token);
    let found = documents::get::<LinkBody>(parts.store(), &digest.pkid()).await?;
    let is_valid = |link: &Entry<LinkBody>| {
        link.body.digest.is_same(&digest) && parts.now() < link.body.expires
    };
    let link = found.filter(is_valid).ok_or_else(|| {
        let message = "the link was used or replaced, has ended, or never existed";
        AppError::new(ErrorKind::NotFound, message)
    })?;
    Ok(ConsentTarget {
        record: link.body.record,
        grant: link.body.grant,
        expires: link.body.expires,
    })
}

/// Ends the links of a grant that was connected.
///
/// # Errors
/// The store cannot be read or written.
pub async fn end(parts: &AccessParts, record: &Pkid, grant: Grant) -> Result<(), StoreError> {
    let links = list(parts, record).await?.into_iter();
    let used = links.filter(|link| link.body.grant == grant);
    let changes: Vec<_> = used.map(|link| link.to_delete()).collect();
    match changes.is_empty() {
        true => Ok(()),
        false => documents::commit(parts, Vec::new(), changes).await,
    }
}

async fn list(parts: &AccessParts, record: &Pkid) -> Result<Vec<Entry<LinkBody>>, StoreError> {
    let filter = documents::filter::<LinkBody>(&None, vec![key("record", record.as_str())]);
    documents::list_all(parts.store(), &filter).await
}

/// Removes links that have ended. Returns their number.
pub(super) async fn remove_expired(parts: &AccessParts) -> Result<u64, StoreError> {
    let now = parts.now();
    documents::remove_all(parts, |link: &Entry<LinkBody>| now >= link.body.expires).await
}
