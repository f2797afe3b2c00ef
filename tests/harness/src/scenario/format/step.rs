//! `[[step]]`: an action, disturbances during it, and its expectations.

use relation_host::types::Failure;
use relation_toml::{DeValue, Table, ValueError};

use super::{call, exchange, expect, keys, values, webex};
use crate::scenario::model::{
    Action, Call, ConcurrentCall, Disturbance, DisturbanceKind, DisturbancePoint, Step, StoreKind,
};

/// The imports that can be disturbed.
const IMPORTS: [&str; 13] = [
    "storage.get",
    "storage.get-many",
    "storage.find",
    "storage.find-pkids",
    "storage.compare",
    "storage.commit",
    "scheduling.wakeups",
    "secrets.reveal",
    "secrets.reveal-setting",
    "egress.use-proxies",
    "transactions.log",
    "transactions.progress",
    "transactions.record-part",
];

/// The part of the scenario that restricts its steps.
#[derive(Clone, Copy, Debug)]
pub struct StepContext {
    /// Whether there is an emulated Webex.
    pub emulated: bool,
    /// The store of the scenario.
    pub store: StoreKind,
}

/// Reads one step.
pub fn read(mut table: Table<'_, '_>, setting: StepContext) -> Option<Step> {
    let position = table.position();
    let about = table.get("about", values::parse_text);
    let action = action(&mut table, setting);
    let concurrent = matches!(action, Some(Action::Concurrent(_)));
    if concurrent {
        let reason = "concurrent calls cannot be disturbed: the fault would have no definite call";
        table.reject(&["disturb"], reason);
    }
    if setting.emulated {
        let reason = "the emulated Webex responds here: take [webex] away, or inject a fault";
        table.reject(&["http"], reason);
    }
    let http = table.tables("http", &keys::EXCHANGE);
    let disturbances = table.tables("disturb", &keys::DISTURB);
    let expect = table
        .table("expect", &keys::EXPECT)
        .map(|mut table| {
            if concurrent {
                let reason =
                    "each concurrent call has its own: write it into its [[step.concurrently]]";
                table.reject(keys::CONCURRENT_EXPECT.keys, reason);
            }
            expect::read(table)
        })
        .unwrap_or_default();
    table.close();
    Some(Step {
        position,
        about,
        action: action?,
        http: http.into_iter().filter_map(exchange::read).collect(),
        disturbances: disturbances.into_iter().filter_map(disturbance).collect(),
        expect,
    })
}

fn action(table: &mut Table<'_, '_>, setting: StepContext) -> Option<Action> {
    let which = table.choose_one(&["call", "concurrently", "advance", "at", "webex", "host"]);
    match which {
        Some("call") => call::read(table).map(Action::Call),
        Some("concurrently") => concurrent_calls(table, setting.store).map(Action::Concurrent),
        Some("advance") => table
            .get("advance", values::parse_duration)
            .map(Action::Advance),
        Some("at") => table.get("at", values::parse_moment).map(Action::At),
        Some("webex") => {
            if !setting.emulated {
                table.report(
                    ValueError::new("there is no emulated Webex in this scenario")
                        .hint("begin it with a section [webex]"),
                );
            }
            webex::action(table).map(Action::Webex)
        }
        Some(_) => {
            table.switch_section(&keys::RESTART);
            let words = [("restart", ())];
            let restart = table.get("host", |value| {
                values::parse_word(value, "action of the host", &words)
            });
            restart.map(|()| Action::Restart)
        }
        None => {
            table.allow_unknown_keys();
            None
        }
    }
}

fn concurrent_calls(table: &mut Table<'_, '_>, store: StoreKind) -> Option<Vec<ConcurrentCall>> {
    if store == StoreKind::Sqlite {
        let error =
            ValueError::new("with a database, the machine decides the order of concurrent calls");
        table.report(error.hint("take store = \"memory\""));
    }
    let callers = table.tables("concurrently", &keys::CONCURRENT_CALL);
    let read = callers.into_iter().filter_map(caller).collect::<Vec<_>>();
    if read.iter().map(|caller| caller.times).sum::<u32>() < 2 && table.reader().error_count() == 0
    {
        let error = ValueError::new("one call alone is not concurrent");
        table.report(error.hint("write it as call = \"…\", or give it `times`"));
    }
    Some(read)
}

fn caller(mut table: Table<'_, '_>) -> Option<ConcurrentCall> {
    /// More calls would show nothing new, and take long.
    const MOST: u32 = 100;
    let position = table.position();
    let between = |most: u32| {
        move |value| match values::parse_count::<u32>(value)? {
            number if (1..=most).contains(&number) => Ok(number),
            _ => Err(ValueError::new(format!("must be from 1 to {most}"))),
        }
    };
    let times = table.get("times", between(MOST)).unwrap_or(1);
    let host = table.get("host", between(8)).unwrap_or(1);
    let expect = table
        .table("expect", &keys::CONCURRENT_EXPECT)
        .map(expect::read_call_expectations)
        .unwrap_or_default();
    let call = call::read(&mut table);
    if host > 1 && matches!(call, Some(Call::Wake { .. })) {
        table.report("due wakeups run on the first host");
    }
    table.close();
    Some(ConcurrentCall {
        position,
        call: call?,
        times,
        host: usize::try_from(host).unwrap_or(1),
        expect,
    })
}

fn disturbance(mut table: Table<'_, '_>) -> Option<Disturbance> {
    let imports = IMPORTS.map(|name| (name, name));
    let import = table.require("import", |value| {
        values::parse_word(value, "import", &imports)
    });
    let nth = table.get("nth", values::parse_positive).unwrap_or(1);
    let sides = [
        ("before", DisturbancePoint::Before),
        ("after", DisturbancePoint::After),
    ];
    let when = table.get("when", |value| values::parse_word(value, "side", &sides));
    let with = table.require("with", disturbance_kind);
    table.close();
    let (when, with) = (when.unwrap_or(DisturbancePoint::Before), with?);
    Some(Disturbance {
        import: import?.to_owned(),
        nth,
        when,
        with,
    })
}

fn disturbance_kind(value: DeValue<'_>) -> Result<DisturbanceKind, ValueError> {
    const WORDS: &str = "disturbed by the scenario";
    let names = [
        "crash",
        "conflict",
        "unavailable",
        "limit-exceeded",
        "internal",
        "rate-limited",
    ];
    let name = values::parse_word(
        value,
        "kind of disturbance",
        &names.map(|name| (name, name)),
    )?;
    let words = WORDS.to_owned();
    Ok(match name {
        "crash" => DisturbanceKind::Crash,
        "conflict" => DisturbanceKind::Failure(Failure::Conflict(words)),
        "unavailable" => DisturbanceKind::Failure(Failure::Unavailable(words)),
        "limit-exceeded" => DisturbanceKind::Failure(Failure::LimitExceeded(words)),
        "rate-limited" => DisturbanceKind::Failure(Failure::RateLimited(None)),
        _ => DisturbanceKind::Failure(Failure::Internal(words)),
    })
}
