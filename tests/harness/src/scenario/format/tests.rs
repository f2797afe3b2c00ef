//! Valid and invalid scenario files.

use super::*;
use crate::scenario::model::{Action, Call, WebexAction};

const WHOLE: &str = r#"
about = "A refresh that meets a 503 keeps the tokens and tries again later"
source = "docs/faults.md"

[given]
clock = "2026-01-05T08:00:00Z"
seed = 7
store = "sqlite"

[settings]
refresh.period = "7d"
"expiry.notify" = true

[secrets]
"webex.client-secret" = "<absent>"

[limits]
requests = 8
response = "64 KiB"

[webex]
mode = "rotate"
access-lifetime = "12 hours"

[[webex.organization]]
name = "contoso"

[[webex.grant]]
organization = "contoso"

[[webex.fault]]
path = "/v1/access_token"
kind = "rate-limited"
retry-after = "194"

[[step]]
call = "add"
fields = { name = "Contoso", account_number = "{contoso.uuid}" }
tokens = "{contoso.tokens}"

[[step]]
about = "Webex is down"
webex = "fault"
fault = { path = "/v1/access_token", kind = "status", status = 503, count = 2 }

[[step]]
call = "refresh"

[step.expect]
result = { outcome = "retrying", connection.state = "retrying" }
http = ["POST /v1/access_token -> 503"]
storage.changed."data/SparkCustomer" = 1
wakeups.refresh = "<in 1 minute to 2 hours>"
alerts = []

[[step.disturb]]
import = "storage.commit"
nth = 2
when = "after"
with = "crash"

[[step]]
advance = "7 days"
expect.fired.refresh = "<at least 1>"
"#;

fn read(text: &str) -> Result<Scenario, ParseErrors> {
    parse(&Source::new("a.toml", text))
}

#[test]
fn a_scenario_is_read_whole() {
    let scenario = read(WHOLE).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(scenario.given.seed, 7);
    assert_eq!(scenario.settings["refresh.period"].as_deref(), Some("7d"));
    assert_eq!(scenario.settings["expiry.notify"].as_deref(), Some("true"));
    assert!(scenario.secrets["webex.client-secret"].is_none());
    assert_eq!(scenario.limits.requests, 8);
    assert_eq!(scenario.webex.as_ref().unwrap().faults.len(), 1);
    assert_eq!(scenario.steps.len(), 4);
    assert!(matches!(
        scenario.steps[0].action,
        Action::Call(ref call @ Call::Workflow { .. }) if call.name() == "add"
    ));
    assert!(matches!(
        scenario.steps[1].action,
        Action::Webex(WebexAction::Fault(_))
    ));
    assert_eq!(scenario.steps[2].disturbances[0].nth, 2);
    assert_eq!(scenario.steps[3].action.words(), "advance 7 days");
}

/// Returns the errors of a text, without the marked lines.
fn errors_of(text: &str) -> Vec<String> {
    let errors = read(text).expect_err("something is wrong with it");
    let errors = errors.0.iter().map(|fault| {
        let hint = fault
            .hint
            .as_ref()
            .map_or(String::new(), |hint| format!(" | {hint}"));
        format!("{}: {}: {}{hint}", fault.position, fault.key, fault.message)
    });
    errors.collect()
}

/// Returns the errors of a scenario with one step.
fn errors_of_step(step: &str) -> Vec<String> {
    errors_of(&format!("about = \"x\"\n[[step]]\n{step}\n"))
}

#[test]
fn all_errors_of_a_file_are_reported_with_places() {
    let text = "abuot = \"x\"\n\n[given]\nclock = \"noon\"\nsed = 1\n\n[[step]]\ncall = \"refesh\"\n\n[[step]]\ncall = \"refresh\"\nfields = {}\n";
    assert_eq!(
        errors_of(text),
        [
            "1:1: : `about` is missing in a scenario",
            "1:1: abuot: unknown key | did you mean `about`?",
            "4:9: given.clock: \"noon\" is not a moment | expected a moment in UTC, such as 2026-01-05T08:00:00Z",
            "5:1: given.sed: unknown key | did you mean `seed`?",
            "8:8: step[1].call: there is no call \"refesh\" | did you mean \"refresh\"?",
            "12:1: step[2].fields: unknown key | call = \"refresh\" has record, grant, about, call, concurrently, advance, at, webex, host, http, disturb, expect",
        ]
    );
}

#[test]
fn toml_syntax_errors_are_reported_alone() {
    let errors = errors_of("about = \"x\nbout = 1\n[[step\n");
    assert!(!errors.is_empty());
    assert!(errors[0].starts_with("1:"), "{errors:?}");
    assert!(
        errors.iter().all(|errors| !errors.contains("missing")),
        "{errors:?}"
    );
}

#[test]
fn a_step_does_exactly_one_thing() {
    assert_eq!(
        errors_of_step("about = \"y\""),
        [
            "2:1: step[1]: [[step]] does nothing | give it exactly one of `call`, `concurrently`, `advance`, `at`, `webex`, `host`"
        ]
    );
    let errors = errors_of_step("call = \"refresh\"\nadvance = \"1d\"");
    assert_eq!(
        errors[0],
        "2:1: step[1]: `call`, `advance` cannot be given together | exactly one of `call`, `concurrently`, `advance`, `at`, `webex`, `host`"
    );
}

#[test]
fn values_say_what_they_should_be() {
    let cases = [
        (
            "advance = 7",
            "expected a duration with its unit, such as \"7 days\" or \"90s\", found a number",
        ),
        ("advance = \"7 dyas\"", "is not a duration"),
        (
            "call = \"refresh\"\ngrant = \"wholesale-user\"",
            "did you mean \"wholesale-users\"?",
        ),
        ("call = \"wake\"", "`wakeup` is missing in call = \"wake\""),
        (
            "call = \"refresh\"\nexpect.result = \"<containing x>\"",
            "there is no placeholder <containing x>",
        ),
        (
            "call = \"refresh\"\nexpect.result = \"<matches (>\"",
            "is not a regular expression",
        ),
        (
            "call = \"refresh\"\nexpect.http = \"none\"",
            "expected a list of [[step.expect.http]], or a table of how often each, found a text",
        ),
        (
            "call = \"refresh\"\nexpect.http = [\"post\"]",
            "is not a request",
        ),
        (
            "call = \"refresh\"\nexpect.http = [{ verb = \"GET\" }]",
            "unknown key",
        ),
        (
            "call = \"refresh\"\nexpect.error = \"refused\"",
            "there is no case of errors \"refused\"",
        ),
        (
            "call = \"refresh\"\nexpect.error = \"invalid\"\nexpect.result = {}",
            "a call has a result or an error, not both",
        ),
        (
            "call = \"refresh\"\nexpect.storage = \"same\"",
            "there is no word for the store \"same\"",
        ),
        (
            "call = \"refresh\"\nexpect.documents.\"data/Alert\" = \"none\"",
            "expected how often, as a number",
        ),
        (
            "webex = \"consent\"\norganization = \"contoso\"",
            "there is no emulated Webex in this scenario",
        ),
        ("host = \"stop\"", "there is no action of the host \"stop\""),
        (
            "call = \"refresh\"\n[[step.disturb]]\nimport = \"storage.comit\"\nwith = \"crash\"",
            "did you mean \"storage.commit\"?",
        ),
        (
            "call = \"refresh\"\n[[step.http]]\nrequest = { method = \"GET\", url = \"https://x/\" }\nresponse = { fault = \"timeout\", status = 200 }",
            "a request with this fault has no response",
        ),
        (
            "call = \"refresh\"\n[[step.http]]\nrequest = { method = \"GTE\", url = \"https://x/\" }",
            "is not a method of HTTP",
        ),
    ];
    for (step, words) in cases {
        let errors = errors_of_step(step).join("\n");
        assert!(errors.contains(words), "{step}\nsays: {errors}");
    }
}

#[test]
fn emulator_fault_is_validated_when_read() {
    let text = |fault: &str| {
        format!("about = \"x\"\n[webex]\n[[webex.fault]]\n{fault}\n[[step]]\ncall = \"describe\"\n")
    };
    let wrong = errors_of(&text("path = \"/v1\"\nkind = \"status\"\nstatus = 700"));
    assert!(
        wrong[0].contains("status 700 is not within 200..=599"),
        "{wrong:?}"
    );
}

#[test]
fn unknown_names_are_rejected_in_given() {
    let given = |given: &str| {
        errors_of(&format!(
            "about = \"x\"\n[webex]\n[[webex.organization]]\nname = \"contoso\"\n{given}\n[[step]]\ncall = \"describe\"\n"
        ))
    };
    let pkid = "pkid = \"0123456789abcdef01234567\"";
    assert_eq!(
        given(&format!(
            "[[given.secret]]\n{pkid}\nname = \"token\"\nvalue = \"{{contoso.access-token}}\""
        )),
        [
            "8:9: given.secret[1].value: nothing is known as {contoso.access-token} when a scenario begins | known then are {contoso.uuid}, {contoso.id}; a brace that is meant is written {{"
        ]
    );
    let others = [
        format!("[[given.document]]\n{pkid}\nbody = {{ a = [{{ b = \"x{{pkid}}\" }}] }}"),
        format!("[[given.document]]\n{pkid}\ntext = \"{{pkid}}\""),
        format!("[[given.document]]\n{pkid}\nbody = {{}}\nkeys.name = \"{{pkid}}\""),
        format!(
            "[[given.wakeup]]\n{pkid}\nid = \"x\"\ndue = 2026-01-05T08:00:00Z\npayload = \"{{pkid}}\""
        ),
    ];
    for other in others {
        let errors = given(&other);
        assert_eq!(errors.len(), 1, "{other}: {errors:?}");
        assert!(
            errors[0].contains("nothing is known as {pkid}"),
            "{errors:?}"
        );
    }
    let setting = given("[settings]\nwebex.client-id = \"{contoso.id}\"");
    assert!(
        setting[0].contains("nothing is known as {contoso.id} where settings are read"),
        "{setting:?}"
    );
}

#[test]
fn every_call_parses_as_a_harness_call() {
    let calls = [
        (
            "add",
            "fields = {}\ntokens = { access_token = \"x\" }\nidempotency-key = \"k\"",
        ),
        ("modify", "tokens = \"{}\""),
        ("delete", "dry-run = true"),
        ("connect", "grant = \"wholesale-users\""),
        ("complete-connect", "callback = \"http://127.0.0.1/\""),
        ("refresh", ""),
        ("check-expiry", ""),
        ("sync", "sync = \"roles-licenses\""),
        (
            "invoke",
            "action = \"Do\"\narguments = { grant = \"organization\" }",
        ),
        ("describe", ""),
        ("check-settings", ""),
    ];
    for (name, inputs) in calls {
        let record = match name {
            "add" | "describe" | "check-settings" => "",
            _ => "record = \"0123456789abcdef01234567\"",
        };
        let scenario = read(&format!(
            "about = \"x\"\n[[step]]\ncall = \"{name}\"\n{record}\n{inputs}\n"
        ));
        let scenario = scenario.unwrap_or_else(|errors| panic!("{errors}"));
        let Action::Call(Call::Workflow { inputs, .. }) = &scenario.steps[0].action else {
            panic!("{name} calls no workflow");
        };
        let call: crate::Call = serde_json::from_value(inputs.clone().into())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(call.workflow(), name);
    }
}

#[test]
fn duplicate_names_are_rejected() {
    let organization = "[[webex.organization]]\nname = \"contoso\"\n";
    let grant = "[[webex.grant]]\norganization = \"contoso\"\n";
    let errors = errors_of(&format!(
        "about = \"x\"\n[webex]\n{organization}{organization}{grant}{grant}[[step]]\ncall = \"describe\"\n"
    ));
    assert_eq!(
        errors,
        [
            "5:1: webex.organization[2]: there is another one called \"contoso\" | give it a `name` of its own",
            "9:1: webex.grant[2]: there is another one called \"contoso\" | give it a `name` of its own",
        ]
    );
}

#[test]
fn concurrent_calls_are_validated() {
    let cases = [
        (
            "[[step.concurrently]]\ncall = \"describe\"",
            "one call alone is not concurrent",
        ),
        (
            "expect.result = {}\n[[step.concurrently]]\ncall = \"describe\"\ntimes = 2",
            "each concurrent call has its own",
        ),
        (
            "[[step.concurrently]]\ncall = \"describe\"\ntimes = 2\nexpect.http = []",
            "unknown key | [step.concurrently.expect] has result, exact-result, error, log, progress, transaction",
        ),
        (
            "[[step.concurrently]]\ncall = \"refresh\"\ntimes = 2\nadvance = \"1 day\"",
            "unknown key | call = \"refresh\" has record, grant, call, times, host, expect",
        ),
        (
            "[[step.concurrently]]\ntimes = 2",
            "`call` is missing in [[step.concurrently]]",
        ),
        (
            "[[step.concurrently]]\ncall = \"describe\"\ntimes = 0",
            "must be from 1 to 100",
        ),
        (
            "[[step.concurrently]]\ncall = \"describe\"\ntimes = 2\n[[step.disturb]]\nimport = \"storage.get\"\nwith = \"crash\"",
            "concurrent calls cannot be disturbed",
        ),
        (
            "[[step.concurrently]]\ncall = \"describe\"\n[[step.concurrently]]\ncall = \"wake\"\nwakeup = \"refresh\"\nhost = 2",
            "due wakeups run on the first host",
        ),
    ];
    for (step, words) in cases {
        let errors = errors_of_step(step);
        assert_eq!(errors.len(), 1, "{step}\nsays: {errors:?}");
        assert!(errors[0].contains(words), "{step}\nsays: {errors:?}");
    }
    let durable = errors_of(
        "about = \"x\"\n[given]\nstore = \"sqlite\"\n[[step]]\n[[step.concurrently]]\ncall = \"describe\"\ntimes = 2\n",
    );
    assert!(
        durable[0].contains("the machine decides the order"),
        "{durable:?}"
    );
}

#[test]
fn counted_requests_must_be_requests() {
    let errors = errors_of_step("call = \"describe\"\nexpect.http = { \"access_token\" = 1 }");
    assert!(errors[0].contains("is not a request"), "{errors:?}");
}

#[test]
fn scripts_and_the_emulator_exclude_each_other() {
    let errors = errors_of(
        "about = \"x\"\n[webex]\n[[step]]\ncall = \"refresh\"\n[[step.http]]\nrequest = { method = \"GET\", url = \"https://x/\" }\nresponse = {}\n",
    );
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].contains("the emulated Webex responds here"),
        "{errors:?}"
    );
}

/// Returns the part of the reference with the section's heading.
fn documented(section: &str) -> &'static str {
    const REFERENCE: &str = include_str!("../../../../../docs/scenarios.md");
    let heading = |line: &str| line.trim_start_matches('#').trim().trim_matches('`') == section;
    let is_heading = |line: &str| line.starts_with('#');
    let mut start = 0;
    for line in REFERENCE.split_inclusive('\n') {
        start += line.len();
        if is_heading(line) && heading(line) {
            let rest = &REFERENCE[start..];
            let lines = rest.split_inclusive('\n');
            let length: usize = lines
                .take_while(|line| !is_heading(line))
                .map(str::len)
                .sum();
            return &rest[..length];
        }
    }
    panic!("docs/scenarios.md has no part on {section}");
}

/// Returns the words in backticks.
fn words(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn reference_documents_exactly_the_known_keys() {
    for section in keys::ALL {
        let part = documented(section.name);
        let named = words(part);
        for key in section.keys {
            // A key that is an action of its own is documented in its own part.
            assert!(
                named.contains(key),
                "{}: `{key}` is not explained",
                section.name
            );
        }
        let rows = part.lines().filter_map(|line| line.strip_prefix("| `"));
        for row in rows {
            let cell = format!("`{}", row.split(" |").next().unwrap_or_default());
            for key in words(&cell) {
                assert!(
                    section.knows(key),
                    "{}: there is no key `{key}`",
                    section.name
                );
            }
        }
    }
}
