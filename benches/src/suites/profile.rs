//! Where the time of a refresh goes, through the component and natively, phase by phase.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::refresh::{Turns, natively, through_component};
use super::{Plan, note};
use crate::measure::{Spread, in_flight, micros};
use crate::phases::{Phase, Phases, Took};
use crate::report::{Report, Row, Unit};
use crate::world::World;

pub const TITLE: &str = "where the time of a refresh goes";

/// Operations in flight: one alone, and as many as the ratio is judged by.
const LANES: [usize; 2] = [1, 32];

/// Which of the two sides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Component,
    Native,
}

/// A part of a call: which phases it is made of, with their signs.
struct Part {
    what: &'static str,
    plus: &'static [Phase],
    minus: &'static [Phase],
}

const fn part(what: &'static str, plus: &'static [Phase], minus: &'static [Phase]) -> Part {
    Part { what, plus, minus }
}

const PARTS: [Part; 10] = [
    part("the whole call", &[Phase::Call], &[]),
    part(
        "begin: lease and transaction, durable",
        &[Phase::Begin],
        &[],
    ),
    part("instantiate", &[Phase::Instantiate], &[]),
    part(
        "workflow, less what it asks of the host",
        &[Phase::Workflow],
        &[Phase::Read, Phase::Sealed, Phase::Http, Phase::Commit],
    ),
    part("read documents", &[Phase::Read], &[]),
    part("read sealed values", &[Phase::Sealed], &[]),
    part("http, to the head of the answer", &[Phase::Http], &[]),
    part("commit, durable", &[Phase::Commit], &[]),
    part("end, durable", &[Phase::End], &[]),
    part(
        "rest: the host around it, dropping the instance",
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

/// What one round took, by phase, for each call.
struct Round {
    calls: f64,
    took: Vec<(Phase, Took)>,
}

impl Round {
    /// Takes the sums of a round.
    fn take(phases: &Phases, way: Way) -> Result<Self> {
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
        if way == Way::Component {
            each.push(Phase::Instantiate);
        }
        for phase in each {
            ensure!(
                calls > 0 && count(phase) == calls,
                "{calls} calls and {} times {phase:?}: has the host's span another name?",
                count(phase)
            );
        }
        Ok(Self {
            calls: f64::from(u32::try_from(calls)?),
            took,
        })
    }

    /// From the beginning of a part to its end, in microseconds.
    fn wall(&self, part: &Part) -> f64 {
        let wall = |phases| self.sum(phases, |_, took| took.wall);
        (wall(part.plus) - wall(part.minus)) / self.calls
    }

    /// While the call's own task worked on it, in microseconds. The component's requests are sent
    /// by a task of their own, so they are not among what its workflow worked on.
    fn busy(&self, part: &Part, way: Way) -> f64 {
        let busy = |phases| self.sum(phases, |_, took| took.busy);
        let minus = self.sum(part.minus, |phase, took| {
            let elsewhere = way == Way::Component && phase == Phase::Http;
            if elsewhere { Duration::ZERO } else { took.busy }
        });
        (busy(part.plus) - minus) / self.calls
    }

    fn sum(&self, phases: &[Phase], figure: impl Fn(Phase, &Took) -> Duration) -> f64 {
        let wanted = self.took.iter().filter(|(phase, _)| phases.contains(phase));
        wanted
            .map(|(phase, took)| micros(figure(*phase, took)))
            .sum()
    }
}

async fn round(
    way: Way,
    world: &Arc<World>,
    turns: &Arc<Turns>,
    phases: &Phases,
    lanes: usize,
    time: Duration,
) -> Result<Round> {
    let (world, turns, timed) = (Arc::clone(world), Arc::clone(turns), phases.clone());
    in_flight(lanes, time, move |_| {
        let (world, turns, timed) = (Arc::clone(&world), Arc::clone(&turns), timed.clone());
        async move {
            match way {
                Way::Component => {
                    let call = through_component(&world, &turns);
                    timed.time(Phase::Call, call).await
                }
                Way::Native => timed.time(Phase::Call, natively(&world, &turns)).await,
            }
        }
    })
    .await?;
    Round::take(phases, way)
}

/// Measures it.
pub async fn run(plan: &Plan) -> Result<Report> {
    let phases = Phases::on();
    // For the whole process and for good: a span may be closed on any thread, and its parent with
    // it. Hence this benchmark is the last.
    tracing::subscriber::set_global_default(phases.subscriber())
        .context("timing the host's spans")?;
    let world = Arc::new(plan.world("profile", phases.clone()).await?);
    let most = plan.most_lanes();
    let turns = Arc::new(Turns::new(&world, most).await?);
    let mut rows = Vec::new();
    for lanes in LANES.into_iter().filter(|&lanes| lanes <= most) {
        let (mut component, mut native) = (Vec::new(), Vec::new());
        // Round 0 fills the caches and is not counted.
        for number in 0..=plan.rounds {
            note(&format!(
                "profile: {lanes} in flight, round {number}/{}",
                plan.rounds
            ));
            for (way, rounds) in [(Way::Component, &mut component), (Way::Native, &mut native)] {
                // What the population or the warm-up left must not count.
                for phase in ALL {
                    phases.take(phase);
                }
                let took = round(way, &world, &turns, &phases, lanes, plan.slot / 2).await?;
                if number > 0 {
                    rounds.push(took);
                }
            }
        }
        rows.extend(described(Way::Component, lanes, &component));
        rows.extend(described(Way::Native, lanes, &native));
    }
    Ok(Report {
        bench: "profile",
        title: TITLE,
        rows,
        notes: vec![
            "figure: time from beginning to end, waiting included; ratio: its share of the call"
                .to_owned(),
            "CPU EACH is here the time that the call's own task worked on the phase; the store's \
             writer, the connection and the token endpoint work elsewhere, and so does the task \
             that sends a component's request"
                .to_owned(),
            "timing costs time itself: compare shares, and take rates from `refresh`".to_owned(),
        ],
    })
}

fn described(way: Way, lanes: usize, rounds: &[Round]) -> Vec<Row> {
    let Some(whole) = PARTS.first() else {
        return Vec::new();
    };
    let rows = PARTS.iter().filter_map(|part| {
        let wall = Spread::of(rounds.iter().map(|round| round.wall(part)))?;
        let busy = Spread::of(rounds.iter().map(|round| round.busy(part, way)))?;
        let share = Spread::of(
            rounds
                .iter()
                .map(|round| round.wall(part) / round.wall(whole).max(f64::MIN_POSITIVE)),
        )?;
        // What a way does not have.
        if wall.max == 0.0 {
            return None;
        }
        let name = match way {
            Way::Component => "component",
            Way::Native => "native",
        };
        let what = format!("{name}, {lanes} in flight: {}", part.what);
        Some(
            Row::new(what, wall, Unit::Micros)
                .cpu(busy)
                .ratio("the whole call", share, None),
        )
    });
    rows.collect()
}
