//! `[[step]]`: one thing that happens, what goes wrong meanwhile, and what must come of it.

use relation_host::types::Failure;
use toml::de::DeValue;

use super::reader::Table;
use super::source::Complaint;
use super::{call, exchange, expect, keys, values, webex};
use crate::scenario::model::{Action, Call, Caller, Disturbance, Step, StoreKind, Trouble, When};

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

/// What the scenario is that a step belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Whether there is an emulated Webex.
    pub emulated: bool,
    /// Where documents are kept.
    pub store: StoreKind,
}

/// Reads one step.
pub fn read(mut table: Table<'_, '_>, setting: Setting) -> Option<Step> {
    let reader = table.reader();
    let place = table.place();
    let about = table.get("about", values::text);
    let action = action(&mut table, setting);
    let at_once = matches!(action, Some(Action::AtOnce(_)));
    if at_once {
        let reason = "calls at once are not disturbed: it could not be said which of them is";
        table.refuse(&["disturb"], reason);
    }
    if setting.emulated {
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
        .map(|mut table| {
            if at_once {
                let reason =
                    "of calls at once each has its own: write it into its [[step.at-once]]";
                table.refuse(keys::AT_ONCE_EXPECT.keys, reason);
            }
            expect::read(table)
        })
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

fn action(table: &mut Table<'_, '_>, setting: Setting) -> Option<Action> {
    let which = table.exactly_one(&["call", "at-once", "advance", "at", "webex", "host"]);
    match which {
        Some("call") => call::read(table).map(Action::Call),
        Some("at-once") => at_once(table, setting.store).map(Action::AtOnce),
        Some("advance") => table.get("advance", values::duration).map(Action::Advance),
        Some("at") => table.get("at", values::moment).map(Action::At),
        Some("webex") => {
            if !setting.emulated {
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

fn at_once(table: &mut Table<'_, '_>, store: StoreKind) -> Option<Vec<Caller>> {
    if store == StoreKind::Sqlite {
        let complaint =
            Complaint::new("with a database the machine decides the order of calls at once");
        table.fault(complaint.hint("take store = \"memory\""));
    }
    let reader = table.reader();
    let callers = reader.tables(table.take("at-once")?, &keys::AT_ONCE);
    let read = callers.into_iter().filter_map(caller).collect::<Vec<_>>();
    if read.iter().map(|caller| caller.times).sum::<u32>() < 2 && !reader.is_faulty() {
        let complaint = Complaint::new("one call alone is not at once with anything");
        table.fault(complaint.hint("write it as call = \"…\", or give it `times`"));
    }
    Some(read)
}

fn caller(mut table: Table<'_, '_>) -> Option<Caller> {
    /// More would show nothing more, and take long.
    const MOST: u32 = 100;
    let reader = table.reader();
    let place = table.place();
    let between = |most: u32| {
        move |value| match values::count::<u32>(value)? {
            number if (1..=most).contains(&number) => Ok(number),
            _ => Err(Complaint::new(format!("must be from 1 to {most}"))),
        }
    };
    let times = table.get("times", between(MOST)).unwrap_or(1);
    let host = table.get("host", between(8)).unwrap_or(1);
    let expect = table
        .take("expect")
        .and_then(|item| reader.table(item, &keys::AT_ONCE_EXPECT))
        .map(expect::read_of_call)
        .unwrap_or_default();
    if !table.has("call") {
        table.missing("call");
        table.pardon();
    }
    let call = match table.has("call") {
        true => call::read(&mut table),
        false => None,
    };
    if host > 1 && matches!(call, Some(Call::Wake { .. })) {
        table.fault(Complaint::new("what is due is answered by the first host"));
    }
    table.close();
    Some(Caller {
        place,
        call: call?,
        times,
        host: usize::try_from(host).unwrap_or(1),
        expect,
    })
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
