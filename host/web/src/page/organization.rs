//! One organization: its tokens, what belongs to it, and what can be done with it.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use relation_app::data_syncs::DataSyncRow;
use relation_app::details::{self, FullRecord};
use relation_app::records::{self, StoredRecord};
use relation_app::wholesale::{self, WholesaleCustomer};
use relation_host::reports::{
    FieldKind, GrantStatus, Model, RecordDetails, State as ConnectionState,
};
use relation_host::transactions::TransactionFilter;
use relation_host::types::{Filter, Key};
use serde::Deserialize;
use serde_json::Value;

use super::actions::operation_of;
use super::alerts::AlertRow;
use super::links;
use super::needs::format_bounded;
use super::organizations::find_same_organization;
use super::parts::{Badge, Moment, clean, most_urgent, needs_consent, slug};
use super::transactions::TransactionRow;
use super::ui::{Ui, render};
use crate::access::{Allowed, Operation, permission};
use crate::{Web, WebError};

/// The number of transactions on the page.
const TRANSACTIONS: u32 = 5;
/// The number up to which imported documents of a model are counted.
const MAX_IMPORTED: u64 = 1_001;
/// The maximum number of wholesale customers on the page.
const MAX_WHOLESALE: usize = 200;

/// A grant with its tokens.
pub(crate) struct GrantView {
    pub(crate) grant: String,
    pub(crate) title: String,
    pub(crate) badge: Badge,
    pub(crate) access: Option<Moment>,
    pub(crate) refresh: Option<Moment>,
    pub(crate) refreshed: Option<Moment>,
    pub(crate) next: Option<Moment>,
    pub(crate) failure: Option<(String, String)>,
    pub(crate) scopes: Vec<String>,
    pub(crate) missing: Vec<String>,
    pub(crate) connected: bool,
}

impl GrantView {
    /// Returns the id of the grant's element.
    fn id(&self) -> String {
        format!("grant-{}", slug(&self.grant))
    }

    pub(crate) fn new(status: &GrantStatus, ui: &Ui) -> Self {
        let failure = status.failed_refresh.as_ref();
        Self {
            grant: status.grant.to_string(),
            title: ui.language.text(&format!("grant.{}", status.grant)),
            badge: Badge::state(status.state, ui.language),
            access: status
                .access_token_expires
                .map(|expiry| Moment::expiry(expiry, ui)),
            refresh: status
                .refresh_token_expires
                .map(|expiry| Moment::expiry(expiry, ui)),
            refreshed: status.refreshed.map(|at| Moment::relative(at, ui)),
            next: status.next_refresh.map(|at| Moment::relative(at, ui)),
            failure: failure.map(|failed| {
                (
                    clean(&failed.reason),
                    clean(failed.tracking_id.as_deref().unwrap_or_default()),
                )
            }),
            scopes: status.scopes.iter().map(|scope| clean(scope)).collect(),
            missing: status
                .missing_scopes
                .iter()
                .map(|scope| clean(scope))
                .collect(),
            connected: status.refreshed.is_some(),
        }
    }
}

/// A data sync with its schedule.
pub(crate) struct SyncView {
    pub(crate) pkid: String,
    pub(crate) name: String,
    pub(crate) sync_type: String,
    pub(crate) models: String,
    pub(crate) schedule: Option<String>,
    pub(crate) next: Option<Moment>,
    pub(crate) last: Option<Moment>,
    pub(crate) edit: String,
    pub(crate) reschedule: String,
    /// Whether an administrator has added the data sync, so that it can be deleted.
    pub(crate) is_own: bool,
}

impl SyncView {
    fn new(row: &DataSyncRow, actions: &str, ui: &Ui) -> Self {
        let schedule = row.schedule.as_ref();
        let text = |value: Option<&String>| value.cloned().unwrap_or_default();
        let start = schedule
            .map(|schedule| schedule.start.clone())
            .unwrap_or_default();
        let zone = schedule
            .map(|schedule| schedule.time_zone.clone())
            .unwrap_or_default();
        let every = text(schedule.and_then(|schedule| schedule.every.as_ref()));
        let until = text(schedule.and_then(|schedule| schedule.until.as_ref()));
        let models = row.models.join("\n");
        let sync_type = row.sync_type.clone().unwrap_or_default();
        Self {
            edit: links::with_query(
                &format!("{actions}/SaveDataSync"),
                &[
                    ("sync", &row.pkid),
                    ("name", &row.name),
                    ("sync_type", &sync_type),
                    ("model_type_list", &models),
                ],
            ),
            reschedule: links::with_query(
                &format!("{actions}/ScheduleDataSync"),
                &[
                    ("sync", &row.pkid),
                    ("start", &start),
                    ("time_zone", &zone),
                    ("every", &every),
                    ("until", &until),
                ],
            ),
            schedule: schedule.map(|schedule| {
                let every = schedule.every.as_deref();
                let times = match every {
                    Some(every) => ui.t1("organization.every", clean(every)),
                    None => ui.t("organization.once"),
                };
                format!(
                    "{times}, {} {}",
                    clean(&start.replace('T', " ")),
                    clean(&zone)
                )
            }),
            next: schedule
                .and_then(|schedule| schedule.next)
                .map(|at| Moment::relative(at, ui)),
            last: schedule
                .and_then(|schedule| schedule.last_executed)
                .map(|at| Moment::relative(at, ui)),
            name: clean(&row.name),
            models: clean(
                &row.models
                    .iter()
                    .map(|model| short(model))
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
            is_own: row.role.is_none(),
            pkid: row.pkid.clone(),
            sync_type: clean(&sync_type),
        }
    }
}

/// Returns the last part of a model's name.
pub(crate) fn short(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}

/// A customer of a wholesale partner.
pub(crate) struct WholesaleView {
    pub(crate) customer: String,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) packages: String,
    pub(crate) order: Option<(String, String)>,
    pub(crate) modify: String,
    pub(crate) delete: String,
}

impl WholesaleView {
    fn new(customer: &WholesaleCustomer, actions: &str) -> Self {
        let order = customer
            .order_text("operation")
            .zip(customer.order_text("state"));
        let name = customer.customer.as_str();
        Self {
            customer: clean(name),
            id: clean(customer.customer_id.as_deref().unwrap_or_default()),
            name: clean(
                customer
                    .text("name")
                    .or_else(|| customer.text("displayName"))
                    // A change that was requested has the id as its name.
                    .filter(|text| *text != name)
                    .unwrap_or_default(),
            ),
            status: clean(customer.text("status").unwrap_or_default()),
            packages: clean(&customer.packages().join(", ")),
            order: order.map(|(operation, state)| {
                let message = customer.order_text("message").unwrap_or_default();
                (
                    format!("{}: {}", clean(operation), clean(state)),
                    clean(message),
                )
            }),
            modify: links::with_query(
                &format!("{actions}/ModifyWholesaleCustomer"),
                &[("customer", name)],
            ),
            delete: links::with_query(
                &format!("{actions}/DeleteWholesaleCustomer"),
                &[("customer", name)],
            ),
        }
    }
}

/// The principal's rights on the organization.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct May {
    pub(crate) modify: bool,
    pub(crate) delete: bool,
    pub(crate) connect: bool,
    pub(crate) refresh: bool,
    pub(crate) sync: bool,
    pub(crate) act: bool,
}

#[derive(Template)]
#[template(path = "organization.html")]
pub(crate) struct OrganizationPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) pkid: String,
    pub(crate) address: String,
    /// The address of the notice settings of the node.
    pub(crate) settings: String,
    pub(crate) node: String,
    pub(crate) badge: Badge,
    pub(crate) tone: &'static str,
    pub(crate) advice: String,
    pub(crate) notes: String,
    pub(crate) connect_first: bool,
    /// The outcome of the form that led here.
    pub(crate) done: Option<(String, String)>,
    /// Other records with the same organization at Webex: pkid, name, node.
    pub(crate) same: Vec<(String, String, String)>,
    pub(crate) may: May,
    pub(crate) grants: Vec<GrantView>,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) syncs: Vec<SyncView>,
    /// Imported data: model, title, count.
    pub(crate) imported: Vec<(String, String, String)>,
    pub(crate) failed_import: Option<(String, String)>,
    pub(crate) wholesale: Option<Vec<WholesaleView>>,
    pub(crate) alerts: Vec<AlertRow>,
    pub(crate) transactions: Vec<TransactionRow>,
    /// Further actions: name and title.
    pub(crate) actions: Vec<(String, String)>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct DoneQuery {
    #[serde(default)]
    done: String,
}

/// Shows an organization.
pub(crate) async fn show(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Read>,
    Path(pkid): Path<String>,
    Query(query): Query<DoneQuery>,
) -> Result<Response, WebError> {
    let record = allowed.record(&web, &pkid).await?;
    let shown = records::show(web.host(), &record).await?;
    let full = details::gather(web.store(), &record, shown).await?;
    let filter = TransactionFilter {
        subject: Some(record.reference()),
        ..TransactionFilter::default()
    };
    let transactions = web
        .store()
        .transactions(&filter, None, TRANSACTIONS)
        .await?
        .items;
    let done = find_outcome(&web, &record, &query.done).await?;
    let imported = count_imported(&web, &record, &full.data_syncs).await?;
    let is_wholesale = full.record.fields.get("wholesale_status") == Some(&Value::Bool(true));
    let wholesale = match is_wholesale {
        true => Some(wholesale::list(web.store(), &record).await?),
        false => None,
    };
    let transactions = transactions
        .iter()
        .map(|each| TransactionRow::new(each, &ui))
        .collect();
    let page = OrganizationPage {
        done,
        same: find_same_organization(&web, &allowed, &record.pkid).await?,
        imported,
        transactions,
        ..build(web.model(), &ui, &full, wholesale.as_deref())
    };
    render(&page)
}

/// Builds the page from what was read of the record.
pub(crate) fn build<'a>(
    model: &Model,
    ui: &'a Ui,
    full: &FullRecord,
    wholesale: Option<&[WholesaleCustomer]>,
) -> OrganizationPage<'a> {
    let connection = &full.record.connection;
    let node = &connection.hierarchy;
    let address = format!("/organizations/{}", connection.pkid);
    let actions = format!("{address}/actions");
    let state = most_urgent(connection);
    let may = May {
        modify: ui.may(Operation::Modify, node),
        delete: ui.may(Operation::Delete, node),
        connect: ui.may(Operation::Connect, node),
        refresh: ui.may(Operation::Refresh, node),
        sync: ui.may(Operation::Sync, node),
        act: ui.may(Operation::Act, node),
    };
    // Alerts of the installation are for those who see its node.
    let alerts = full
        .alerts
        .iter()
        .filter(|alert| ui.may(Operation::Read, &alert.hierarchy));
    let further = model
        .actions
        .iter()
        .filter(|action| is_further(&action.name));
    let further = further.filter(|action| ui.may(operation_of(&action.name), node));
    let failed = full.failed_import.as_ref();
    OrganizationPage {
        title: clean(&connection.name),
        pkid: connection.pkid.to_string(),
        settings: super::notices::address("/notices", node),
        node: clean(node.as_str()),
        badge: Badge::state(state, ui.language),
        tone: match state {
            ConnectionState::Expired | ConnectionState::Reauthorize => "bad",
            ConnectionState::Connected => "good",
            ConnectionState::NotConnected | ConnectionState::Retrying => "busy",
            ConnectionState::Expiring | ConnectionState::MissingScope => "warn",
        },
        advice: ui.language.text(&format!("advice.{state}")),
        notes: clean(&connection.notes),
        connect_first: needs_consent(state) && may.connect,
        done: None,
        same: Vec::new(),
        may,
        grants: connection
            .grants
            .iter()
            .map(|grant| GrantView::new(grant, ui))
            .collect(),
        fields: show_fields(model, &full.record, ui),
        syncs: full
            .data_syncs
            .iter()
            .map(|row| SyncView::new(row, &actions, ui))
            .collect(),
        imported: Vec::new(),
        failed_import: failed.map(|failed| (clean(&failed.message), failed.transaction.clone())),
        wholesale: wholesale.map(|customers| {
            let customers = customers.iter().take(MAX_WHOLESALE);
            customers
                .map(|customer| WholesaleView::new(customer, &actions))
                .collect()
        }),
        alerts: alerts.map(|alert| AlertRow::new(alert, ui)).collect(),
        transactions: Vec::new(),
        actions: further
            .map(|action| (action.name.clone(), action.title.clone()))
            .collect(),
        address,
        ui,
    }
}

/// Returns whether an action has no place of its own on the page.
fn is_further(name: &str) -> bool {
    !matches!(
        name,
        "Connect" | "RefreshAccessToken" | "ExecuteDataSync" | "SaveDataSync"
    ) && !name.ends_with("WholesaleCustomer")
        && !name.ends_with("DataSync")
}

/// Returns the titles and the values of the fields.
fn show_fields(model: &Model, record: &RecordDetails, ui: &Ui) -> Vec<(String, String)> {
    let shown = model.fields.iter().filter(|field| {
        // Expiries and notes have places of their own.
        !field.password
            && !field.name.contains('[')
            && field.kind != FieldKind::DateTime
            && field.name != "notes"
    });
    let rows = shown.filter_map(|field| {
        let text = match record.fields.get(&field.name)? {
            Value::Null => return None,
            Value::Bool(true) => ui.t("form.yes"),
            Value::Bool(false) => ui.t("form.no"),
            Value::String(text) => {
                let choice = field.choices.iter().find(|choice| choice.value == *text);
                clean(choice.map_or(text, |choice| &choice.title))
            }
            Value::Array(entries) => {
                let members = entries
                    .iter()
                    .filter_map(Value::as_object)
                    .flat_map(|entry| entry.values());
                let texts: Vec<&str> = members.filter_map(Value::as_str).collect();
                clean(&texts.join(", "))
            }
            other => clean(&other.to_string()),
        };
        (!text.is_empty()).then(|| (field.title.clone(), text))
    });
    rows.collect()
}

/// Returns the message and the id of the transaction of the form that led here.
async fn find_outcome(
    web: &Web,
    record: &StoredRecord,
    id: &str,
) -> Result<Option<(String, String)>, WebError> {
    if id.is_empty() {
        return Ok(None);
    }
    let found = web.store().transaction(id).await?;
    let found =
        found.filter(|transaction| transaction.subject.as_ref() == Some(&record.reference()));
    Ok(found.map(|transaction| (clean(&transaction.message), transaction.id)))
}

/// Counts the imported documents of the models that the data syncs name.
async fn count_imported(
    web: &Web,
    record: &StoredRecord,
    syncs: &[DataSyncRow],
) -> Result<Vec<(String, String, String)>, WebError> {
    let mut models: Vec<&String> = Vec::new();
    for model in syncs.iter().flat_map(|sync| &sync.models) {
        if !models.contains(&model) {
            models.push(model);
        }
    }
    let mut counts = Vec::new();
    for model in models {
        let filter = imported_filter(record, model);
        let count = web.store().count(&filter, MAX_IMPORTED).await?;
        if count > 0 {
            counts.push((model.clone(), clean(short(model)), format_bounded(count)));
        }
    }
    Ok(counts)
}

/// Builds the filter of the imported documents of a record.
pub(crate) fn imported_filter(record: &StoredRecord, model: &str) -> Filter {
    Filter {
        model: model.to_owned(),
        hierarchy: None,
        equals: vec![Key {
            name: "owner".to_owned(),
            value: record.pkid.to_string(),
        }],
    }
}
