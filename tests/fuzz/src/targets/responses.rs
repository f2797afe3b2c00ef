//! Target `responses`: responses of Webex and the network, to every workflow that sends requests.

use std::time::Duration;

use super::{caller_input, response_mutation::response_mutation};
use crate::call::Call;
use crate::fake_webex::token_response;
use crate::input::Input;
use crate::oracle::Allowances;
use crate::runner::{RunnerError, TrialRunner};
use crate::verdict::Verdict;
use crate::worlds::{self, WorldKind};
use secrecy::SecretString;
use serde_json::Map;

/// Maximum number of mutated responses per trial.
const MAX_RESPONSES: usize = 5;

pub(super) async fn run(
    runner: &TrialRunner,
    input: &mut Input<'_>,
) -> Result<Verdict, RunnerError> {
    let kind = input.below(8);
    let world = match kind {
        0 => WorldKind::Empty,
        1 => WorldKind::Waiting,
        2..=4 => *input.pick(&[WorldKind::Imported, WorldKind::Connected]),
        _ => *input.pick(&[WorldKind::Connected, WorldKind::Ending, WorldKind::Imported]),
    };
    let trial = runner.open(world).await?;
    if input.chance(64) {
        let days = u64::try_from(input.below(100)).unwrap_or(0);
        trial.clock.advance(Duration::from_secs(days * 86_400));
    }
    let tokens = token_response("pasted").to_string();
    let call = match (kind, trial.record()) {
        (1, Some(record)) => {
            let consents = trial.consents();
            let Some(consent) = consents.get(1 + input.below(3)) else {
                return Ok(Verdict::idle());
            };
            let callback = super::callbacks::good(consent);
            Call::Complete(record, SecretString::from(callback))
        }
        (2 | 3, Some(record)) => Call::Sync(record),
        (4, Some(record)) => Call::Delete(record, false),
        (5, Some(record)) => Call::Modify(record, Map::new(), Some(SecretString::from(tokens))),
        (_, Some(record)) => Call::Refresh(record, caller_input::grant(input)),
        (_, None) => {
            let mut fields = worlds::fields();
            if input.chance(128) {
                fields.remove("account_number_external");
            }
            match worlds::add_request(fields, Some(tokens)) {
                Some(request) => Call::Add(request),
                None => return Ok(Verdict::idle()),
            }
        }
    };
    let count = 1 + input.below(MAX_RESPONSES);
    let mutations: Vec<_> = (0..count).map(|_| response_mutation(input)).collect();
    trial.prepare(mutations);
    let allowed = Allowances {
        rejected: true,
        ..Allowances::default()
    };
    Ok(trial.run(call, allowed).await)
}
