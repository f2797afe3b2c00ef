//! `connect --no-listen`: what people paste, and paste again after a mistake.

use std::io::Write as _;

use relation_e2e::process::{Running, eventually};
use relation_e2e::scene::{NODE, Scene};
use serde_json::Value;
use webex_emulator::Consent;

const REDIRECT: &str = "https://relation.example.com/webex";

/// A customer whose consent is open, the callback of it, and the command that waits for a paste.
struct Waiting {
    scene: Scene,
    pkid: String,
    callback: String,
    running: Running,
    stdin: std::process::ChildStdin,
}

fn waiting(more: &[&str]) -> Waiting {
    let scene = Scene::new();
    scene.emulator.add_redirect_uri(REDIRECT);
    let contoso = scene.emulator.create_organization("Contoso");
    let add = ["add", "--hierarchy", NODE, "--name", "Contoso"];
    let added = scene.place.json(add);
    let pkid = added["connection"]["pkid"].as_str().unwrap().to_owned();
    let connect = ["connect", &pkid, "--no-listen", "--redirect", REDIRECT];
    let program = scene.place.relation(connect).args(more);
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
    let callback = scene.emulator.authorize(&link, &consent).unwrap();
    Waiting {
        scene,
        pkid,
        callback,
        running,
        stdin,
    }
}

impl Waiting {
    fn paste(&mut self, text: &str) {
        writeln!(self.stdin, "{text}").unwrap();
    }

    fn state(&self) -> Value {
        self.scene.place.json(["show", &self.pkid])["connection"]["state"].take()
    }
}

#[test]
fn a_wrong_paste_is_told_and_followed_by_the_right_one() {
    let mut waiting = waiting(&[]);
    for (text, told) in [
        ("yes", "no absolute address"),
        (
            "https://relation.example.com/webex?code=c",
            "it has no state",
        ),
        (
            "https://relation.example.com/webex?code=c&state=old",
            "another consent",
        ),
    ] {
        waiting.paste(text);
        eventually("the mistake is told", || {
            waiting.running.stderr().contains(told).then_some(())
        });
    }
    let callback = waiting.callback.clone();
    waiting.paste(&callback);
    let Waiting {
        scene,
        pkid,
        running,
        ..
    } = waiting;
    running.end().done().says(&["the link above stays valid"]);
    scene.place.relation(["refresh", &pkid]).run().done();
    scene.emulator.assert_sound();
}

#[test]
fn a_wrong_paste_is_an_event_for_a_program() {
    let mut waiting = waiting(&["--json"]);
    waiting.paste("https://relation.example.com/webex?code=c&state=old");
    eventually("the mistake is told", || {
        waiting
            .running
            .stdout()
            .contains("\"refused\"")
            .then_some(())
    });
    let callback = waiting.callback.clone();
    waiting.paste(&callback);
    let ran = waiting.running.end().done();
    assert_eq!(ran.stderr, "");
    let last: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "connected");
}

#[test]
fn a_paste_to_another_place_leaves_the_consent_open() {
    let mut waiting = waiting(&[]);
    let elsewhere = waiting.callback.replace("/webex", "/other");
    waiting.paste(&elsewhere);
    eventually("the mistake is told", || {
        let told = waiting.running.stderr();
        told.contains("did not come to the redirect address")
            .then_some(())
    });
    let callback = waiting.callback.clone();
    waiting.paste(&callback);
    let Waiting { running, .. } = waiting;
    running.end().done();
}

#[test]
fn an_address_that_a_mail_program_changed_is_put_right() {
    let encoded =
        |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let changes: [&dyn Fn(&str) -> String; 4] = [
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
    ];
    for change in changes {
        let mut waiting = waiting(&[]);
        let changed = change(&waiting.callback);
        waiting.paste(&changed);
        let code = waiting.running.end().code;
        assert_eq!(code, Some(0), "{changed}");
    }
}

#[test]
fn five_wrong_pastes_end_it_and_leave_the_customer_as_it_was() {
    let mut waiting = waiting(&[]);
    for number in 1..=5 {
        waiting.paste("https://relation.example.com/webex?code=c");
        eventually("the mistake is told", || {
            let told = waiting.running.stderr();
            (told.matches("it has no state").count() == number).then_some(())
        });
    }
    assert_eq!(waiting.state(), "not-connected");
    waiting.running.end().exits(2);
}
