//! `connect --begin` and `connect --complete`: one process prints the link, another one takes the callback.

use std::time::Duration;

use relation_e2e::cli_world::CliWorld;
use relation_e2e::process::ProgramOutput;
use serde_json::Value;
use webex_emulator::{Consent, Fault, Organization};

const TOKEN: &str = "/v1/access_token";
const REDIRECT: &str = "https://relation.example.com/webex";
const DAY: Duration = Duration::from_secs(86_400);

/// A customer without tokens, and its organization.
struct Handover {
    world: CliWorld,
    contoso: Organization,
}

impl Handover {
    fn new(more: &[&str]) -> Self {
        let redirect = format!("connect.redirect = \"{REDIRECT}\"");
        let world = CliWorld::new().with_config_line(&redirect);
        let world = world.with_config_line("connect.lifetime = \"3d\"");
        world.emulator.add_redirect_uri(REDIRECT);
        let contoso = world.emulator.create_organization("Contoso");
        world.add("Contoso & Co").args(more).run().succeeds();
        Self { world, contoso }
    }

    /// Begins a consent; returns the event with the link.
    #[track_caller]
    fn begin(&self, more: &[&str]) -> Value {
        let begin = ["connect", "Contoso & Co", "--begin", "--json"];
        let begun = self.world.workspace.relation(begin).args(more).run();
        let event = begun.succeeds().json();
        assert_eq!(event["event"], "authorization");
        event
    }

    /// Decides like the person who got the link; returns the redirect URL.
    fn decide(&self, event: &Value, consent: &Consent) -> String {
        let link = event["url"].as_str().unwrap();
        self.world.emulator.authorize(link, consent).unwrap()
    }

    fn accept(&self, event: &Value) -> String {
        self.decide(event, &Consent::accept(&self.contoso))
    }

    fn complete(&self, callback: &str) -> ProgramOutput {
        let complete = ["connect", "--complete", callback, "--json"];
        self.world.workspace.relation(complete).run()
    }

    fn state(&self) -> Value {
        self.world.workspace.json(["show", "Contoso & Co"])["connection"]["state"].take()
    }
}

#[track_caller]
fn refused(output: ProgramOutput, code: i32, message: &str, hint: &str) {
    let error = output.exits(code).error();
    for (member, part) in [("message", message), ("hint", hint)] {
        let text = error[member].as_str().unwrap();
        assert!(text.contains(part), "{member} without {part:?}: {error:#}");
    }
}

#[test]
fn consent_is_completed_by_another_process() {
    let handover = Handover::new(&[]);
    let event = handover.begin(&[]);
    let expires = event["expires"].as_u64().unwrap();
    let begun = ["connect", "Contoso & Co", "--begin"];
    let text = handover.world.workspace.relation(begun).run().succeeds();
    assert_eq!(text.stdout.lines().count(), 1, "{text:?}");
    let text = text.reports(&[
        "Contoso & Co",
        "until 20",
        "relation-host connect --complete",
    ]);
    assert!(expires > 0);

    // The second link has replaced the first.
    let stale = handover.accept(&event);
    let another = "`relation-host connect 'Contoso & Co' --begin` prints a new link";
    refused(
        handover.complete(&stale),
        4,
        "replaced by one that was begun later",
        another,
    );

    handover.world.time.advance(2 * DAY);
    let link = serde_json::json!({ "url": text.stdout.trim() });
    let callback = handover.accept(&link);
    // As a mail program wraps it, on stdin.
    let wrapped = callback.replace('&', "&amp;");
    let connect = ["connect", "--complete", "-"];
    let connect = handover.world.workspace.relation(connect);
    let connected = connect.stdin(format!("<{wrapped}>\n")).run().succeeds();
    for part in [
        "connected",
        "import of roles and licenses is due",
        "`relation-host run` must be running",
    ] {
        assert!(connected.stdout.contains(part), "{part}: {connected:?}");
    }
    assert_eq!(handover.state(), "connected");

    // The second time, there is nothing to do.
    let repeated = handover.complete(&callback).succeeds().json();
    let message = repeated["message"].as_str().unwrap();
    assert!(message.contains("used already"), "{message}");
    assert_eq!(handover.state(), "connected");
    handover.world.emulator.assert_sound();
}

#[test]
fn handed_over_consent_fails_with_its_reason() {
    let handover = Handover::new(&[]);
    let again = "relation-host connect 'Contoso & Co' --begin";
    let declined = handover.decide(&handover.begin(&[]), &Consent::decline());
    refused(handover.complete(&declined), 4, "declined at Webex", again);

    let event = handover.begin(&[]);
    let callback = handover.accept(&event);
    let quotes = "in quotes";
    let cut = callback.split('&').next().unwrap();
    refused(handover.complete(cut), 2, "it has no ", quotes);
    refused(
        handover.complete("yes"),
        2,
        "not an absolute address",
        quotes,
    );
    let pkid = event["state"].as_str().unwrap().split('.').next().unwrap();
    let deleted = callback.replace(pkid, "0123456789abcdef01234567");
    refused(
        handover.complete(&deleted),
        3,
        "0123456789abcdef01234567, is not in the store",
        "deleted",
    );
    let elsewhere = callback.replace("relation.example.com", "other.example.com");
    refused(
        handover.complete(&elsewhere),
        2,
        "not the URL to which Webex",
        "whole address",
    );

    handover.world.add("Fabrikam").run().succeeds();
    let wrong = ["connect", "Fabrikam", "--complete", &callback, "--json"];
    let wrong = handover.world.workspace.relation(wrong).run();
    refused(
        wrong,
        2,
        "for Contoso & Co, not for Fabrikam",
        "leave the name out",
    );
    assert_eq!(handover.state(), "not-connected");

    handover.world.time.advance(3 * DAY);
    refused(handover.complete(&callback), 4, "has expired", again);
    refused(handover.complete(&callback), 4, "has expired", again);
    assert_eq!(handover.state(), "not-connected");
    for conflict in [
        &["connect"][..],
        &["connect", "Contoso & Co", "--begin", "--no-listen"],
        &["connect", "--begin", "--complete", "-"],
        &["connect", "--complete", "-", "--grant", "organization"],
    ] {
        handover.world.workspace.relation(conflict).run().exits(2);
    }
}

#[test]
fn local_fault_keeps_the_consent() {
    let handover = Handover::new(&[]);
    let workspace = &handover.world.workspace;
    let text = std::fs::read_to_string(workspace.path("relation.toml")).unwrap();
    let replace = |key: &str, line: &str| {
        let lines = text.lines().filter(|line| !line.starts_with(key));
        let lines: Vec<&str> = lines.chain([line]).collect();
        workspace.write("relation.toml", &lines.join("\n"));
    };
    replace("egress.allow", "egress.allow = [\"https://webexapis.com\"]");
    let begin = ["connect", "Contoso & Co", "--begin"];
    let begun = workspace.relation(begin).run().succeeds();
    let begun = begun.reports(&["WARN", "add \"http://127.0.0.1", "to egress.allow"]);
    let link = serde_json::json!({ "url": begun.stdout.trim() });
    let callback = handover.accept(&link);

    let same = "run this command with the same address again";
    let waits = "the consent stays open";
    let refused_here = |message: &str| {
        refused(handover.complete(&callback), 6, message, same);
        refused(handover.complete(&callback), 6, waits, same);
    };
    refused_here("webex.base-url is");
    replace("webex.client-id", "");
    refused_here("webex.client-id is not configured");
    replace("webex.client-secret-file", "");
    refused_here("webex.client-secret-file is not configured");

    // No server listens: the plugin knows that its request was not sent.
    let free = relation_e2e::process::free_address("127.0.0.1");
    let away = text.replace(
        &handover.world.emulator.base_url(),
        &format!("http://{free}/v1"),
    );
    let away = away.replace(
        "egress.allow = [",
        &format!("egress.allow = [\"http://{free}\", "),
    );
    workspace.write("relation.toml", &away);
    for _ in 0..2 {
        let again = "run this command with the same address again";
        refused(
            handover.complete(&callback),
            5,
            "use the same callback again",
            again,
        );
    }
    workspace.write("relation.toml", &text);
    handover.complete(&callback).succeeds();
    assert_eq!(handover.state(), "connected");
    handover.world.emulator.assert_sound();
}

#[test]
fn hint_after_a_used_consent_begins_another() {
    let handover = Handover::new(&[]);
    let (world, emulator) = (&handover.world, &handover.world.emulator);
    let begin = "`relation-host connect 'Contoso & Co' --begin` prints a new link";
    let used = |code: i32, message: &str| {
        let callback = handover.accept(&handover.begin(&[]));
        let error = handover.complete(&callback).exits(code).error();
        let (text, hint) = (error["message"].to_string(), error["hint"].to_string());
        assert!(text.contains(message), "{message}: {text}");
        assert!(text.contains("begin again with connect"), "{text}");
        assert!(hint.contains(begin), "{text}: {hint}");
        assert!(!hint.contains("same address"), "{text}: {hint}");
        // The message was right: the consent is used up.
        refused(handover.complete(&callback), 4, "brought no tokens", begin);
    };
    for (status, code, message) in [
        (429, 5, "429 Too Many Requests"),
        (503, 5, "503 Service Unavailable"),
        (404, 6, "webex.base-url"),
        (405, 6, "webex.base-url"),
    ] {
        emulator.inject(Fault::status(TOKEN, status));
        used(code, message);
    }
    world.workspace.write("client-secret", "another-secret");
    used(6, "invalid_client");
    assert_eq!(handover.state(), "not-connected");
}

#[test]
fn grants_are_handed_over_one_after_the_other() {
    let handover = Handover::new(&["--wholesale"]);
    let grants = ["organization", "wholesale-customers", "wholesale-users"];
    for (step, grant) in grants.into_iter().enumerate() {
        let event = handover.begin(&[]);
        assert_eq!(event["grant"], grant);
        let callback = handover.accept(&event);
        let complete = ["connect", "--complete", &callback];
        let done = handover.world.workspace.relation(complete).run().succeeds();
        if let Some(next) = grants.get(step + 1) {
            let next = format!("The grant {next} is not connected yet");
            done.reports(&[&next, "'Contoso & Co' --begin"]);
        }
    }
    // All are connected: the next consent is the organization's, or the one that is named.
    assert_eq!(handover.begin(&[])["grant"], "organization");
    let users = handover.begin(&["--grant", "wholesale-users"]);
    assert_eq!(users["grant"], "wholesale-users");
}
