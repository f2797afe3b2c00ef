//! The facts about records: those that the plugin shows.

use async_trait::async_trait;
use relation_host::reports::{Grant, GrantStatus, RecordDetails, State};
use relation_host::types::{Document, Failure, Pkid, Reference};
use relation_host::{CallErrorKind, HandlerError, Host};
use relation_notify::routing::ConnectionFacts;
use relation_notify::runner::RecordFacts;
use serde_json::Value;

use super::{Links, to_time};
use crate::AppError;

/// The model's field with the e-mail of the administrator's account.
const ACCOUNT_EMAIL: &str = "account_email";

/// The facts about the records of a host.
pub(super) struct HostFacts {
    pub host: Host,
    pub links: Links,
}

#[async_trait]
impl RecordFacts for HostFacts {
    async fn find(
        &self,
        record: &Pkid,
        grant: &str,
    ) -> Result<Option<ConnectionFacts>, HandlerError> {
        let reference = Reference::record(record.clone());
        let found = self.host.store().get(&[reference]).await?;
        let Some(document) = found.into_iter().flatten().next() else {
            return Ok(None);
        };
        let details = show(&self.host, document).await?;
        let mut grants = details.connection.grants.iter();
        let status = grants.find(|status| status.grant.as_str() == grant);
        let status = status.or_else(|| details.connection.grants.first());
        Ok(status.map(|status| to_facts(&self.links, &details, status)))
    }

    async fn recheck(&self, record: &Pkid) -> Result<(), HandlerError> {
        let reference = Reference::record(record.clone());
        let found = self.host.store().get(&[reference]).await?;
        let Some(document) = found.into_iter().flatten().next() else {
            return Ok(());
        };
        let details = show(&self.host, document).await?;
        for status in &details.connection.grants {
            if status.refresh_token_expires.is_none() {
                continue;
            }
            match self.host.check_grant(record, status.grant).await {
                Ok(_) => {}
                Err(error) if is_gone(&error.kind) => return Ok(()),
                Err(error) => return Err(error.to_string().into()),
            }
        }
        Ok(())
    }
}

fn is_gone(kind: &CallErrorKind) -> bool {
    matches!(kind, CallErrorKind::Refused(Failure::NotFound(_)))
}

/// Returns the facts about each grant of a record that has tokens.
pub(super) async fn list_facts(
    host: &Host,
    links: &Links,
    record: Document,
) -> Result<Vec<(Grant, ConnectionFacts)>, AppError> {
    let details = show(host, record).await?;
    let with_tokens = details.connection.grants.iter();
    let with_tokens = with_tokens.filter(|status| status.state != State::NotConnected);
    let facts = with_tokens.map(|status| (status.grant, to_facts(links, &details, status)));
    Ok(facts.collect())
}

async fn show(host: &Host, record: Document) -> Result<RecordDetails, AppError> {
    let shown = host.show(&[record]).await?;
    let shown = shown.into_iter().next();
    let missing = || AppError::new(crate::ErrorKind::Internal, "the plugin showed no record");
    Ok(shown.ok_or_else(missing)??)
}

fn to_facts(links: &Links, details: &RecordDetails, status: &GrantStatus) -> ConnectionFacts {
    let connection = &details.connection;
    let email = details.fields.get(ACCOUNT_EMAIL).and_then(Value::as_str);
    let lifetime = status.refresh_token_lifetime_ms;
    let failed = status.failed_refresh.as_ref();
    let failing_since = failed.and_then(|failed| failed.since);
    ConnectionFacts {
        record: connection.pkid.to_string(),
        customer: connection.name.clone(),
        node: connection.hierarchy.clone(),
        grant: status.grant.to_string(),
        generation: status.generation,
        state: status.state,
        expires: status
            .refresh_token_expires
            .map(|expiry| to_time(expiry.at)),
        lifetime: lifetime.map(std::time::Duration::from_millis),
        failing_since: failing_since.map(to_time),
        account_email: email.filter(|email| !email.is_empty()).map(str::to_owned),
        link: links.record(&connection.pkid),
    }
}
