//! Refreshes or deletes the organizations that are selected in the list.

use std::collections::{BTreeSet, HashMap};

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use futures_util::{StreamExt as _, stream};
use relation_app::records::{self, StoredRecord};
use relation_app::{AppError, ErrorKind};
use relation_host::QueuedCall;
use relation_host::reports::Grant;
use relation_host::types::Pkid;
use serde_json::{Map, Value};

use super::form::Posted;
use super::links;
use super::parts::clean;
use super::shared::is_confirmed;
use super::ui::{Ui, render, render_with};
use crate::access::{Allowed, Permission, permission};
use crate::bulk::{self, QueuedBulk};
use crate::{Web, WebError};

/// The name of the check boxes.
const PKID: &str = "pkid";
/// The action that refreshes the tokens of one grant, and the name of its argument.
const REFRESH: (&str, &str) = ("RefreshAccessToken", "grant");
/// The maximum number of organizations: those of one page of the list.
const MAX_RECORDS: usize = 50;
/// The maximum number of concurrent dry runs.
const MAX_DRY_RUNS: usize = 4;

/// An organization that is not changed, and the reason.
pub(crate) struct RefusedRow {
    /// The name, or what the request has instead.
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// An organization that would be deleted.
pub(crate) struct DeletionRow {
    pub(crate) pkid: String,
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) documents: usize,
    pub(crate) wakeups: usize,
}

/// The preview of a deletion of several organizations.
#[derive(Template)]
#[template(path = "bulk_delete.html")]
pub(crate) struct BulkDeletePage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) rows: Vec<DeletionRow>,
    pub(crate) refused: Vec<RefusedRow>,
    pub(crate) back: String,
}

/// The organizations that were refused, and the transaction of the others.
#[derive(Template)]
#[template(path = "bulk_result.html")]
pub(crate) struct BulkResultPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    /// The transaction, and the number of its organizations.
    pub(crate) queued: Option<(String, usize)>,
    pub(crate) refused: Vec<RefusedRow>,
    pub(crate) back: String,
}

/// The organizations that a form names.
struct Selection {
    pkids: BTreeSet<String>,
    back: String,
    is_confirmed: bool,
}

impl Selection {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, WebError> {
        let posted = Posted(pairs);
        let pkids: BTreeSet<String> = posted.all(PKID).map(str::to_owned).collect();
        if pkids.len() > MAX_RECORDS {
            let message = format!("select at most {MAX_RECORDS} organizations");
            return Err(AppError::new(ErrorKind::Invalid, message).into());
        }
        let back = posted.get("back").unwrap_or_default();
        let back = match links::local(back) {
            back if back.starts_with("/organizations") => back.to_owned(),
            _ => "/organizations".to_owned(),
        };
        Ok(Self {
            pkids,
            back,
            is_confirmed: is_confirmed(&posted),
        })
    }

    fn iter(&self) -> impl Iterator<Item = &str> + Send {
        self.pkids.iter().map(String::as_str)
    }
}

/// Describes why an organization is not changed. Its name is shown only to those who may read it.
async fn to_refused(
    web: &Web,
    ui: &Ui,
    reading: &Allowed<permission::Read>,
    pkid: &str,
    error: &WebError,
) -> RefusedRow {
    let record = reading.record(web, pkid).await;
    RefusedRow {
        name: clean(record.as_ref().map_or(pkid, StoredRecord::name)),
        reason: match error.status {
            StatusCode::NOT_FOUND => ui.t("bulk.not-found"),
            StatusCode::FORBIDDEN => ui.t("bulk.forbidden"),
            _ => clean(&error.error.message),
        },
    }
}

/// Leads to the transaction of a bulk, or shows which organizations were refused.
async fn finish(
    web: &Web,
    ui: &Ui,
    reading: &Allowed<permission::Read>,
    queued: QueuedBulk,
    back: String,
) -> Result<Response, WebError> {
    let mut refused = Vec::new();
    for item in &queued.items {
        if let Some(error) = &item.refused {
            refused.push(to_refused(web, ui, reading, &item.pkid, error).await);
        }
    }
    let count = queued.items.len().saturating_sub(refused.len());
    match (queued.transaction, refused.is_empty()) {
        (Some(transaction), true) => {
            Ok(Redirect::to(&format!("/transactions/{transaction}")).into_response())
        }
        (transaction, _) => {
            let status = match transaction {
                Some(_) => StatusCode::OK,
                None => StatusCode::UNPROCESSABLE_ENTITY,
            };
            let page = BulkResultPage {
                title: ui.t("bulk.result"),
                queued: transaction.map(|transaction| (transaction, count)),
                refused,
                back,
                ui,
            };
            render_with(status, &page)
        }
    }
}

/// Queues a refresh for each connected grant of the selected organizations.
pub(crate) async fn refresh(
    State(web): State<Web>,
    ui: Ui,
    reading: Allowed<permission::Read>,
    allowed: Allowed<permission::Refresh>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let selection = Selection::read(pairs)?;
    let grants = find_connected(&web, &allowed, &selection).await?;
    let to_calls = |record: &StoredRecord| {
        let connected = grants.get(&record.pkid).map(Vec::as_slice);
        let calls: Vec<QueuedCall> = connected
            .unwrap_or_default()
            .iter()
            .map(|grant| to_refresh(record, *grant))
            .collect();
        match calls.is_empty() {
            true => {
                let message = ui.t("bulk.not-connected");
                Err(AppError::new(ErrorKind::Reauthorize, message).into())
            }
            false => Ok(calls),
        }
    };
    let requester = ui.requester();
    let to_event = |record: &StoredRecord| requester.on(REFRESH.0, record);
    let host = ui.host(&web);
    let call = (&host, "bulk refresh");
    let queued = bulk::submit(&web, &allowed, call, selection.iter(), (to_calls, to_event)).await?;
    finish(&web, &ui, &reading, queued, selection.back).await
}

fn to_refresh(record: &StoredRecord, grant: Grant) -> QueuedCall {
    let mut arguments = Map::new();
    arguments.insert(REFRESH.1.to_owned(), Value::from(grant.as_str()));
    QueuedCall::Invoke {
        pkid: record.pkid.clone(),
        action: REFRESH.0.to_owned(),
        arguments,
    }
}

/// Returns the grants of the selected organizations that have tokens.
async fn find_connected<P: Permission>(
    web: &Web,
    allowed: &Allowed<P>,
    selection: &Selection,
) -> Result<HashMap<Pkid, Vec<Grant>>, WebError> {
    let mut documents = Vec::new();
    for pkid in selection.iter() {
        if let Ok(record) = allowed.record(web, pkid).await {
            documents.push(record.document);
        }
    }
    let shown = records::show_all(web.host(), &documents).await?.into_iter();
    let connected = shown.map(|details| {
        let grants = details.connection.grants.iter();
        let grants = grants.filter(|status| status.refreshed.is_some());
        let grants = grants.map(|status| status.grant).collect();
        (details.connection.pkid, grants)
    });
    Ok(connected.collect())
}

/// Shows the preview of a deletion of the selected organizations; deletes them if the form confirms it.
pub(crate) async fn delete(
    State(web): State<Web>,
    ui: Ui,
    reading: Allowed<permission::Read>,
    allowed: Allowed<permission::Delete>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let selection = Selection::read(pairs)?;
    if !selection.is_confirmed {
        return preview(&web, &ui, &reading, &allowed, selection).await;
    }
    let to_calls = |record: &StoredRecord| {
        let pkid = record.pkid.clone();
        Ok(vec![QueuedCall::Delete { pkid }])
    };
    let requester = ui.requester();
    let to_event = |record: &StoredRecord| requester.on("delete-record", record);
    let host = ui.host(&web);
    let call = (&host, "bulk delete");
    let queued = bulk::submit(&web, &allowed, call, selection.iter(), (to_calls, to_event)).await?;
    finish(&web, &ui, &reading, queued, selection.back).await
}

/// Tries the deletion of each selected organization, and shows the result.
async fn preview(
    web: &Web,
    ui: &Ui,
    reading: &Allowed<permission::Read>,
    allowed: &Allowed<permission::Delete>,
    selection: Selection,
) -> Result<Response, WebError> {
    let host = ui.host(web);
    let tried = stream::iter(selection.pkids.clone()).map(|pkid| {
        let host = host.clone();
        async move {
            let found = allowed.record(web, &pkid).await;
            let tried = match found {
                Ok(record) => match host.delete(&record.pkid, true).await {
                    Ok(deletion) => Ok((record, deletion.value)),
                    Err(error) => Err(error.into()),
                },
                Err(error) => Err(error),
            };
            (pkid, tried)
        }
    });
    let tried: Vec<_> = tried.buffered(MAX_DRY_RUNS).collect().await;
    let (mut rows, mut refused) = (Vec::new(), Vec::new());
    for (pkid, tried) in tried {
        match tried {
            Ok((record, deletion)) => rows.push(DeletionRow {
                pkid,
                name: clean(record.name()),
                node: clean(record.hierarchy.as_str()),
                documents: deletion.documents.len(),
                wakeups: deletion.wakeups.len(),
            }),
            Err(error) => refused.push(to_refused(web, ui, reading, &pkid, &error).await),
        }
    }
    if rows.is_empty() {
        let page = BulkResultPage {
            title: ui.t("bulk.result"),
            queued: None,
            refused,
            back: selection.back,
            ui,
        };
        return render_with(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    render(&BulkDeletePage {
        title: ui.t("bulk.delete-title"),
        rows,
        refused,
        back: selection.back,
        ui,
    })
}
