//! Connections by a person with a browser: Chromium between `relation-host connect` and the consent
//! page of the emulated Webex.

use http::Uri;
use relation_e2e::browser::Browser;
use relation_e2e::cli_world::{CliWorld, NODE};
use relation_e2e::process::{CLIENT_ID, RunningProgram, eventually};
use serde_json::{Value, json};
use webex_emulator::{Emulator, Organization};

/// A workspace with a browser, a Webex that redirects it to where `connect` waits, and a customer
/// whose organization is known.
struct BrowserWorld {
    browser: Browser,
    cli: CliWorld,
    redirect: String,
    organization: Organization,
    pkid: String,
}

impl BrowserWorld {
    /// Returns `None` without an installed browser.
    fn new(add: &[&str]) -> Option<Self> {
        let browser = Browser::start()?;
        let webex = Emulator::builder()
            .require_pkce(true)
            .code_reuse_revokes(true);
        let (cli, redirect) = CliWorld::with(webex).with_redirect();
        let organization = cli.emulator.create_organization("Contoso <& Co>");
        let mut arguments = vec!["add", "--hierarchy", NODE, "--name", "Contoso <& Co>"];
        arguments.extend(["--account-number", &organization.uuid]);
        arguments.extend(add);
        let added = cli.workspace.json(arguments);
        let pkid = added["connection"]["pkid"].as_str().unwrap().to_owned();
        Some(Self {
            browser,
            cli,
            redirect,
            organization,
            pkid,
        })
    }

    /// Starts the command and opens the link that it prints.
    fn connect(&self) -> RunningProgram {
        let running = self.cli.workspace.relation(["connect", &self.pkid]).start();
        let link = eventually("connect has printed its link", || {
            let printed = running.stdout();
            let link = printed.lines().find(|line| line.starts_with("http"))?;
            printed.ends_with('\n').then(|| link.to_owned())
        });
        self.browser.open(&link);
        assert_eq!(self.browser.title(), "Emulated Webex: Allow access?");
        running
    }

    /// Returns the state of the customer's connection, as the list shows it.
    fn connection(&self) -> Value {
        self.cli.workspace.json(["list"])["items"][0].take()
    }

    /// Asserts that the page at the redirect address is plain, self-contained, and without the
    /// contents of its address.
    fn callback_page(&self) -> String {
        let address = self.browser.wait_for_url(&self.redirect);
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

    /// Asserts that no command has printed a code or token, and that Webex has no complaint.
    fn assert_sound(&self) {
        self.cli.emulator.assert_sound();
        let printed = self.cli.workspace.all_output();
        assert!(!printed.contains("code="), "{printed}");
        // Tokens end like this; organizations do not.
        let token = format!("_{}", self.organization.uuid);
        assert!(!printed.contains(&token), "{printed}");
    }
}

#[test]
fn accepting_connects_with_both_expiries() {
    let Some(world) = BrowserWorld::new(&[]) else {
        return;
    };
    assert_eq!(world.connection()["state"], "not-connected");
    let running = world.connect();
    assert_eq!(world.browser.text("#client"), CLIENT_ID);
    world.browser.click("#accept");

    let page = world.callback_page();
    assert!(page.contains("Contoso <& Co> is connected"), "{page}");
    assert!(page.contains("You can close this window"), "{page}");

    let output = running.wait().succeeds();
    let connection = world.connection();
    assert_eq!(connection["state"], "connected");
    for token in ["access_token_expires", "refresh_token_expires"] {
        assert_eq!(connection[token]["assumed"], false, "{connection}");
        assert!(connection[token]["at"].is_u64(), "{connection}");
    }
    for token in ["access token", "refresh token"] {
        let printed = |line: &str| line.starts_with(token) && line.contains(" left)");
        assert!(output.stdout.lines().any(printed), "{output:?}");
    }
    world.assert_sound();
}

#[test]
fn declining_leaves_the_connection_unchanged() {
    let Some(world) = BrowserWorld::new(&[]) else {
        return;
    };
    // Once without a connection, once with one.
    for state in ["not-connected", "connected"] {
        let before = world.connection();
        assert_eq!(before["state"], state);
        let running = world.connect();
        world.browser.click("#decline");
        let page = world.callback_page();
        assert!(page.contains("Contoso <& Co> was not connected"), "{page}");
        assert!(page.contains("declined"), "{page}");
        assert!(page.contains("Run the command again"), "{page}");
        running.wait().exits(4).reports(&["declined", "unchanged"]);
        assert_eq!(world.connection(), before);

        let running = world.connect();
        world.browser.click("#accept");
        running.wait().succeeds();
    }
    world.assert_sound();
}

#[test]
fn consent_of_another_organization_is_rejected() {
    let Some(world) = BrowserWorld::new(&[]) else {
        return;
    };
    let before = world.connection();
    let other = world.cli.emulator.create_organization("Fabrikam");
    world.cli.emulator.propose(&other);
    let running = world.connect();
    world.browser.click("#accept");
    let page = world.callback_page();
    assert!(page.contains("was not connected"), "{page}");
    assert!(page.contains(&other.uuid), "{page}");
    running.wait().exits(4).reports(&[&other.uuid, "unchanged"]);
    assert_eq!(world.connection(), before);
    world.assert_sound();
}

#[test]
fn withheld_scope_is_named() {
    let Some(world) = BrowserWorld::new(&[]) else {
        return;
    };
    let withheld = "spark-admin:workspace_locations_read";
    let running = world.connect();
    world.browser.click(&format!("input[value='{withheld}']"));
    world.browser.click("#accept");
    let page = world.callback_page();
    assert!(page.contains(withheld), "{page}");
    running.wait().succeeds();
    let connection = world.connection();
    assert_eq!(connection["state"], "missing-scope");
    assert!(connection["notes"].as_str().unwrap().contains(withheld));
    world.assert_sound();
}

#[test]
fn wholesale_consents_follow_one_another() {
    let Some(world) = BrowserWorld::new(&["--wholesale"]) else {
        return;
    };
    let running = world.connect();
    for next in ["wholesale-customers", "wholesale-users"] {
        world.browser.click("#accept");
        let page = world.callback_page();
        assert!(page.contains(next), "{page}");
        world.browser.click("a");
    }
    world.browser.click("#accept");
    let page = world.callback_page();
    assert!(page.contains("You can close this window"), "{page}");
    running.wait().succeeds();
    let grants = world.connection()["grants"].take();
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
    world.assert_sound();
}
