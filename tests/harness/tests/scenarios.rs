//! Scenarios on the real component: those of the repository pass, and failures are reported.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot continue"
)]

use std::path::{Path, PathBuf};

use relation_harness::scenario::component::Component;
use relation_harness::scenario::format::{Source, parse};
use relation_harness::scenario::outcome::{ScenarioResult, StepFailure, Verdict};
use relation_harness::scenario::{report, run, suite};
use relation_host::component::ComponentCache;
use relation_test_stores::{LentStore, StoreKind};

/// Returns the built component, next to the test in the target directory.
fn component() -> Component {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let path = target.join("component/spark-customer.wasm");
    let bytes = std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}: run `cargo xtask build`", path.display());
    });
    let cache = target.join("test-caches/relation-host/components");
    Component::from(bytes).cached(ComponentCache::new(cache))
}

/// Lends stores of the kind that the environment selects; none: scenarios name their stores.
fn lend(count: usize) -> Vec<LentStore> {
    let Some(kind) = StoreKind::selected() else {
        return Vec::new();
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let lent = (0..count).map(|_| runtime.block_on(LentStore::lend(kind)));
    lent.collect()
}

fn ran(text: &str) -> ScenarioResult {
    let source = Source::new("a.toml", text);
    let scenario = parse(&source).unwrap_or_else(|faults| panic!("{faults}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(run(&scenario, &component()))
}

#[track_caller]
fn failure(ran: &ScenarioResult) -> &StepFailure {
    match &ran.verdict {
        Verdict::Failed { failures } => &failures[0],
        other => panic!("it did not fail: {other:?}"),
    }
}

/// Returns a scenario with a customer and further steps.
fn with_customer(next: &str) -> String {
    format!(
        r#"about = "a test"
[webex]
[[webex.organization]]
name = "contoso"
[[webex.grant]]
organization = "contoso"
[[step]]
call = "add"
fields = {{ name = "Contoso", account_number = "{{contoso.uuid}}" }}
tokens = "{{contoso.tokens}}"
{next}"#
    )
}

#[test]
fn every_scenario_of_the_repository_passes() {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let files = suite::find(&[all]).unwrap();
    let loaded = suite::select(&files, None);
    let jobs = std::num::NonZeroUsize::new(2).unwrap();
    let lent = lend(jobs.get());
    let component = component().on_stores(lent.iter().map(LentStore::store).collect());
    let ran = suite::run_all(&loaded, &component, jobs, |_| {});
    let failed: Vec<String> = ran
        .iter()
        .filter(|ran| !ran.passed())
        .map(report::format_result)
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(ran.len(), files.len());
}

#[test]
fn differing_value_is_reported_and_ends_the_run() {
    let ran = ran(&with_customer(
        "[[step]]\ncall = \"refresh\"\nexpect.result.outcome = \"expired\"\n[[step]]\ncall = \"describe\"\nexpect.error = \"internal\"\n",
    ));
    let failure = failure(&ran);
    assert_eq!((failure.step, failure.action.as_str()), (2, "call refresh"));
    assert_eq!(failure.mismatches.len(), 1);
    assert_eq!(
        failure.mismatches[0].to_string(),
        "result.outcome: expected \"expired\", found \"connected\""
    );
    assert_eq!(failure.mismatches[0].position.unwrap().line, 13);
}

#[test]
fn unexpected_call_failure_fails_the_step() {
    let ran = ran(
        "about = \"a test\"\n[[step]]\ncall = \"refresh\"\nrecord = \"0123456789abcdef01234567\"\n",
    );
    assert_eq!(failure(&ran).mismatches[0].path, "error");
}

#[test]
fn unknown_name_is_reported() {
    let ran = ran("about = \"a test\"\n[[step]]\ncall = \"refresh\"\n");
    let problem = failure(&ran).problem.clone().unwrap();
    assert!(problem.contains("nothing is known as {pkid}"), "{problem}");
}

#[test]
fn unexpected_and_unused_exchanges_are_reported() {
    let script = |url: &str| {
        format!(
            "about = \"a test\"\n[[step]]\ncall = \"add\"\nfields = {{ name = \"C\", account_number = \"0f8fad5b-d9cb-469f-a165-70867728950e\" }}\ntokens = {{ access_token = \"the-access\", refresh_token = \"the-refresh\" }}\n[[step.http]]\nrequest = {{ method = \"GET\", url = \"{url}\" }}\nresponse = {{}}\n"
        )
    };
    let ran = ran(&script("https://webexapis.com/v1/nothing"));
    let problem = failure(&ran).problem.clone().unwrap();
    assert!(problem.contains("is not what comes next"), "{problem}");
    assert!(
        problem.contains("url: expected \"https://webexapis.com/v1/nothing\""),
        "{problem}"
    );
    assert!(
        problem.contains("no request was sent for GET https://webexapis.com/v1/nothing"),
        "{problem}"
    );
}

#[test]
fn crash_at_a_commit_is_recovered_from() {
    let ran = ran(&with_customer(
        r#"[[step]]
call = "refresh"
[[step.disturb]]
import = "storage.commit"
when = "before"
with = "crash"
[[step]]
advance = "30 days"
expect.fired.refresh = "<at least 1>"
[[step]]
call = "refresh"
expect.result.outcome = "connected"
"#,
    ));
    assert!(ran.passed(), "{}", report::format_result(&ran));
}

#[test]
fn duplicate_record_name_is_reported() {
    let add = |name: &str| format!("[[step]]\ncall = \"add\"\nfields.name = \"{name}\"\n");
    let ran = ran(&format!("about = \"a test\"\n{}{}", add("A"), add("B")));
    let problem = failure(&ran).problem.clone().unwrap();
    assert!(
        problem.contains("{pkid} is another record already; give this one a name of its own"),
        "{problem}"
    );
}

#[test]
fn readme_lists_exactly_the_scenarios() {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let files = suite::find(std::slice::from_ref(&all)).unwrap();
    let there: std::collections::BTreeSet<String> = files
        .iter()
        .map(|file| file.strip_prefix(&all).unwrap().display().to_string())
        .collect();
    let list = std::fs::read_to_string(all.join("README.md")).unwrap();
    let named = list
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let named: std::collections::BTreeSet<String> = named
        .filter(|link| link.ends_with(".toml"))
        .map(str::to_owned)
        .collect();
    let unnamed: Vec<_> = there.difference(&named).collect();
    let gone: Vec<_> = named.difference(&there).collect();
    assert!(
        unnamed.is_empty(),
        "tests/scenarios/README.md does not name {unnamed:?}"
    );
    assert!(gone.is_empty(), "tests/scenarios/README.md names {gone:?}");
}

#[test]
fn unused_disturbance_is_reported() {
    let ran = ran(&with_customer(
        "[[step]]\ncall = \"describe\"\n[[step.disturb]]\nimport = \"storage.commit\"\nwith = \"unavailable\"\n",
    ));
    let problem = failure(&ran).problem.clone().unwrap();
    assert!(
        problem.contains("storage.commit was not called 1 times"),
        "{problem}"
    );
}

#[test]
fn given_can_use_names_of_webex_grants() {
    let ran = ran(r#"about = "a test"
[webex]
[[webex.organization]]
name = "contoso"
[[webex.grant]]
organization = "contoso"
[[given.document]]
pkid = "0123456789abcdef01234567"
body = { name = "Contoso", account_number = "{contoso.id}", notes = "a {{brace}" }
keys = { name = "Contoso", account_number = "{contoso.id}" }
[[given.secret]]
pkid = "0123456789abcdef01234567"
name = "token"
value = "{contoso.access-token}"
[[given.secret]]
pkid = "0123456789abcdef01234567"
name = "refresh_token"
value = "{contoso.refresh-token}"
[[step]]
call = "describe"
expect.documents."data/SparkCustomer" = [{ account_number = "{contoso.id}", notes = "a {{brace}", "@keys".account_number = "{contoso.id}" }]
[[step]]
call = "refresh"
record = "0123456789abcdef01234567"
[step.expect]
result.outcome = "connected"
http = [{ path = "/v1/access_token", form.refresh_token = "<digest of {contoso.refresh-token}>", status = 200 }]
"#);
    assert!(ran.passed(), "{}", report::format_result(&ran));
}

#[test]
fn requests_are_counted_by_how_they_ended_too() {
    let ran = ran(&with_customer(
        r#"[[step]]
webex = "fault"
fault = { path = "/v1/access_token", kind = "status", status = 503 }
[[step]]
call = "refresh"
[[step]]
advance = "1 day"
[step.expect]
fired.refresh = 1
http = { "POST /v1/access_token" = 1, "POST /v1/access_token -> 200" = 1, "POST /v1/access_token -> 503" = 0, "GET /v1/access_token" = 0 }
[[step]]
call = "refresh"
expect.http = { "POST /v1/access_token -> 200" = 2 }
"#,
    ));
    let failure = failure(&ran);
    assert_eq!(failure.step, 5);
    assert_eq!(
        failure.mismatches[0].to_string(),
        "http.\"POST /v1/access_token -> 200\": expected 2, found 1"
    );
}

#[test]
fn empty_expectation_means_nothing_of_it() {
    // The refresh writes documents and secrets, sends a request, and logs.
    for (expectation, reported) in [
        (
            "storage.changed = {}",
            "storage.changed: expected no documents",
        ),
        ("storage = {}", "storage: expected unchanged"),
        ("storage.secrets = {}", "storage.secrets.changed"),
        ("documents = {}", "documents: expected no documents"),
        ("wakeups = {}", "wakeups: expected none"),
        ("http = {}", "http[1]: expected nothing"),
        ("log = []", "log: expected no lines"),
    ] {
        let ran = ran(&with_customer(&format!(
            "[[step]]\ncall = \"refresh\"\nexpect.{expectation}\n"
        )));
        let mismatch = failure(&ran).mismatches[0].to_string();
        assert!(mismatch.starts_with(reported), "{expectation}: {mismatch}");
    }
    let advanced = ran(&with_customer(
        "[[step]]\nadvance = \"8 days\"\nexpect.fired = {}\n",
    ));
    let mismatch = failure(&advanced).mismatches[0].to_string();
    assert!(
        mismatch.starts_with("fired[1]: expected nothing"),
        "{mismatch}"
    );
    let held = ran(&with_customer(
        "[[step]]\ncall = \"refresh\"\nexpect.storage.added = {}\nexpect.storage.removed = {}\nexpect.fired = {}\n",
    ));
    assert!(held.passed(), "{}", report::format_result(&held));
}

#[test]
fn slow_response_moves_the_clock_without_waiting() {
    let slow = |latency: &str, expect: &str| {
        with_customer(&format!(
            "[[step]]\nwebex = \"fault\"\nfault = {{ path = \"/v1/access_token\", kind = \"latency\", latency = \"{latency}\", stage = \"after\" }}\n[[step]]\ncall = \"refresh\"\n[step.expect]\n{expect}\n[[step]]\nat = \"2026-01-01T00:00:15Z\"\n"
        ))
    };
    let begun = std::time::Instant::now();
    let late = ran(&slow("14s", "result.outcome = \"connected\""));
    assert!(late.passed(), "{}", report::format_result(&late));
    let never = ran(&slow(
        "1 hour",
        "result.outcome = \"retrying\"\nhttp = [\"POST /v1/access_token -> timeout\"]",
    ));
    assert!(never.passed(), "{}", report::format_result(&never));
    assert!(begun.elapsed() < std::time::Duration::from_secs(10));
    // The moment is a second too early.
    let over = ran(&slow("14s", "").replace("00:15Z", "00:13Z"));
    let problem = failure(&over).problem.clone().unwrap();
    assert!(
        problem.contains("is over: it is 2026-01-01T00:00:14"),
        "{problem}"
    );
}

#[test]
fn concurrent_calls_are_deterministic() {
    let text = with_customer(
        r#"[[step]]
[[step.concurrently]]
call = "refresh"
times = 3
[[step.concurrently]]
call = "delete"
host = 2
expect.result.revocation.result = "nothing like it"
[[step.concurrently]]
call = "refresh"
host = 3
"#,
    );
    let first = ran(&text);
    let failed = failure(&first);
    let reported: Vec<String> = failed.mismatches.iter().map(ToString::to_string).collect();
    assert_eq!(
        failed.action,
        "concurrently 3 times refresh, delete, refresh"
    );
    assert_eq!(reported.len(), 2, "{reported:?}");
    assert!(
        reported[0].starts_with("concurrently[2].result.revocation.result: expected"),
        "{reported:?}"
    );
    assert!(
        reported[1].starts_with("concurrently[3].error"),
        "{reported:?}"
    );
    let again = ran(&text);
    assert_eq!(
        serde_json::to_string(&failed.observation).unwrap(),
        serde_json::to_string(&failure(&again).observation).unwrap()
    );
}

#[test]
fn concurrent_calls_overlap_without_leases() {
    // One refresh uses the token that the other has rotated out, which a lease prevents.
    let text = |leases: bool| {
        with_customer(
            "[[step]]\n[[step.concurrently]]\ncall = \"refresh\"\n[[step.concurrently]]\ncall = \"refresh\"\nhost = 2\n",
        )
        .replace(
            "[webex]\n",
            &format!("[given]\nleases = {leases}\n[webex]\nmode = \"rotate\"\n"),
        )
    };
    let kept_apart = ran(&text(true));
    assert!(
        kept_apart.passed(),
        "{}",
        report::format_result(&kept_apart)
    );
    assert!(!ran(&text(false)).passed(), "both used one refresh token");
}

#[test]
fn two_runs_of_a_scenario_are_equal() {
    let text = with_customer("[[step]]\ncall = \"refresh\"\nexpect.result = \"nothing like it\"\n");
    let found = |ran: &ScenarioResult| failure(ran).mismatches[0].found.clone();
    assert_eq!(found(&ran(&text)), found(&ran(&text)));
}

#[test]
fn reports_include_every_scenario() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let files = [
        file(
            "a.toml",
            "about = \"It describes itself\"\n[[step]]\ncall = \"describe\"\n",
        ),
        file(
            "b.toml",
            "about = \"It does <not>\"\n[[step]]\ncall = \"describe\"\nexpect.result.name = \"x\"\n",
        ),
        file("c.toml", "abuot = 1\n"),
    ];
    let loaded = suite::select(&files, None);
    let mut reported = Vec::new();
    let jobs = std::num::NonZeroUsize::new(3).unwrap();
    let all = suite::run_all(&loaded, &component(), jobs, |ran| {
        reported.push(ran.path.clone())
    });
    assert_eq!(reported, files, "in the order of the files");
    let took = std::time::Duration::from_secs(1);
    let json = report::to_json(&all, took);
    assert_eq!(
        (&json["passed"], &json["failed"], &json["broken"]),
        (&1.into(), &1.into(), &1.into())
    );
    assert_eq!(
        json["scenarios"][1]["failures"][0]["mismatches"][0]["path"],
        "result.name"
    );
    let xml = report::to_junit(&all, took).unwrap();
    assert!(
        xml.contains("tests=\"3\" skipped=\"0\" failures=\"1\" errors=\"1\""),
        "{xml}"
    );
    assert!(!xml.contains('\u{1b}'), "no colors in XML");
    let human = report::format_result(&all[1]);
    assert!(
        human.contains("FAIL") && human.contains("expected \"x\""),
        "{human}"
    );
}

#[test]
fn wake_runs_only_the_named_wakeup() {
    let passed = ran(&with_customer(
        "[[step]]\ncall = \"wake\"\nwakeup = \"refresh\"\nmoment = \"2026-01-20T00:00:00Z\"\nexpect.http = [\"POST /v1/access_token -> 200\"]\nexpect.wakeups.refresh = \"<in 1 hour to 7 days>\"\n[[step]]\ncall = \"wake\"\nwakeup = \"expiry\"\nmoment = \"2026-01-20T00:00:00Z\"\n",
    ));
    assert!(passed.passed(), "{}", report::format_result(&passed));
    let over = ran(&with_customer(
        "[[step]]\ncall = \"wake\"\nwakeup = \"refresh\"\nmoment = \"2025-01-20T00:00:00Z\"\n",
    ));
    let problem = failure(&over).problem.clone().unwrap();
    assert!(problem.contains("is over: it is 2026-01-01"), "{problem}");
}

#[test]
fn every_network_fault_can_be_scripted() {
    let faults = [
        "timeout",
        "unresolved",
        "refused",
        "untrusted",
        "reset",
        "garbled",
        "cut",
        "stalled",
    ];
    for fault in faults {
        let ran = ran(&format!(
            r#"
about = "a test"
[[given.document]]
pkid = "0123456789abcdef01234567"
body = {{}}
[[step]]
call = "add"
fields = {{ name = "C", account_number = "0f8fad5b-d9cb-469f-a165-70867728950e" }}
tokens = {{ access_token = "the-access", refresh_token = "the-refresh" }}
[[step.http]]
request = {{ method = "GET", url = "https://webexapis.com/v1/organizations/Y2lzY29zcGFyazovL3VzL09SR0FOSVpBVElPTi8wZjhmYWQ1Yi1kOWNiLTQ2OWYtYTE2NS03MDg2NzcyODk1MGU" }}
response = {{ fault = "{fault}" }}
[step.expect]
http = [{{ fault = "{fault}" }}]
error = {{ case = "<any>" }}
"#
        ));
        assert!(ran.passed(), "{fault}: {}", report::format_result(&ran));
    }
}
