//! The form that adds an organization, and the one that changes it.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use relation_app::ErrorKind;
use relation_app::records::{self, StoredRecord};
use relation_host::AddRequest;
use relation_host::reports::RecordDetails;
use relation_host::types::{FieldError, Hierarchy, Pkid};
use serde_json::{Map, Value};

use super::calls::Failed;
use super::form::{self, FormField, Posted, Purpose};
use super::parts::{Moment, clean};
use super::ui::{Ui, render_with};
use crate::access::idempotency::{self, RequestDigest};
use crate::access::users::field_error;
use crate::access::{Allowed, nodes, permission};
use crate::api::field_check::find_field_errors;
use crate::calls::{Call, added_object, find_changes};
use crate::{Web, WebError};

/// The name of the input with the node of a new record.
const NODE: &str = "hierarchy";
/// The address of the form for a new organization.
const NEW: &str = "/organizations/new";
/// How often a change is tried on a record that other calls change meanwhile.
const MAX_ATTEMPTS: u32 = 5;
/// The name of the input by which a form that is sent twice adds one record.
const IDEMPOTENCY_KEY: &str = "idempotency_key";

#[derive(Template)]
#[template(path = "organization_form.html")]
pub(crate) struct FormPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    /// The address and the name of the organization.
    pub(crate) parent: Option<(String, String)>,
    pub(crate) action: String,
    pub(crate) back: String,
    pub(crate) hidden: Vec<(String, String)>,
    pub(crate) fields: Vec<FormField>,
    pub(crate) secrets: Vec<FormField>,
    pub(crate) open_secrets: bool,
    pub(crate) set_since: Option<Moment>,
    pub(crate) summary: Vec<(Option<String>, String, String)>,
    pub(crate) failure: Option<Failed>,
}

/// The content of a form besides its fields.
#[derive(Default)]
struct Outcome {
    errors: Vec<FieldError>,
    failure: Option<Failed>,
    status: StatusCode,
}

impl Outcome {
    /// Returns the errors of a failed call, for the form.
    fn new(error: WebError, ui: &Ui) -> Self {
        let failure = error
            .error
            .field_errors
            .is_empty()
            .then(|| Failed::new(&error, ui));
        Self {
            failure,
            status: error.status,
            errors: error.error.field_errors,
        }
    }
}

/// Shows the form for a new organization.
pub(crate) async fn show_new(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Add>,
) -> Result<Response, WebError> {
    new_page(&web, &ui, &allowed, None, Outcome::default())
}

/// Adds an organization.
pub(crate) async fn add(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Add>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let posted = Posted(pairs);
    let fields = form::read_new(web.model(), &posted);
    let hierarchy = match read_node(&web, &ui, &allowed, &posted).await? {
        Ok(node) => node,
        Err(message) => {
            let mut errors = vec![field_error(NODE, message)];
            errors.extend(find_field_errors(web.model(), &fields));
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return new_page(
                &web,
                &ui,
                &allowed,
                Some(&posted),
                Outcome {
                    errors,
                    failure: None,
                    status,
                },
            );
        }
    };
    nodes::ensure(web.access(), [&hierarchy]).await?;
    let (host, transaction) = ui.host(&web).for_transaction();
    let mut idempotency_key = None;
    if let Some(key) = posted.get(IDEMPOTENCY_KEY).filter(|key| !key.is_empty()) {
        let digest = RequestDigest::new(NEW, &hierarchy, &fields);
        let request = (&hierarchy, &digest, transaction.as_str());
        let claimed = idempotency::claim(web.access(), allowed.principal(), key, request);
        match claimed.await {
            Ok(claimed) => idempotency_key = Some(claimed.key),
            // A person went back to the form after it had been saved, and adds another organization.
            Err(error) if error.error.kind == ErrorKind::KeyReused => {}
            Err(error) => return Err(error),
        }
    }
    let request = AddRequest {
        hierarchy,
        fields,
        token_response: None,
        idempotency_key,
    };
    let changes = find_changes(web.model(), None, &request.fields);
    let event = ui.requester().add(&request.hierarchy).with_changes(changes);
    let call = Call::new(Some(event)).with_object(added_object);
    let access = web.access().clone();
    let work = async move {
        let node = request.hierarchy.clone();
        let added = host.add(request).await;
        if added.is_ok() {
            nodes::restore(&access, &node).await;
        }
        added
    };
    match call.run(&web, work).await {
        Ok(added) => {
            let pkid = added.value.connection.pkid;
            Ok(
                Redirect::to(&format!("/organizations/{pkid}?done={}", added.transaction))
                    .into_response(),
            )
        }
        Err(error) => new_page(&web, &ui, &allowed, Some(&posted), Outcome::new(error, &ui)),
    }
}

/// Reads the node of a new organization, or the text of its error.
async fn read_node(
    web: &Web,
    ui: &Ui,
    allowed: &Allowed<permission::Add>,
    posted: &Posted,
) -> Result<Result<Hierarchy, String>, WebError> {
    let node = match posted.get(NODE).unwrap_or_default().parse() {
        Ok(node) => nodes::find_spelling(web.store(), &node).await?,
        Err(error) => {
            let error: relation_host::types::InvalidHierarchy = error;
            return Ok(Err(error.to_string()));
        }
    };
    if !allowed.covers(&node) {
        return Ok(Err(ui.t("form.node-not-permitted")));
    }
    let error = nodes::find_error(web.access(), &node).await?;
    Ok(error.map_or(Ok(node), Err))
}

fn new_page(
    web: &Web,
    ui: &Ui,
    allowed: &Allowed<permission::Add>,
    posted: Option<&Posted>,
    outcome: Outcome,
) -> Result<Response, WebError> {
    let mut node = FormField::new(NODE, ui.t("form.node"), ui.t("form.node-help"));
    node.required = true;
    let default = allowed
        .nodes()
        .first()
        .map(ToString::to_string)
        .unwrap_or_default();
    let sent = posted.and_then(|posted| posted.get(NODE));
    node.value = sent.map_or(default, str::to_owned);
    let none = Map::new();
    let mut fields = vec![node];
    fields.extend(form::model_fields(
        web.model(),
        Purpose::Add,
        &none,
        posted,
        &outcome.errors,
        ui.language,
    ));
    form::set_errors(fields.get_mut(..1).unwrap_or_default(), &outcome.errors);
    let key = posted
        .and_then(|posted| posted.get(IDEMPOTENCY_KEY))
        .map(str::to_owned);
    let key = key.unwrap_or_else(|| Pkid::random().to_string());
    let page = FormPage {
        ui,
        title: ui.t("form.add-title"),
        parent: None,
        action: NEW.to_owned(),
        back: "/organizations".to_owned(),
        hidden: vec![(IDEMPOTENCY_KEY.to_owned(), key)],
        set_since: None,
        ..build(ui, fields, outcome.errors, outcome.failure)
    };
    render_with(outcome.status, &page)
}

/// Builds the page of a form around its fields.
pub(crate) fn build(
    ui: &Ui,
    fields: Vec<FormField>,
    errors: Vec<FieldError>,
    failure: Option<Failed>,
) -> FormPage<'_> {
    let summary = form::summarize(&fields, &errors);
    let (secrets, fields): (Vec<_>, Vec<_>) = fields.into_iter().partition(|field| field.secret);
    FormPage {
        ui,
        title: String::new(),
        parent: None,
        action: String::new(),
        back: String::new(),
        hidden: Vec::new(),
        open_secrets: secrets.iter().any(|field| field.error.is_some()),
        fields,
        secrets,
        set_since: None,
        summary,
        failure,
    }
}

/// Shows the form that changes an organization.
pub(crate) async fn show(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Modify>,
    Path(pkid): Path<String>,
) -> Result<Response, WebError> {
    let record = allowed.record(&web, &pkid).await?;
    let details = records::show(web.host(), &record).await?;
    edit_page(&web, &ui, &record, &details, None, Outcome::default())
}

/// Changes an organization.
pub(crate) async fn modify(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Modify>,
    Path(pkid): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let mut posted = Posted(pairs);
    let changes = form::read_changes(web.model(), &posted);
    let mut attempts = 0;
    loop {
        attempts += 1;
        let record = allowed.record(&web, &pkid).await?;
        let details = records::show(web.host(), &record).await?;
        let address = format!("/organizations/{}", record.pkid);
        if changes.is_empty() {
            return Ok(Redirect::to(&address).into_response());
        }
        let version = record.document.version;
        if posted.get("version") != Some(version.to_string().as_str()) {
            let conflicts =
                form::find_conflicts(web.model(), &details.fields, &changes, &mut posted);
            if !conflicts.is_empty() {
                let outcome = conflict(&ui, conflicts);
                return edit_page(&web, &ui, &record, &details, Some(&posted), outcome);
            }
        }
        let host = ui.host(&web).for_version(Some(version));
        let (pkid, fields) = (record.pkid.clone(), changes.clone());
        let changed = find_changes(web.model(), Some(&details.fields), &fields);
        let event = ui.requester().on("modify-record", &record);
        let call = Call::new(Some(event.with_changes(changed)));
        let modified = call.run(&web, async move { host.modify(&pkid, fields, None).await });
        let modified = modified.await;
        match modified {
            Ok(modified) => {
                let done = format!("{address}?done={}", modified.transaction);
                return Ok(Redirect::to(&done).into_response());
            }
            // Another call has changed the record since it was read: perhaps only other fields, as a refresh does.
            Err(error) if error.error.kind == ErrorKind::Changed && attempts < MAX_ATTEMPTS => {}
            Err(error) => {
                let outcome = Outcome::new(error, &ui);
                return edit_page(&web, &ui, &record, &details, Some(&posted), outcome);
            }
        }
    }
}

/// Returns the errors for fields that somebody else has changed meanwhile.
fn conflict(ui: &Ui, conflicts: Vec<(String, String)>) -> Outcome {
    let errors = conflicts.into_iter().map(|(field, present)| {
        let message = match present.is_empty() {
            true => ui.t("form.conflict-empty"),
            false => ui.t1("form.conflict", clean(&present)),
        };
        FieldError { field, message }
    });
    Outcome {
        errors: errors.collect(),
        failure: None,
        status: StatusCode::CONFLICT,
    }
}

fn edit_page(
    web: &Web,
    ui: &Ui,
    record: &StoredRecord,
    details: &RecordDetails,
    posted: Option<&Posted>,
    outcome: Outcome,
) -> Result<Response, WebError> {
    let current: &Map<String, Value> = &details.fields;
    let fields = form::model_fields(
        web.model(),
        Purpose::Modify,
        current,
        posted,
        &outcome.errors,
        ui.language,
    );
    let name = clean(&details.connection.name);
    let address = format!("/organizations/{}", record.pkid);
    let refreshed = details
        .connection
        .grants
        .first()
        .and_then(|grant| grant.refreshed);
    let page = FormPage {
        title: ui.t1("form.edit-title", &name),
        parent: Some((address.clone(), name)),
        action: format!("{address}/edit"),
        back: address,
        hidden: vec![("version".to_owned(), record.document.version.to_string())],
        set_since: refreshed.map(|at| Moment::absolute(at, ui)),
        ..build(ui, fields, outcome.errors, outcome.failure)
    };
    render_with(outcome.status, &page)
}
