//! Resolution: the nearest level decides, origins are true, and readers of lower levels see nothing of higher ones.

use proptest::prelude::*;
use serde_json::json;

use super::strategies::{PATH, levels};
use super::{level, node};
use crate::settings::{
    Defaults, Level, ListMode, Origin, Resolved, Setting, Sourced, Span, resolve,
};

fn days(resolved: &Resolved) -> Vec<u64> {
    let values = resolved.fields.thresholds.values.iter();
    values
        .map(|each| each.value.as_seconds() / 86_400)
        .collect()
}

fn addresses(resolved: &Resolved) -> Vec<String> {
    let recipients = resolved.recipients.iter();
    recipients.map(|each| each.recipient.key()).collect()
}

#[test]
fn defaults_apply_without_levels() {
    let resolved = resolve(&[], &Defaults::default());
    assert!(resolved.fields.notify.value);
    assert_eq!(days(&resolved), [30, 14, 7, 2]);
    assert_eq!(resolved.fields.kinds.values.len(), 8);
    assert_eq!(resolved.recipients, []);
    assert_eq!(resolved.fields.thresholds.origin, Origin::Default);
}

#[test]
fn nearest_level_decides_each_field() {
    let resolved = resolve(
        &[
            level(
                "sys",
                json!({"notify": false, "language": "de", "recipients": ["noc@example.com"]}),
            ),
            level("sys.P", json!({"notify": true, "thresholds": ["10d"]})),
            level(
                "sys.P.C",
                json!({"thresholds": {"mode": "add-to-inherited", "values": ["5d", "10d"]},
            "recipients": {"mode": "add-to-inherited", "values": ["it@example.com"]}}),
            ),
        ],
        &Defaults::default(),
    );
    assert_eq!(resolved.fields.notify.origin, Origin::Node(node("sys.P")));
    assert_eq!(resolved.fields.language.origin, Origin::Node(node("sys")));
    assert_eq!(days(&resolved), [10, 5]);
    assert_eq!(resolved.fields.format_thresholds(), "10d,5d");
    assert_eq!(addresses(&resolved), ["it@example.com", "noc@example.com"]);
    assert_eq!(resolved.recipients_origin, Origin::Node(node("sys.P.C")));
}

#[test]
fn replacing_list_drops_inherited_values() {
    let resolved = resolve(
        &[
            level("sys", json!({"recipients": ["noc@example.com"]})),
            level(
                "sys.C",
                json!({"recipients": ["it@example.com"], "thresholds": []}),
            ),
        ],
        &Defaults::default(),
    );
    assert_eq!(addresses(&resolved), ["it@example.com"]);
    assert!(days(&resolved).is_empty());
}

#[test]
fn recipient_is_told_as_its_level_says() {
    let resolved = resolve(
        &[
            level(
                "sys",
                json!({"language": "de", "digest": {"hour": 7, "zone": "Europe/Zurich"}, "budget": 3,
            "recipients": ["noc@example.com"]}),
            ),
            level(
                "sys.C",
                json!({"language": "en", "digest": "per-event", "budget": 50,
            "recipients": {"mode": "add-to-inherited", "values": ["it@example.com"]}}),
            ),
        ],
        &Defaults::default(),
    );
    let [nearest, above] = &resolved.recipients[..] else {
        panic!("{:?}", resolved.recipients);
    };
    assert_eq!((nearest.delivery.budget, above.delivery.budget), (50, 3));
    let render = |value| serde_json::to_value(value).expect("JSON");
    assert_eq!(
        render(&above.delivery)["digest"],
        json!({"hour": 7, "zone": "Europe/Zurich"})
    );
    assert_eq!(render(&above.delivery)["language"], json!("de"));
    assert_eq!(render(&nearest.delivery)["digest"], json!("per-event"));
}

#[test]
fn lower_level_sees_no_recipients_above() {
    let levels = [
        level(
            "sys",
            json!({"recipients": ["noc@example.com", "boss@example.com"], "budget": 5}),
        ),
        level(
            "sys.C",
            json!({"notify": true,
            "recipients": {"mode": "add-to-inherited", "values": ["it@example.com"]}}),
        ),
    ];
    let visible = resolve(&levels, &Defaults::default()).visible_from(&node("sys.C"));
    let rendered = serde_json::to_value(&visible).expect("JSON");
    assert_eq!(rendered["told_above"], json!(true));
    assert_eq!(
        rendered["budget"],
        json!({"value": 5, "origin": "inherited"})
    );
    assert_eq!(
        rendered["notify"],
        json!({"value": true, "origin": "sys.C"})
    );
    assert_eq!(
        rendered["language"],
        json!({"value": "en", "origin": "default"})
    );
    assert_eq!(rendered["recipients"].as_array().map(Vec::len), Some(1));
    let all = resolve(&levels, &Defaults::default()).visible_from(&node("sys"));
    assert!(!all.told_above);
    assert_eq!(all.recipients.len(), 3);
}

/// Returns the value and origin of a field by a slower definition: the last level that has a value.
fn find_scalar<T: Clone>(
    levels: &[Level],
    default: T,
    get: impl Fn(&Level) -> Setting<T>,
) -> Sourced<T> {
    let found = levels.iter().rev().find_map(|level| match get(level) {
        Setting::Value(value) => Some(Sourced {
            value,
            origin: Origin::Node(level.node.clone()),
        }),
        Setting::Inherit => None,
    });
    found.unwrap_or(Sourced {
        value: default,
        origin: Origin::Default,
    })
}

/// Returns the levels from the last one that replaces the list.
fn contributing<'l, T: 'static>(
    levels: &'l [Level],
    get: impl Fn(&'l Level) -> &'l Setting<crate::settings::List<T>>,
) -> Vec<(&'l Level, &'l [T])> {
    let mut found = Vec::new();
    for level in levels {
        if let Setting::Value(list) = get(level) {
            if list.mode == ListMode::Replace {
                found.clear();
            }
            found.push((level, &list.values[..]));
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn values_and_origins_are_those_of_the_nearest_level(levels in levels()) {
        let resolved = resolve(&levels, &Defaults::default());
        let fields = &resolved.fields;
        prop_assert_eq!(&fields.notify, &find_scalar(&levels, true, |each| each.settings.notify.clone()));
        prop_assert_eq!(&fields.budget, &find_scalar(&levels, 10, |each| each.settings.budget.clone()));
        prop_assert_eq!(
            &fields.channels.snmp,
            &find_scalar(&levels, true, |each| each.settings.channels.snmp.clone())
        );
        prop_assert_eq!(
            &fields.retrying_after,
            &find_scalar(&levels, Span::from_hours(6), |each| each.settings.retrying_after.clone())
        );

        let expected: Vec<_> = contributing(&levels, |each| &each.settings.recipients)
            .into_iter()
            .rev()
            .flat_map(|(level, values)| values.iter().map(|each| (each.clone(), level.node.clone())))
            .collect();
        let found: Vec<_> = resolved
            .recipients
            .iter()
            .map(|each| (each.recipient.clone(), each.origin.clone()))
            .collect();
        prop_assert_eq!(found, expected);

        for threshold in &fields.thresholds.values {
            let nearest = contributing(&levels, |each| &each.settings.thresholds)
                .into_iter()
                .rev()
                .find(|(_, values)| values.contains(&threshold.value));
            match (&threshold.origin, nearest) {
                (Origin::Node(origin), Some((level, _))) => prop_assert_eq!(origin, &level.node),
                (Origin::Default, None) => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert!(fields.thresholds.values.is_sorted_by(|a, b| a.value > b.value));
    }

    #[test]
    fn resolution_is_stable(levels in levels(), at in 0..5_usize) {
        let resolved = resolve(&levels, &Defaults::default());
        prop_assert_eq!(&resolve(&levels, &Defaults::default()), &resolved);
        let mut reversed = levels.clone();
        reversed.reverse();
        prop_assert_eq!(&resolve(&reversed, &Defaults::default()), &resolved, "the order does not matter");
        let mut more = levels.clone();
        let path = ["root", "sys.Other", "sys.Provider.Other", "sys.Provider.Reseller.Other", "a.b.c.d.e"][at];
        more.push(level(path, json!({})));
        prop_assert_eq!(&resolve(&more, &Defaults::default()), &resolved, "a level that inherits all changes nothing");
    }

    #[test]
    fn resolved_values_resolve_to_themselves(levels in levels()) {
        use crate::settings::{ChannelSettings, List, NoticeSettings};
        let resolved = resolve(&levels, &Defaults::default());
        let fields = resolved.fields.clone();
        let settings = NoticeSettings {
            notify: Setting::Value(fields.notify.value),
            thresholds: Setting::Value(List {
                mode: ListMode::Replace,
                values: fields.thresholds.values.iter().map(|each| each.value).collect(),
            }),
            recipients: Setting::Inherit,
            channels: ChannelSettings {
                mail: Setting::Value(fields.channels.mail.value),
                webhook: Setting::Value(fields.channels.webhook.value),
                snmp: Setting::Value(fields.channels.snmp.value),
            },
            kinds: Setting::Value(List {
                mode: ListMode::Replace,
                values: fields.kinds.values.iter().map(|each| each.value).collect(),
            }),
            retrying_after: Setting::Value(fields.retrying_after.value),
            reminder: Setting::Value(fields.reminder.value),
            digest: Setting::Value(fields.digest.value),
            quiet_hours: Setting::Value(fields.quiet_hours.value),
            language: Setting::Value(fields.language.value),
            budget: Setting::Value(fields.budget.value),
            account_email: Setting::Value(fields.account_email.value),
        };
        let mut more = levels.clone();
        more.push(Level { node: node("sys.Provider.Reseller.Customer.Site"), settings });
        let again = resolve(&more, &Defaults::default());
        let top = node("never");
        prop_assert_eq!(hide_origins(&again, &top), hide_origins(&resolved, &top));
    }

    #[test]
    fn nothing_of_higher_levels_is_visible(levels in levels(), reader in 0..PATH.len()) {
        let resolved = resolve(&levels, &Defaults::default());
        let visible = resolved.visible_from(&node(PATH[reader]));
        let text = serde_json::to_string(&visible).expect("JSON") + &format!("{visible:?}");
        let is_above = |origin: &relation_types::Hierarchy| !node(PATH[reader]).contains(origin);
        for (index, above) in PATH.iter().enumerate().take(reader) {
            prop_assert!(!text.contains(&format!("canary{index}")), "{}", text);
            prop_assert!(!text.contains(&format!("\"{above}\"")), "{}", text);
        }
        let told_above = resolved.recipients.iter().any(|each| is_above(&each.origin));
        prop_assert_eq!(visible.told_above, told_above);

        // The number of recipients above changes nothing.
        let mut fewer = resolved.clone();
        let first = fewer.recipients.iter().position(|each| is_above(&each.origin));
        let mut index = 0;
        fewer.recipients.retain(|each| {
            index += 1;
            !is_above(&each.origin) || first == Some(index - 1)
        });
        prop_assert_eq!(fewer.visible_from(&node(PATH[reader])), visible);
    }
}

/// Returns the values without their levels.
fn hide_origins(resolved: &Resolved, reader: &relation_types::Hierarchy) -> String {
    let mut visible = resolved.visible_from(reader);
    visible.recipients_origin = Origin::Inherited;
    let json = serde_json::to_string(&visible).expect("JSON");
    json.replace("\"default\"", "\"inherited\"")
}
