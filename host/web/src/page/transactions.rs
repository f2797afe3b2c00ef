//! Transactions: the list, and one with its log.

use askama::Template;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use relation_host::transactions::{
    Level, LogLine, Status, Transaction, TransactionFilter, parent_of,
};
use relation_host::types::RECORD_MODEL;
use serde::{Deserialize, Serialize};

use super::actions::operation_of;
use super::links;
use super::organizations::choose_node;
use super::parts::{Badge, Moment, clean, format_span, slug};
use super::query::{self, Filtered, Filters};
use super::texts::Language;
use super::transaction_support::support_text;
use super::ui::{Ui, render};
use crate::access::{Allowed, Operation, Permission, permission};
use crate::api::transactions::find_parts;
use crate::{Web, WebError};

/// The number of transactions on a page.
const PAGE_SIZE: u32 = 50;
/// The number of log lines that are shown at first.
const LINES: usize = 200;
/// The maximum number of parts that are shown.
const MAX_PARTS: u32 = 200;

/// A transaction in a list.
pub(crate) struct TransactionRow {
    pub(crate) id: String,
    pub(crate) action: String,
    pub(crate) subject: String,
    pub(crate) record: Option<String>,
    pub(crate) badge: Badge,
    pub(crate) progress: String,
    pub(crate) started: Moment,
    pub(crate) duration: String,
    pub(crate) message: String,
}

impl TransactionRow {
    pub(crate) fn new(transaction: &Transaction, ui: &Ui) -> Self {
        let progress = transaction.progress.as_ref();
        let subject = transaction
            .subject
            .as_ref()
            .filter(|subject| subject.model == RECORD_MODEL);
        Self {
            id: transaction.id.clone(),
            action: clean(&transaction.action),
            subject: match (clean(&transaction.subject_name), subject) {
                // A call that has just begun has not read the record yet. A link needs a text.
                (name, Some(subject)) if name.is_empty() => subject.pkid.to_string(),
                (name, _) => name,
            },
            record: subject.map(|subject| subject.pkid.to_string()),
            badge: Badge::status(transaction.status, ui.language),
            progress: progress
                .map(|each| clean(&each.to_string()))
                .unwrap_or_default(),
            started: Moment::relative(transaction.started, ui),
            duration: duration(transaction, ui.language),
            message: clean(&transaction.message),
        }
    }
}

fn duration(transaction: &Transaction, language: Language) -> String {
    let ended = transaction.completed;
    ended.map_or_else(String::new, |ended| {
        format_span(ended.since(transaction.started), language)
    })
}

/// Returns whether the principal may see a transaction: one whose node is known, at the principal's nodes.
fn is_visible<P: Permission>(allowed: &Allowed<P>, transaction: &Transaction) -> bool {
    let node = transaction.hierarchy.as_ref();
    node.is_some_and(|node| allowed.covers(node))
}

/// Reads a transaction that the principal may see.
///
/// # Errors
/// 404 if it does not exist or is not the principal's.
pub(crate) async fn read<P: Permission>(
    web: &Web,
    allowed: &Allowed<P>,
    id: &str,
) -> Result<Transaction, WebError> {
    let found = web.store().transaction(id).await?;
    let seen = found.filter(|transaction| is_visible(allowed, transaction));
    seen.ok_or_else(WebError::not_found)
}

#[derive(Debug, Default)]
pub(crate) struct ListQuery {
    status: String,
    action: String,
    record: String,
    hierarchy: String,
    cursor: String,
}

impl Filters for ListQuery {
    fn take(query: &mut query::ListQuery) -> Self {
        let statuses = Status::ALL.map(|status| slug(status.as_str()));
        Self {
            status: query.word("status", statuses.iter().map(String::as_str)),
            action: query.text("action"),
            record: query.text("record"),
            hierarchy: query.filled("hierarchy"),
            cursor: query.filled("cursor"),
        }
    }
}

#[derive(Template)]
#[template(path = "transactions.html")]
pub(crate) struct TransactionsPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) query: &'a ListQuery,
    pub(crate) rows: Vec<TransactionRow>,
    pub(crate) statuses: Vec<(String, String)>,
    pub(crate) nodes: Vec<String>,
    pub(crate) next: Option<String>,
}

/// Shows a page of transactions, the newest first.
pub(crate) async fn list(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Read>,
    Filtered(query): Filtered<ListQuery>,
) -> Result<Response, WebError> {
    let subject = match query.record.as_str() {
        "" => None,
        pkid => Some(allowed.record(&web, pkid).await?.reference()),
    };
    let filter = TransactionFilter {
        subject,
        hierarchy: Some(choose_node(&web, &allowed, &query.hierarchy).await?),
        status: Status::ALL
            .into_iter()
            .find(|status| slug(status.as_str()) == query.status),
        action: Some(query.action.trim().to_owned()).filter(|action| !action.is_empty()),
        ..TransactionFilter::default()
    };
    let cursor = Some(query.cursor.as_str()).filter(|cursor| !cursor.is_empty());
    let page = web.store().transactions(&filter, cursor, PAGE_SIZE).await?;
    let next = page.next.map(|cursor| {
        let values = [
            ("status", query.status.as_str()),
            ("action", &query.action),
            ("record", &query.record),
            ("hierarchy", &query.hierarchy),
            ("cursor", &cursor),
        ];
        links::with_query("/transactions", &values)
    });
    let statuses = Status::ALL.iter().map(|status| slug(status.as_str()));
    render(&TransactionsPage {
        title: ui.t("transactions.title"),
        rows: page
            .items
            .iter()
            .map(|each| TransactionRow::new(each, &ui))
            .collect(),
        statuses: statuses
            .map(|status| (ui.language.text(&format!("status.{status}")), status))
            .collect(),
        nodes: allowed.nodes().iter().map(ToString::to_string).collect(),
        next,
        query: &query,
        ui: &ui,
    })
}

/// A line of a log.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    /// The time of day, UTC.
    pub(crate) at: String,
    /// The level, for the style.
    pub(crate) level: &'static str,
    /// The level, for people.
    pub(crate) word: String,
    pub(crate) message: String,
}

impl Line {
    pub(crate) fn new(line: &LogLine, language: Language) -> Self {
        let level = match line.level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        Self {
            at: line
                .at
                .to_string()
                .get(11..19)
                .unwrap_or_default()
                .to_owned(),
            level,
            word: language.text(&format!("level.{level}")),
            message: clean(&line.message),
        }
    }
}

/// The changes of a transaction since a position of its log.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Update {
    /// The position after the last line.
    pub(crate) position: usize,
    lines: Vec<Line>,
    pub(crate) running: bool,
    status: String,
    icon: &'static str,
    progress: String,
    done: u32,
    total: u32,
    message: String,
    duration: String,
}

impl Update {
    /// Describes the changes after the first `position` lines of the log.
    pub(crate) fn new(transaction: &Transaction, position: usize, language: Language) -> Self {
        let new = transaction.log.get(position..).unwrap_or_default();
        let progress = transaction.progress.as_ref();
        Self {
            position: transaction.log.len().max(position),
            lines: new.iter().map(|line| Line::new(line, language)).collect(),
            running: is_running(transaction),
            status: language.text(&format!("status.{}", slug(transaction.status.as_str()))),
            icon: match transaction.status {
                Status::Success => "good",
                Status::Fail => "bad",
                Status::SuccessWithAsyncFailures => "warn",
                _ => "busy",
            },
            progress: progress
                .map(|each| clean(&each.to_string()))
                .unwrap_or_default(),
            done: progress.map_or(0, |each| each.done),
            total: progress.map_or(0, |each| each.total),
            message: clean(&transaction.message),
            duration: duration(transaction, language),
        }
    }
}

/// Returns whether the call of a transaction has not ended.
pub(crate) fn is_running(transaction: &Transaction) -> bool {
    !transaction.status.is_ended()
}

#[derive(Template)]
#[template(path = "transaction.html")]
pub(crate) struct TransactionPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) row: TransactionRow,
    /// The user or key that asked for the call; empty for a schedule.
    pub(crate) user: String,
    pub(crate) started: Moment,
    pub(crate) completed: Option<Moment>,
    pub(crate) update: Update,
    pub(crate) lines: Vec<Line>,
    /// The number of lines before those that are shown.
    pub(crate) earlier: usize,
    pub(crate) parts: Vec<TransactionRow>,
    /// The number of parts, if not all of them are shown.
    pub(crate) parts_total: Option<u64>,
    pub(crate) parent: Option<String>,
    pub(crate) accesses: Vec<(Moment, String)>,
    pub(crate) support: String,
    pub(crate) is_failed: bool,
    /// The address of the page that connects the organization, if the connection has failed.
    pub(crate) connect: Option<String>,
    pub(crate) may_cancel: bool,
    /// Whether a cancellation only asks the call to end.
    pub(crate) is_stoppable: bool,
    pub(crate) may_replay: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LogQuery {
    all: String,
}

/// Shows a transaction.
pub(crate) async fn show(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Read>,
    Path(id): Path<String>,
    Query(query): Query<LogQuery>,
) -> Result<Response, WebError> {
    let transaction = read(&web, &allowed, &id).await?;
    let (mut parts, total) = find_parts(&web, &allowed, &transaction.id, MAX_PARTS).await?;
    if transaction.action.starts_with("bulk ") {
        // They are shown from the last: those that failed come first.
        parts.sort_by_key(|part| part.status == Status::Fail);
    }
    let page = build(&ui, &transaction, &parts, !query.all.is_empty());
    // Readers of one organization may see its part, but not the bulk.
    let parent = match page.parent {
        Some(parent) => read(&web, &allowed, &parent).await.ok(),
        None => None,
    };
    render(&TransactionPage {
        parent: parent.map(|parent| parent.id),
        parts_total: Some(total).filter(|total| *total > parts.len() as u64),
        ..page
    })
}

/// Builds the page of a transaction.
pub(crate) fn build<'a>(
    ui: &'a Ui,
    transaction: &Transaction,
    parts: &[Transaction],
    all: bool,
) -> TransactionPage<'a> {
    let row = TransactionRow::new(transaction, ui);
    let earlier = if all {
        0
    } else {
        transaction.log.len().saturating_sub(LINES)
    };
    let shown = transaction.log.get(earlier..).unwrap_or_default();
    let is_failed = transaction.status == Status::Fail;
    let may_connect = ui.may_somewhere(Operation::Connect);
    let connects = transaction.action.contains("connect") && is_failed && may_connect;
    let connect = row.record.as_ref().filter(|_| connects);
    let accesses = transaction.secret_accesses.iter();
    TransactionPage {
        title: row.action.clone(),
        user: transaction
            .originator
            .as_ref()
            .map(|originator| clean(&originator.user))
            .unwrap_or_default(),
        started: Moment::absolute(transaction.started, ui),
        completed: transaction.completed.map(|at| Moment::absolute(at, ui)),
        update: Update::new(transaction, transaction.log.len(), ui.language),
        lines: shown
            .iter()
            .map(|line| Line::new(line, ui.language))
            .collect(),
        earlier,
        parts: parts
            .iter()
            .rev()
            .map(|part| TransactionRow::new(part, ui))
            .collect(),
        parts_total: None,
        parent: parent_of(&transaction.id).map(str::to_owned),
        accesses: accesses
            .map(|access| {
                let text = format!("{} ({})", clean(&access.name), access.outcome.as_str());
                (Moment::absolute(access.at, ui), text)
            })
            .collect(),
        support: support_text(transaction),
        may_cancel: transaction.can_cancel() && may_change(ui, transaction),
        is_stoppable: transaction.status == Status::Processing && transaction.is_import(),
        may_replay: is_failed && can_replay(transaction) && may_change(ui, transaction),
        connect: connect.map(|pkid| format!("/organizations/{pkid}/connect")),
        is_failed,
        row,
        ui,
    }
}

/// Returns whether the principal may run the action of a transaction.
pub(crate) fn may_change(ui: &Ui, transaction: &Transaction) -> bool {
    let operation = match transaction.action.as_str() {
        "add" => Operation::Add,
        "modify" | "bulk modify" => Operation::Modify,
        "delete" | "bulk delete" => Operation::Delete,
        "refresh" | "check-expiry" | "bulk refresh" => Operation::Refresh,
        "sync" => Operation::Sync,
        "connect" | "complete-connect" => Operation::Connect,
        action => operation_of(action),
    };
    let node = transaction.hierarchy.as_ref();
    node.is_some_and(|node| ui.may(operation, node))
}

/// Returns whether the request of a transaction can be submitted again.
fn can_replay(transaction: &Transaction) -> bool {
    let needs_no_arguments = ["refresh", "check-expiry", "sync", "delete"];
    transaction.request.is_some() || needs_no_arguments.contains(&transaction.action.as_str())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PositionQuery {
    from: usize,
}

/// Returns what has changed since a position, for browsers without a stream.
pub(crate) async fn progress(
    State(web): State<Web>,
    ui: Ui,
    allowed: Allowed<permission::Read>,
    Path(id): Path<String>,
    Query(query): Query<PositionQuery>,
) -> Result<Json<Update>, WebError> {
    let transaction = read(&web, &allowed, &id).await?;
    Ok(Json(Update::new(&transaction, query.from, ui.language)))
}

#[cfg(test)]
pub(crate) mod tests {
    use relation_host::types::Timestamp;

    use super::*;

    fn line(message: &str) -> LogLine {
        LogLine {
            at: Timestamp(1_795_975_200_000),
            level: Level::Info,
            message: message.to_owned(),
        }
    }

    pub(crate) fn sample() -> Transaction {
        Transaction {
            id: "01990000-0000-7000-8000-000000000001".to_owned(),
            action: "sync".to_owned(),
            subject: Some(relation_host::types::Reference::record(
                relation_host::types::Pkid::from_bytes([1; 12]),
            )),
            subject_name: "Contoso".to_owned(),
            hierarchy: None,
            originator: None,
            request: None,
            status: Status::Processing,
            progress: None,
            message: String::new(),
            submitted: Timestamp(1_795_975_200_000),
            started: Timestamp(1_795_975_200_000),
            completed: None,
            log: vec![line("one"), line("two"), line("Con\u{202e}toso")],
            secret_accesses: Vec::new(),
            omitted_accesses: 0,
        }
    }

    #[test]
    fn link_to_an_unnamed_record_has_a_text() {
        let ui = Ui::sample(Language::English, "/transactions", &[]);
        let begun = Transaction {
            subject_name: String::new(),
            ..sample()
        };
        let row = TransactionRow::new(&begun, &ui);
        assert_eq!(row.record, Some(row.subject));
        assert_eq!(TransactionRow::new(&sample(), &ui).subject, "Contoso");
    }

    #[test]
    fn update_has_the_lines_after_a_position() {
        let update = Update::new(&sample(), 1, Language::English);
        let messages: Vec<&str> = update
            .lines
            .iter()
            .map(|line| line.message.as_str())
            .collect();
        assert_eq!(messages, ["two", "Con\\u{202e}toso"]);
        assert_eq!((update.position, update.running), (3, true));
        assert_eq!(update.lines[0].at, "18:00:00");
        let none = Update::new(&sample(), usize::MAX, Language::English);
        assert!(none.lines.is_empty());
    }
}
