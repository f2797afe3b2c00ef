//! Where the time of a refresh goes, through the component and natively, phase by phase.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tracing::instrument::WithSubscriber as _;

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
    part("begin: lease and transaction, durable", &[Phase::Begin], &[]),
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
        &[Phase::Begin, Phase::Instantiate, Phase::Workflow, Phase::End],
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
    fn take(phases: &Phases) -> Result<Self> {
        let took: Vec<_> = ALL.map(|phase| (phase, phases.take(phase))).into();
        let calls = took.iter().find(|(phase, _)| *phase == Phase::Call);
        let calls = calls.map_or(0, |(_, took)| took.count);
        let workflows = took.iter().find(|(phase, _)| *phase == Phase::Workflow);
        ensure!(
            calls > 0 && workflows.is_some_and(|(_, took)| took.count == calls),
            "not every call was seen in its phases: the host's spans have other names"
        );
        Ok(Self {
            calls: f64::from(u32::try_from(calls)?),
            took,
        })
    }

    fn of(&self, part: &Part, figure: impl Fn(&Took) -> Duration) -> f64 {
        let sum = |phases: &[Phase]| -> f64 {
            let wanted = self.took.iter().filter(|(phase, _)| phases.contains(phase));
            wanted.map(|(_, took)| micros(figure(took))).sum()
        };
        (sum(part.plus) - sum(part.minus)) / self.calls
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
    let dispatch = tracing::Dispatch::new(phases.subscriber());
    let (world, turns, timed) = (Arc::clone(world), Arc::clone(turns), phases.clone());
    in_flight(lanes, time, move |_| {
        let (world, turns, timed) = (Arc::clone(&world), Arc::clone(&turns), timed.clone());
        let call = async move {
            match way {
                Way::Component => {
                    let call = through_component(&world, &turns);
                    timed.time(Phase::Call, call).await
                }
                Way::Native => timed.time(Phase::Call, natively(&world, &turns)).await,
            }
        };
        call.with_subscriber(dispatch.clone())
    })
    .await?;
    Round::take(phases)
}

/// Measures it.
pub async fn run(plan: &Plan) -> Result<Report> {
    let phases = Phases::on();
    let world = Arc::new(plan.world("profile", phases.clone()).await?);
    let most = plan.most_lanes();
    let turns = Arc::new(Turns::new(&world, most).await?);
    let mut rows = Vec::new();
    for lanes in LANES.into_iter().filter(|&lanes| lanes <= most) {
        let (mut component, mut native) = (Vec::new(), Vec::new());
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
        rows.extend(described("component", lanes, &component));
        rows.extend(described("native", lanes, &native));
    }
    Ok(Report {
        bench: "profile",
        title: TITLE,
        rows,
        notes: vec![
            "figure: time from beginning to end, waiting included; ratio: its share of the call"
                .to_owned(),
            "CPU EACH is here the time that the calling thread worked on the phase; the store's \
             writer, the connection's task and the token endpoint work on other threads"
                .to_owned(),
            "timing costs time itself: compare shares, and take rates from `refresh`".to_owned(),
        ],
    })
}

fn described(way: &str, lanes: usize, rounds: &[Round]) -> Vec<Row> {
    let Some(whole) = PARTS.first() else {
        return Vec::new();
    };
    let rows = PARTS.iter().filter_map(|part| {
        let wall = Spread::of(rounds.iter().map(|round| round.of(part, |took| took.wall)))?;
        let busy = Spread::of(rounds.iter().map(|round| round.of(part, |took| took.busy)))?;
        let share = Spread::of(rounds.iter().map(|round| {
            round.of(part, |took| took.wall)
                / round.of(whole, |took| took.wall).max(f64::MIN_POSITIVE)
        }))?;
        // What a way does not have.
        if wall.max == 0.0 {
            return None;
        }
        let what = format!("{way}, {lanes} in flight: {}", part.what);
        Some(
            Row::new(what, wall, Unit::Micros)
                .cpu(busy)
                .ratio("the whole call", share, None),
        )
    });
    rows.collect()
}
