//! Target `wakeups`: the wakeup of `wake`, by any scheduler.

use std::time::Duration;

use relation_host::clock::Clock as _;
use relation_host::store::Change;
use relation_host::types::{Reference, Timestamp, Wakeup};

use super::response_mutation::response_mutation;
use crate::call::Call;
use crate::input::Input;
use crate::oracle::Allowances;
use crate::runner::{RunnerError, TrialRunner};
use crate::trial::Trial;
use crate::verdict::Verdict;
use crate::worlds::WorldKind;

/// Ids with a meaning, and near misses.
const IDS: &[&str] = &[
    "refresh",
    "expiry",
    "sync",
    "refresh.wholesale-customers",
    "refresh.wholesale-users",
    "expiry.wholesale-customers",
    "expiry.wholesale-users",
    "refresh.organization",
    "refresh.",
    "Refresh",
    "sync.roles-licenses",
    "sync.all",
    "expiry.wholesale-customers.x",
];

const PAYLOADS: &[&str] = &["", "roles-licenses", "roles", "{}", "roles-licenses "];

pub(super) async fn run(
    runner: &TrialRunner,
    input: &mut Input<'_>,
) -> Result<Verdict, RunnerError> {
    let mut trial = runner.open(*input.pick(&WorldKind::WITH_RECORD)).await?;
    let seconds = match input.below(4) {
        0 => 0,
        1 => 86_400 * input.below(200),
        2 => input.below(1 << 20),
        _ => 86_400 * 365 * input.below(2_000),
    };
    let seconds = u64::try_from(seconds).unwrap_or(0);
    trial.clock.advance(Duration::from_secs(seconds));
    let Some(wakeup) = wakeup(input, &trial) else {
        return Ok(Verdict::idle());
    };
    let (subject, id) = (wakeup.subject.clone(), wakeup.id.clone());
    if trial.change(vec![Change::Schedule(wakeup)]).await.is_err() {
        return Ok(Verdict::idle());
    }
    let stored = trial.store().wakeups(&subject).await.unwrap_or_default();
    let Some(due) = stored.into_iter().find(|due| due.wakeup.id == id) else {
        return Ok(Verdict::idle());
    };
    let count = input.below(3);
    let mutations: Vec<_> = (0..count).map(|_| response_mutation(input)).collect();
    trial.prepare(mutations);
    let allowed = Allowances {
        rejected: true,
        ..Allowances::default()
    };
    Ok(trial.run(Call::Wake(due), allowed).await)
}

fn wakeup(input: &mut Input<'_>, trial: &Trial<'_>) -> Option<Wakeup> {
    let record = Reference::record(trial.record()?);
    let subject = if input.chance(48) {
        let documents = trial.documents();
        documents
            .get(input.below(documents.len()))?
            .reference
            .clone()
    } else {
        record
    };
    // No host stores another: a name has 1 to 64 bytes.
    let id = Some(input.name(IDS)).filter(|id| (1..=64).contains(&id.len()))?;
    // An import's payload is the primary key of a data sync.
    let data_sync = trial.documents().iter();
    let mut data_sync = data_sync.filter(|each| each.reference.model == "data/DataSync");
    let payload = match data_sync.next() {
        Some(sync) if id.starts_with("sync.") && !input.chance(64) => {
            sync.reference.pkid.as_str().to_owned()
        }
        _ => input.name(PAYLOADS),
    };
    Some(Wakeup {
        id,
        subject,
        due: moment(input, trial),
        deadline: input.chance(128).then(|| moment(input, trial)),
        payload,
    })
}

fn moment(input: &mut Input<'_>, trial: &Trial<'_>) -> Timestamp {
    let now = trial.clock.now().0;
    match input.below(4) {
        0 => Timestamp(now),
        1 => Timestamp(now.saturating_sub(input.bits() >> 30)),
        2 => Timestamp(now.saturating_add(input.bits() >> 30)),
        _ => Timestamp(input.bits()),
    }
}
