//! Target `fields`: the fields that a caller passes to `add` and `modify`.

use relation_host::AddRequest;
use secrecy::SecretString;

use super::caller_input;
use super::response_mutation::response_mutation;
use crate::call::Call;
use crate::input::Input;
use crate::oracle::Allowances;
use crate::runner::{RunnerError, TrialRunner};
use crate::verdict::Verdict;
use crate::worlds::{NODE, WorldKind};

/// Nodes: the worlds' own, one below it, one beside it, strange ones.
const NODES: &[&str] = &[
    NODE,
    "sys.Provider.Reseller.Acme.Site",
    "sys.Provider.Reseller.Other",
    "sys",
    "sys. .x",
    "sys.Zoë Łódź.東京",
    "sys.\u{202e}x",
];

pub(super) async fn run(
    runner: &TrialRunner,
    input: &mut Input<'_>,
) -> Result<Verdict, RunnerError> {
    let world = *input.pick(&[
        WorldKind::Empty,
        WorldKind::Connected,
        WorldKind::Waiting,
        WorldKind::Ending,
    ]);
    let trial = runner.open(world).await?;
    let modifies = input.chance(112);
    let fields = caller_input::fields(input);
    let tokens = caller_input::pasted(input).map(SecretString::from);
    if input.chance(32) {
        trial.prepare([response_mutation(input)]);
    }
    let call = match trial.record().filter(|_| modifies) {
        Some(record) => Call::Modify(record, fields, tokens),
        None => {
            let node = (*input.pick(NODES)).to_owned();
            let own = input.chance(24).then(|| input.text());
            let Ok(hierarchy) = own.unwrap_or(node).parse() else {
                return Ok(Verdict::idle());
            };
            let key = match input.below(4) {
                0 | 1 => None,
                2 => Some("order 66".to_owned()),
                _ => Some(input.text()),
            };
            Call::Add(AddRequest {
                hierarchy,
                fields,
                token_response: tokens,
                idempotency_key: key,
            })
        }
    };
    let allowed = Allowances {
        rejected: true,
        ..Allowances::default()
    };
    Ok(trial.run(call, allowed).await)
}
