//! A server with an emulated Webex, and a browser.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use relation_e2e::browser::{Browser, Key};
use relation_e2e::cli_world::CliWorld;
use relation_e2e::openid_provider::{CLIENT_ID, OpenIdProvider, SECRET};
use relation_e2e::process::{RunningProgram, TIMEOUT, eventually};
use relation_host::types::Timestamp;
use webex_emulator::{Emulator, Organization, WholesaleSettings};

use crate::checks::Checks;

pub const USER: &str = "anna";
pub const PASSWORD: &str = "correct horse battery staple";

/// The maximum number of controls of a page.
const MAX_CONTROLS: usize = 80;

/// Creates a world without a server. Returns the address of the page too.
fn create_cli() -> (CliWorld, String) {
    let (cli, redirect) = CliWorld::with(Emulator::builder().require_pkce(true)).with_redirect();
    // Webex carries changes of wholesale customers out immediately.
    let mut settings = WholesaleSettings::default();
    settings.duration = Duration::ZERO;
    cli.emulator.set_wholesale(settings);
    (cli, redirect.trim_end_matches("/callback").to_owned())
}

pub struct PageWorld {
    pub browser: Browser,
    pub checks: Checks,
    pub cli: CliWorld,
    address: String,
    server: Option<RunningProgram>,
}

impl PageWorld {
    /// Returns `None` without an installed browser.
    pub fn new() -> Option<Self> {
        let (cli, address) = create_cli();
        Self::start(cli, address)
    }

    /// Creates a page whose users log in at a provider. Returns `None` without a browser or the provider.
    pub fn with_provider() -> Option<(Self, OpenIdProvider)> {
        let (cli, address) = create_cli();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = Timestamp(u64::try_from(now.as_millis()).unwrap());
        let provider = OpenIdProvider::start(&format!("{address}/"), now)?;
        let issuer = &provider.issuer;
        let lines = format!(
            "web.oidc.issuer = \"{issuer}\"\n\
             web.oidc.allow = [\"{issuer}\"]\n\
             web.oidc.client-id = \"{CLIENT_ID}\"\n\
             web.oidc.client-secret = \"{SECRET}\"\n\
             web.oidc.scopes = [\"openid\", \"profile\", \"groups\"]\n\
             web.oidc.label = \"Log in with Example\"\n\
             web.oidc.contact = \"Ida\"\n\
             web.oidc.grants = [{{ group = \"admins\", role = \"provider-administrator\", node = \"sys\" }}]"
        );
        Some((
            Self::start(cli.with_config_line(&lines), address)?,
            provider,
        ))
    }

    fn start(cli: CliWorld, address: String) -> Option<Self> {
        let browser = Browser::start()?;
        let mut world = Self {
            checks: Checks::prepare(&browser),
            browser,
            cli,
            address,
            server: None,
        };
        world.serve();
        Some(world)
    }

    fn serve(&mut self) {
        let listen = self.address.trim_start_matches("http://");
        let serve = ["serve", "--listen", listen];
        let mut server = self.cli.workspace.relation(serve).start();
        server.wait_until_serving();
        self.server = Some(server);
    }

    /// Returns the path of the page that sets up the first administrator.
    pub fn set_up_path(&self) -> String {
        let server = self.server.as_ref().unwrap();
        let link = eventually("the link for the first administrator", || {
            let printed = format!("{}\n{}", server.stdout(), server.stderr());
            let mut words = printed.split_whitespace();
            words
                .find(|word| word.contains("/set-up/"))
                .map(str::to_owned)
        });
        link.trim_start_matches(&self.address).to_owned()
    }

    /// Lets time pass while the server is stopped, and starts it again. Long sessions have ended then.
    pub fn restart_after(&mut self, time: Duration) {
        self.browser.open("about:blank");
        let server = self.server.take().unwrap();
        server.terminate();
        server.wait();
        self.cli.time.advance(time);
        self.serve();
    }

    pub fn open(&self, path: &str) {
        self.browser.open(&format!("{}{path}", self.address));
    }

    /// Returns the path of the page, without its query.
    pub fn path(&self) -> String {
        let url = self.browser.url();
        let path = url.trim_start_matches(&self.address);
        path.split('?').next().unwrap().to_owned()
    }

    /// Fills in the controls of these names.
    pub fn fill(&self, fields: &[(&str, &str)]) {
        for (name, text) in fields {
            self.browser.type_text(&format!("[name=\"{name}\"]"), text);
        }
    }

    /// Follows the link or presses the button with this text.
    pub fn follow(&self, text: &str) {
        self.browser.click_text(text);
    }

    /// Waits until the page has this heading and all of these texts, and returns what a person reads.
    #[track_caller]
    pub fn see(&self, heading: &str, texts: &[&str]) -> String {
        let script = "return [document.querySelector('h1')?.innerText ?? '',
            document.querySelector('main')?.innerText ?? '', document.readyState,
            document.querySelector('[data-live] [data-outcome]:not(.busy)') ? 'ended' : '']";
        let deadline = Instant::now() + TIMEOUT / 2;
        loop {
            // The page may be left while the script runs.
            let found = self.browser.try_execute(script).unwrap_or_default();
            let part = |index: usize| found[index].as_str().unwrap_or_default();
            let text = part(1).replace('\u{a0}', " ");
            if part(0) == heading
                && part(2) == "complete"
                && texts.iter().all(|wanted| text.contains(wanted))
            {
                if part(3).is_empty() {
                    return text;
                }
                // The page of a transaction that has ended loads itself again soon.
                self.browser.open(&self.browser.url());
                continue;
            }
            assert!(
                Instant::now() < deadline,
                "{heading} with {texts:?} is not shown at {}, but {}:\n{text}",
                self.browser.url(),
                part(0),
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits as [`Self::see`] does, and checks the page.
    #[track_caller]
    pub fn see_and_check(&self, name: &str, heading: &str, texts: &[&str]) -> String {
        let text = self.see(heading, texts);
        self.checks.check(&self.browser, name);
        text
    }

    /// Opens a page repeatedly, until it has this text.
    pub fn open_until(&self, path: &str, text: &str) {
        eventually(&format!("{path} has {text}"), || {
            self.open(path);
            let shown = self
                .browser
                .execute("return document.querySelector('main').innerText");
            shown
                .as_str()
                .is_some_and(|shown| shown.contains(text))
                .then_some(())
        });
    }

    pub fn log_in(&self) {
        self.open("/login");
        self.fill(&[("name", USER), ("password", PASSWORD)]);
        self.follow("Log in");
        self.see("What needs you", &[]);
    }

    /// Adds an organization whose page is shown then, and returns the path of the page.
    pub fn add(&self, name: &str, account_number: &str, flags: &[&str]) -> String {
        self.open("/organizations/new");
        let fields = [
            ("hierarchy", relation_e2e::cli_world::NODE),
            ("name", name),
            ("account_number_external", account_number),
        ];
        self.fill(&fields);
        for flag in flags {
            self.browser.click(&format!("[name=\"{flag}\"]"));
        }
        self.follow("Save");
        self.see(name, &["Not connected"]);
        self.path()
    }

    /// Decides on the consent page of Webex for an organization: `accept` or `decline`.
    pub fn decide(&self, organization: &Organization, decision: &str) {
        self.see_webex();
        let choose = format!(
            "document.querySelector('#organization').value = '{}'",
            organization.uuid
        );
        self.browser.execute(&choose);
        self.browser.click(&format!("#{decision}"));
    }

    /// Waits for the consent page of Webex.
    pub fn see_webex(&self) {
        eventually("the consent page of Webex", || {
            (self.browser.title() == "Emulated Webex: Allow access?").then_some(())
        });
    }

    /// Goes to the control with this label by Tab alone.
    #[track_caller]
    pub fn tab_to(&self, label: &str) {
        let mut passed = Vec::new();
        for _ in 0..MAX_CONTROLS {
            self.browser.press(&[Key::Tab]);
            let active = self.browser.active_element();
            if active.label.starts_with(label) {
                return;
            }
            passed.push(active.label);
        }
        panic!("Tab does not reach {label}: {passed:?}");
    }

    /// Goes back to the control with this label by Shift and Tab.
    #[track_caller]
    pub fn press_back_to(&self, label: &str) {
        let mut steps = 0..MAX_CONTROLS;
        let found = steps.any(|_| {
            self.browser.press(&[Key::ShiftTab]);
            self.browser.active_element().label.starts_with(label)
        });
        assert!(found, "Shift and Tab do not reach {label}");
    }

    /// Goes to the control with this label by Tab alone, and presses Enter.
    #[track_caller]
    pub fn enter(&self, label: &str) {
        self.tab_to(label);
        self.browser.press(&[Key::Enter]);
    }

    /// Types a text into the control with this label, by the keyboard alone.
    #[track_caller]
    pub fn type_into(&self, label: &str, text: &str) {
        self.tab_to(label);
        self.browser.type_keys(text);
    }
}
