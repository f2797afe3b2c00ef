//! Tests of parsing settings and of the errors for invalid ones.

use super::*;
use crate::platform::Millis;
use crate::testing::MemoryPlatform;

const DAY: Millis = Millis::from_hours(24);

fn settings(pairs: &[(&str, &str)]) -> Result<Settings, Vec<FieldError>> {
    Settings::from_pairs(
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
    )
}

#[test]
fn absent_settings_take_their_defaults() {
    let defaults = settings(&[]).unwrap();
    assert_eq!(defaults, Settings::default());
    assert_eq!(defaults.base_url, "https://webexapis.com/v1");
    assert_eq!(defaults.client_id, None);
    assert_eq!(defaults.scopes.base.len(), 10);
    assert_eq!(defaults.scopes.contact_center.len(), 2);
    assert_eq!(defaults.scopes.wholesale_customers.len(), 3);
    assert_eq!(defaults.scopes.wholesale_users.len(), 2);
    assert_eq!(
        defaults.refresh,
        RefreshPolicy {
            period: 7 * DAY,
            fraction: Fraction::from_millionths(500_000),
            jitter: Fraction::from_millionths(100_000),
            failing_after: DAY / 4,
        }
    );
    assert_eq!(defaults.connect_lifetime, Millis::from_seconds(600));
    assert!(defaults.notify);
    assert_eq!(defaults.thresholds, [30 * DAY, 14 * DAY, 7 * DAY, 2 * DAY]);
    assert_eq!(defaults.assumed_access_lifetime, 14 * DAY);
    assert_eq!(defaults.assumed_refresh_lifetime, 90 * DAY);
}

#[test]
fn every_default_is_a_value_that_can_be_given() {
    let pairs: Vec<(&str, &str)> = SETTINGS
        .iter()
        .filter_map(|setting| Some((setting.key, setting.default?)))
        .collect();
    assert_eq!(settings(&pairs).unwrap(), Settings::default());
}

#[test]
fn every_plain_setting_of_the_table_is_parsed() {
    for setting in SETTINGS.iter().filter(|setting| !setting.secret) {
        // No form allows a control character inside a value.
        let errors = settings(&[(setting.key, "a\u{1}b")]).unwrap_err();
        let [error] = errors.as_slice() else {
            panic!("{} has the errors {errors:?}", setting.key);
        };
        assert_eq!(error.field, setting.key);
        assert_eq!(error.message, format!("must be {}", setting.format));
    }
}

#[test]
fn table_of_settings_is_the_one_of_the_page() {
    let mut table =
        String::from("| key | secret | format | default | meaning |\n|---|---|---|---|---|\n");
    for setting in SETTINGS {
        let secret = if setting.secret { "yes" } else { "no" };
        let default = setting
            .default
            .map_or_else(|| "none".to_owned(), |default| format!("`{default}`"));
        table.push_str(&format!(
            "| `{}` | {secret} | {} | {default} | {} |\n",
            setting.key, setting.format, setting.help
        ));
    }
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/contract.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page.contains(&table),
        "put this into docs/contract.md:\n{table}"
    );
}

#[test]
fn every_setting_is_parsed() {
    let settings = settings(&[
        (BASE_URL, "http://127.0.0.1:8080/v1/"),
        (CLIENT_ID, " C123 "),
        (SCOPES, "spark-admin:people_read  spark-admin:roles_read"),
        (CONTACT_CENTER_SCOPES, ""),
        (
            CONTACT_CENTER_URLS,
            "EU=http://127.0.0.1:8080/eu/ US=http://127.0.0.1:8080/us",
        ),
        (WHOLESALE_CUSTOMERS_SCOPES, "customers"),
        (WHOLESALE_USERS_SCOPES, "users more"),
        (CONNECT_LIFETIME, "2days"),
        (REFRESH_PERIOD, "12h"),
        (REFRESH_FRACTION, "0.25"),
        (REFRESH_JITTER, "0"),
        (REFRESH_FAILING_AFTER, "30m"),
        (EXPIRY_NOTIFY, "false"),
        (EXPIRY_THRESHOLDS, "2d, 30days,2d,20s"),
        (ASSUMED_ACCESS_LIFETIME, "1h"),
        (ASSUMED_REFRESH_LIFETIME, "60d"),
        ("somebody.else", "?"),
    ])
    .unwrap();
    assert_eq!(
        settings,
        Settings {
            base_url: "http://127.0.0.1:8080/v1".to_owned(),
            client_id: Some("C123".to_owned()),
            scopes: ScopeSettings {
                base: vec![
                    "spark-admin:people_read".to_owned(),
                    "spark-admin:roles_read".to_owned()
                ],
                contact_center: Vec::new(),
                wholesale_customers: vec!["customers".to_owned()],
                wholesale_users: vec!["users".to_owned(), "more".to_owned()],
            },
            contact_center_urls: [
                ("ANZ", "https://api.wxcc-anz1.cisco.com"),
                ("Canada", "https://api.wxcc-ca1.cisco.com"),
                ("EU", "http://127.0.0.1:8080/eu"),
                ("Japan", "https://api.wxcc-jp1.cisco.com"),
                ("Singapore", "https://api.wxcc-sg1.cisco.com"),
                ("UK", "https://api.wxcc-eu1.cisco.com"),
                ("US", "http://127.0.0.1:8080/us"),
            ]
            .map(|(region, url)| (region, url.to_owned()))
            .into(),
            connect_lifetime: 2 * DAY,
            refresh: RefreshPolicy {
                period: DAY / 2,
                fraction: Fraction::from_millionths(250_000),
                jitter: Fraction::from_millionths(0),
                failing_after: DAY / 48,
            },
            notify: false,
            thresholds: vec![30 * DAY, 2 * DAY, Millis::from_seconds(20)],
            assumed_access_lifetime: DAY / 24,
            assumed_refresh_lifetime: 60 * DAY,
        }
    );
}

#[test]
fn invalid_value_is_reported_by_its_key() {
    for (key, value) in [
        (BASE_URL, "webexapis.com"),
        (BASE_URL, "ftp://webexapis.com"),
        (BASE_URL, "https://user:secret@webexapis.com/v1"),
        (BASE_URL, "https://webexapis.com/v1?x=y"),
        (SCOPES, ""),
        (SCOPES, "a \"b\""),
        (WHOLESALE_USERS_SCOPES, " "),
        (CONTACT_CENTER_SCOPES, "cjp:config\u{e4}"),
        (CONNECT_LIFETIME, "59s"),
        (CONNECT_LIFETIME, "7d 1s"),
        (CONNECT_LIFETIME, "forever"),
        (REFRESH_PERIOD, "soon"),
        (REFRESH_PERIOD, "0s"),
        (CLIENT_ID, "C1 23"),
        (CLIENT_ID, "C\u{200b}123"),
        (REFRESH_FRACTION, "0"),
        (REFRESH_FRACTION, "1.5"),
        (REFRESH_FRACTION, "-0.5"),
        (REFRESH_FRACTION, "NaN"),
        (REFRESH_FRACTION, "."),
        (REFRESH_JITTER, "0.95"),
        (REFRESH_FAILING_AFTER, "0"),
        (EXPIRY_NOTIFY, "perhaps"),
        (EXPIRY_THRESHOLDS, ","),
        (EXPIRY_THRESHOLDS, "0s"),
        (EXPIRY_THRESHOLDS, "2d,,1d"),
        (EXPIRY_THRESHOLDS, "2d,1ms"),
        (ASSUMED_ACCESS_LIFETIME, ""),
        (ASSUMED_REFRESH_LIFETIME, "99999999999999999999y"),
    ] {
        match settings(&[(key, value)]) {
            Err(errors) => {
                let [error] = errors.as_slice() else {
                    panic!("{key} = {value:?} has the faults {errors:?}");
                };
                assert_eq!(error.field, key);
                let text = &error.message;
                assert!(text.starts_with("must be "), "{text:?}");
                assert!(!text.contains("secret"), "{text:?} shows a password");
            }
            Ok(settings) => panic!("{key} = {value:?} led to {settings:?}"),
        }
    }
}

#[test]
fn both_ends_of_the_connect_lifetime_are_accepted() {
    for (value, lifetime) in [("1m", Millis::from_seconds(60)), ("7d", 7 * DAY)] {
        let settings = settings(&[(CONNECT_LIFETIME, value)]).unwrap();
        assert_eq!(settings.connect_lifetime, lifetime);
    }
}

#[test]
fn empty_thresholds_are_not_the_default() {
    let empty = settings(&[(EXPIRY_THRESHOLDS, " ")]).unwrap();
    assert_eq!(empty.thresholds, Vec::<Millis>::new());
}

#[test]
fn check_and_load_report_the_same_errors() {
    let platform = MemoryPlatform::new();
    assert_eq!(Settings::check(&platform), Ok(()));
    platform.set(REFRESH_FRACTION, "0");
    platform.set(REFRESH_PERIOD, "500ms");
    let checked = Settings::check(&platform).unwrap_err();
    let Failure::Invalid(errors) = checked else {
        panic!("{checked:?}");
    };
    let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, [REFRESH_PERIOD, REFRESH_FRACTION]);
    let loaded = Settings::load(&platform).unwrap_err();
    let Failure::Internal(text) = loaded else {
        panic!("{loaded:?}");
    };
    for error in errors {
        assert!(text.contains(&error.field), "{text}");
        assert!(text.contains(&error.message), "{text}");
    }
}

#[test]
fn fraction_is_exact_to_the_millionth() {
    assert_eq!(Fraction::parse("1"), Some(Fraction::ONE));
    assert_eq!(
        Fraction::parse("0.1234567"),
        Some(Fraction::from_millionths(123_456))
    );
    assert_eq!(
        Fraction::parse(".5"),
        Some(Fraction::from_millionths(500_000))
    );
    assert_eq!(Fraction::parse(&"9".repeat(60)), None);
    assert_eq!(Fraction::ONE.share_of(Millis::MAX), Millis::MAX);
    assert_eq!(
        Fraction::from_millionths(500_000).share_of(14 * DAY),
        7 * DAY
    );
}
