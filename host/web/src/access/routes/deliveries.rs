//! `/api/data/NoticeDelivery/`: deliveries of notices.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use relation_host::types::{Hierarchy, Page, Pkid, Timestamp};
use relation_notify::routing::Hold;
use relation_notify::runner::{DeliveryState, ListedDelivery, MAX_LISTED, ResentPage};
use relation_notify::settings::{ChannelKind, Language, Recipient};
use serde::Serialize;

use super::input::Input;
use super::listing::respond_page;
use super::parse_pkid;
use crate::WebError;
use crate::access::deliveries::{self, DeliveryFilter};
use crate::access::nodes::{self, node_pkid};
use crate::access::notice_settings::to_timestamp;
use crate::access::users::field_error;
use crate::access::{AccessParts, Allowed, Authority, ClientAddress, permission};
use crate::api::export::{self, PAGE_SIZE};
use crate::api::notices::ShownNotice;
use crate::api::query::{Paging, Query};

type Read = Allowed<permission::Read>;
type Change = Allowed<permission::Notices>;

const PATH: &str = "/api/data/NoticeDelivery/";

/// A delivery in a response.
#[derive(Serialize)]
struct ShownDelivery {
    pkid: Pkid,
    href: String,
    /// The level that names the recipient.
    hierarchy: Hierarchy,
    hierarchy_pkid: Pkid,
    state: DeliveryState,
    channel: ChannelKind,
    recipient: Recipient,
    /// Whether the recipient is the account e-mail of the record.
    account_email: bool,
    language: Language,
    notice: ShownNotice,
    created: Timestamp,
    earliest: Timestamp,
    deadline: Timestamp,
    holds: Vec<Hold>,
    attempts: Vec<ShownAttempt>,
    /// The number of attempts since the delivery was made or sent again.
    attempt_count: u32,
    reason: Option<String>,
    ended: Option<Timestamp>,
    /// The digest that contained the delivery.
    digest: Option<String>,
    resent: u32,
}

/// An attempt at a delivery.
#[derive(Serialize)]
struct ShownAttempt {
    at: Timestamp,
    sent: bool,
    reply: String,
}

impl From<ListedDelivery> for ShownDelivery {
    fn from(listed: ListedDelivery) -> Self {
        let stored = listed.stored;
        let delivery = stored.delivery;
        let log = stored.attempts.log.into_iter();
        Self {
            href: format!("{PATH}{}/", listed.pkid),
            pkid: listed.pkid,
            hierarchy_pkid: node_pkid(&delivery.origin),
            hierarchy: delivery.origin,
            state: stored.state,
            channel: delivery.channel,
            recipient: delivery.recipient,
            account_email: stored.account_email,
            language: delivery.language,
            notice: ShownNotice::new(stored.notice, stored.threshold_ms),
            created: to_timestamp(stored.created),
            earliest: to_timestamp(delivery.earliest),
            deadline: to_timestamp(delivery.deadline),
            holds: delivery.holds,
            attempts: log
                .map(|attempt| ShownAttempt {
                    at: to_timestamp(attempt.at),
                    sent: attempt.sent,
                    reply: attempt.reply,
                })
                .collect(),
            attempt_count: stored.attempts.count,
            reason: stored.reason,
            ended: stored.ended.map(to_timestamp),
            digest: stored.digest,
            resent: stored.resent,
        }
    }
}

/// The parameters of a list of deliveries.
pub(super) struct DeliveryQuery {
    filter: DeliveryFilter,
    is_export: bool,
    paging: Paging,
    /// The path and the query of the request.
    address: String,
}

impl<S> FromRequestParts<S> for DeliveryQuery
where
    S: Send + Sync,
    AccessParts: FromRef<S>,
{
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, WebError> {
        let mut query = Query::parse(parts.uri.query());
        let hierarchy = query.hierarchy();
        let states = DeliveryState::ALL.map(|state| (state.as_str(), state));
        let state_of_list = query.choice("state", &states);
        let record = query.value("record", "the pkid of a record");
        let day = query.value("day", "a day such as 2026-12-07");
        let is_export = query.is_export();
        let paging = query.paging_without_count();
        query.close()?;
        let access = AccessParts::from_ref(state);
        Ok(Self {
            filter: DeliveryFilter {
                node: nodes::resolve_optional(&access, hierarchy).await?,
                record,
                state: state_of_list,
                day,
            },
            is_export,
            paging,
            address: parts.uri.to_string(),
        })
    }
}

pub(super) async fn list(
    State(parts): State<AccessParts>,
    allowed: Read,
    address: ClientAddress,
    query: DeliveryQuery,
) -> Result<Response, WebError> {
    let DeliveryQuery {
        filter,
        is_export,
        paging,
        address: link,
    } = query;
    let shared = Arc::new((parts, allowed, filter));
    let read = move |cursor: Option<String>, limit: u32| {
        let shared = Arc::clone(&shared);
        async move {
            let (parts, allowed, filter) = shared.as_ref();
            let authority = Authority::Principal(allowed, address);
            let page =
                deliveries::list(parts, &authority, filter, cursor.as_deref(), limit).await?;
            Ok::<_, WebError>(Page {
                items: page.items.into_iter().map(ShownDelivery::from).collect(),
                next: page.next,
            })
        }
    };
    if is_export {
        return export::respond(move |cursor| read(cursor, PAGE_SIZE)).await;
    }
    let paging = Paging {
        limit: paging.limit.min(MAX_LISTED),
        ..paging
    };
    let page = read(paging.cursor.clone(), paging.limit).await?;
    Ok(respond_page(page, &link, &paging))
}

pub(super) async fn show(
    State(parts): State<AccessParts>,
    allowed: Read,
    address: ClientAddress,
    Path(pkid): Path<String>,
) -> Result<Response, WebError> {
    let authority = Authority::Principal(&allowed, address);
    let found = deliveries::find(&parts, &authority, &parse_pkid(&pkid)?).await?;
    Ok(Json(ShownDelivery::from(found)).into_response())
}

pub(super) async fn resend(
    State(parts): State<AccessParts>,
    allowed: Change,
    address: ClientAddress,
    Path(pkid): Path<String>,
) -> Result<StatusCode, WebError> {
    let authority = Authority::Principal(&allowed, address);
    deliveries::resend(&parts, &authority, &parse_pkid(&pkid)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn resend_since(
    State(parts): State<AccessParts>,
    allowed: Change,
    address: ClientAddress,
    mut input: Input,
) -> Result<Json<ResentPage>, WebError> {
    let since = input.optional_time("since");
    if since.is_none() {
        let message = "the field is missing: it is a time, in milliseconds since 1970";
        input.report(vec![field_error("since", message)]);
    }
    let node = input.optional_node("hierarchy");
    let record = input.optional_text("record");
    let pkid = record.as_deref().map(str::parse::<Pkid>).transpose();
    if pkid.is_err() {
        input.report(vec![field_error("record", "this is not a pkid")]);
    }
    let cursor = input.optional_text("cursor");
    input.finish()?;
    let filter = DeliveryFilter {
        node: nodes::resolve_optional(&parts, node).await?,
        record: pkid.ok().flatten(),
        ..DeliveryFilter::default()
    };
    let authority = Authority::Principal(&allowed, address);
    let since = since.unwrap_or_default();
    let resent =
        deliveries::resend_since(&parts, &authority, &filter, since, cursor.as_deref()).await?;
    Ok(Json(resent))
}
