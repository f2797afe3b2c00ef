//! Tells each step: what happened, how the customer stands, what the store holds, and whether that is
//! what it should be.

use std::collections::BTreeMap;
use std::fmt::Debug;

use relation_host::reports::Connection;
use relation_host::types::{Filter, Key, Pkid, Reference, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::stage::Stage;
use crate::failure::{Failed, Kind};
use crate::output::{Output, shown};
use crate::records::Record;
use crate::table::pairs;
use crate::time;

/// Every model of which the store may hold documents.
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
/// More documents of one model than the demo makes.
const MANY: u32 = 1000;

/// The demo as it is told.
pub struct Story {
    /// Where it plays.
    pub stage: Stage,
    /// The customer, once it is added.
    pub customer: Option<Pkid>,
    /// Alerts that were raised so far.
    pub alerts: usize,
    output: Output,
    unwritten: Option<Failed>,
    steps: usize,
    began: Timestamp,
}

/// What a step makes sure of.
#[derive(Default)]
pub struct Checks(Vec<Check>);

#[derive(Serialize)]
struct Check {
    what: String,
    holds: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
}

/// What the store holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Holdings {
    /// How many documents of which model.
    pub documents: BTreeMap<String, usize>,
    /// How many wakeups.
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
    connection: Option<Connection>,
    #[serde(flatten)]
    holdings: Holdings,
    token_requests: usize,
    ok: bool,
    checks: &'a [Check],
}

impl Checks {
    /// This must hold.
    pub fn holds(&mut self, what: impl Into<String>, holds: bool) {
        self.0.push(Check {
            what: what.into(),
            holds,
            found: None,
        });
    }

    /// This must be so; otherwise what was found is told.
    pub fn equal<T: PartialEq + Debug>(&mut self, what: impl Into<String>, found: T, expected: T) {
        let holds = found == expected;
        self.0.push(Check {
            what: what.into(),
            holds,
            found: (!holds).then(|| format!("{found:?} in place of {expected:?}")),
        });
    }
}

impl Story {
    /// The story before its first step.
    pub fn new(stage: Stage, json: bool) -> Self {
        Self {
            began: stage.now(),
            stage,
            customer: None,
            alerts: 0,
            output: Output { json },
            unwritten: None,
            steps: 0,
        }
    }

    /// Ends a step: prints it, and fails if one of its checks does not hold.
    pub async fn tell(
        &mut self,
        title: &str,
        happened: &str,
        mut checks: Checks,
    ) -> Result<(), Failed> {
        let violations = self.stage.webex.violations();
        checks.equal(
            "Webex saw no refresh token twice at once, and no token that was known to be dead",
            violations,
            Vec::new(),
        );
        self.steps += 1;
        let step = Step {
            step: self.steps,
            title,
            happened,
            day: self.stage.now().since(self.began).as_secs() / 86_400,
            at: self.stage.now(),
            connection: self.record().await?.map(|record| record.summary()),
            holdings: self.holdings().await?,
            token_requests: self.stage.token_requests(),
            ok: checks.0.iter().all(|check| check.holds),
            checks: &checks.0,
        };
        if self.unwritten.is_none() {
            self.unwritten = self.output.line(&step, human).err();
        }
        if step.ok {
            return Ok(());
        }
        let wrong: Vec<String> = checks
            .0
            .iter()
            .filter(|check| !check.holds)
            .map(|check| match &check.found {
                Some(found) => format!("\n  {}: {found}", check.what),
                None => format!("\n  {}", check.what),
            })
            .collect();
        let message = format!(
            "step {}, {title:?}, did not end as it should:{}",
            self.steps,
            wrong.concat()
        );
        Err(Failed::new(Kind::Failed, message))
    }

    /// The customer, which must have been added.
    pub fn customer(&self) -> Result<Pkid, Failed> {
        self.customer
            .clone()
            .ok_or_else(|| Failed::new(Kind::Failed, "the customer was not added"))
    }

    /// The customer's record, if there is one.
    pub async fn record(&self) -> Result<Option<Record>, Failed> {
        let Some(pkid) = &self.customer else {
            return Ok(None);
        };
        let store = self.stage.host.store();
        let found = store.get(&[Reference::record(pkid.clone())]).await?;
        let document = found.into_iter().flatten().next();
        document.as_ref().map(Record::of).transpose()
    }

    /// How the customer stands, which must be there.
    pub async fn connection(&self) -> Result<Connection, Failed> {
        match self.record().await? {
            Some(record) => Ok(record.summary()),
            None => Err(Failed::new(
                Kind::Failed,
                "the customer is not in the store",
            )),
        }
    }

    /// The alerts that stand, as they are stored.
    pub async fn standing_alerts(&self) -> Result<Vec<Map<String, Value>>, Failed> {
        let owner = self.customer.as_ref().map(|pkid| Key {
            name: "owner".to_owned(),
            value: pkid.to_string(),
        });
        let filter = Filter {
            model: "data/Alert".to_owned(),
            hierarchy: None,
            equals: owner.into_iter().collect(),
        };
        let page = self.stage.host.store().find(&filter, None, MANY).await?;
        let bodies = page.items.iter();
        Ok(bodies
            .filter_map(|document| serde_json::from_str(&document.body).ok())
            .collect())
    }

    /// What the store holds of anybody.
    pub async fn holdings(&self) -> Result<Holdings, Failed> {
        let store = self.stage.host.store();
        let mut documents = BTreeMap::new();
        for model in MODELS {
            let filter = Filter {
                model: model.to_owned(),
                hierarchy: None,
                equals: Vec::new(),
            };
            let found = store.find(&filter, None, MANY).await?.items.len();
            if found > 0 {
                documents.insert(model.to_owned(), found);
            }
        }
        let wakeups = store.upcoming(None, None, MANY).await?.items.len();
        Ok(Holdings { documents, wakeups })
    }

    /// The last words.
    pub async fn summary(self) -> Result<(), Failed> {
        if let Some(failed) = self.unwritten {
            return Err(failed);
        }
        let simulated = self.stage.now().since(self.began);
        let took = self.stage.opened.elapsed();
        let refreshes = self.stage.token_requests();
        let requests = self.stage.webex.requests().len();
        let summary = json!({ "summary": {
            "steps": self.steps,
            "token_requests": refreshes,
            "requests": requests,
            "alerts": self.alerts,
            "simulated_seconds": simulated.as_secs(),
            "real_milliseconds": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }});
        self.output.line(&summary, |_| {
            let lines = pairs([
                ("steps, all as they should be", self.steps.to_string()),
                ("token requests", refreshes.to_string()),
                ("requests to Webex in all", requests.to_string()),
                ("alerts raised", self.alerts.to_string()),
                ("simulated time", time::span(simulated)),
                ("real time", format!("{:.1} s", took.as_secs_f64())),
            ]);
            format!("Summary\n{lines}")
        })
    }
}

fn human(step: &Step<'_>) -> String {
    let mut lines = vec![format!("{}. {} (day {})", step.step, step.title, step.day)];
    lines.extend(step.happened.lines().map(|line| format!("   {line}")));
    if let Some(connection) = &step.connection {
        let left = |expiry| time::expiry_left(expiry, step.at);
        let access = left(connection.access_token_expires.as_ref());
        let refresh = left(connection.refresh_token_expires.as_ref());
        let next = match connection.next_refresh {
            Some(at) => format!("next refresh {}", time::due(at, step.at)),
            None => "no refresh to come".to_owned(),
        };
        let (name, state) = (shown(&connection.name), connection.state);
        lines.push(format!(
            "   {name}: {state}, access token {access}, refresh token {refresh}, {next}"
        ));
    }
    lines.push(format!("   in the store: {}", holdings(&step.holdings)));
    for check in step.checks {
        let verdict = if check.holds { "ok   " } else { "WRONG" };
        let found = match &check.found {
            Some(found) => format!(": {}", shown(found)),
            None => String::new(),
        };
        lines.push(format!("   {verdict} {}{found}", check.what));
    }
    lines.push(String::new());
    lines.join("\n") + "\n"
}

fn holdings(holdings: &Holdings) -> String {
    let documents = holdings.documents.iter();
    let mut parts: Vec<String> = documents
        .map(|(model, count)| format!("{count} {model}"))
        .collect();
    if holdings.wakeups > 0 {
        parts.push(format!("{} wakeups", holdings.wakeups));
    }
    match parts.is_empty() {
        true => "nothing".to_owned(),
        false => parts.join(", "),
    }
}
