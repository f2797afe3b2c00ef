//! The demo, which a newcomer runs first, and the one that serves the page.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use relation_e2e::cli_world::CliWorld;
use relation_e2e::process::eventually;
use serde_json::Value;
use url::Url;

#[test]
fn every_step_of_the_demo_succeeds() {
    let world = CliWorld::new();
    let output = world.workspace.relation(["demo"]).run().succeeds();
    assert!(
        output.stdout.contains("steps, all successful"),
        "{}",
        output.stdout
    );
}

/// A visitor of the served demo, with the cookie of the log-in.
struct Visitor {
    authority: String,
    cookie: String,
}

impl Visitor {
    /// Sends a request, and returns its status line with headers, and its body.
    fn send(&self, method: &str, path: &str, form: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.authority).expect("the demo listens");
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            self.authority,
            self.cookie,
            form.len()
        )
        .expect("the request is sent");
        let mut response = String::new();
        let read = stream.read_to_string(&mut response);
        read.expect("a response is received");
        let (head, body) = response.split_once("\r\n\r\n").expect("a response");
        (head.to_owned(), body.to_owned())
    }

    #[track_caller]
    fn page(&self, path: &str) -> String {
        let (head, body) = self.send("GET", path, "");
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        body
    }

    #[track_caller]
    fn move_time(&self, by: &str) {
        let (head, body) = self.send("POST", "/demo/time", &format!("by={by}&next=%2Falerts"));
        assert!(
            head.starts_with("HTTP/1.1 303") && head.contains("location: /alerts"),
            "{head}\n{body}"
        );
    }

    /// Returns whether the list of a state has an organization.
    fn has(&self, state: &str, name: &str) -> bool {
        let list = self.page(&format!("/organizations?state={state}"));
        list.contains(name)
    }
}

#[test]
fn served_demo_shows_every_state_and_moves_time() {
    let world = CliWorld::new().without_store();
    let temporary = world.workspace.path("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let program = world.workspace.relation(["demo", "--serve", "--json"]);
    let mut running = program.env("TMPDIR", temporary.to_str().unwrap()).start();
    let event: Value = eventually("the demo listens", || {
        assert!(running.is_running(), "{}", running.stderr());
        serde_json::from_str(running.stdout().lines().next()?).ok()
    });
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 1);

    // The address logs in.
    let url = Url::parse(event["url"].as_str().unwrap()).unwrap();
    let mut visitor = Visitor {
        authority: url.authority().to_owned(),
        cookie: String::new(),
    };
    assert!(visitor.send("GET", "/", "").0.contains("location: /login"));
    let (head, _) = visitor.send("GET", url.path(), "");
    let cookie = head
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookie.unwrap_or_else(|| panic!("{head}"));
    visitor.cookie = cookie.split(';').next().unwrap().to_owned();

    for (state, name) in [
        ("expired", "Glacier Logistics"),
        ("reauthorize", "Harbor Hotels"),
        ("expiring", "Delta Dental"),
        ("missing-scope", "Lighthouse Labs"),
        ("not-connected", "Iris Interiors"),
        ("not-connected", "Quartz Wholesale"),
        ("retrying", "Kestrel Kitchens"),
        ("retrying", "Umbra Umbrellas"),
        ("connected", "Orchid Optics"),
    ] {
        assert!(visitor.has(state, name), "{name} is not {state}");
    }
    let transactions = visitor.page("/transactions?status=fail");
    assert!(transactions.contains("Summit Sports"), "{transactions}");
    let start = visitor.page("/");
    assert!(
        start.contains("Simulated time") && start.contains("+30 days"),
        "{start}"
    );

    // A day ends the tokens of one organization, and Webex is reached again.
    visitor.move_time("1d");
    assert!(visitor.has("expired", "Delta Dental"));
    assert!(!visitor.has("retrying", "Kestrel Kitchens"));
    assert!(visitor.has("connected", "Kestrel Kitchens"));
    assert!(!visitor.page("/alerts").contains("Dune Dairies"));

    // Refreshes keep organizations connected, where Webex extends the tokens. The session lasts.
    visitor.move_time("30d");
    assert!(visitor.has("connected", "Contoso"));
    assert!(visitor.has("expired", "Fabrikam"));
    assert!(visitor.has("expiring", "Dune Dairies"));
    assert!(visitor.page("/alerts").contains("Dune Dairies"));

    running.terminate();
    running.wait().succeeds();
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}

#[test]
fn served_demo_needs_an_address_of_this_machine() {
    let world = CliWorld::new().without_store();
    let refused = world
        .workspace
        .relation(["demo", "--serve", "--listen", "0.0.0.0:0"]);
    refused
        .run()
        .exits(6)
        .reports(&["0.0.0.0:0", "no encryption", "127.0.0.1"]);
    let alone = world
        .workspace
        .relation(["demo", "--listen", "127.0.0.1:0"]);
    alone.run().exits(2).reports(&["--serve"]);
}
