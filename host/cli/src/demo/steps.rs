//! Reports and checks each step: what happened, the customer's connection, and what the store contains.

use std::collections::BTreeMap;
use std::fmt::Debug;

use relation_app::records;
use relation_app::{AppError, ErrorKind};
use relation_host::reports::{ConnectionReport, RecordDetails};
use relation_host::text::format_span;
use relation_host::types::{Filter, Key, Pkid, Reference, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::environment::Environment;
use crate::output::{Output, escape_control_chars};
use crate::table::pair_table;
use crate::time;

/// The models whose documents the store may contain.
const MODELS: [&str; 8] = [
    "data/SparkCustomer",
    "data/SparkCustomerShadow",
    "data/DataSync",
    "data/Schedule",
    "data/Alert",
    "data/SparkImport",
    "device/spark/Role",
    "device/spark/License",
];
/// More documents than the demo creates of any model.
const MAX_DOCUMENTS: u32 = 1000;

/// A run of the demo.
pub struct DemoRun {
    /// The environment.
    pub environment: Environment,
    /// The customer, after it is added.
    pub customer: Option<Pkid>,
    /// The number of alerts raised so far.
    pub alerts: usize,
    output: Output,
    write_error: Option<AppError>,
    steps: usize,
    began_at: Timestamp,
}

/// The checks of a step.
#[derive(Default)]
pub struct Checks(Vec<Check>);

#[derive(Serialize)]
struct Check {
    #[serde(rename = "what")]
    claim: String,
    holds: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
}

/// The content of the store.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoreContents {
    /// The number of documents by model.
    pub documents: BTreeMap<String, usize>,
    /// The number of wakeups.
    pub wakeups: usize,
}

#[derive(Serialize)]
struct Step<'a> {
    step: usize,
    title: &'a str,
    happened: &'a str,
    /// Simulated days since the start.
    day: u64,
    at: Timestamp,
    connection: Option<ConnectionReport>,
    #[serde(flatten)]
    contents: StoreContents,
    token_requests: usize,
    ok: bool,
    checks: &'a [Check],
}

impl Checks {
    /// Adds a check of a condition.
    pub fn holds(&mut self, claim: impl Into<String>, holds: bool) {
        self.0.push(Check {
            claim: claim.into(),
            holds,
            found: None,
        });
    }

    /// Adds a check of equality. A failed check reports both values.
    pub fn equal<T: PartialEq + Debug>(&mut self, claim: impl Into<String>, found: T, expected: T) {
        let holds = found == expected;
        self.0.push(Check {
            claim: claim.into(),
            holds,
            found: (!holds).then(|| format!("{found:?} in place of {expected:?}")),
        });
    }
}

impl DemoRun {
    /// Starts a run before its first step.
    pub fn new(environment: Environment, json: bool) -> Self {
        Self {
            began_at: environment.now(),
            environment,
            customer: None,
            alerts: 0,
            output: Output { json },
            write_error: None,
            steps: 0,
        }
    }

    /// Ends a step: prints it, and fails if one of its checks failed.
    pub async fn finish_step(
        &mut self,
        title: &str,
        happened: &str,
        mut checks: Checks,
    ) -> Result<(), AppError> {
        let violations = self.environment.webex.violations();
        checks.equal(
            "no refresh token was sent twice concurrently, and no token that was known to be invalid",
            violations,
            Vec::new(),
        );
        self.steps += 1;
        let step = Step {
            step: self.steps,
            title,
            happened,
            day: self.environment.now().since(self.began_at).as_secs() / 86_400,
            at: self.environment.now(),
            connection: self.record().await?.map(|record| record.connection),
            contents: self.store_contents().await?,
            token_requests: self.environment.token_requests(),
            ok: checks.0.iter().all(|check| check.holds),
            checks: &checks.0,
        };
        if self.write_error.is_none() {
            self.write_error = self.output.line(&step, render_text).err();
        }
        if step.ok {
            return Ok(());
        }
        let wrong: Vec<String> = checks
            .0
            .iter()
            .filter(|check| !check.holds)
            .map(|check| match &check.found {
                Some(found) => format!("\n  {}: {found}", check.claim),
                None => format!("\n  {}", check.claim),
            })
            .collect();
        let message = format!("step {}, {title:?}, failed:{}", self.steps, wrong.concat());
        Err(AppError::new(ErrorKind::Failed, message))
    }

    /// Returns the customer, which must have been added.
    pub fn customer(&self) -> Result<Pkid, AppError> {
        self.customer
            .clone()
            .ok_or_else(|| AppError::new(ErrorKind::Failed, "the customer was not added"))
    }

    /// Returns the customer's record, if it exists.
    pub async fn record(&self) -> Result<Option<RecordDetails>, AppError> {
        let Some(pkid) = &self.customer else {
            return Ok(None);
        };
        let store = self.environment.host.store();
        let found = store.get(&[Reference::record(pkid.clone())]).await?;
        match found.into_iter().flatten().next() {
            Some(document) => {
                let record = records::show(&self.environment.host, &document.into()).await?;
                Ok(Some(record))
            }
            None => Ok(None),
        }
    }

    /// Returns the customer's connection. Fails if the record does not exist.
    pub async fn connection(&self) -> Result<ConnectionReport, AppError> {
        match self.record().await? {
            Some(record) => Ok(record.connection),
            None => Err(AppError::new(
                ErrorKind::Failed,
                "the customer is not in the store",
            )),
        }
    }

    /// Returns the active alerts, as stored.
    pub async fn active_alerts(&self) -> Result<Vec<Map<String, Value>>, AppError> {
        let owner = self.customer.as_ref().map(|pkid| Key {
            name: "owner".to_owned(),
            value: pkid.to_string(),
        });
        let filter = Filter {
            model: "data/Alert".to_owned(),
            hierarchy: None,
            equals: owner.into_iter().collect(),
        };
        let page = self
            .environment
            .host
            .store()
            .find(&filter, None, MAX_DOCUMENTS)
            .await?;
        let bodies = page.items.iter();
        Ok(bodies
            .filter_map(|document| serde_json::from_str(&document.body).ok())
            .collect())
    }

    /// Returns what the store contains.
    pub async fn store_contents(&self) -> Result<StoreContents, AppError> {
        let store = self.environment.host.store();
        let mut documents = BTreeMap::new();
        for model in MODELS {
            let filter = Filter {
                model: model.to_owned(),
                hierarchy: None,
                equals: Vec::new(),
            };
            let found = store.find(&filter, None, MAX_DOCUMENTS).await?.items.len();
            if found > 0 {
                documents.insert(model.to_owned(), found);
            }
        }
        let wakeups = store.upcoming(None, None, MAX_DOCUMENTS).await?.items.len();
        Ok(StoreContents { documents, wakeups })
    }

    /// Prints the summary.
    pub async fn summary(self) -> Result<(), AppError> {
        if let Some(error) = self.write_error {
            return Err(error);
        }
        let simulated = self.environment.now().since(self.began_at);
        let took = self.environment.started.elapsed();
        let refreshes = self.environment.token_requests();
        let requests = self.environment.webex.requests().len();
        let summary = json!({ "summary": {
            "steps": self.steps,
            "token_requests": refreshes,
            "requests": requests,
            "alerts": self.alerts,
            "simulated_seconds": simulated.as_secs(),
            "real_milliseconds": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }});
        self.output.line(&summary, |_| {
            let lines = pair_table([
                ("steps, all successful", self.steps.to_string()),
                ("token requests", refreshes.to_string()),
                ("requests to Webex in total", requests.to_string()),
                ("alerts raised", self.alerts.to_string()),
                ("simulated time", format_span(simulated)),
                ("real time", format!("{:.1} s", took.as_secs_f64())),
            ]);
            format!("Summary\n{lines}")
        })
    }
}

fn render_text(step: &Step<'_>) -> String {
    let mut lines = vec![format!("{}. {} (day {})", step.step, step.title, step.day)];
    lines.extend(step.happened.lines().map(|line| format!("   {line}")));
    if let Some(connection) = &step.connection {
        let left = |expiry| time::format_token_remaining(expiry, step.at);
        let access = left(connection.access_token_expires.as_ref());
        let refresh = left(connection.refresh_token_expires.as_ref());
        let next = match connection.next_refresh {
            Some(at) => format!("next refresh {}", time::format_due(at, step.at)),
            None => "no refresh scheduled".to_owned(),
        };
        let (name, state) = (escape_control_chars(&connection.name), connection.state);
        lines.push(format!(
            "   {name}: {state}, access token {access}, refresh token {refresh}, {next}"
        ));
    }
    lines.push(format!(
        "   in the store: {}",
        render_contents(&step.contents)
    ));
    for check in step.checks {
        let verdict = if check.holds { "ok   " } else { "WRONG" };
        let found = match &check.found {
            Some(found) => format!(": {}", escape_control_chars(found)),
            None => String::new(),
        };
        lines.push(format!("   {verdict} {}{found}", check.claim));
    }
    lines.push(String::new());
    lines.join("\n") + "\n"
}

fn render_contents(contents: &StoreContents) -> String {
    let documents = contents.documents.iter();
    let mut parts: Vec<String> = documents
        .map(|(model, count)| format!("{count} {model}"))
        .collect();
    if contents.wakeups > 0 {
        parts.push(format!("{} wakeups", contents.wakeups));
    }
    match parts.is_empty() {
        true => "nothing".to_owned(),
        false => parts.join(", "),
    }
}
