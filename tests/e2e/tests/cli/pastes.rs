//! `connect --no-listen`: what people paste, and paste again after a mistake.

use std::io::Write as _;

use relation_e2e::cli_world::{CliWorld, NODE};
use relation_e2e::process::{RunningProgram, eventually};
use serde_json::Value;
use webex_emulator::Consent;

const REDIRECT: &str = "https://relation.example.com/webex";

/// A customer with a pending consent, its callback, and the command that waits for a paste.
struct PendingConnect {
    world: CliWorld,
    pkid: String,
    callback: String,
    running: RunningProgram,
    stdin: std::process::ChildStdin,
}

fn start_connect(more: &[&str]) -> PendingConnect {
    let world = CliWorld::new();
    world.emulator.add_redirect_uri(REDIRECT);
    let contoso = world.emulator.create_organization("Contoso");
    let add = ["add", "--hierarchy", NODE, "--name", "Contoso"];
    let added = world.workspace.json(add);
    let pkid = added["connection"]["pkid"].as_str().unwrap().to_owned();
    let connect = ["connect", &pkid, "--no-listen", "--redirect", REDIRECT];
    let program = world.workspace.relation(connect).args(more);
    let (running, stdin) = program.start_with_stdin();
    let link = eventually("the link is shown", || {
        let stdout = running.stdout();
        let line = stdout.lines().next().filter(|_| stdout.ends_with('\n'))?;
        match serde_json::from_str::<Value>(line) {
            Ok(event) => Some(event["url"].as_str()?.to_owned()),
            Err(_) => Some(line.to_owned()),
        }
    });
    let consent = Consent::accept(&contoso);
    let callback = world.emulator.authorize(&link, &consent).unwrap();
    PendingConnect {
        world,
        pkid,
        callback,
        running,
        stdin,
    }
}

impl PendingConnect {
    fn paste(&mut self, text: &str) {
        writeln!(self.stdin, "{text}").unwrap();
    }

    fn state(&self) -> Value {
        self.world.workspace.json(["show", &self.pkid])["connection"]["state"].take()
    }
}

#[test]
fn wrong_paste_can_be_corrected() {
    let mut pending = start_connect(&[]);
    for (text, reported) in [
        ("yes", "not an absolute address"),
        (
            "https://relation.example.com/webex?code=c",
            "it has no state",
        ),
        (
            "https://relation.example.com/webex?code=c&state=old",
            "another consent",
        ),
    ] {
        pending.paste(text);
        eventually("the mistake is reported", || {
            pending.running.stderr().contains(reported).then_some(())
        });
    }
    let callback = pending.callback.clone();
    pending.paste(&callback);
    let PendingConnect {
        world,
        pkid,
        running,
        ..
    } = pending;
    running
        .wait()
        .succeeds()
        .reports(&["the link above stays valid"]);
    world
        .workspace
        .relation(["refresh", &pkid])
        .run()
        .succeeds();
    world.emulator.assert_sound();
}

#[test]
fn wrong_paste_is_a_json_event() {
    let mut pending = start_connect(&["--json"]);
    pending.paste("https://relation.example.com/webex?code=c&state=old");
    eventually("the mistake is reported", || {
        pending
            .running
            .stdout()
            .contains("\"refused\"")
            .then_some(())
    });
    let callback = pending.callback.clone();
    pending.paste(&callback);
    let output = pending.running.wait().succeeds();
    assert_eq!(output.stderr, "");
    let last: Value = serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "connected");
}

#[test]
fn paste_of_another_address_keeps_the_consent_open() {
    let mut pending = start_connect(&[]);
    let elsewhere = pending.callback.replace("/webex", "/other");
    pending.paste(&elsewhere);
    eventually("the mistake is reported", || {
        let reported = pending.running.stderr();
        reported
            .contains("did not come to the redirect address")
            .then_some(())
    });
    let callback = pending.callback.clone();
    pending.paste(&callback);
    let PendingConnect { running, .. } = pending;
    running.wait().succeeds();
}

#[test]
fn address_changed_by_mail_software_is_repaired() {
    let encoded =
        |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let changes: [&dyn Fn(&str) -> String; 5] = [
        &|callback| callback.replace('&', "&amp;"),
        &|callback| {
            let (first, rest) = callback.split_at(callback.len() / 2);
            format!("{first}\n{rest}")
        },
        &|callback| {
            format!(
                "https://nam02.safelinks.protection.outlook.com/?url={}&data=05",
                encoded(callback)
            )
        },
        &|callback| format!("<{callback}>"),
        &|callback| {
            let (first, rest) = callback.split_at(callback.len() / 2);
            format!("> It ended here:\n>\n> {first}\n> {rest}")
        },
    ];
    for change in changes {
        let mut pending = start_connect(&[]);
        let changed = change(&pending.callback);
        pending.paste(&changed);
        let code = pending.running.wait().code;
        assert_eq!(code, Some(0), "{changed}");
    }
}

#[test]
fn five_wrong_pastes_end_the_command() {
    let mut pending = start_connect(&[]);
    for number in 1..=5 {
        pending.paste("https://relation.example.com/webex?code=c");
        eventually("the mistake is reported", || {
            let reported = pending.running.stderr();
            (reported.matches("it has no state").count() == number).then_some(())
        });
    }
    assert_eq!(pending.state(), "not-connected");
    pending.running.wait().exits(2);
}
