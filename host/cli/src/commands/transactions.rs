//! `transactions`: lists transactions, shows one with its log, or follows them.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use relation_app::{AppError, ErrorKind};
use relation_host::store::Store;
use relation_host::text::format_span;
use relation_host::transactions::{Level, LogLine, Status, Transaction, TransactionFilter};
use relation_host::types::{Hierarchy, Reference, Timestamp};
use serde::Serialize;

use super::page::PageArgs;
use crate::output::{Output, escape_control_chars};
use crate::record_selector::RecordSelector;
use crate::shutdown::Shutdown;
use crate::table::{Column, MAX_NAME_WIDTH, Table, pair_table};
use crate::{Context, time};

/// How often followed transactions are read.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The length of an id, a UUID.
const ID_LENGTH: usize = 36;
/// The maximum number of transactions that the error of an ambiguous id lists.
const MAX_CANDIDATES: u32 = 10;
/// The maximum number of parts that are shown with a transaction.
const MAX_PARTS: u32 = 1000;
/// The number of newest transactions that are followed.
const FOLLOWED_PAGE_SIZE: u32 = 100;

/// Arguments of `transactions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show this transaction with its log; the beginning of its id is enough
    #[arg(value_name = "ID", conflicts_with_all = ["subject", "status", "action", "limit", "cursor", "all"])]
    id: Option<String>,
    /// Follow: print the log of the given transaction until it ends, or every transaction as it starts and
    /// ends, until stopped. With --json, one object per line
    #[arg(long, short, conflicts_with_all = ["cursor", "all"])]
    follow: bool,
    /// Only transactions of this record, by pkid or by name
    #[arg(long, value_name = "RECORD")]
    subject: Option<String>,
    /// The node at or below which the name is looked up
    #[arg(long, value_name = "PATH", requires = "subject")]
    hierarchy: Option<Hierarchy>,
    /// Only transactions with this status: queued, processing, success, success-with-async-failures or fail
    #[arg(long, value_name = "STATUS", value_parser = parse_status)]
    status: Option<Status>,
    /// Only transactions with this action, such as refresh
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    #[command(flatten)]
    page: PageArgs,
}

fn parse_status(text: &str) -> Result<Status, String> {
    let words = text.replace('-', " ");
    Status::ALL
        .into_iter()
        .find(|status| status.as_str().eq_ignore_ascii_case(&words))
        .ok_or_else(|| {
            "statuses are queued, processing, success, success-with-async-failures and fail"
                .to_owned()
        })
}

/// Prints one transaction or a page of them, or follows them.
pub async fn run(context: &Context, args: Args) -> Result<(), AppError> {
    let store = context.installation.store_to_read().await?;
    let output = context.output;
    if let Some(id) = &args.id {
        let id = resolve_id(store.as_ref(), id).await?;
        return match args.follow {
            true => follow_one(store.as_ref(), output, &id).await,
            false => {
                let transaction = find_transaction(store.as_ref(), &id).await?;
                let parts = find_parts(store.as_ref(), &id).await?;
                let now = context.installation.now();
                let detail = TransactionDetail { transaction, parts };
                output.print(&detail, |detail| render_detail(detail, now))
            }
        };
    }
    let filter = TransactionFilter {
        subject: match args.subject {
            Some(record) => {
                let hierarchy = args.hierarchy;
                Some(find_subject(store.as_ref(), RecordSelector { record, hierarchy }).await?)
            }
            None => None,
        },
        status: args.status,
        action: args.action,
        ..TransactionFilter::default()
    };
    if args.follow {
        return follow_all(store.as_ref(), output, &filter).await;
    }
    let page = args
        .page
        .fetch(async |cursor, limit| store.transactions(&filter, cursor.as_deref(), limit).await)
        .await?;
    let now = context.installation.now();
    output.page(&page.items, page.next.as_deref(), |items| {
        render_rows(items, now)
    })
}

/// Finds the record of `--subject`. A deleted record still has transactions, and is named by its pkid.
async fn find_subject(store: &dyn Store, selector: RecordSelector) -> Result<Reference, AppError> {
    match selector.find(store).await {
        Ok(record) => Ok(record.reference()),
        Err(error) if error.kind == ErrorKind::NotFound => match selector.record.parse() {
            Ok(pkid) => Ok(Reference::record(pkid)),
            Err(_) => Err(error.hint("a record that was deleted is named by its pkid")),
        },
        Err(error) => Err(error),
    }
}

/// Finds the id of the only transaction whose id begins with `prefix`. Returns a whole id as it is.
async fn resolve_id(store: &dyn Store, prefix: &str) -> Result<String, AppError> {
    let prefix = prefix.trim().to_lowercase();
    if prefix.len() >= ID_LENGTH || prefix.is_empty() {
        return Ok(prefix);
    }
    let filter = TransactionFilter {
        id_prefix: Some(prefix.clone()),
        ..TransactionFilter::default()
    };
    let page = store.transactions(&filter, None, MAX_CANDIDATES).await?;
    match page.items.as_slice() {
        [] => Err(not_found_error(&prefix)),
        [transaction] => Ok(transaction.id.clone()),
        candidates => {
            let lines = candidates.iter().map(|candidate| {
                let started = time::format_utc(candidate.started);
                let (id, action) = (&candidate.id, &candidate.action);
                format!("\n  {id}  {started}  {action} {}", subject_name(candidate))
            });
            let lines: String = lines.collect();
            let more = if page.next.is_some() {
                "\n  and more"
            } else {
                ""
            };
            Err(AppError::usage(format!(
                "the ids of several transactions begin with {prefix:?}:{lines}{more}"
            ))
            .hint("give more characters of the id"))
        }
    }
}

fn not_found_error(id: &str) -> AppError {
    AppError::new(
        ErrorKind::NotFound,
        format!("no transaction has the id {id:?}"),
    )
    .hint("`relation-host transactions` shows the newest")
}

async fn find_transaction(store: &dyn Store, id: &str) -> Result<Transaction, AppError> {
    let found = store.transaction(id).await?;
    found.ok_or_else(|| not_found_error(id))
}

/// Returns the parts of a transaction, the first one first.
async fn find_parts(store: &dyn Store, id: &str) -> Result<Vec<Transaction>, AppError> {
    let filter = TransactionFilter {
        parent: Some(id.to_owned()),
        ..TransactionFilter::default()
    };
    let page = store.transactions(&filter, None, MAX_PARTS).await?;
    Ok(page.items.into_iter().rev().collect())
}

/// A transaction with its parts.
#[derive(Serialize)]
struct TransactionDetail {
    #[serde(flatten)]
    transaction: Transaction,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Transaction>,
}

/// An event of a followed transaction, as JSON.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event<'a> {
    Log {
        #[serde(flatten)]
        line: &'a LogLine,
    },
    Progress {
        message: String,
    },
    Transaction {
        #[serde(flatten)]
        transaction: &'a Transaction,
    },
}

/// Prints the log as it grows, until the transaction ends. Fails if the transaction failed.
async fn follow_one(store: &dyn Store, output: Output, id: &str) -> Result<(), AppError> {
    let mut printed = 0;
    let mut progress = None;
    loop {
        let transaction = find_transaction(store, id).await?;
        for line in transaction.log.iter().skip(printed) {
            output.line(&Event::Log { line }, |_| render_log_line(line))?;
        }
        printed = printed.max(transaction.log.len());
        if transaction.progress != progress {
            progress.clone_from(&transaction.progress);
            if let Some(progress) = &progress {
                let message = progress.to_string();
                let event = Event::Progress { message };
                output.line(&event, |_| escape_control_chars(&progress.to_string()))?;
            }
        }
        if transaction.status.is_ended() {
            let event = Event::Transaction {
                transaction: &transaction,
            };
            output.line(&event, |_| render_line(&transaction))?;
            return match transaction.status {
                Status::Fail | Status::SuccessWithAsyncFailures => {
                    Err(AppError::new(ErrorKind::Failed, transaction.message))
                }
                _ => Ok(()),
            };
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Prints transactions as they start and end, beginning with the newest page, until stopped.
async fn follow_all(
    store: &dyn Store,
    output: Output,
    filter: &TransactionFilter,
) -> Result<(), AppError> {
    let shutdown = Shutdown::listen()?;
    let mut printed = PrintedStatuses::default();
    loop {
        let page = store.transactions(filter, None, FOLLOWED_PAGE_SIZE).await?;
        // The newest come first in the page, and are printed last.
        for transaction in page.items.iter().rev() {
            if printed.note_status(transaction) {
                output.line(transaction, render_line)?;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(POLL_INTERVAL) => {}
            () = shutdown.wait() => return Ok(()),
        }
    }
}

/// The last printed status of each transaction. Forgets old transactions.
#[derive(Default)]
struct PrintedStatuses {
    statuses: HashMap<String, Status>,
    order: VecDeque<String>,
}

impl PrintedStatuses {
    fn note_status(&mut self, transaction: &Transaction) -> bool {
        let id = &transaction.id;
        match self.statuses.insert(id.clone(), transaction.status) {
            Some(status) => status != transaction.status,
            None => {
                self.order.push_back(id.clone());
                if self.order.len() > 10 * FOLLOWED_PAGE_SIZE as usize
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.statuses.remove(&oldest);
                }
                true
            }
        }
    }
}

fn render_rows(transactions: &[Transaction], now: Timestamp) -> String {
    let mut rows = Table::with_columns(&[
        Column::new("started (UTC)").droppable(3),
        Column::new("action"),
        Column::new("of").shortened(12).at_most(MAX_NAME_WIDTH),
        Column::new("status"),
        Column::new("took").droppable(1),
        Column::new("message").shortened(12),
        Column::new("id").droppable(2),
    ]);
    for transaction in transactions {
        rows.add([
            time::format_timestamp(transaction.started),
            transaction.action.clone(),
            subject_name(transaction),
            transaction.status.as_str().to_owned(),
            format_took(transaction, now),
            message(transaction),
            transaction.id.clone(),
        ]);
    }
    rows.to_string()
}

fn render_detail(detail: &TransactionDetail, now: Timestamp) -> String {
    let TransactionDetail { transaction, parts } = detail;
    let subject = transaction
        .subject
        .as_ref()
        .map_or_else(|| "-".to_owned(), Reference::to_string);
    let completed = transaction
        .completed
        .map_or_else(|| "-".to_owned(), time::format_utc);
    let mut rows = vec![
        ("id", transaction.id.clone()),
        ("action", transaction.action.clone()),
        ("of", subject_name(transaction)),
        ("subject", subject),
    ];
    let node = transaction.hierarchy.as_ref();
    rows.extend(node.map(|node| ("node", node.to_string())));
    if let Some(originator) = &transaction.originator {
        rows.push(("user", originator.user.clone()));
        let id = originator.external_id.clone();
        rows.extend(id.map(|id| ("external id", id)));
        let reference = originator.external_reference.clone();
        rows.extend(reference.map(|reference| ("external reference", reference)));
    }
    rows.extend([
        ("status", transaction.status.as_str().to_owned()),
        ("message", message(transaction)),
        ("submitted", time::format_utc(transaction.submitted)),
        ("started", time::format_utc(transaction.started)),
        ("completed", completed),
        ("took", format_took(transaction, now)),
    ]);
    let mut blocks = vec![pair_table(rows).to_string()];
    if !parts.is_empty() {
        blocks.push(render_parts(parts));
    }
    if !transaction.secret_accesses.is_empty() {
        blocks.push(render_reveals(transaction));
    }
    if !transaction.log.is_empty() {
        let log: Vec<String> = transaction.log.iter().map(render_log_line).collect();
        blocks.push(log.join("\n"));
    }
    blocks.join("\n\n")
}

// No durations: a part that was done in an earlier call ends with this one.
fn render_parts(parts: &[Transaction]) -> String {
    let mut rows = Table::with_columns(&[
        Column::new("part"),
        Column::new("status"),
        Column::new("message").shortened(12),
    ]);
    for part in parts {
        rows.add([
            part.action.clone(),
            part.status.as_str().to_owned(),
            message(part),
        ]);
    }
    rows.to_string()
}

/// Renders the secrets that the call revealed, or tried to reveal.
fn render_reveals(transaction: &Transaction) -> String {
    let mut rows = Table::with_columns(&[
        Column::new("secret").shortened(12),
        Column::new("of").tail(12),
        Column::new("outcome"),
        Column::new("at").droppable(1),
    ]);
    for reveal in &transaction.secret_accesses {
        let owner = reveal.owner.as_ref();
        rows.add([
            reveal.name.clone(),
            owner.map_or_else(|| "the installation".to_owned(), Reference::to_string),
            reveal.outcome.as_str().to_owned(),
            reveal.at.to_string(),
        ]);
    }
    match transaction.omitted_accesses {
        0 => rows.to_string(),
        more => format!("{rows}\nand {more} more"),
    }
}

/// Renders a transaction on one line.
fn render_line(transaction: &Transaction) -> String {
    let name = escape_control_chars(&subject_name(transaction));
    let at = transaction.completed.unwrap_or(transaction.started);
    let (status, action) = (
        transaction.status.as_str(),
        escape_control_chars(&transaction.action),
    );
    let message = escape_control_chars(&message(transaction));
    let id = &transaction.id;
    format!(
        "{} {status:10} {action} {name}: {message} ({id})",
        time::format_utc(at)
    )
}

/// Returns the customer's name, or its pkid if the call ended before the name was known.
fn subject_name(transaction: &Transaction) -> String {
    match (transaction.subject_name.as_str(), &transaction.subject) {
        ("", Some(subject)) => subject.pkid.to_string(),
        ("", None) => "-".to_owned(),
        (name, _) => name.to_owned(),
    }
}

fn message(transaction: &Transaction) -> String {
    match (&transaction.progress, transaction.status) {
        (Some(progress), Status::Processing) => progress.to_string(),
        _ => transaction.message.clone(),
    }
}

/// Formats the duration. Calls are short, so durations below a minute are in milliseconds.
fn format_took(transaction: &Transaction, now: Timestamp) -> String {
    let took = transaction
        .completed
        .unwrap_or(now)
        .since(transaction.started);
    match took.as_secs() {
        0..60 => format!("{} ms", took.as_millis()),
        _ => format_span(took),
    }
}

fn render_log_line(line: &LogLine) -> String {
    let level = match line.level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Error => "error",
    };
    format!(
        "{} {level:7} {}",
        line.at,
        escape_control_chars(&line.message)
    )
}

#[cfg(test)]
mod tests;
