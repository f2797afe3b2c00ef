//! `transactions`: the record of every call; one with its log, or many; followed as they run.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use relation_host::store::Store;
use relation_host::transactions::{Level, LogLine, Status, Transaction, TransactionFilter};
use relation_host::types::{Hierarchy, Reference, Timestamp};
use serde::Serialize;

use super::page::PageArgs;
use crate::failure::{Failed, Kind};
use crate::output::{Output, shown};
use crate::records::Named;
use crate::stop::Stop;
use crate::table::{Column, Rows, pairs};
use crate::{Context, time};

/// How often a followed transaction is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How many of the newest transactions are watched when all are followed.
const WATCHED: u32 = 100;

/// Arguments of `transactions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One transaction, with its log
    #[arg(value_name = "ID", conflicts_with_all = ["subject", "status", "action", "limit", "cursor", "all"])]
    id: Option<String>,
    /// Go on printing as things happen: the log of the one until it ends, or every transaction as it
    /// starts and ends, until stopped. With --json, one object a line
    #[arg(long, short, conflicts_with_all = ["cursor", "all"])]
    follow: bool,
    /// Only those of this record, by pkid or by name
    #[arg(long, value_name = "RECORD")]
    subject: Option<String>,
    /// Where to look for that name
    #[arg(long, value_name = "PATH", requires = "subject")]
    hierarchy: Option<Hierarchy>,
    /// Only those with this status: processing, success or fail
    #[arg(long, value_name = "STATUS", value_parser = status)]
    status: Option<Status>,
    /// Only those with this action, such as refresh
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    #[command(flatten)]
    page: PageArgs,
}

fn status(text: &str) -> Result<Status, String> {
    [Status::Processing, Status::Success, Status::Fail]
        .into_iter()
        .find(|status| status.as_str().eq_ignore_ascii_case(text))
        .ok_or_else(|| "statuses are processing, success and fail".to_owned())
}

/// Prints one or a page of them, and goes on if asked to.
pub async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let store = context.store()?;
    let output = context.output;
    if let Some(id) = &args.id {
        return match args.follow {
            true => follow_one(store.as_ref(), output, id).await,
            false => {
                let transaction = one(store.as_ref(), id).await?;
                let now = context.now();
                output.print(&transaction, |transaction| detail(transaction, now))
            }
        };
    }
    let filter = TransactionFilter {
        subject: match args.subject {
            Some(record) => {
                let hierarchy = args.hierarchy;
                Some(subject(store.as_ref(), Named { record, hierarchy }).await?)
            }
            None => None,
        },
        status: args.status,
        action: args.action,
    };
    if args.follow {
        return follow_all(store.as_ref(), output, &filter).await;
    }
    let page = args
        .page
        .fetch(async |cursor, limit| store.transactions(&filter, cursor.as_deref(), limit).await)
        .await?;
    let now = context.now();
    output.page(&page.items, page.next.as_deref(), |items| rows(items, now))
}

/// The record that is meant. One that was deleted has transactions too, and is known by its pkid.
async fn subject(store: &dyn Store, named: Named) -> Result<Reference, Failed> {
    match named.find(store).await {
        Ok(record) => Ok(record.reference()),
        Err(failed) if failed.kind == Kind::NotFound => match named.record.parse() {
            Ok(pkid) => Ok(Reference::record(pkid)),
            Err(_) => Err(failed.hint("a record that was deleted is named by its pkid")),
        },
        Err(failed) => Err(failed),
    }
}

async fn one(store: &dyn Store, id: &str) -> Result<Transaction, Failed> {
    store.transaction(id).await?.ok_or_else(|| {
        Failed::new(Kind::NotFound, format!("no transaction has the id {id:?}"))
            .hint("`relation-host transactions` shows the newest")
    })
}

/// What happens to a followed transaction, as JSON.
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

/// Prints the log as it grows; ends with the transaction, and as it did.
async fn follow_one(store: &dyn Store, output: Output, id: &str) -> Result<(), Failed> {
    let mut printed = 0;
    let mut progress = None;
    loop {
        let transaction = one(store, id).await?;
        for line in transaction.log.iter().skip(printed) {
            output.line(&Event::Log { line }, |_| log_line(line))?;
        }
        printed = printed.max(transaction.log.len());
        if transaction.progress != progress {
            progress.clone_from(&transaction.progress);
            if let Some(progress) = &progress {
                let message = progress.to_string();
                let event = Event::Progress { message };
                output.line(&event, |_| shown(&progress.to_string()))?;
            }
        }
        if transaction.status != Status::Processing {
            let event = Event::Transaction {
                transaction: &transaction,
            };
            output.line(&event, |_| ended(&transaction))?;
            return match transaction.status {
                Status::Fail => Err(Failed::new(Kind::Failed, transaction.message)),
                _ => Ok(()),
            };
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Prints transactions as they start and end, from the newest page on, until stopped.
async fn follow_all(
    store: &dyn Store,
    output: Output,
    filter: &TransactionFilter,
) -> Result<(), Failed> {
    let stop = Stop::listen()?;
    let mut seen = Seen::default();
    loop {
        let page = store.transactions(filter, None, WATCHED).await?;
        // The newest come first, and are to be printed last.
        for transaction in page.items.iter().rev() {
            if seen.is_news(transaction) {
                output.line(transaction, ended)?;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.signalled() => return Ok(()),
        }
    }
}

/// Which transactions were printed in which status. Forgets those that are off the watched page.
#[derive(Default)]
struct Seen {
    statuses: HashMap<String, Status>,
    order: VecDeque<String>,
}

impl Seen {
    fn is_news(&mut self, transaction: &Transaction) -> bool {
        let id = &transaction.id;
        match self.statuses.insert(id.clone(), transaction.status) {
            Some(status) => status != transaction.status,
            None => {
                self.order.push_back(id.clone());
                if self.order.len() > 10 * WATCHED as usize
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.statuses.remove(&oldest);
                }
                true
            }
        }
    }
}

fn rows(transactions: &[Transaction], now: Timestamp) -> String {
    let mut rows = Rows::under(&[
        Column::new("started (UTC)").dropped(3),
        Column::new("action"),
        Column::new("of").shortened(12),
        Column::new("status"),
        Column::new("took").dropped(1),
        Column::new("message").shortened(12),
        Column::new("id").dropped(2),
    ]);
    for transaction in transactions {
        rows.add([
            time::stamp(transaction.started),
            transaction.action.clone(),
            subject_name(transaction),
            transaction.status.as_str().to_owned(),
            took(transaction, now),
            message(transaction),
            transaction.id.clone(),
        ]);
    }
    rows.to_string()
}

fn detail(transaction: &Transaction, now: Timestamp) -> String {
    let subject = transaction
        .subject
        .as_ref()
        .map_or_else(|| "-".to_owned(), Reference::to_string);
    let completed = transaction
        .completed
        .map_or_else(|| "-".to_owned(), time::moment);
    let lines = pairs([
        ("id", transaction.id.clone()),
        ("action", transaction.action.clone()),
        ("of", subject_name(transaction)),
        ("subject", subject),
        ("status", transaction.status.as_str().to_owned()),
        ("message", message(transaction)),
        ("submitted", time::moment(transaction.submitted)),
        ("started", time::moment(transaction.started)),
        ("completed", completed),
        ("took", took(transaction, now)),
    ]);
    let mut blocks = vec![lines.to_string()];
    if !transaction.secret_accesses.is_empty() {
        blocks.push(reveals(transaction));
    }
    if !transaction.log.is_empty() {
        let log: Vec<String> = transaction.log.iter().map(log_line).collect();
        blocks.push(log.join("\n"));
    }
    blocks.join("\n\n")
}

/// The secrets that it opened, or tried to.
fn reveals(transaction: &Transaction) -> String {
    let mut rows = Rows::under(&[
        Column::new("secret").shortened(12),
        Column::new("of").tail(12),
        Column::new("outcome"),
        Column::new("at").dropped(1),
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

/// One transaction on one line.
fn ended(transaction: &Transaction) -> String {
    let name = shown(&subject_name(transaction));
    let at = transaction.completed.unwrap_or(transaction.started);
    let (status, action) = (transaction.status.as_str(), shown(&transaction.action));
    let message = shown(&message(transaction));
    let id = &transaction.id;
    format!(
        "{} {status:10} {action} {name}: {message} ({id})",
        time::moment(at)
    )
}

/// What a person calls it; its pkid where the call did not get as far as its name.
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

/// Calls are short: below a minute it is told in milliseconds.
fn took(transaction: &Transaction, now: Timestamp) -> String {
    let took = transaction
        .completed
        .unwrap_or(now)
        .since(transaction.started);
    match took.as_secs() {
        0..60 => format!("{} ms", took.as_millis()),
        _ => time::span(took),
    }
}

fn log_line(line: &LogLine) -> String {
    let level = match line.level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Error => "error",
    };
    format!("{} {level:7} {}", line.at, shown(&line.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(id: &str, status: Status) -> Transaction {
        Transaction {
            id: id.to_owned(),
            action: "refresh".to_owned(),
            subject: None,
            subject_name: "Acme".to_owned(),
            status,
            progress: None,
            message: "done".to_owned(),
            submitted: Timestamp(0),
            started: Timestamp(1000),
            completed: Some(Timestamp(1250)),
            log: Vec::new(),
            secret_accesses: Vec::new(),
            omitted_accesses: 0,
        }
    }

    #[test]
    fn a_followed_transaction_is_news_when_it_starts_and_when_it_ends() {
        let mut seen = Seen::default();
        assert!(seen.is_news(&transaction("a", Status::Processing)));
        assert!(!seen.is_news(&transaction("a", Status::Processing)));
        assert!(seen.is_news(&transaction("a", Status::Success)));
        assert!(!seen.is_news(&transaction("a", Status::Success)));
        assert!(seen.is_news(&transaction("b", Status::Success)));
    }

    #[test]
    fn a_transaction_fits_on_a_line() {
        assert_eq!(
            ended(&transaction("t1", Status::Success)),
            "1970-01-01 00:00:01 UTC Success    refresh Acme: done (t1)"
        );
        assert_eq!(
            took(&transaction("t1", Status::Success), Timestamp(0)),
            "250 ms"
        );
    }

    #[test]
    fn a_status_is_named_in_either_case() {
        assert_eq!(status("processing"), Ok(Status::Processing));
        assert_eq!(status("Fail"), Ok(Status::Fail));
        assert!(status("queued").is_err());
    }
}
