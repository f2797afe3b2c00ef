//! Lets the history of the customers happen, day by day.

use relation_app::{AppError, ErrorKind};
use relation_host::reports::{Grant, SyncSelector};
use relation_host::transactions::Originator;
use relation_host::types::{Hierarchy, InvalidHierarchy, Pkid, Timestamp};
use relation_host::{AddRequest, Host};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use webex_emulator::{Consent, Fault, Listing, Mode, Organization, Webex};

use super::super::environment::Environment;
use super::before;
use super::customers::{CUSTOMERS, Customer, HISTORY, Kind, Step, UNUSED_ORGANIZATION, USER};

/// The path of the token endpoint at the emulator.
const TOKEN_ENDPOINT: &str = "/v1/access_token";
/// Failed refreshes in a row: the pause before the next one is then several hours.
const FAILURES: u32 = 9;
/// The people of an organization whose list then is empty.
const MANY_PEOPLE: usize = 40;

/// A customer, while its history happens.
#[derive(Clone)]
struct Subject {
    customer: &'static Customer,
    organization: Organization,
    /// The record, once it is added.
    pkid: Option<Pkid>,
    host: Host,
    webex: Webex,
    redirect: String,
}

/// Lets everything happen until `now`.
pub(super) async fn run(
    environment: &Environment,
    redirect: &str,
    now: Timestamp,
) -> Result<(), AppError> {
    let mut subjects: Vec<Subject> = CUSTOMERS
        .iter()
        .map(|customer| Subject {
            customer,
            organization: environment.webex.create_organization(customer.name),
            pkid: None,
            host: environment.host.on_behalf_of(Originator {
                user: USER.to_owned(),
                ..Originator::default()
            }),
            webex: Webex::clone(&environment.webex),
            redirect: redirect.to_owned(),
        })
        .collect();
    let unused = environment.webex.create_organization(UNUSED_ORGANIZATION);
    environment.webex.propose(&unused);

    for day in (0..=HISTORY).rev() {
        let has_steps = |subject: &Subject| subject.customer.steps.iter().any(|(at, _)| *at == day);
        if !subjects.iter().any(has_steps) {
            continue;
        }
        environment.advance_until(before(now, day)).await?;
        let mut running = JoinSet::new();
        for (index, subject) in subjects.iter().enumerate() {
            if has_steps(subject) {
                let mut subject = subject.clone();
                running.spawn(async move {
                    subject.pass_day(day, false).await?;
                    Ok::<_, AppError>((index, subject))
                });
            }
        }
        while let Some(passed) = running.join_next().await {
            let passed = passed.map_err(|error| failed(&error))?;
            let (index, subject) = passed?;
            if let Some(place) = subjects.get_mut(index) {
                *place = subject;
            }
        }
        // Imports that the steps have begun.
        environment.advance_until(before(now, day)).await?;
        for subject in &mut subjects {
            subject.pass_day(day, true).await?;
        }
    }
    Ok(())
}

impl Subject {
    /// Takes the steps of a day: those that run alone, or the others.
    async fn pass_day(&mut self, day: u64, alone: bool) -> Result<(), AppError> {
        for (at, step) in self.customer.steps {
            if *at == day && step.runs_alone() == alone {
                self.take(*step).await?;
            }
        }
        Ok(())
    }

    async fn take(&mut self, step: Step) -> Result<(), AppError> {
        let organization = &self.organization;
        match step {
            Step::Add => self.add().await?,
            Step::Begin => {
                let pkid = self.pkid()?;
                let begun = self.host.connect(pkid, Grant::Organization, &self.redirect);
                let _ = begun.await?;
            }
            Step::Connect(grant) => self.connect(grant, Consent::accept(organization)).await?,
            Step::Narrow(scope) => {
                let consent = Consent::accept(organization).without([scope]);
                self.connect(Grant::Organization, consent).await?;
            }
            Step::Freeze => self
                .webex
                .set_organization_mode(organization, Mode::FrozenClock),
            Step::Import => {
                // Some imports fail: that is their state.
                let _ = self.host.sync(self.pkid()?, SyncSelector::ALL, false).await;
            }
            Step::Schedule => self.schedule().await?,
            Step::Revoke => {
                self.webex.revoke(organization);
            }
            Step::LoseRole => self.webex.set_administrator_roles(organization, []),
            Step::EmptyLists => self.set_people(0)?,
            Step::Fail(status) => {
                let fault = Fault::status(TOKEN_ENDPOINT, status);
                self.fail_refreshes(fault, FAILURES).await?;
            }
            Step::RateLimit => {
                let fault = Fault::rate_limited(TOKEN_ENDPOINT, "14400");
                self.fail_refreshes(fault, 1).await?;
            }
        }
        Ok(())
    }

    fn pkid(&self) -> Result<&Pkid, AppError> {
        let missing = || AppError::new(ErrorKind::Internal, "a step comes before its record");
        self.pkid.as_ref().ok_or_else(missing)
    }

    async fn add(&mut self) -> Result<(), AppError> {
        let customer = self.customer;
        if customer
            .steps
            .iter()
            .any(|(_, step)| matches!(step, Step::EmptyLists))
        {
            self.set_people(MANY_PEOPLE)?;
        }
        let mut node = vec!["sys", "Provider", customer.above];
        node.retain(|part| !part.is_empty());
        let added = self
            .host
            .add(AddRequest {
                hierarchy: parse_node(&format!("{}.{}", node.join("."), customer.name))?,
                fields: fields(customer, &self.organization),
                token_response: None,
                idempotency_key: None,
            })
            .await?;
        self.pkid = Some(added.value.connection.pkid);
        Ok(())
    }

    async fn connect(&self, grant: Grant, consent: Consent) -> Result<(), AppError> {
        let pkid = self.pkid()?;
        let begun = self.host.connect(pkid, grant, &self.redirect).await?;
        let callback = self.webex.authorize(&begun.value.url, &consent);
        let callback = callback.map_err(|error| failed(&error))?;
        let callback = SecretString::from(callback);
        let _ = self.host.complete_connect(pkid, &callback).await?;
        Ok(())
    }

    async fn schedule(&self) -> Result<(), AppError> {
        let start = self
            .host
            .clock()
            .now()
            .after(std::time::Duration::from_secs(3600));
        let start = start.to_string();
        let arguments = json!({
            "sync": "all",
            "start": start.get(..16).unwrap_or_default(),
            "every": "1d",
        });
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        let scheduled = self
            .host
            .invoke("ScheduleDataSync", self.pkid()?, arguments);
        let _ = scheduled.await?;
        Ok(())
    }

    fn set_people(&self, count: usize) -> Result<(), AppError> {
        let generated = self
            .webex
            .generate(&self.organization, Listing::People, count);
        generated.map_err(|error| failed(&error))
    }

    /// Refreshes while Webex fails. The refreshes of others must not run meanwhile.
    async fn fail_refreshes(&self, fault: Fault, count: u32) -> Result<(), AppError> {
        self.webex.inject(fault.always());
        for _ in 0..count {
            let _ = self.host.refresh(self.pkid()?).await?;
        }
        self.webex.clear_faults();
        Ok(())
    }
}

/// Returns the fields of a customer's form.
fn fields(customer: &Customer, organization: &Organization) -> Map<String, Value> {
    let domain = customer.name.to_lowercase().replace(' ', "-");
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("name", customer.name.into());
    set("account_number_external", organization.uuid.as_str().into());
    set("account_email", format!("webex@{domain}.example").into());
    set("email_domain", format!("{domain}.example").into());
    match customer.kind {
        Kind::Normal => {}
        Kind::ContactCenter(region) => {
            set("webex_contact_center", true.into());
            set("base_url_setting", region.into());
        }
        Kind::Wholesale => {
            set("wholesale_status", true.into());
        }
    }
    fields
}

/// Parses a node of the hierarchy.
pub(super) fn parse_node(text: &str) -> Result<Hierarchy, AppError> {
    text.parse()
        .map_err(|error: InvalidHierarchy| AppError::usage(error.to_string()))
}

fn failed(error: &dyn std::fmt::Display) -> AppError {
    let message = format!("the demo could not be prepared: {error}");
    AppError::new(ErrorKind::Failed, message)
}
