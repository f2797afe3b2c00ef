//! Measures the phases of a refresh, through the component and natively.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::refresh::{CustomerRotation, refresh_natively, refresh_through_component};
use super::{Plan, note};
use crate::measure::{Percentiles, in_flight, micros};
use crate::phases::{Phase, PhaseTime, Phases};
use crate::report::{Bounds, Report, Row, Unit};
use crate::world::BenchWorld;

pub const TITLE: &str = "phases of a refresh";

/// Numbers of operations in flight: one, and the number that the goals of other benchmarks use.
const IN_FLIGHT: [usize; 2] = [1, 32];

/// The two variants of a refresh.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    Component,
    Native,
}

/// A part of a call: the sum of some phases minus others.
struct CallPart {
    label: &'static str,
    plus: &'static [Phase],
    minus: &'static [Phase],
}

const fn part(label: &'static str, plus: &'static [Phase], minus: &'static [Phase]) -> CallPart {
    CallPart { label, plus, minus }
}

const PARTS: [CallPart; 10] = [
    part("the whole call", &[Phase::Call], &[]),
    part(
        "begin: lease and transaction, durable",
        &[Phase::Begin],
        &[],
    ),
    part("instantiate", &[Phase::Instantiate], &[]),
    part(
        "workflow, without its imports",
        &[Phase::Workflow],
        &[Phase::Read, Phase::Sealed, Phase::Http, Phase::Commit],
    ),
    part("read documents", &[Phase::Read], &[]),
    part("read sealed values", &[Phase::Sealed], &[]),
    part("HTTP request, until the response head", &[Phase::Http], &[]),
    part("commit, durable", &[Phase::Commit], &[]),
    part("end, durable", &[Phase::End], &[]),
    part(
        "rest: other work of the host, dropping the instance",
        &[Phase::Call],
        &[
            Phase::Begin,
            Phase::Instantiate,
            Phase::Workflow,
            Phase::End,
        ],
    ),
];

const ALL: [Phase; 9] = [
    Phase::Call,
    Phase::Begin,
    Phase::Instantiate,
    Phase::Workflow,
    Phase::Read,
    Phase::Sealed,
    Phase::Http,
    Phase::Commit,
    Phase::End,
];

/// The total times of one round by phase, and its number of calls.
struct Round {
    calls: f64,
    took: Vec<(Phase, PhaseTime)>,
}

impl Round {
    /// Reads and resets the sums of a round.
    fn take(phases: &Phases, variant: Variant) -> Result<Self> {
        let took: Vec<_> = ALL.map(|phase| (phase, phases.take(phase))).into();
        let count = |wanted: Phase| {
            let found = took.iter().find(|(phase, _)| *phase == wanted);
            found.map_or(0, |(_, took)| took.count)
        };
        let calls = count(Phase::Call);
        let mut each = vec![
            Phase::Begin,
            Phase::Workflow,
            Phase::Http,
            Phase::Commit,
            Phase::End,
        ];
        if variant == Variant::Component {
            each.push(Phase::Instantiate);
        }
        for phase in each {
            ensure!(
                calls > 0 && count(phase) == calls,
                "{calls} calls, but {} spans {phase:?}: the host's span may have another name",
                count(phase)
            );
        }
        Ok(Self {
            calls: f64::from(u32::try_from(calls)?),
            took,
        })
    }

    /// Returns the wall time of a part, in microseconds.
    fn wall(&self, part: &CallPart) -> f64 {
        let wall = |phases| self.sum(phases, |_, took| took.wall);
        (wall(part.plus) - wall(part.minus)) / self.calls
    }

    /// Returns the time during which the call's own task worked on a part, in microseconds. The
    /// component's requests run in separate tasks; their time is not included.
    fn busy(&self, part: &CallPart, variant: Variant) -> f64 {
        let busy = |phases| self.sum(phases, |_, took| took.busy);
        let minus = self.sum(part.minus, |phase, took| {
            let in_other_task = variant == Variant::Component && phase == Phase::Http;
            if in_other_task {
                Duration::ZERO
            } else {
                took.busy
            }
        });
        (busy(part.plus) - minus) / self.calls
    }

    fn sum(&self, phases: &[Phase], figure: impl Fn(Phase, &PhaseTime) -> Duration) -> f64 {
        let wanted = self.took.iter().filter(|(phase, _)| phases.contains(phase));
        wanted
            .map(|(phase, took)| micros(figure(*phase, took)))
            .sum()
    }
}

async fn round(
    variant: Variant,
    world: &Arc<BenchWorld>,
    rotation: &Arc<CustomerRotation>,
    phases: &Phases,
    lanes: usize,
    time: Duration,
) -> Result<Round> {
    let (world, rotation, timed) = (Arc::clone(world), Arc::clone(rotation), phases.clone());
    in_flight(lanes, time, move |_| {
        let (world, rotation, timed) = (Arc::clone(&world), Arc::clone(&rotation), timed.clone());
        async move {
            match variant {
                Variant::Component => {
                    let call = refresh_through_component(&world, &rotation);
                    timed.time(Phase::Call, call).await
                }
                Variant::Native => {
                    timed
                        .time(Phase::Call, refresh_natively(&world, &rotation))
                        .await
                }
            }
        }
    })
    .await?;
    Round::take(phases, variant)
}

/// Runs the benchmark.
pub async fn run(plan: &Plan) -> Result<Report> {
    let phases = Phases::on();
    // Spans close on any thread, so the subscriber must be global. It cannot be removed, so this
    // benchmark runs last.
    tracing::subscriber::set_global_default(phases.subscriber())
        .context("timing the host's spans")?;
    let world = Arc::new(plan.world("profile", phases.clone()).await?);
    let most = plan.most_lanes();
    let rotation = Arc::new(CustomerRotation::new(&world, most).await?);
    let mut rows = Vec::new();
    for lanes in IN_FLIGHT.into_iter().filter(|&lanes| lanes <= most) {
        let (mut component, mut native) = (Vec::new(), Vec::new());
        // Round 0 fills the caches and is not counted.
        for number in 0..=plan.rounds {
            note(&format!(
                "profile: {lanes} in flight, round {number}/{}",
                plan.rounds
            ));
            for (variant, rounds) in [
                (Variant::Component, &mut component),
                (Variant::Native, &mut native),
            ] {
                // Discard the times of filling the store and of the warm-up.
                for phase in ALL {
                    phases.take(phase);
                }
                let took = round(variant, &world, &rotation, &phases, lanes, plan.slot / 2).await?;
                if number > 0 {
                    rounds.push(took);
                }
            }
        }
        rows.extend(to_rows(Variant::Component, lanes, &component));
        rows.extend(to_rows(Variant::Native, lanes, &native));
    }
    Ok(Report {
        bench: "profile",
        title: TITLE,
        rows,
        notes: vec![
            "figure: elapsed time, including waits; ratio: the share of the call".to_owned(),
            "here CPU EACH is the time for which the call's own task worked on the phase; the \
             store's writer, the connection, the token endpoint and the task that sends a \
             component's request are not included"
                .to_owned(),
            "the measurement itself takes time: compare shares, and use the rates of `refresh`"
                .to_owned(),
        ],
    })
}

fn to_rows(variant: Variant, lanes: usize, rounds: &[Round]) -> Vec<Row> {
    let Some(whole) = PARTS.first() else {
        return Vec::new();
    };
    let rows = PARTS.iter().filter_map(|part| {
        let wall = Percentiles::from_values(rounds.iter().map(|round| round.wall(part)))?;
        let busy = Percentiles::from_values(rounds.iter().map(|round| round.busy(part, variant)))?;
        let share = Percentiles::from_values(
            rounds
                .iter()
                .map(|round| round.wall(part) / round.wall(whole).max(f64::MIN_POSITIVE)),
        )?;
        // A phase that this variant does not have.
        if wall.max == 0.0 {
            return None;
        }
        let name = match variant {
            Variant::Component => "component",
            Variant::Native => "native",
        };
        let label = format!("{name}, {lanes} in flight: {}", part.label);
        Some(Row::new(label, wall, Unit::Micros).cpu(busy).ratio(
            "the whole call",
            share,
            Bounds::NONE,
        ))
    });
    rows.collect()
}
