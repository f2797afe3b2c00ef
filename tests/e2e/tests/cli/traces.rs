//! A collector receives the spans of calls, and faults of the collector do not disturb the calls.

use std::collections::BTreeMap;
use std::time::Duration;

use relation_e2e::cli_world::{CliWorld, browse};
use relation_e2e::process::{eventually, free_address};
use relation_e2e::trace_collector::{CollectorBehavior, ReceivedSpan, TraceCollector};
use webex_emulator::{Emulator, Fault, Mode};

const WEEK: Duration = Duration::from_secs(8 * 86_400);
const TOKEN: &str = "/v1/access_token";
const WARNING: &str = "traces cannot be sent to ";

/// Creates a world whose commands send all spans to the collector.
fn traced_world(collector: &TraceCollector) -> CliWorld {
    let world = CliWorld::with(Emulator::builder().mode(Mode::Rotate));
    let endpoint = format!("traces.endpoint = \"{}\"", collector.endpoint());
    world
        .with_config_line(&endpoint)
        .with_config_line("traces.sample = 1")
}

/// Returns the only span of this name.
#[track_caller]
fn find_span(collector: &TraceCollector, name: &str) -> ReceivedSpan {
    let mut spans = collector.spans_named(name);
    assert_eq!(spans.len(), 1, "{name}: {spans:#?}");
    spans.remove(0)
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    let owned = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    owned.into_iter().collect()
}

#[test]
fn refresh_is_a_tree_of_spans() {
    let collector = TraceCollector::start();
    let world = traced_world(&collector);
    let customer = world.add_customer("Canary customer");
    let refreshed = world.workspace.json(["refresh", &customer.pkid]);

    let root = find_span(&collector, "call refresh");
    assert!(root.parent.is_empty());
    let tree = "call refresh\n  store.begin\n  instance\n    http POST token\n    store.commit\n  store.end\n";
    assert_eq!(collector.render_tree(&root), tree);
    let transaction = refreshed["transaction"].as_str().unwrap();
    let expected = pairs([
        ("relation.node.depth", "3"),
        ("relation.outcome", "success"),
        ("relation.transaction", transaction),
        ("relation.workflow", "refresh"),
    ]);
    assert_eq!(root.attributes, expected);
    let spans = collector.spans_named("http POST token");
    let request = spans.iter().find(|span| span.trace == root.trace).unwrap();
    let address = world.emulator.address();
    let expected = pairs([
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("server.address", &address.ip().to_string()),
        ("server.port", &address.port().to_string()),
        ("url.template", "/v1/access_token"),
    ]);
    assert_eq!(request.attributes, expected);
    assert_eq!(root.resource["service.name"], "relation-host");
    let bytes = String::from_utf8_lossy(&collector.bytes()).into_owned();
    for hidden in ["Canary customer", &customer.pkid, "sys.Provider"] {
        assert!(!bytes.contains(hidden), "{hidden} was sent");
    }
}

#[test]
fn customers_are_named_only_by_the_setting() {
    let collector = TraceCollector::start();
    let world = traced_world(&collector).with_config_line("traces.customers = true");
    let customer = world.add_customer("Contoso");
    let refresh = world.workspace.relation(["refresh", "Contoso"]);
    refresh.run().succeeds();
    let root = find_span(&collector, "call refresh");
    assert_eq!(root.attributes["relation.pkid"], customer.pkid);
    assert_eq!(root.attributes["relation.customer"], "Contoso");
}

#[test]
fn failed_call_has_its_outcome_and_the_status() {
    let collector = TraceCollector::start();
    let world = traced_world(&collector);
    let customer = world.add_customer("Contoso");
    world.emulator.inject(Fault::status(TOKEN, 503));
    let refresh = world.workspace.relation(["refresh", &customer.pkid]);
    refresh.run().exits(5);
    let root = find_span(&collector, "call refresh");
    assert_eq!(root.attributes["relation.outcome"], "no-tokens");
    let requests = collector.spans_named("http POST token");
    let mut requests = requests.iter().filter(|span| span.trace == root.trace);
    let request = requests.next().unwrap();
    assert_eq!(request.attributes["http.response.status_code"], "503");
    assert_eq!(request.attributes["error.type"], "503");
}

#[test]
fn events_tell_of_rate_limits_and_of_limits_of_the_call() {
    let collector = TraceCollector::start();
    let world = traced_world(&collector);
    let customer = world.add_customer("Contoso");
    world.emulator.inject(Fault::rate_limited(TOKEN, "60"));
    world.workspace.relation(["refresh", &customer.pkid]).run();
    let has_event = |name: &str, event: &str| {
        let spans = collector.spans_named(name);
        spans
            .iter()
            .any(|span| span.events.contains(&event.to_owned()))
    };
    assert!(has_event("http POST token", "rate limited"));
    let world = world.with_config_line("limits.requests = 1");
    world.workspace.relation(["sync", &customer.pkid]).run();
    assert!(has_event("instance", "limit exceeded"));
}

#[test]
fn log_level_changes_neither_spans_nor_lines() {
    let collector = TraceCollector::start();
    let world = traced_world(&collector);
    let customer = world.add_customer("Contoso");
    let mut lines = Vec::new();
    for (calls, level) in ["off", "trace"].into_iter().enumerate() {
        let refresh = ["refresh", &customer.pkid, "--log", level];
        let output = world.workspace.relation(refresh).run().succeeds();
        assert_eq!(collector.spans_named("call refresh").len(), calls + 1);
        lines.push(output.stderr);
    }
    let [silent, verbose] = lines.as_slice() else {
        panic!("two levels");
    };
    assert!(silent.is_empty(), "{silent}");
    assert!(verbose.contains("call started"), "{verbose}");
    for hidden in ["call_spans", "store.begin", "relation.workflow", "otel"] {
        assert!(!verbose.contains(hidden), "{hidden} is in\n{verbose}");
    }
    assert!(
        collector
            .spans()
            .iter()
            .all(|span| span.name != "instantiate")
    );
}

#[test]
fn outage_delays_no_call_and_is_one_warning() {
    let collector = TraceCollector::start();
    let metrics = free_address("127.0.0.1");
    let world = traced_world(&collector);
    let world = world.with_config_line(&format!("metrics.listen = \"{metrics}\""));
    world.add_customer("Contoso");
    collector.set_behavior(CollectorBehavior::Refuse(503, None));
    world.time.advance(WEEK);
    let running = world.workspace.relation(["run"]);
    let running = running.env("OTEL_EXPORTER_OTLP_TIMEOUT", "300").start();
    eventually("the refresh is logged", || {
        running
            .stderr()
            .contains("action=\"refresh\"")
            .then_some(())
    });
    for behavior in [
        CollectorBehavior::Refuse(503, None),
        CollectorBehavior::Refuse(429, Some(1)),
        CollectorBehavior::Reset,
        CollectorBehavior::Hang,
    ] {
        let before = collector.requests();
        collector.set_behavior(behavior);
        eventually("the collector is asked again", || {
            (collector.requests() > before).then_some(())
        });
    }
    collector.set_behavior(CollectorBehavior::Accept);
    let received = eventually("the spans are received", || {
        let spans = collector.spans_named("call refresh");
        (!spans.is_empty()).then_some(spans)
    });
    assert_eq!(received.len(), 1, "{received:#?}");
    let (_, page) = browse(&format!("http://{metrics}/metrics"));
    assert!(
        page.contains("\nrelation_telemetry_dropped_total 0"),
        "{page}"
    );
    running.terminate();
    let log = running.wait().succeeds().stderr;
    assert_eq!(log.matches(WARNING).count(), 1, "{log}");
    assert_eq!(log.matches("traces are sent again").count(), 1, "{log}");
}

#[test]
fn command_ends_although_the_collector_fails() {
    let collector = TraceCollector::start();
    let world = traced_world(&collector);
    let customer = world.add_customer("Contoso");
    for (behavior, warning) in [
        (CollectorBehavior::Refuse(401, None), "status 401"),
        (CollectorBehavior::Refuse(429, Some(86_400)), "status 429"),
        (CollectorBehavior::Reset, WARNING),
        (CollectorBehavior::Garble, WARNING),
        (CollectorBehavior::Hang, "within 2 seconds"),
    ] {
        collector.set_behavior(behavior);
        let refresh = world.workspace.relation(["refresh", &customer.pkid]);
        let output = refresh.run().succeeds().reports(&[warning]);
        let warnings = output.stderr.lines().filter(|line| line.contains("WARN"));
        assert_eq!(warnings.count(), 1, "{behavior:?}: {}", output.stderr);
    }
}

#[test]
fn environment_names_a_collector_and_contradictions_are_refused() {
    let collector = TraceCollector::start();
    let world = CliWorld::with(Emulator::builder().mode(Mode::Rotate));
    let customer = world.add_customer("Contoso");
    // Every call is one of the sample, but the variable for the sampler is not one of ours.
    let world = world.with_config_line("traces.sample = 1");
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    let refresh = || {
        let refresh = world.workspace.relation(["refresh", &customer.pkid]);
        refresh.env(endpoint.0, &endpoint.1)
    };
    let headers = "authorization=Bearer%20canary-7d1e";
    refresh()
        .env("OTEL_SERVICE_NAME", "relation-test")
        .env("OTEL_EXPORTER_OTLP_HEADERS", headers)
        .run()
        .succeeds();
    let root = find_span(&collector, "call refresh");
    assert_eq!(root.resource["service.name"], "relation-test");
    let bytes = String::from_utf8_lossy(&collector.bytes()).into_owned();
    assert!(bytes.contains("authorization: Bearer canary-7d1e\r\n"));

    let refused = refresh().env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc").run();
    refused.exits(2).reports(&["OTEL_EXPORTER_OTLP_PROTOCOL"]);
    let other = "http://127.0.0.1:9";
    let list = world.workspace.relation(["list"]);
    list.env(endpoint.0, other).run().succeeds();
    let world = world.with_config_line("traces.endpoint = \"http://127.0.0.1:4318\"");
    let list = world.workspace.relation(["list"]).env(endpoint.0, other);
    let refused = list.run().exits(2);
    refused.reports(&["traces.endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT"]);
}

#[test]
fn header_fields_of_the_file_reach_only_the_collector() {
    let collector = TraceCollector::start();
    let world = traced_world(&collector);
    let world = world.with_config_line("traces.headers-file = \"traces-headers\"");
    let write = |value: &str| {
        let text = format!("# for the collector\nAuthorization: Bearer {value}\n");
        world.workspace.write("traces-headers", &text);
    };
    write("canary-first-19b2");
    let customer = world.add_customer("Contoso");
    write("canary-second-19b2");
    let refresh = ["refresh", &customer.pkid, "--log", "trace"];
    world.workspace.relation(refresh).run().succeeds();
    let bytes = String::from_utf8_lossy(&collector.bytes()).into_owned();
    for value in ["canary-first-19b2", "canary-second-19b2"] {
        assert!(bytes.contains(value), "{value} was not sent");
    }
    std::fs::remove_file(world.workspace.path("traces-headers")).unwrap();
    let refresh = world.workspace.relation(["refresh", &customer.pkid]).run();
    refresh.succeeds().reports(&[WARNING, "traces-headers"]);
    let check = world.workspace.relation(["check"]).run();
    assert!(check.stdout.contains("traces"), "{check:?}");
    assert!(!world.workspace.all_output().contains("19b2"));
}

#[test]
fn proxies_see_no_trace_at_webex_and_the_spans_of_their_own() {
    let collector = TraceCollector::start();
    // A server that keeps every byte serves as proxy of the customer, and of the collector.
    let of_customer = TraceCollector::start();
    of_customer.set_behavior(CollectorBehavior::Refuse(503, None));
    let endpoint = of_customer.endpoint();
    let world = traced_world(&collector);
    let world = world.with_config_line(&format!("egress.proxies = [\"{endpoint}\"]"));
    let customer = world.add_customer("Contoso");
    let fields = serde_json::json!({ "http_proxy": format!("{endpoint}/") });
    let modify = ["modify", &customer.pkid, "--fields", "-"];
    let modify = world.workspace.relation(modify);
    modify.stdin(fields.to_string()).run().succeeds();
    let refresh = ["refresh", &customer.pkid];
    world.workspace.relation(refresh).run().exits(5);
    let bytes = String::from_utf8_lossy(&of_customer.bytes()).to_lowercase();
    assert!(bytes.contains("/v1/access_token http/1.1\r\n"), "{bytes}");
    for field in ["traceparent", "tracestate", "baggage"] {
        assert!(!bytes.contains(field), "{field} was sent to Webex");
    }

    let of_traces = TraceCollector::start();
    of_traces.set_behavior(CollectorBehavior::Refuse(503, None));
    let world = CliWorld::new()
        .with_config_line("traces.endpoint = \"http://collector.example.com:4318\"")
        .with_config_line(&format!("traces.proxy = \"{}\"", of_traces.endpoint()))
        .with_config_line("traces.sample = 1");
    world.add_customer("Contoso");
    let bytes = String::from_utf8_lossy(&of_traces.bytes()).into_owned();
    let request = "POST http://collector.example.com:4318/v1/traces HTTP/1.1\r\n";
    assert!(bytes.contains(request), "{bytes}");
}
