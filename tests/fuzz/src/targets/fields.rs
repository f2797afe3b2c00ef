//! Target `fields`: what a caller gives `add` and `modify`.

use relation_host::AddRequest;
use secrecy::SecretString;

use super::given;
use super::spoiled::spoiled;
use crate::bench::{Bench, BenchError};
use crate::call::Call;
use crate::input::Input;
use crate::judge::Permits;
use crate::scenes::{NODE, Scene};
use crate::verdict::Verdict;

/// Nodes: the scenes' own, one below it, one beside it, strange ones.
const NODES: &[&str] = &[
    NODE,
    "sys.Provider.Reseller.Acme.Site",
    "sys.Provider.Reseller.Other",
    "sys",
    "sys. .x",
    "sys.Zoë Łódź.東京",
    "sys.\u{202e}x",
];

pub(super) async fn run(bench: &Bench, input: &mut Input<'_>) -> Result<Verdict, BenchError> {
    let scene = *input.pick(&[
        Scene::Empty,
        Scene::Connected,
        Scene::Waiting,
        Scene::Ending,
    ]);
    let trial = bench.open(scene).await?;
    let modifies = input.chance(112);
    let fields = given::fields(input);
    let tokens = given::pasted(input).map(SecretString::from);
    if input.chance(32) {
        trial.prepare([spoiled(input)]);
    }
    let call = match trial.record().filter(|_| modifies) {
        Some(record) => Call::Modify(record, fields, tokens),
        None => {
            let node = (*input.pick(NODES)).to_owned();
            let own = input.chance(24).then(|| input.text());
            let Ok(hierarchy) = own.unwrap_or(node).parse() else {
                return Ok(Verdict::nothing());
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
    let permits = Permits {
        rejected: true,
        ..Permits::default()
    };
    Ok(trial.judged(call, permits).await)
}
