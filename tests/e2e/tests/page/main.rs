//! The page for administrators in a browser, from the first administrator to a connected organization.

use relation_e2e::browser::Browser;
use relation_e2e::cli_world::{CliWorld, NODE};
use relation_e2e::process::{RunningProgram, eventually};
use webex_emulator::Emulator;

const PASSWORD: &str = "correct horse battery staple";
/// A name with everything that a page must escape.
const NAME: &str = "Contoso <b>& \"Co\"</b>";

/// A server with an emulated Webex, and a browser in which an administrator is logged in.
struct PageWorld {
    browser: Browser,
    cli: CliWorld,
    address: String,
    _server: RunningProgram,
}

impl PageWorld {
    /// Returns `None` without an installed browser.
    fn new() -> Option<Self> {
        let browser = Browser::start()?;
        let (cli, redirect) =
            CliWorld::with(Emulator::builder().require_pkce(true)).with_redirect();
        let address = redirect.trim_end_matches("/callback").to_owned();
        let listen = address.trim_start_matches("http://").to_owned();
        let server = cli
            .workspace
            .relation(["serve", "--listen", &listen])
            .start();
        let link = eventually("the link for the first administrator", || {
            let printed = format!("{}\n{}", server.stdout(), server.stderr());
            let mut words = printed.split_whitespace();
            words
                .find(|word| word.contains("/set-up/"))
                .map(str::to_owned)
        });
        eventually("the server listens", || {
            server.stdout().contains("serving ").then_some(())
        });
        let world = Self {
            browser,
            cli,
            address,
            _server: server,
        };
        world.browser.open(&link);
        world.fill(&[
            ("name", "anna"),
            ("password", PASSWORD),
            ("repeat", PASSWORD),
        ]);
        world.submit("/login");
        world.log_in();
        Some(world)
    }

    fn log_in(&self) {
        self.fill(&[("name", "anna"), ("password", PASSWORD)]);
        self.submit("/");
    }

    fn fill(&self, fields: &[(&str, &str)]) {
        for (name, text) in fields {
            self.browser.type_text(&format!("[name=\"{name}\"]"), text);
        }
    }

    /// Sends the form of the page, and waits for a page at this path.
    fn submit(&self, path: &str) -> String {
        self.browser.click("main form button.main");
        self.wait_for(path)
    }

    fn wait_for(&self, path: &str) -> String {
        self.browser
            .wait_for_url(&format!("{}{path}", self.address))
    }

    fn open(&self, path: &str) {
        self.browser.open(&format!("{}{path}", self.address));
    }

    /// Adds an organization, and returns the path of its page.
    fn add(&self, name: &str, account_number: &str) -> String {
        self.open("/organizations/new");
        let fields = [
            ("hierarchy", NODE),
            ("name", name),
            ("account_number_external", account_number),
        ];
        self.fill(&fields);
        self.browser.click("main form button.main");
        let url = eventually("the page of the organization", || {
            Some(self.browser.url()).filter(|url| url.contains("?done="))
        });
        let path = url.trim_start_matches(&self.address);
        path.split('?').next().unwrap().to_owned()
    }

    fn picture(&self, name: &str) {
        if let Some(directory) = std::env::var_os("RELATION_PAGE_SAMPLES") {
            let file = std::path::Path::new(&directory).join(format!("{name}.png"));
            self.browser.save_screenshot(&file);
        }
    }
}

#[test]
fn administrator_adds_and_connects_an_organization() {
    let Some(world) = PageWorld::new() else {
        return;
    };
    let organization = world.cli.emulator.create_organization("Contoso");
    world.picture("start");

    // All errors at once, each beside its field.
    world.open("/organizations/new");
    world.fill(&[
        ("hierarchy", NODE),
        ("account_email", "nobody"),
        ("account_number_external", "no number"),
    ]);
    world.browser.click("main form button.main");
    let summary = world.browser.text("main [role=alert]");
    assert!(
        summary.contains("Admin Account Email") && summary.contains("Organization Account Number"),
        "{summary}"
    );
    world.picture("errors");

    let path = world.add(NAME, &organization.uuid);
    assert_eq!(world.browser.text("h1"), NAME);
    assert!(world.browser.text("main").contains("Not connected"));
    world.picture("added");

    // Connect leads to Webex, and from there to the transaction.
    world.open(&format!("{path}/connect"));
    world.picture("connect");
    world.browser.click("main form button.main");
    eventually("the consent page of Webex", || {
        (world.browser.title() == "Emulated Webex: Allow access?").then_some(())
    });
    world.browser.click("#accept");
    world.wait_for("/transactions/");
    eventually("the transaction has succeeded", || {
        world.browser.text("main").contains("Success").then_some(())
    });
    world.picture("transaction");

    world.open(&path);
    let text = world.browser.text("main");
    assert!(
        text.contains("Connected") && text.contains("13 d 23 h") && text.contains("89 d 23 h"),
        "{text}"
    );
    world.picture("connected");
    world.cli.emulator.assert_sound();
}

#[test]
fn declined_consent_says_what_to_do() {
    let Some(world) = PageWorld::new() else {
        return;
    };
    let organization = world.cli.emulator.create_organization("Contoso");
    let path = world.add("Contoso", &organization.uuid);
    world.open(&format!("{path}/connect"));
    world.browser.click("main form button.main");
    world.browser.click("#decline");
    world.wait_for("/callback");
    assert_eq!(world.browser.text("h1"), "The consent was declined");
    assert!(world.browser.text("main").contains("Connect again"));
    world.picture("declined");
}

#[test]
fn pages_load_nothing_that_their_policy_forbids() {
    let Some(world) = PageWorld::new() else {
        return;
    };
    let path = world.add(NAME, "");
    for path in [
        "/",
        "/organizations",
        "/organizations/new",
        "/transactions",
        "/alerts",
        "/users",
        "/users/new",
        "/keys",
        "/keys/new",
        &path,
        &format!("{path}/edit"),
        &format!("{path}/connect"),
        "/nothing",
    ] {
        world.open(path);
        let loaded = "return performance.getEntriesByType('resource').filter(each => each.responseStatus === 200).length";
        let loaded = world.browser.execute(loaded);
        assert_eq!(loaded, 3, "{path}: style, script and icon");
        assert_eq!(
            world
                .browser
                .execute("return document.querySelectorAll('h1').length"),
            1,
            "{path}"
        );
        let wide =
            "return document.documentElement.scrollWidth > document.documentElement.clientWidth";
        assert_eq!(
            world.browser.execute(wide),
            false,
            "{path}: scrolls sideways"
        );
    }
}
