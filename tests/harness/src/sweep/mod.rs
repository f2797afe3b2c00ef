//! The fault sweep. It repeats a call, each time with a failing import or a crash at one point, and then recovers as
//! callers would. Each run must end like the baseline run, or in a named state.
//!
//! ```no_run
//! # async fn example(
//! #     case: impl relation_harness::sweep::SweepCase,
//! # ) -> Result<(), relation_harness::sweep::SweepError> {
//! let report = relation_harness::sweep::sweep(&case).await?;
//! assert!(report.unexplained.is_empty(), "{report}");
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use relation_host::imports::{Import, Interceptor};
use serde_json::Value;

use crate::{CallFailure, Harness, StartError};

mod fault_injector;
mod http_error_code;
mod injected_fault;

pub use fault_injector::FaultInjector;
pub use http_error_code::HttpErrorCode;
pub use injected_fault::InjectedFault;

/// A case of a sweep: a call in a new world for each point.
#[async_trait]
pub trait SweepCase: Send + Sync {
    /// The environment of the call: a harness and its parts.
    type World: SweepWorld;

    /// Returns the name for reports.
    fn name(&self) -> &str;

    /// Prepares the world up to the call, always in the same way. The harness is built with this interceptor,
    /// which is inactive.
    async fn prepare(&self, interceptor: Arc<dyn Interceptor>) -> Self::World;

    /// Makes the call.
    async fn run_call(&self, world: &Self::World) -> Result<(), CallFailure>;

    /// Recovers as the callers would: refused calls are repeated, due wakeups run, and time passes, until there
    /// is nothing left to do.
    async fn recover(&self, world: &mut Self::World, acted: Result<(), CallerError>);

    /// Returns the final state, without values that differ between baseline runs.
    async fn final_state(&self, world: &Self::World) -> Value;

    /// Returns the name of a known state that is not the baseline's. The documentation of the case explains
    /// each name.
    fn degraded_name(
        &self,
        point: &Point,
        final_state: &Value,
        baseline: &Baseline,
    ) -> Option<&'static str>;
}

/// The environment of a case.
pub trait SweepWorld: Send + Sync {
    /// Returns the harness.
    fn harness(&mut self) -> &mut Harness;
}

/// The error of a call, as its caller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerError {
    /// The call failed.
    CallFailed(CallFailure),
    /// The process died, and another one was started.
    Process,
}

/// The run without a fault.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// The imports of the call, in order.
    pub imports: Vec<Import>,
    /// The final state.
    pub final_state: Value,
}

impl Baseline {
    /// Returns the first call of `import`, counted from 1, after the `nth` call; 0 for the beginning.
    pub fn first_after(&self, nth: usize, import: Import) -> Option<usize> {
        let mut imports = self.imports.iter().skip(nth);
        let place = imports.position(|called| *called == import)?;
        Some(nth + place + 1)
    }
}

/// A fault at one import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The call of an import, counted from 1.
    pub nth: usize,
    /// The import.
    pub import: Import,
    /// The fault.
    pub fault: InjectedFault,
}

impl Point {
    /// Returns whether the fault occurs after the `nth` import has run.
    pub fn is_after(&self, nth: usize) -> bool {
        self.nth > nth || (self.nth == nth && self.fault.is_carried_out())
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nth, import) = (self.nth, self.import.name());
        write!(f, "import {nth}, {import}: {}", self.fault)
    }
}

/// A final state without a name.
#[derive(Clone, Debug)]
pub struct UnexplainedOutcome {
    /// The point of the fault.
    pub point: Point,
    /// The lines in which the final state differs from the baseline's.
    pub difference: String,
}

/// The results of a sweep.
#[derive(Clone, Debug)]
pub struct SweepReport {
    /// The name of the case.
    pub case: String,
    /// The run to which all others are compared.
    pub baseline: Baseline,
    /// The number of points.
    pub points: usize,
    /// The number of points that ended like the baseline.
    pub same: usize,
    /// The number of points that ended in each named state.
    pub degraded: BTreeMap<&'static str, usize>,
    /// The points that ended in other states.
    pub unexplained: Vec<UnexplainedOutcome>,
}

impl fmt::Display for SweepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            case, points, same, ..
        } = self;
        write!(f, "{case}: {points} points, {same} as the baseline")?;
        for (name, count) in &self.degraded {
            write!(f, ", {count} {name}")?;
        }
        write!(f, ", {} unexplained", self.unexplained.len())?;
        for UnexplainedOutcome { point, difference } in &self.unexplained {
            write!(f, "\n{point}\n{difference}")?;
        }
        Ok(())
    }
}

/// The reason why a case could not be swept.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The call fails without a fault, so there is no baseline.
    #[error("the call fails without a fault: {0}")]
    Baseline(#[source] CallFailure),
    /// A harness could not be restarted after a crash.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Runs a case at every point: each import of its call with each of its faults.
///
/// # Errors
/// [`SweepError`].
pub async fn sweep<S: SweepCase>(case: &S) -> Result<SweepReport, SweepError> {
    let injector = Arc::new(FaultInjector::default());
    let mut world = case.prepare(injector.clone()).await;
    injector.start(None);
    let acted = case.run_call(&world).await;
    let imports = injector.stop();
    acted.map_err(SweepError::Baseline)?;
    case.recover(&mut world, Ok(())).await;
    let baseline = Baseline {
        imports,
        final_state: case.final_state(&world).await,
    };
    drop(world);

    let mut report = SweepReport {
        case: case.name().to_owned(),
        baseline: baseline.clone(),
        points: 0,
        same: 0,
        degraded: BTreeMap::new(),
        unexplained: Vec::new(),
    };
    for (index, &import) in baseline.imports.iter().enumerate() {
        for fault in InjectedFault::on(import) {
            let point = Point {
                nth: index + 1,
                import,
                fault,
            };
            let final_state = run_point(case, point).await?;
            report.points += 1;
            if final_state == baseline.final_state {
                report.same += 1;
            } else if let Some(name) = case.degraded_name(&point, &final_state, &baseline) {
                *report.degraded.entry(name).or_default() += 1;
            } else {
                let difference = difference(&final_state, &baseline.final_state);
                report
                    .unexplained
                    .push(UnexplainedOutcome { point, difference });
            }
        }
    }
    Ok(report)
}

/// Returns the final state after one point.
async fn run_point<S: SweepCase>(case: &S, point: Point) -> Result<Value, StartError> {
    let injector = Arc::new(FaultInjector::default());
    let mut world = case.prepare(injector.clone()).await;
    injector.start(Some(point));
    let acted = tokio::select! {
        acted = case.run_call(&world) => acted.map_err(CallerError::CallFailed),
        // The call is dropped, as a crash would leave it.
        () = injector.wait_for_kill() => Err(CallerError::Process),
    };
    injector.stop();
    if acted == Err(CallerError::Process) {
        world.harness().restart().await?;
    }
    case.recover(&mut world, acted).await;
    Ok(case.final_state(&world).await)
}

/// Returns the lines that are in only one of the states.
fn difference(final_state: &Value, baseline: &Value) -> String {
    let [final_state, baseline] = [final_state, baseline].map(|value| format!("{value:#}"));
    let only = |sign: char, one: &str, other: &str| {
        let other: Vec<&str> = other.lines().collect();
        let lines = one.lines().filter(|line| !other.contains(line));
        lines
            .map(|line| format!("  {sign} {line}\n"))
            .collect::<String>()
    };
    only('-', &baseline, &final_state) + &only('+', &final_state, &baseline)
}
