//! Target `answers`: what Webex and the network answer, to every workflow that asks.

use std::time::Duration;

use super::{given, spoiled::spoiled};
use crate::bench::{Bench, BenchError};
use crate::call::Call;
use crate::input::Input;
use crate::judge::Permits;
use crate::scenes::{self, Scene};
use crate::verdict::Verdict;
use crate::web::token_response;
use secrecy::SecretString;
use serde_json::Map;

/// How many answers of one trial are prepared at most.
const MOST: usize = 5;

pub(super) async fn run(bench: &Bench, input: &mut Input<'_>) -> Result<Verdict, BenchError> {
    let what = input.below(8);
    let scene = match what {
        0 => Scene::Empty,
        1 => Scene::Waiting,
        2..=4 => *input.pick(&[Scene::Imported, Scene::Connected]),
        _ => *input.pick(&[Scene::Connected, Scene::Ending, Scene::Imported]),
    };
    let trial = bench.open(scene).await?;
    if input.chance(64) {
        let days = u64::try_from(input.below(100)).unwrap_or(0);
        trial.clock.advance(Duration::from_secs(days * 86_400));
    }
    let tokens = token_response("pasted").to_string();
    let call = match (what, trial.record()) {
        (1, Some(record)) => {
            let consents = trial.consents();
            let Some(consent) = consents.get(1 + input.below(3)) else {
                return Ok(Verdict::nothing());
            };
            let callback = super::callbacks::good(consent);
            Call::Complete(record, SecretString::from(callback))
        }
        (2 | 3, Some(record)) => Call::Sync(record),
        (4, Some(record)) => Call::Delete(record, false),
        (5, Some(record)) => Call::Modify(record, Map::new(), Some(SecretString::from(tokens))),
        (_, Some(record)) => Call::Refresh(record, given::grant(input)),
        (_, None) => {
            let mut fields = scenes::fields();
            if input.chance(128) {
                fields.remove("account_number_external");
            }
            match scenes::adding(fields, Some(tokens)) {
                Some(request) => Call::Add(request),
                None => return Ok(Verdict::nothing()),
            }
        }
    };
    let count = 1 + input.below(MOST);
    let answers: Vec<_> = (0..count).map(|_| spoiled(input)).collect();
    trial.prepare(answers);
    let permits = Permits {
        rejected: true,
        ..Permits::default()
    };
    Ok(trial.judged(call, permits).await)
}
