//! Actions of a record, with forms from their schemas, and the deletion of a record.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use relation_app::records::StoredRecord;
use relation_host::QueuedCall;
use relation_host::reports::{Action, Deletion};
use relation_host::types::FieldError;
use serde_json::{Map, Value};

use super::action_form::{action_fields, read_arguments};
use super::calls::{self, Failed, Started};
use super::form::{self, FormField, Posted};
use super::links;
use super::parts::clean;
use super::shared::is_confirmed;
use super::ui::{Ui, render, render_with};
use crate::access::{Allowed, Operation, permission};
use crate::calls::{Call, find_arguments, record_queued};
use crate::{Web, WebError};

/// The action that begins a consent, which has a page of its own.
const CONNECT: &str = "Connect";

fn to_connect(record: &StoredRecord) -> Response {
    Redirect::to(&format!("/organizations/{}/connect", record.pkid)).into_response()
}

/// Returns the operation that an action is.
pub(crate) fn operation_of(action: &str) -> Operation {
    match action {
        CONNECT => Operation::Connect,
        "RefreshAccessToken" | "CheckTokenExpiry" | "TestConnection" => Operation::Refresh,
        _ if action.starts_with("Sync") || action.ends_with("DataSync") => Operation::Sync,
        _ => Operation::Act,
    }
}

/// Returns whether an action is queued, and its transaction is followed: it asks Webex and may take long.
fn is_followed(action: &str) -> bool {
    let operation = operation_of(action);
    operation == Operation::Refresh || action.starts_with("Sync") || action == "ExecuteDataSync"
}

#[derive(Template)]
#[template(path = "action.html")]
pub(crate) struct ActionPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) help: String,
    pub(crate) address: String,
    pub(crate) name: String,
    pub(crate) action: String,
    pub(crate) fields: Vec<FormField>,
    pub(crate) summary: Vec<(Option<String>, String, String)>,
    pub(crate) failure: Option<Failed>,
    pub(crate) is_deletion: bool,
}

/// Finds an action that the principal may run on a record.
fn find_action<'a>(
    web: &'a Web,
    ui: &Ui,
    record: &StoredRecord,
    name: &str,
) -> Result<&'a Action, WebError> {
    let mut actions = web.model().actions.iter();
    let action = actions
        .find(|action| action.name == name)
        .ok_or_else(WebError::not_found)?;
    let operation = operation_of(name);
    match ui.may(operation, &record.hierarchy) {
        true => Ok(action),
        false => Err(WebError::forbidden(operation.as_str())),
    }
}

/// Shows the form of an action. The query has first values.
pub(crate) async fn show(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Read>,
    Path((pkid, name)): Path<(String, String)>,
    Query(values): Query<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let record = allowed.record(&web, &pkid).await?;
    if name == CONNECT {
        return Ok(to_connect(&record));
    }
    let action = find_action(&web, &ui, &record, &name)?;
    page(&ui, &record, action, &Posted(values), Vec::new(), None)
}

fn page(
    ui: &Ui,
    record: &StoredRecord,
    action: &Action,
    posted: &Posted,
    errors: Vec<FieldError>,
    error: Option<&WebError>,
) -> Result<Response, WebError> {
    let fields = action_fields(action, posted, &errors, ui.language);
    let status = error.map_or(StatusCode::OK, |error| error.status);
    let failure = error
        .filter(|_| errors.is_empty())
        .map(|error| Failed::new(error, ui));
    let address = format!("/organizations/{}", record.pkid);
    let page = ActionPage {
        ui,
        title: action.title.clone(),
        help: action.help.clone(),
        name: clean(record.name()),
        action: format!("{address}/actions/{}", action.name),
        address,
        summary: form::summarize(&fields, &errors),
        fields,
        failure,
        is_deletion: action.name.starts_with("Delete"),
    };
    render_with(status, &page)
}

/// Runs an action.
pub(crate) async fn run(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Read>,
    Path((pkid, name)): Path<(String, String)>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let record = allowed.record(&web, &pkid).await?;
    let action = find_action(&web, &ui, &record, &name)?;
    if action.name == CONNECT {
        return Ok(to_connect(&record));
    }
    let posted = Posted(pairs);
    let arguments: Map<String, Value> = match read_arguments(action, &posted) {
        Ok(arguments) => arguments,
        Err(errors) => return page(&ui, &record, action, &posted, errors, None),
    };
    let (host, subject, name) = (ui.host(&web), record.pkid.clone(), action.name.clone());
    let event = ui.requester().on(&action.name, &record);
    let event = event.with_changes(find_arguments(&arguments));
    if is_followed(&name) {
        let call = QueuedCall::Invoke {
            pkid: subject,
            action: name,
            arguments,
        };
        let transaction = host.submit(call).await?;
        record_queued(&web, [event.with_transaction(&transaction)]).await;
        return Ok(Redirect::to(&format!("/transactions/{transaction}")).into_response());
    }
    let recorded = Call::new(Some(event));
    let call = async move { host.invoke(&name, &subject, arguments).await };
    let started = calls::start(&web, record.reference(), &action.name, recorded, call).await?;
    let address = format!("/organizations/{}", record.pkid);
    let target = match started {
        Started::Ended(Ok(output)) => format!("{address}?done={}", output.transaction),
        Started::Running(Some(transaction)) => format!("/transactions/{transaction}"),
        Started::Running(None) => {
            links::with_query("/transactions", &[("record", record.pkid.as_str())])
        }
        Started::Ended(Err(error)) => {
            let errors = error.error.field_errors.clone();
            return page(&ui, &record, action, &posted, errors, Some(&error));
        }
    };
    Ok(Redirect::to(&target).into_response())
}

#[derive(Template)]
#[template(path = "delete.html")]
pub(crate) struct DeletePage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) name: String,
    pub(crate) address: String,
    /// The documents by model: their number and their first names.
    pub(crate) documents: Vec<(String, usize, String)>,
    pub(crate) wakeups: usize,
}

/// The number of names of a model on the page.
const MAX_NAMES: usize = 5;

/// Shows what a deletion would remove; deletes the record if the form confirms it.
pub(crate) async fn delete(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Delete>,
    Path(pkid): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let record = allowed.record(&web, &pkid).await?;
    let is_confirmed = is_confirmed(&Posted(pairs));
    let (host, subject) = (ui.host(&web), record.pkid.clone());
    let event = ui.requester().on("delete-record", &record);
    let call = Call::new(is_confirmed.then_some(event));
    let deletion = call.run(
        &web,
        async move { host.delete(&subject, !is_confirmed).await },
    );
    let deletion = deletion.await?;
    if is_confirmed {
        return Ok(Redirect::to("/organizations").into_response());
    }
    render(&delete_page(
        &ui,
        clean(record.name()),
        record.pkid.as_str(),
        &deletion.value,
    ))
}

/// Builds the page from a deletion that was only tried.
pub(crate) fn delete_page<'a>(
    ui: &'a Ui,
    name: String,
    pkid: &str,
    deletion: &Deletion,
) -> DeletePage<'a> {
    let mut documents: Vec<(String, usize, Vec<String>)> = Vec::new();
    for (reference, name) in &deletion.documents {
        match documents
            .iter_mut()
            .find(|(model, ..)| *model == reference.model)
        {
            Some((_, count, names)) => {
                *count += 1;
                if names.len() < MAX_NAMES {
                    names.push(clean(name));
                }
            }
            None => documents.push((reference.model.clone(), 1, vec![clean(name)])),
        }
    }
    let documents = documents.into_iter();
    DeletePage {
        ui,
        title: ui.t1("delete.title", &name),
        address: format!("/organizations/{pkid}"),
        documents: documents
            .map(|(model, count, names)| (model, count, names.join(", ")))
            .collect(),
        wakeups: deletion.wakeups.len(),
        name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_an_operation() {
        for (action, operation) in [
            ("Connect", Operation::Connect),
            ("TestConnection", Operation::Refresh),
            ("SyncUsers", Operation::Sync),
            ("UnscheduleDataSync", Operation::Sync),
            ("AddWholesaleCustomer", Operation::Act),
            ("AnythingNew", Operation::Act),
        ] {
            assert_eq!(operation_of(action), operation, "{action}");
        }
    }
}
