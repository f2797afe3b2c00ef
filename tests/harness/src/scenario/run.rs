//! Runs a scenario step by step, until a step fails.

use std::time::Instant;

use relation_host::types::{Pkid, Reference, Wakeup};
use serde_json::Value;

use super::check::check;
use super::component::Component;
use super::model::{Action, Call, Disturbance, DisturbanceKind, Scenario, Step, Violations};
use super::observation::Observation;
use super::outcome::{ScenarioResult, StepFailure, Verdict};
use super::template::to_text;
use super::world::{WebexBackend, World};
use crate::harness::{self, InitialState, ObservedCall};

/// Runs a scenario on a component. Concurrent calls need a current-thread runtime.
pub async fn run(scenario: &Scenario, component: &Component) -> ScenarioResult {
    let begun = Instant::now();
    let failures = match World::begin(scenario, component).await {
        Ok(world) => run_steps(scenario, world).await,
        Err(error) => vec![StepFailure::problem(0, scenario, "begin", &error)],
    };
    ScenarioResult {
        path: scenario.path.clone(),
        about: scenario.about.clone(),
        verdict: match failures.is_empty() {
            true => Verdict::Passed,
            false => Verdict::Failed { failures },
        },
        duration: begun.elapsed(),
    }
}

async fn run_steps(scenario: &Scenario, mut world: World) -> Vec<StepFailure> {
    for (index, step) in scenario.steps.iter().enumerate() {
        let failure = world.step(step).await;
        if let Some(failure) = failure {
            let failure = StepFailure {
                step: index + 1,
                ..failure
            };
            return vec![failure];
        }
    }
    let forbidden = scenario
        .webex
        .as_ref()
        .is_some_and(|webex| webex.violations == Violations::Forbidden);
    let violations = match &world.web {
        WebexBackend::Emulated(emulated) if forbidden => emulated.violations(),
        _ => Vec::new(),
    };
    if violations.is_empty() {
        return Vec::new();
    }
    let mut failure = StepFailure::problem(
        scenario.steps.len(),
        scenario,
        "at the end",
        &"the plugin did what no client of Webex may do",
    );
    failure.notes = violations;
    vec![failure]
}

/// The reason why a step could not be done.
pub(super) type Problem = String;

/// An action for the harness.
pub(super) enum PreparedAction {
    Call(harness::Call),
    Advance(std::time::Duration),
    Wake(Reference, String),
}

impl World {
    async fn step(&mut self, step: &Step) -> Option<StepFailure> {
        let mut observation = Observation::default();
        let done = self.act(step, &mut observation).await;
        let mut problems: Vec<String> = done.err().into_iter().collect();
        if let WebexBackend::Script(script) = &self.web {
            problems.extend(script.end(&mut self.matcher));
        }
        let left = self.interceptor.end();
        problems.extend(left.iter().map(describe_unused));
        match self.harness.snapshot().await {
            Ok(snapshot) => observation.set_state(&snapshot),
            Err(error) => problems.push(format!("the store cannot be read: {error}")),
        }
        observation.now = self.harness.now();
        self.matcher.now = observation.now;
        let mismatches = check(step, &observation, &mut self.matcher);
        if problems.is_empty() && mismatches.is_empty() {
            return None;
        }
        Some(StepFailure {
            step: 0,
            position: step.position,
            action: step.action.words(),
            about: step.about.clone(),
            mismatches,
            problem: (!problems.is_empty()).then(|| problems.join("\n")),
            notes: notes(&observation),
            bindings: self.matcher.bindings.clone(),
            now: observation.now,
            observation,
        })
    }

    async fn act(&mut self, step: &Step, observation: &mut Observation) -> Result<(), Problem> {
        self.interceptor.begin(&step.disturbances);
        if let WebexBackend::Script(script) = &self.web {
            script.begin(&step.http, &self.matcher);
        }
        let prepared = match &step.action {
            Action::Webex(action) => {
                return match &self.web {
                    WebexBackend::Emulated(emulated) => {
                        emulated.apply(action, &mut self.matcher.bindings)
                    }
                    WebexBackend::Script(_) => Err("there is no emulated Webex".to_owned()),
                };
            }
            Action::Restart => {
                let restarted = self.harness.restart().await;
                return restarted.map_err(|error| error.to_string());
            }
            Action::Advance(duration) => PreparedAction::Advance(*duration),
            Action::At(moment) => {
                let now = self.harness.now();
                if *moment < now {
                    return Err(format!("{moment} is over: it is {now}"));
                }
                PreparedAction::Advance(moment.since(now))
            }
            Action::Concurrent(callers) => {
                return self.run_concurrently(callers, observation).await;
            }
            Action::Call(call) => self.prepare(call).await?,
        };
        let before = self.harness.snapshot().await;
        let requests = self.harness.http().len();
        let done = tokio::select! {
            done = self.perform(prepared) => Some(done?),
            () = self.interceptor.wait_for_crash() => None,
        };
        match done {
            Some(calls) => {
                for call in &calls {
                    observation.add_call(call);
                }
                match (&step.action, calls.first()) {
                    (Action::Call(call), Some(observed)) => {
                        observation.set_outcome(observed);
                        self.bind_results(call, observed)?;
                    }
                    _ => calls.iter().for_each(|call| observation.add_fired(call)),
                }
            }
            None => {
                self.harness
                    .restart()
                    .await
                    .map_err(|error| error.to_string())?;
                let after = self.harness.snapshot().await;
                if let (Ok(before), Ok(after)) = (before, after) {
                    observation.add_changes(&before.difference(&after));
                }
                let all = self.harness.http();
                observation.add_requests(all.get(requests..).unwrap_or_default());
            }
        }
        Ok(())
    }

    async fn perform(&self, prepared: PreparedAction) -> Result<Vec<ObservedCall<Value>>, Problem> {
        match prepared {
            PreparedAction::Call(call) => Ok(vec![self.harness.call(call).await]),
            PreparedAction::Advance(duration) => Ok(self.harness.advance(duration).await),
            PreparedAction::Wake(subject, id) => {
                let called = self.harness.wake(&subject, &id).await;
                let called = called.map_err(|error| error.to_string())?;
                let called = called.ok_or_else(|| format!("{subject} has no wakeup {id:?}"))?;
                Ok(vec![called])
            }
        }
    }

    /// Binds parts of a call's result to their default names.
    ///
    /// # Errors
    /// If the name of an added record already belongs to another record.
    pub(super) fn bind_results(
        &mut self,
        call: &Call,
        observed: &ObservedCall<Value>,
    ) -> Result<(), Problem> {
        let (Call::Workflow { name, .. }, Ok(result)) = (call, &observed.result) else {
            return Ok(());
        };
        let bindings = &mut self.matcher.bindings;
        match call.name() {
            "add" => {
                let pkid = result.get("connection").and_then(|made| made.get("pkid"));
                let name = name.as_deref().unwrap_or("pkid");
                match (pkid, bindings.get(name)) {
                    (Some(pkid), None) => bindings.set(name, pkid.clone()),
                    (Some(pkid), Some(known)) if pkid != known => {
                        return Err(format!(
                            "{{{name}}} is another record already; give this one a name of its own with `as`"
                        ));
                    }
                    _ => {}
                }
            }
            "connect" => {
                for (name, member) in [("link", "url"), ("state", "state")] {
                    if let Some(value) = result.get(member) {
                        bindings.set(name, value.clone());
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Fills the names in a call.
    pub(super) async fn prepare(&mut self, call: &Call) -> Result<PreparedAction, Problem> {
        let bindings = &self.matcher.bindings;
        match call {
            Call::Workflow { inputs, .. } => {
                let filled = bindings.fill(&Value::Object(inputs.clone()));
                let filled = filled.map_err(|error| error.to_string())?;
                if let Some(record) = filled.get("pkid") {
                    pkid(&to_text(record))?;
                }
                serde_json::from_value(filled)
                    .map(PreparedAction::Call)
                    .map_err(|error| format!("cannot call {}: {error}", call.name()))
            }
            Call::Wake {
                record,
                wakeup,
                moment,
                payload,
                due,
                deadline,
            } => {
                if let Some(moment) = *moment {
                    let now = self.harness.now();
                    if moment < now {
                        return Err(format!("{moment} is over: it is {now}"));
                    }
                    self.harness.clock().advance_to(moment);
                }
                let record = record.fill(bindings).map_err(|error| error.to_string())?;
                let subject = Reference::record(pkid(&record)?);
                if payload.is_some() || due.is_some() || deadline.is_some() {
                    let stored = self.harness.host().store().wakeups(&subject).await;
                    let stored = stored.map_err(|error| error.to_string())?;
                    let stored = stored.into_iter().find(|one| one.wakeup.id == *wakeup);
                    let stored = stored.map(|stored| stored.wakeup);
                    let otherwise = stored.as_ref();
                    let written = Wakeup {
                        id: wakeup.clone(),
                        subject: subject.clone(),
                        due: due
                            .or(otherwise.map(|stored| stored.due))
                            .unwrap_or(self.harness.now()),
                        deadline: deadline.or(otherwise.and_then(|stored| stored.deadline)),
                        payload: payload
                            .clone()
                            .or(otherwise.map(|stored| stored.payload.clone()))
                            .unwrap_or_default(),
                    };
                    let state = InitialState {
                        wakeups: vec![written],
                        ..InitialState::default()
                    };
                    let put = self.harness.put(state).await;
                    put.map_err(|error| error.to_string())?;
                }
                Ok(PreparedAction::Wake(subject, wakeup.clone()))
            }
        }
    }
}

fn pkid(text: &str) -> Result<Pkid, Problem> {
    let pkid = text.parse();
    pkid.map_err(|error| format!("`record` is {text:?}, but {error}"))
}

fn describe_unused(disturbance: &Disturbance) -> String {
    let Disturbance {
        import, nth, with, ..
    } = disturbance;
    let what = match with {
        DisturbanceKind::Crash => "the crash",
        DisturbanceKind::Failure(_) => "the failure",
    };
    format!("{what} did not come to pass: {import} was not called {nth} times")
}

/// Returns requests and log lines, for the report on a failed step.
fn notes(observation: &Observation) -> Vec<String> {
    let requests = observation.http.iter().map(|request| {
        let part = |name: &str| request.get(name).map_or(String::new(), to_text);
        format!(
            "http  {} {} -> {}{}",
            part("method"),
            part("path"),
            part("status"),
            part("fault")
        )
    });
    let logs = observation
        .calls
        .iter()
        .map(|call| &call.log)
        .chain([&observation.log]);
    let lines = logs.flatten().map(|line| {
        let part = |name: &str| line.get(name).map_or(String::new(), to_text);
        format!("log   {} {}", part("level"), part("message"))
    });
    requests.chain(lines).collect()
}
