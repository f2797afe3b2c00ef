//! Random settings, levels and records.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use super::settings;
use crate::NoticeKind;
use crate::settings::{
    ChannelSettings, DigestSchedule, KINDS, Language, Level, List, ListMode, NoticeSettings,
    QuietHours, Recipient, Reminder, Setting, Span, TimeOfDay, Zone,
};

/// The nodes of a path, the highest first.
pub(crate) const PATH: [&str; 4] = [
    "sys",
    "sys.Provider",
    "sys.Provider.Reseller",
    "sys.Provider.Reseller.Customer",
];

fn setting<T: std::fmt::Debug + Clone + 'static>(
    value: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Setting<T>> {
    prop_oneof![Just(Setting::Inherit), value.prop_map(Setting::Value)]
}

fn list<T: std::fmt::Debug + Clone + 'static>(
    values: impl Strategy<Value = Vec<T>> + 'static,
) -> impl Strategy<Value = Setting<List<T>>> {
    let mode = select(vec![ListMode::Replace, ListMode::AddToInherited]);
    setting((mode, values).prop_map(|(mode, values)| List { mode, values }))
}

fn zone() -> impl Strategy<Value = Zone> {
    select(vec![
        "UTC",
        "Europe/Zurich",
        "America/New_York",
        "Asia/Kolkata",
        "Pacific/Apia",
    ])
    .prop_map(|name| Zone::parse(name).expect("a zone"))
}

fn span(min: u64, max: u64) -> impl Strategy<Value = Span> {
    let exact = (min..=max).prop_map(Span::from_seconds);
    let days = (min.div_ceil(86_400)..=max / 86_400).prop_map(Span::from_days);
    prop_oneof![exact, days]
}

fn thresholds() -> impl Strategy<Value = Vec<Span>> {
    prop::collection::vec(span(60, 120 * 86_400), 0..5).prop_map(|mut values| {
        values.sort_unstable_by(|a, b| b.cmp(a));
        values.dedup();
        values
    })
}

/// Recipients whose names contain `tag`, and some that every level may have.
fn recipients(tag: &str) -> impl Strategy<Value = Vec<Recipient>> + use<> {
    let pool = vec![
        json!("shared@example.com"),
        json!({"type": "mail", "address": format!("{tag}@example.com")}),
        json!({"type": "mail", "address": format!("{tag}@bücher.example")}),
        json!({"type": "webhook", "name": format!("{tag} hook"), "url": format!("https://{tag}.example.com/n?a=1")}),
        json!({"type": "webhook", "id": "hook", "name": format!("{tag}"), "url": format!("https://hooks.example.com/{tag}")}),
        json!({"type": "snmp", "name": format!("{tag} noc"), "address": format!("{tag}.example.net"), "version": "v2c"}),
        json!({"type": "snmp", "id": "noc", "name": format!("{tag}"), "address": "[2001:db8::1]:1162", "version": "v3",
            "kind": "inform", "user": format!("{tag}-user"), "context": "", "auth": "sha-512"}),
    ];
    subsequence(pool, 0..=7).prop_map(|chosen: Vec<Value>| {
        let parsed = settings(json!({ "recipients": chosen })).recipients;
        parsed.value().expect("recipients").values.clone()
    })
}

fn kinds() -> impl Strategy<Value = Vec<NoticeKind>> {
    subsequence(KINDS.map(|(_, kind)| kind).to_vec(), 0..=KINDS.len())
}

fn quiet_hours() -> impl Strategy<Value = QuietHours> {
    let times = ((0..24_u8), (0..60_u8), (1..1_440_u16));
    let daily = (times, zone()).prop_map(|((hour, minute, length), zone)| {
        let end = u16::from(hour) * 60 + u16::from(minute) + length;
        let parse = |text: String| TimeOfDay::parse(&text).expect("a time");
        QuietHours::Daily {
            from: parse(format!("{hour}:{minute:02}")),
            to: parse(format!("{}:{:02}", end / 60 % 24, end % 60)),
            zone,
        }
    });
    prop_oneof![Just(QuietHours::Off), daily]
}

fn digest() -> impl Strategy<Value = DigestSchedule> {
    let daily = (0..24_u8, zone()).prop_map(|(hour, zone)| DigestSchedule::Daily { hour, zone });
    prop_oneof![Just(DigestSchedule::PerEvent), daily]
}

fn reminder() -> impl Strategy<Value = Reminder> {
    prop_oneof![
        Just(Reminder::Off),
        span(7 * 86_400, 60 * 86_400).prop_map(Reminder::Every)
    ]
}

/// Generates random settings of a level, whose recipients contain `tag`.
pub(crate) fn notice_settings(tag: &str) -> impl Strategy<Value = NoticeSettings> + use<> {
    let flag = || setting(any::<bool>());
    let notify = prop_oneof![
        5 => Just(Setting::Inherit),
        3 => Just(Setting::Value(true)),
        1 => Just(Setting::Value(false))
    ];
    let channels = (flag(), flag(), flag()).prop_map(|(mail, webhook, snmp)| ChannelSettings {
        mail,
        webhook,
        snmp,
    });
    let told = (
        notify,
        list(thresholds()),
        list(recipients(tag)),
        channels,
        list(kinds()),
    );
    let times = (
        setting(span(60, 30 * 86_400)),
        setting(reminder()),
        setting(digest()),
        setting(quiet_hours()),
    );
    let others = (
        setting(select(vec![Language::En, Language::De])),
        setting(1..=1_000_u32),
        flag(),
    );
    (told, times, others).prop_map(|(told, times, others)| {
        let (notify, thresholds, recipients, channels, kinds) = told;
        let (retrying_after, reminder, digest, quiet_hours) = times;
        let (language, budget, account_email) = others;
        NoticeSettings {
            notify,
            thresholds,
            recipients,
            channels,
            kinds,
            retrying_after,
            reminder,
            digest,
            quiet_hours,
            language,
            budget,
            account_email,
        }
    })
}

/// Generates random levels on [`PATH`]; the recipients contain `canary0` to `canary3` by level.
pub(crate) fn levels() -> impl Strategy<Value = Vec<Level>> {
    let each = |index: usize| {
        let settings = notice_settings(&format!("canary{index}"));
        prop::option::weighted(0.8, settings).prop_map(move |settings| {
            settings.map(|settings| Level {
                node: super::node(PATH[index]),
                settings,
            })
        })
    };
    (each(0), each(1), each(2), each(3))
        .prop_map(|(a, b, c, d)| [a, b, c, d].into_iter().flatten().collect())
}
