//! Tests of valid configurations, and of the errors of invalid ones.

use std::path::Path;
use std::time::Duration;

use relation_host::egress::ProxyUrl;

use super::*;

mod files;

fn parse(text: &str) -> Config {
    Config::parse(&Source::new("/etc/relation/relation.toml", text)).unwrap()
}

fn try_parse(text: &str) -> Result<Config, Vec<SettingError>> {
    Config::parse(&Source::new("relation.toml", text))
}

fn errors(text: &str) -> Vec<String> {
    let errors = try_parse(text).unwrap_err();
    errors.iter().map(SettingError::to_string).collect()
}

#[test]
fn empty_file_gives_the_defaults() {
    assert_eq!(parse(""), Config::without_file(Path::new("/etc/relation")));
}

#[test]
fn defaults_allow_no_egress_and_use_local_files() {
    let config = Config::without_file(Path::new(""));
    assert!(config.egress.allow.is_empty());
    assert_eq!(config.store.to_string(), "sqlite:relation.db");
    assert_eq!(config.key, KeySource::File("relation.key".into()));
    assert!(config.settings.is_empty(), "the plugin has the defaults");
}

#[test]
fn every_key_is_read() {
    let config = parse(
        r#"
        store = "sqlite:data/relation.db"
        key-file = "/run/keys/relation.key"
        stash = "kept"
        stash-reserve = "2 MiB"
        component.cache = "compiled"
        [webex]
        base-url = "http://127.0.0.1:8080/v1/"
        client-id = "C0ffee"
        client-secret-file = "client-secret"
        scopes = ["spark-admin:organizations_read", "identity:tokens_write"]
        contact-center-scopes = ["cjp:config"]
        wholesale-customers-scopes = ["spark-admin:wholesale_customers_read"]
        wholesale-users-scopes = ["spark-admin:wholesale_subscribers_read"]
        [connect]
        redirect = "http://LOCALHOST:8400/callback"
        lifetime = "2d"
        [egress]
        allow = ["https://webexapis.com"]
        proxies = ["http://proxy.example.com:3128"]
        extra-ca = "ca.pem"
        [limits]
        memory = "32 MiB"
        time = "30s"
        request-time = "5s"
        response = "512 KiB"
        headers = "8 KiB"
        requests = 8
        commit = "2MiB"
        changes = 100
        host-calls = 5_000
        transfer = "4 MiB"
        handles = 200
        table = 5_000
        secrets = 50
        log = "16 KiB"
        calls = 0x10
        [expiry]
        thresholds = ["30d", "36h", "1500ms"]
        notify = false
        [refresh]
        period = "7d"
        fraction = 0.5
        jitter = 0
        failing-after = "90m"
        [tokens]
        assumed-access-lifetime = "12h"
        assumed-refresh-lifetime = "60d"
        [dispatch]
        concurrency = 16
        poll = "250ms"
        refresh-rate = 5
        [transactions]
        keep = "30d"
        keep-failures = "180d"
        [metrics]
        listen = "127.0.0.1:9464"
        token-file = "token"
        per-connection = true
        [traces]
        endpoint = "http://127.0.0.1:4318"
        headers-file = "headers"
        proxy = "http://127.0.0.1:3128"
        sample = 0.5
        customers = true
        [log]
        format = "json"
        "#,
    );
    let limits = Limits {
        memory: 32 << 20,
        time: Duration::from_secs(30),
        request_time: Duration::from_secs(5),
        response: 512 << 10,
        headers: 8 << 10,
        requests: 8,
        commit: 2 << 20,
        changes: 100,
        host_calls: 5000,
        transfer: 4 << 20,
        handles: 200,
        table: 5000,
        secrets: 50,
        log: 16 << 10,
        calls: 16,
        ..Limits::default()
    };
    let settings = [
        ("connect.lifetime", "172800s"),
        ("expiry.notify", "false"),
        ("expiry.thresholds", "2592000s,129600s,1500ms"),
        ("refresh.failing-after", "5400s"),
        ("refresh.fraction", "0.5"),
        ("refresh.jitter", "0"),
        ("refresh.period", "604800s"),
        ("tokens.assumed-access-lifetime", "43200s"),
        ("tokens.assumed-refresh-lifetime", "5184000s"),
        ("webex.base-url", "http://127.0.0.1:8080/v1"),
        ("webex.client-id", "C0ffee"),
        (
            "webex.scopes",
            "spark-admin:organizations_read identity:tokens_write",
        ),
        ("webex.contact-center-scopes", "cjp:config"),
        (
            "webex.wholesale-customers-scopes",
            "spark-admin:wholesale_customers_read",
        ),
        (
            "webex.wholesale-users-scopes",
            "spark-admin:wholesale_subscribers_read",
        ),
    ];
    let expected = Config {
        file: config.file.clone(),
        hash: config.hash.clone(),
        stash_reserve: 2 << 20,
        retention: Retention {
            succeeded: Duration::from_secs(30 * 24 * 3600),
            failed: Duration::from_secs(180 * 24 * 3600),
        },
        store: StoreUrl::sqlite("/etc/relation/data/relation.db"),
        key: KeySource::File("/run/keys/relation.key".into()),
        stash: Some("/etc/relation/kept".into()),
        component_cache: CacheLocation::Directory("/etc/relation/compiled".into()),
        settings: settings
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        setting_sources: config.setting_sources.clone(),
        client_secret_file: Some("/etc/relation/client-secret".into()),
        redirect: RedirectAddress::parse("http://LOCALHOST:8400/callback").ok(),
        egress: Egress {
            allow: vec!["https://webexapis.com".to_owned()],
            proxies: vec!["http://proxy.example.com:3128".to_owned()],
            extra_ca: Some("/etc/relation/ca.pem".into()),
        },
        limits,
        dispatch: Dispatch {
            engine: DispatchEngine::Host,
            concurrency: Some(16),
            poll: Some(Duration::from_millis(250)),
            refresh_rate: std::num::NonZeroU32::new(5),
        },
        temporal: TemporalConfig::default(),
        web: WebConfig::default(),
        notices: NoticesConfig::default(),
        metrics: MetricsConfig {
            listen: "127.0.0.1:9464".parse().ok(),
            token_file: Some("/etc/relation/token".into()),
            per_connection: true,
        },
        traces: TracesConfig {
            endpoint: "http://127.0.0.1:4318".parse().ok(),
            headers_file: Some("/etc/relation/headers".into()),
            proxy: ProxyUrl::parse(&"http://127.0.0.1:3128".into()).ok(),
            sample: Some(0.5),
            customers: true,
        },
        log_format: LogFormat::Json,
    };
    assert_eq!(config, expected);
}

#[test]
fn unknown_key_suggests_the_nearest_key() {
    assert_eq!(
        errors("keyfile = \"x\"\n[limits]\nmemroy = \"1 MiB\"\nhost_calls = 3\n"),
        [
            "line 1: keyfile: unknown key; did you mean `key-file`?",
            "line 3: limits.memroy: unknown key; did you mean `memory`?",
            "line 4: limits.host_calls: unknown key; did you mean `host-calls`?",
        ]
    );
}

#[test]
fn unknown_key_without_match_lists_known_keys() {
    assert_eq!(
        errors("[log]\nxyz = 1"),
        ["line 2: log.xyz: unknown key; [log] has format"]
    );
}

#[test]
fn all_errors_are_reported_in_line_order() {
    let found = errors(
        "store = \"mysql:x\"\n[limits]\nmemory = 64\nresponse = \"10\"\ntime = \"soon\"\n\
         requests = 0\n[refresh]\nfraction = 1.5\n[expiry]\nthresholds = \"2d\"\n\
         notify = \"yes\"\n[log]\nformat = \"xml\"\n",
    );
    let keys: Vec<_> = found
        .iter()
        .map(|error| error.split(": ").take(2).collect::<Vec<_>>().join(": "))
        .collect();
    assert_eq!(
        keys,
        [
            "line 1: store",
            "line 3: limits.memory",
            "line 4: limits.response",
            "line 5: limits.time",
            "line 6: limits.requests",
            "line 8: refresh.fraction",
            "line 10: expiry.thresholds",
            "line 11: expiry.notify",
            "line 13: log.format",
        ]
    );
    assert!(found[1].contains("64 MiB"), "{}", found[1]);
    assert!(found[3].contains("90s"), "{}", found[3]);
}

#[test]
fn refused_setting_is_reported_with_key_and_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("relation.toml");
    let text =
        "[refresh]\nperiod = \"500ms\"\nfraction = 0\n[webex]\nwholesale-users-scopes = []\n";
    std::fs::write(&file, text).unwrap();
    let config = Config::load(Some(&file)).unwrap();
    let error = |field: &str| relation_host::types::FieldError {
        field: field.to_owned(),
        message: "must be another".to_owned(),
    };
    let refused = config.setting_sources.to_config_error(vec![
        error("webex.wholesale-users-scopes"),
        error("webex.client-id"),
        error("refresh.fraction"),
    ]);
    let expected = format!(
        "the configuration {} is wrong:\n  webex.client-id: must be another\n  \
         line 3: refresh.fraction: must be another\n  \
         line 5: webex.wholesale-users-scopes: must be another",
        file.display()
    );
    assert_eq!(refused.to_string(), expected);
}

#[test]
fn invalid_origin_is_reported_with_line_and_entry() {
    let found = errors("[egress]\nallow = [\"https://webexapis.com\", \"webexapis.com/v1\"]");
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("line 2: egress.allow: entry 2"),
        "{found:?}"
    );
    let found = errors("[egress]\nproxies = [\"http://user:s3cret@proxy:1\"]");
    assert!(
        found[0].starts_with("line 2: egress.proxies: entry 1"),
        "{found:?}"
    );
    assert!(!found[0].contains("s3cret"), "{found:?}");
}

#[test]
fn invalid_toml_is_reported_with_its_line() {
    let found = errors("store = \"sqlite:a.db\"\nkey-file = \n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("line 2: "), "{found:?}");
}

#[test]
fn section_must_be_a_table() {
    let found = errors("limits = 3");
    assert_eq!(
        found,
        ["line 1: limits: expected the table [limits], found a number without quotes"]
    );
}

#[test]
fn base_url_with_credentials_or_query_is_refused() {
    for wrong in [
        "webexapis.com",
        "ftp://webexapis.com",
        "https://user:secret@webexapis.com",
        "https://webexapis.com/v1?x=1",
    ] {
        let found = errors(&format!("[webex]\nbase-url = {wrong:?}"));
        assert!(
            found[0].starts_with("line 2: webex.base-url: "),
            "{found:?}"
        );
    }
}

#[test]
fn store_url_has_scheme_and_path() {
    let here = Path::new("/srv");
    let path = |text| {
        let url = StoreUrl::parse(text, here).ok()?;
        url.file().map(Path::to_owned)
    };
    assert_eq!(path("sqlite:a.db"), Some("/srv/a.db".into()));
    assert_eq!(path("sqlite:/var/a.db"), Some("/var/a.db".into()));
    assert_eq!(path("sqlite:///var/a.db"), Some("/var/a.db".into()));
    assert_eq!(path("sqlite:"), None);
    assert_eq!(path("sqlite::memory:"), None);
    assert_eq!(path("a.db"), None);
}

#[test]
fn call_time_must_cover_request_time() {
    for text in [
        "[limits]\ntime = \"10s\"",
        "[limits]\nrequest-time = \"61s\"",
        "[limits]\nrequest-time = \"30s\"\ntime = \"29999ms\"",
    ] {
        let errors = try_parse(text).unwrap_err();
        let line = 1 + text
            .lines()
            .position(|line| line.starts_with("time"))
            .unwrap_or(1);
        assert_eq!((errors.len(), errors[0].line), (1, Some(line)), "{text}");
        assert!(errors[0].message.contains("limits.request-time"), "{text}");
    }
    let equal = "[limits]\nrequest-time = \"30s\"\ntime = \"30s\"";
    assert!(try_parse(equal).is_ok());
}

#[test]
fn the_reserve_is_a_size_or_off() {
    let reserve = |value: &str| {
        try_parse(&format!("stash-reserve = {value}")).map(|config| config.stash_reserve)
    };
    assert_eq!(Config::without_file(Path::new("")).stash_reserve, 1 << 20);
    assert_eq!(reserve("\"4 MiB\"").unwrap(), 4 << 20);
    assert_eq!(reserve("false").unwrap(), 0);
    for wrong in ["true", "0", "\"0 B\"", "\"much\""] {
        assert!(reserve(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn documented_limits_are_the_defaults() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once("\n## `[limits]`\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut text = String::from("[limits]\n");
    let mut names = Vec::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        text.push_str(&format!("{} = {}\n", cells[1], cells[2]));
        names.push(cells[1].to_owned());
    }
    assert_eq!(names, Limit::NAMES);
    assert_eq!(parse(&text).limits, Limits::default());
}
