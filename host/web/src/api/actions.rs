//! The actions of a record, and the operations that they need.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use relation_app::{AppError, ErrorKind};
use relation_host::{Host, QueuedCall};
use serde_json::json;

use super::body::OptionalFields;
use super::headers::check_version;
use super::on_behalf_of::on_behalf_of;
use super::query::Query;
use super::writes::run_or_queue;
use crate::access::{Allowed, ClientAddress, Operation, permission};
use crate::calls::{Call, Requester, find_arguments};
use crate::{Web, WebError};

/// The action that begins a consent.
const CONNECT: &str = "Connect";
/// The argument of [`CONNECT`] that the server knows.
const REDIRECT_URI: &str = "redirect_uri";
/// Runs an action of a record.
pub(super) async fn act(
    State(web): State<Web>,
    allowed: Allowed<permission::Read>,
    address: ClientAddress,
    Path((pkid, action)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    OptionalFields(body): OptionalFields,
) -> Result<Response, WebError> {
    let mut query = Query::parse(query.as_deref());
    let nowait = query.flag("nowait", false);
    query.close()?;
    let record = allowed.record(&web, &pkid).await?;
    let name = action.strip_prefix('+').unwrap_or_default();
    let known = web.model().actions.iter().any(|each| each.name == name);
    if !known {
        let names: Vec<String> = web
            .model()
            .actions
            .iter()
            .map(|each| format!("+{}", each.name))
            .collect();
        let error = AppError::new(ErrorKind::NotFound, "the record has no such action");
        return Err(error
            .hint(format!("the actions are {}", names.join(", ")))
            .into());
    }
    let operation = operation_of(name);
    if !allowed.principal().may(operation, &record.hierarchy) {
        return Err(WebError::forbidden(operation.as_str()));
    }
    let version = check_version(&headers, &record)?;
    let mut arguments = body.fields;
    if name == CONNECT && !arguments.contains_key(REDIRECT_URI) {
        let redirect = web.options().redirect.as_str();
        arguments.insert(REDIRECT_URI.to_owned(), redirect.into());
    }
    let node = &record.hierarchy;
    let host = on_behalf_of(
        &web,
        (allowed.principal(), address),
        body.request_meta,
        node,
    )
    .await?
    .for_version(version);
    let event = Requester::new(allowed.principal(), address).on(name, &record);
    let event = event.with_changes(find_arguments(&arguments));
    let (action, pkid) = (name.to_owned(), record.pkid.clone());
    let queued = nowait.then(|| QueuedCall::Invoke {
        pkid: pkid.clone(),
        action: action.clone(),
        arguments: arguments.clone(),
    });
    let work = |host: Host| async move { host.invoke(&action, &pkid, arguments).await };
    let call = Call::new(Some(event));
    run_or_queue(&web, &host, call, queued, work, |done| {
        let result = json!({
            "success": true, "transaction_id": done.transaction, "result": done.value,
        });
        Json(result).into_response()
    })
    .await
}

/// Returns the operation that an action needs. An action that is not named here needs the right to act.
pub(super) fn operation_of(action: &str) -> Operation {
    match action {
        CONNECT => Operation::Connect,
        "RefreshAccessToken" | "CheckTokenExpiry" | "TestConnection" => Operation::Refresh,
        "SyncUsers" | "SyncRolesLicenses" | "ExecuteDataSync" | "SaveDataSync"
        | "DeleteDataSync" | "ScheduleDataSync" | "UnscheduleDataSync" => Operation::Sync,
        _ => Operation::Act,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_actions_need_the_right_to_act() {
        assert_eq!(operation_of("Connect"), Operation::Connect);
        assert_eq!(operation_of("AddWholesaleCustomer"), Operation::Act);
        assert_eq!(operation_of("SaveDataSync"), Operation::Sync);
    }
}
