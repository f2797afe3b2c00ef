//! Target `callbacks`: the callback of `complete-connect`, and the redirect addresses of `connect`.

use std::time::Duration;

use relation_host::reports::Authorization;
use secrecy::SecretString;

use super::{caller_input, response_mutation::response_mutation};
use crate::call::Call;
use crate::fake_webex::CANARY;
use crate::input::Input;
use crate::oracle::Allowances;
use crate::runner::{RunnerError, TrialRunner};
use crate::verdict::Verdict;
use crate::worlds::{REDIRECT, WorldKind};

/// Parameters of a callback, and others.
const PARAMETERS: &[&str] = &[
    "code",
    "state",
    "error",
    "error_description",
    "error_uri",
    "scope",
    "",
    "code[]",
    "cod%65",
];

/// Returns the callback of a granted consent.
pub(super) fn good(consent: &Authorization) -> String {
    format!("{REDIRECT}?code={CANARY}code&state={}", consent.state)
}

pub(super) async fn run(
    runner: &TrialRunner,
    input: &mut Input<'_>,
) -> Result<Verdict, RunnerError> {
    let world = *input.pick(&[
        WorldKind::Waiting,
        WorldKind::Waiting,
        WorldKind::Imported,
        WorldKind::Connected,
    ]);
    let trial = runner.open(world).await?;
    let Some(record) = trial.record() else {
        return Ok(Verdict::idle());
    };
    let minutes = if input.chance(32) { input.below(20) } else { 0 };
    let minutes = u64::try_from(minutes).unwrap_or(0);
    trial.clock.advance(Duration::from_secs(minutes * 60));
    if input.chance(48) {
        trial.prepare([response_mutation(input)]);
    }
    let call = if input.chance(32) {
        Call::Connect(record, caller_input::grant(input), redirect(input))
    } else {
        let consent = trial.consents().get(input.below(4));
        let state = consent.map_or_else(|| input.text(), |consent| consent.state.clone());
        Call::Complete(record, SecretString::from(callback(input, &state)))
    };
    let allowed = Allowances {
        rejected: true,
        ..Allowances::default()
    };
    Ok(trial.run(call, allowed).await)
}

fn callback(input: &mut Input<'_>, state: &str) -> String {
    if input.chance(16) {
        return input.text();
    }
    let address = if input.chance(48) {
        address(input)
    } else {
        REDIRECT.to_owned()
    };
    let mut query = Vec::new();
    if !input.chance(24) {
        query.push(format!("code={CANARY}{}", written(input)));
    }
    if !input.chance(24) {
        query.push(format!("state={}", changed(input, state)));
    }
    for _ in 0..input.below(4) {
        let name = *input.pick(PARAMETERS);
        let value = match name {
            "code" => format!("{CANARY}{}", written(input)),
            "state" => changed(input, state),
            "error" => {
                (*input.pick(&["access_denied", "invalid_scope", "server_error", "", "%20"]))
                    .to_owned()
            }
            _ => written(input),
        };
        let separator = if input.chance(16) { "" } else { "=" };
        let at = input.below(query.len() + 1).min(query.len());
        query.insert(at, format!("{name}{separator}{value}"));
    }
    let glue = *input.pick(&["&", "&", "&", ";", "&&", "?"]);
    let tail = if input.chance(24) {
        input.text()
    } else {
        String::new()
    };
    format!("{address}?{}{tail}", query.join(glue))
}

/// Encodes a text for a query, correctly or not.
fn written(input: &mut Input<'_>) -> String {
    let text = input.text();
    if input.chance(64) {
        return text;
    }
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Returns the state, with a part of it changed in some cases.
fn changed(input: &mut Input<'_>, state: &str) -> String {
    if !input.chance(96) {
        return state.to_owned();
    }
    let (pkid, random) = state.split_once('.').unwrap_or((state, ""));
    let text = input.text();
    input
        .pick(&[
            format!("{pkid}.{random}A"),
            format!("{pkid}."),
            format!(".{random}"),
            format!("{pkid}{random}"),
            format!("{}.{random}", "f".repeat(24)),
            format!("{}.{random}", pkid.to_uppercase()),
            format!("{pkid}.{}", random.to_uppercase()),
            format!("{pkid}.{text}"),
            format!("{text}.{random}"),
            format!("%20{state}"),
            state.replace('.', "%2E"),
            state.chars().rev().collect(),
        ])
        .clone()
}

fn address(input: &mut Input<'_>) -> String {
    let text = input.text();
    input
        .pick(&[
            "HTTP://127.0.0.1:8085/callback".to_owned(),
            "http://127.0.0.1:8085/callback/".to_owned(),
            "http://127.0.0.1:8085/./x/../callback".to_owned(),
            "http://127.1:8085/callback".to_owned(),
            "http://0x7f000001:8085/callback".to_owned(),
            "http://localhost:8085/callback".to_owned(),
            "http://127.0.0.1:8085/%63allback".to_owned(),
            "http://127.0.0.1:8085/callback#".to_owned(),
            "http://user@127.0.0.1:8085/callback".to_owned(),
            "//127.0.0.1:8085/callback".to_owned(),
            "javascript:alert(1)//".to_owned(),
            format!("http://{text}/callback"),
            format!("http://127.0.0.1:8085/{text}"),
            text,
        ])
        .clone()
}

fn redirect(input: &mut Input<'_>) -> String {
    let (text, other) = (input.text(), address(input));
    input
        .pick(&[
            format!("https://relation.example/callback?tenant={text}"),
            format!("https://{text}.example/"),
            format!("http://127.0.0.1:{}/", input_port(&text)),
            format!("http://[::1]:8085/{text}"),
            other,
            text,
        ])
        .clone()
}

fn input_port(text: &str) -> usize {
    text.len().wrapping_mul(4_099)
}
