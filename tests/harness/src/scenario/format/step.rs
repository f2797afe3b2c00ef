//! `[[step]]`: one thing that happens, what goes wrong meanwhile, and what must come of it.

use relation_host::types::Failure;
use toml::de::DeValue;

use super::reader::Table;
use super::source::Complaint;
use super::{call, exchange, expect, keys, values, webex};
use crate::scenario::model::{Action, Disturbance, Step, Trouble, When};

/// The imports that can be disturbed.
const IMPORTS: [&str; 10] = [
    "storage.get",
    "storage.get-many",
    "storage.find",
    "storage.commit",
    "scheduling.wakeups",
    "secrets.reveal",
    "secrets.reveal-setting",
    "egress.use-proxies",
    "transactions.log",
    "transactions.progress",
];

/// Reads one step.
pub fn read(mut table: Table<'_, '_>, emulated: bool) -> Option<Step> {
    let reader = table.reader();
    let place = table.place();
    let about = table.get("about", values::text);
    let action = action(&mut table, emulated);
    if emulated {
        let reason = "the emulated Webex answers here: take [webex] away, or inject a fault";
        table.refuse(&["http"], reason);
    }
    let http = table.take("http");
    let http = http.map_or_else(Vec::new, |item| reader.tables(item, &keys::EXCHANGE));
    let disturbances = table.take("disturb");
    let disturbances =
        disturbances.map_or_else(Vec::new, |item| reader.tables(item, &keys::DISTURB));
    let expect = table
        .take("expect")
        .and_then(|item| reader.table(item, &keys::EXPECT))
        .map(expect::read)
        .unwrap_or_default();
    table.close();
    Some(Step {
        place,
        about,
        action: action?,
        http: http.into_iter().filter_map(exchange::read).collect(),
        disturbances: disturbances.into_iter().filter_map(disturbance).collect(),
        expect,
    })
}

fn action(table: &mut Table<'_, '_>, emulated: bool) -> Option<Action> {
    let which = table.exactly_one(&["call", "advance", "at", "webex", "host"]);
    match which {
        Some("call") => call::read(table).map(Action::Call),
        Some("advance") => table.get("advance", values::duration).map(Action::Advance),
        Some("at") => table.get("at", values::moment).map(Action::At),
        Some("webex") => {
            if !emulated {
                table.fault(
                    Complaint::new("there is no emulated Webex in this scenario")
                        .hint("begin it with a section [webex]"),
                );
            }
            webex::action(table).map(Action::Webex)
        }
        Some(_) => {
            table.becomes(&keys::RESTART);
            let words = [("restart", ())];
            let restart = table.get("host", |value| {
                values::word(value, "action of the host", &words)
            });
            restart.map(|()| Action::Restart)
        }
        None => {
            table.pardon();
            None
        }
    }
}

fn disturbance(mut table: Table<'_, '_>) -> Option<Disturbance> {
    let imports = IMPORTS.map(|name| (name, name));
    let import = table.need("import", |value| values::word(value, "import", &imports));
    let nth = table.get("nth", nth).unwrap_or(1);
    let sides = [("before", When::Before), ("after", When::After)];
    let when = table.get("when", |value| values::word(value, "side", &sides));
    let with = table.need("with", trouble);
    table.close();
    let (when, with) = (when.unwrap_or(When::Before), with?);
    Some(Disturbance {
        import: import?.to_owned(),
        nth,
        when,
        with,
    })
}

fn nth(value: DeValue<'_>) -> Result<u32, Complaint> {
    match values::count(value)? {
        0 => Err(Complaint::new("calls are counted from 1")),
        nth => Ok(nth),
    }
}

fn trouble(value: DeValue<'_>) -> Result<Trouble, Complaint> {
    const WORDS: &str = "disturbed by the scenario";
    let names = [
        "crash",
        "conflict",
        "unavailable",
        "limit-exceeded",
        "internal",
        "rate-limited",
    ];
    let name = values::word(value, "trouble", &names.map(|name| (name, name)))?;
    let words = WORDS.to_owned();
    Ok(match name {
        "crash" => Trouble::Crash,
        "conflict" => Trouble::Failure(Failure::Conflict(words)),
        "unavailable" => Trouble::Failure(Failure::Unavailable(words)),
        "limit-exceeded" => Trouble::Failure(Failure::LimitExceeded(words)),
        "rate-limited" => Trouble::Failure(Failure::RateLimited(None)),
        _ => Trouble::Failure(Failure::Internal(words)),
    })
}
