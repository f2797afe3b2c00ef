use std::path::Path;

use super::*;

const OURS: &str = "https://collector.example.com:4318";

fn config(endpoint: Option<&str>) -> Config {
    let mut config = Config::without_file(Path::new(""));
    config.traces.endpoint = endpoint.map(|endpoint| endpoint.parse().unwrap());
    config
}

fn resolve_with(
    config: &Config,
    variables: &[(&str, &str)],
) -> Result<Option<TracesTarget>, AppError> {
    resolve(config, |name| {
        let found = variables.iter().find(|(each, _)| *each == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn endpoint_of(config: &Config, variables: &[(&str, &str)]) -> Option<String> {
    let target = resolve_with(config, variables).unwrap();
    target.map(|target| target.endpoint.to_string())
}

#[test]
fn endpoint_is_ours_or_that_of_the_environment() {
    let complete = "https://collector.example.com:4318/v1/traces";
    let theirs = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:4318/")];
    assert_eq!(endpoint_of(&config(None), &[]), None);
    assert_eq!(
        endpoint_of(&config(Some(OURS)), &[]).as_deref(),
        Some(complete)
    );
    let own_path = config(Some("https://example.com/otlp"));
    assert_eq!(
        endpoint_of(&own_path, &[]).as_deref(),
        Some("https://example.com/otlp")
    );
    assert_eq!(
        endpoint_of(&config(None), &theirs).as_deref(),
        Some("http://otel:4318/v1/traces")
    );
    let for_traces = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://other:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://otel:4318/own"),
    ];
    assert_eq!(
        endpoint_of(&config(None), &for_traces).as_deref(),
        Some("http://otel:4318/own")
    );
    let disabled = [theirs[0], ("OTEL_SDK_DISABLED", "true")];
    assert_eq!(endpoint_of(&config(None), &disabled), None);
    let mut silent = config(Some(OURS));
    silent.traces.sample = Some(0.0);
    assert_eq!(endpoint_of(&silent, &[]), None);
}

#[test]
fn contradictions_name_the_setting_and_the_variable() {
    let mut with_file = config(Some(OURS));
    with_file.traces.headers_file = Some("headers".into());
    let ours = config(Some(OURS));
    for (config, variable, value, setting) in [
        (
            &ours,
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://otel:4318",
            "traces.endpoint",
        ),
        (&ours, "OTEL_SDK_DISABLED", "true", "traces.endpoint"),
        (
            &with_file,
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a=canary",
            "traces.headers-file",
        ),
        (
            &ours,
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "grpc",
            "http/protobuf",
        ),
        (
            &ours,
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
            "gzip",
            "without compression",
        ),
        (&ours, "OTEL_EXPORTER_OTLP_TIMEOUT", "5s", "milliseconds"),
        (
            &ours,
            "OTEL_EXPORTER_OTLP_CLIENT_KEY",
            "key.pem",
            "client certificate",
        ),
        (&ours, "OTEL_EXPORTER_OTLP_HEADERS", "canary", "name=value"),
    ] {
        let refused = resolve_with(config, &[(variable, value)]).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Usage);
        let message = refused.message;
        assert!(
            message.contains(variable) && message.contains(setting),
            "{message}"
        );
        assert!(!message.contains("canary"), "{message}");
    }
    // The same address is not a contradiction, and neither are supported values.
    let same = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", OURS),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_SDK_DISABLED", "false"),
    ];
    assert!(endpoint_of(&ours, &same).is_some());
}

#[test]
fn other_variables_are_honored() {
    let variables = [
        ("OTEL_SERVICE_NAME", "relation-test"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key = a%20b%2C , x-other=c"),
    ];
    let target = resolve_with(&config(Some(OURS)), &variables);
    let target = target.unwrap().unwrap();
    assert_eq!(target.service_name, "relation-test");
    assert_eq!(target.timeout, Duration::from_millis(1500));
    assert_eq!(target.sample, DEFAULT_SAMPLE);
    let headers = target.headers.read().unwrap();
    assert_eq!(headers["x-key"], "a b,");
    assert_eq!(headers["x-other"], "c");
    assert!(headers.values().all(HeaderValue::is_sensitive));
    let long = [("OTEL_EXPORTER_OTLP_TIMEOUT", "60000")];
    let target = resolve_with(&config(Some(OURS)), &long).unwrap().unwrap();
    assert_eq!(target.timeout, MAX_TIMEOUT);
}

#[test]
fn headers_file_has_a_field_on_each_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("headers");
    let read = |text: &str| {
        std::fs::write(&file, text).unwrap();
        TracesHeaders::File(file.clone()).read()
    };
    let headers = read("# collector\n\nAuthorization: Bearer a:b=\nx-scope: 7\n").unwrap();
    assert_eq!(headers["authorization"], "Bearer a:b=");
    assert_eq!(headers["x-scope"], "7");
    let error = read("x-scope: 7\ncanary-without-colon\n").unwrap_err();
    assert!(error.message.contains("line 2"), "{error}");
    assert!(!error.message.contains("canary"), "{error}");
    assert!(TracesHeaders::File("does/not/exist".into()).read().is_err());
}

#[test]
fn client_reaches_the_collector_only() {
    let target = resolve_with(&config(Some("http://10.0.0.1:4318")), &[]);
    let target = target.unwrap().unwrap();
    let client = target.client().unwrap();
    let allows = |uri: &'static str| {
        let policy = client.policy();
        policy
            .check_target_as_written(&Uri::from_static(uri))
            .is_ok()
    };
    assert!(allows("http://10.0.0.1:4318/v1/traces"));
    assert!(!allows("http://10.0.0.1:4317/"));
    assert!(!allows("https://10.0.0.1:4318/"));
    assert!(!allows("http://10.0.0.2:4318/"));
}
