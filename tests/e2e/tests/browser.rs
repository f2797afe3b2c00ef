//! A connection made by a person with a browser: Chromium between `relation-host connect` and the
//! consent page of the emulated Webex.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on"
)]

use std::net::TcpListener;

use http::Uri;
use relation_e2e::browser::Browser;
use relation_e2e::process::{CLIENT_ID, Running, eventually};
use relation_e2e::scene::{NODE, Scene};
use serde_json::{Value, json};
use webex_emulator::{Emulator, Organization};

/// A place with a browser, a Webex that sends it back to where `connect` waits, and a customer
/// whose organisation is known.
struct Desk {
    browser: Browser,
    scene: Scene,
    redirect: String,
    organization: Organization,
    pkid: String,
}

impl Desk {
    /// None where there is no browser.
    fn new(add: &[&str]) -> Option<Self> {
        let browser = Browser::start()?;
        let redirect = format!("http://127.0.0.1:{}/callback", free_port());
        let scene = Scene::with(
            Emulator::builder()
                .require_pkce(true)
                .code_reuse_revokes(true),
        )
        .configured(&format!("connect.redirect = \"{redirect}\""));
        scene.emulator.add_redirect_uri(&redirect);
        let organization = scene.emulator.create_organization("Contoso <& Co>");
        let mut arguments = vec!["add", "--hierarchy", NODE, "--name", "Contoso <& Co>"];
        arguments.extend(["--account-number", &organization.uuid]);
        arguments.extend(add);
        let added = scene.place.json(arguments);
        let pkid = added["connection"]["pkid"].as_str().unwrap().to_owned();
        Some(Self {
            browser,
            scene,
            redirect,
            organization,
            pkid,
        })
    }

    /// Starts the command and opens the link that it prints.
    fn connect(&self) -> Running {
        let running = self.scene.place.relation(["connect", &self.pkid]).start();
        let link = eventually("connect has printed its link", || {
            let said = running.stdout();
            let link = said.lines().find(|line| line.starts_with("http"))?;
            said.ends_with('\n').then(|| link.to_owned())
        });
        self.browser.open(&link);
        assert_eq!(self.browser.title(), "Emulated Webex: Allow access?");
        running
    }

    /// How the customer stands, as the list has it.
    fn connection(&self) -> Value {
        self.scene.place.json(["list"])["items"][0].take()
    }

    /// The page at the redirect address: plain, self-contained, and without what its address holds.
    fn answered(&self) -> String {
        let address = self.browser.arrives(&self.redirect);
        let source = self.browser.source();
        for part in [
            "<script", "<style", "<img", "<link", "<iframe", "src=", "@import", "url(",
        ] {
            assert!(!source.contains(part), "{part} in {source}");
        }
        let address: Uri = address.parse().unwrap();
        for pair in address.query().unwrap().split('&') {
            if let Some(secret) = pair.strip_prefix("code=").or(pair.strip_prefix("state=")) {
                assert!(secret.len() > 20);
                assert!(!source.contains(secret), "{secret} in {source}");
            }
        }
        let policy = self.browser.policy();
        assert!(policy.contains("default-src 'none'"), "{policy}");
        self.browser.text("body")
    }

    /// Neither a code nor a token was said by any command, and Webex has nothing to complain of.
    fn sound(&self) {
        self.scene.emulator.assert_sound();
        let said = self.scene.place.said();
        assert!(!said.contains("code="), "{said}");
        // Tokens end like this, and organisations without it.
        let token = format!("_{}", self.organization.uuid);
        assert!(!said.contains(&token), "{said}");
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn who_accepts_is_connected_with_both_expiry_times() {
    let Some(desk) = Desk::new(&[]) else { return };
    assert_eq!(desk.connection()["state"], "not-connected");
    let running = desk.connect();
    assert_eq!(desk.browser.text("#client"), CLIENT_ID);
    desk.browser.click("#accept");

    let page = desk.answered();
    assert!(page.contains("Contoso <& Co> is connected"), "{page}");
    assert!(page.contains("You can close this window"), "{page}");

    let ran = running.end().done();
    let connection = desk.connection();
    assert_eq!(connection["state"], "connected");
    for token in ["access_token_expires", "refresh_token_expires"] {
        assert_eq!(connection[token]["assumed"], false, "{connection}");
        assert!(connection[token]["at"].is_u64(), "{connection}");
    }
    for token in ["access token", "refresh token"] {
        let said = |line: &str| line.starts_with(token) && line.contains(" left)");
        assert!(ran.stdout.lines().any(said), "{ran:?}");
    }
    desk.sound();
}

#[test]
fn who_declines_leaves_the_connection_as_it_was() {
    let Some(desk) = Desk::new(&[]) else { return };
    // Once without a connection, once with one.
    for state in ["not-connected", "connected"] {
        let before = desk.connection();
        assert_eq!(before["state"], state);
        let running = desk.connect();
        desk.browser.click("#decline");
        let page = desk.answered();
        assert!(page.contains("Contoso <& Co> was not connected"), "{page}");
        assert!(page.contains("declined"), "{page}");
        assert!(page.contains("Run the command again"), "{page}");
        running.end().exits(4).says(&["declined", "as it was"]);
        assert_eq!(desk.connection(), before);

        let running = desk.connect();
        desk.browser.click("#accept");
        running.end().done();
    }
    desk.sound();
}

#[test]
fn the_administrator_of_another_organization_connects_nothing() {
    let Some(desk) = Desk::new(&[]) else { return };
    let before = desk.connection();
    let other = desk.scene.emulator.create_organization("Fabrikam");
    desk.scene.emulator.propose(&other);
    let running = desk.connect();
    desk.browser.click("#accept");
    let page = desk.answered();
    assert!(page.contains("was not connected"), "{page}");
    assert!(page.contains(&other.uuid), "{page}");
    running.end().exits(4).says(&[&other.uuid, "as it was"]);
    assert_eq!(desk.connection(), before);
    desk.sound();
}

#[test]
fn who_withholds_a_scope_is_told_which_one() {
    let Some(desk) = Desk::new(&[]) else { return };
    let withheld = "spark-admin:workspace_locations_read";
    let running = desk.connect();
    desk.browser.click(&format!("input[value='{withheld}']"));
    desk.browser.click("#accept");
    let page = desk.answered();
    assert!(page.contains(withheld), "{page}");
    running.end().done();
    let connection = desk.connection();
    assert_eq!(connection["state"], "missing-scope");
    assert!(connection["notes"].as_str().unwrap().contains(withheld));
    desk.sound();
}

#[test]
fn a_wholesale_partner_is_led_from_one_consent_to_the_next() {
    let Some(desk) = Desk::new(&["--wholesale"]) else {
        return;
    };
    let running = desk.connect();
    for next in ["wholesale-customers", "wholesale-users"] {
        desk.browser.click("#accept");
        let page = desk.answered();
        assert!(page.contains(next), "{page}");
        desk.browser.click("a");
    }
    desk.browser.click("#accept");
    let page = desk.answered();
    assert!(page.contains("You can close this window"), "{page}");
    running.end().done();
    let grants = desk.connection()["grants"].take();
    let states = grants
        .as_array()
        .unwrap()
        .iter()
        .map(|grant| &grant["state"]);
    assert_eq!(
        states.collect::<Vec<_>>(),
        [&json!("connected"); 3],
        "{grants}"
    );
    desk.sound();
}
