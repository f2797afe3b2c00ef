//! Real clients of Webex against the emulator. Each is installed from its registry, runs its program in
//! `tests/e2e/clients/`, and has a row in the table of the emulator's README.
//!
//! Two clients always run, the others with `RELATION_CLIENTS=all`. A client that cannot be installed is
//! reported as skipped, or fails the test if `RELATION_REQUIRE_CLIENTS` is set.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use relation_e2e::optional_programs::{report_left_out, report_skipped};
use relation_e2e::packages::{Package, REQUIRED, Registry};
use serde_json::{Value, json};
use webex_emulator::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Emulator};

/// No server listens: the programs read the code from the redirect.
const REDIRECT: &str = "http://127.0.0.1:9/callback";

const SCOPES: &str = "spark-admin:organizations_read spark-admin:licenses_read spark-admin:roles_read \
                      spark-admin:people_read spark-admin:locations_read spark-admin:workspaces_read \
                      identity:groups_read identity:tokens_read identity:tokens_write";

/// A real client.
struct Client {
    package: Package,
    program: &'static str,
    /// Whether it runs without `RELATION_CLIENTS=all`.
    always: bool,
}

const WXC_SDK: Client = Client {
    package: Package {
        registry: Registry::PyPi,
        name: "wxc_sdk",
        version: "1.41.0",
        others: &[],
    },
    program: "use_wxc_sdk.py",
    always: true,
};
const WEBEXPYTHONSDK: Client = Client {
    package: Package {
        registry: Registry::PyPi,
        name: "webexpythonsdk",
        version: "2.0.6",
        others: &[],
    },
    program: "use_webexpythonsdk.py",
    always: false,
};
const AUTHLIB: Client = Client {
    package: Package {
        registry: Registry::PyPi,
        name: "authlib",
        version: "1.9.10",
        others: &["requests"],
    },
    program: "use_authlib.py",
    always: false,
};
const OPENID_CLIENT: Client = Client {
    package: Package {
        registry: Registry::Npm,
        name: "openid-client",
        version: "6.9.0",
        others: &[],
    },
    program: "use_openid_client.mjs",
    always: true,
};
const WEBEX_CORE: Client = Client {
    package: Package {
        registry: Registry::Npm,
        name: "@webex/webex-core",
        version: "3.12.0",
        others: &[
            "@webex/plugin-authorization-node@3.12.0",
            "@babel/runtime-corejs2@7",
        ],
    },
    program: "use_webex_core.mjs",
    always: false,
};

/// In the order of the table.
const CLIENTS: [&Client; 5] = [
    &WXC_SDK,
    &WEBEXPYTHONSDK,
    &AUTHLIB,
    &OPENID_CLIENT,
    &WEBEX_CORE,
];

#[test]
fn wxc_sdk_works_as_the_readme_says() {
    WXC_SDK.check();
}

#[test]
fn webexpythonsdk_works_as_the_readme_says() {
    WEBEXPYTHONSDK.check();
}

#[test]
fn authlib_works_as_the_readme_says() {
    AUTHLIB.check();
}

#[test]
fn openid_client_works_as_the_readme_says() {
    OPENID_CLIENT.check();
}

#[test]
fn webex_core_works_as_the_readme_says() {
    WEBEX_CORE.check();
}

#[test]
fn readme_has_a_row_for_each_client() {
    if is_updating() {
        return;
    }
    let text = std::fs::read_to_string(readme()).unwrap();
    let rows = text
        .lines()
        .skip_while(|line| !line.starts_with("| client |"));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    let found: Vec<_> = rows.map(|row| row.split(" | ").next().unwrap()).collect();
    let expected = CLIENTS.map(|client| client.heading());
    assert_eq!(
        found,
        expected
            .each_ref()
            .map(|heading| heading.trim_end_matches(" |"))
    );
}

impl Client {
    /// Runs the client and compares its row, or writes the row if `INSTA_UPDATE` is `always`.
    #[track_caller]
    fn check(&self) {
        let are_all = std::env::var("RELATION_CLIENTS").is_ok_and(|which| which == "all");
        if !self.always && !are_all {
            let Package { name, version, .. } = self.package;
            return report_left_out(&format!(
                "{name} {version} runs only with RELATION_CLIENTS=all"
            ));
        }
        let directory = match self.package.install() {
            Ok(directory) => directory,
            Err(reason) => return report_skipped(&reason, REQUIRED),
        };
        compare(self, &self.row(&self.run(&directory)));
    }

    /// Runs its program against an emulator, and returns the program's report.
    #[track_caller]
    fn run(&self, folder: &Path) -> Value {
        let webex = Emulator::builder()
            // So that the times in errors are the same each time.
            .clock(Arc::new(|| 1_700_000_000_000))
            .redirect_uri(REDIRECT)
            .start_blocking()
            .unwrap();
        webex.create_organization("Contoso");
        let directory = tempfile::tempdir().unwrap();
        let report = directory.path().join("report.json");
        let base_url = webex.base_url();
        let description = json!({
            "base_url": base_url,
            "origin": base_url.trim_end_matches("/v1"),
            "client_id": DEFAULT_CLIENT_ID,
            "client_secret": DEFAULT_CLIENT_SECRET,
            "redirect_uri": REDIRECT,
            "scopes": SCOPES,
            "report": report,
        });
        let mut command = self.command(folder);
        for proxy in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            command.env_remove(proxy);
        }
        command.env("EMULATED_WEBEX", description.to_string());
        let output = command.output().unwrap();
        let report = std::fs::read_to_string(&report).unwrap_or_default();
        let report = serde_json::from_str(&report);
        let report = report.unwrap_or_else(|_| panic!("{command:?}: no report: {output:?}"));
        webex.assert_sound();
        report
    }

    /// Returns the command that runs its program with the packages of this directory.
    fn command(&self, folder: &Path) -> Command {
        match self.package.registry {
            Registry::PyPi => {
                let mut python = Command::new("python3");
                python
                    .arg(programs().join(self.program))
                    .env("PYTHONPATH", folder)
                    .env("PYTHONDONTWRITEBYTECODE", "1");
                python
            }
            Registry::Npm => {
                // Modules find packages beside themselves only.
                for name in [self.program, "emulated.mjs"] {
                    std::fs::copy(programs().join(name), folder.join(name)).unwrap();
                }
                let mut node = Command::new("node");
                node.arg(folder.join(self.program));
                node
            }
        }
    }

    fn heading(&self) -> String {
        let Package { name, version, .. } = self.package;
        format!("| {name} {version} |")
    }

    /// Returns the row of the table.
    fn row(&self, report: &Value) -> String {
        let text = |field: &str| report[field].as_str().expect("a text");
        let revoke = match text("revokedBy") {
            "" => text("revoke").to_owned(),
            path => format!("{}, `{path}`", text("revoke")),
        };
        let mut row = self.heading();
        for cell in [
            text("connect"),
            &summarize(&report["modes"], "all modes"),
            text("refused"),
            &summarize(&report["resources"], ""),
            &revoke,
        ] {
            let cell = cell.replace('|', "\\|").replace('<', "&lt;");
            write!(row, " {cell} |").expect("a text grows");
        }
        row
    }
}

/// Lists what works and what does not, with its error; `all` replaces the list of everything.
fn summarize(outcomes: &Value, all: &str) -> String {
    let outcomes = outcomes.as_object().expect("an object");
    let (works, fails): (Vec<_>, Vec<_>) = outcomes
        .iter()
        .partition(|(_, outcome)| **outcome == "works");
    let names: Vec<_> = works.iter().map(|(name, _)| format!("`{name}`")).collect();
    let mut text = match (fails.is_empty(), all) {
        (true, all) if !all.is_empty() => all.to_owned(),
        _ => names.join(", "),
    };
    for (name, outcome) in fails {
        let outcome = outcome.as_str().expect("a text");
        write!(text, "; not `{name}`: {outcome}").expect("a text grows");
    }
    text
}

/// Returns the directory of the clients' programs.
fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

fn readme() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../webex-emulator/README.md")
}

fn is_updating() -> bool {
    std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always")
}

/// Fails unless the table has this row, or writes it.
#[track_caller]
fn compare(client: &Client, row: &str) {
    static FILE: Mutex<()> = Mutex::new(());
    let guard = FILE.lock();
    let text = std::fs::read_to_string(readme()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let name = |line: &str| line.split(' ').nth(1).unwrap_or_default().to_owned();
    let head = lines
        .iter()
        .position(|line| line.starts_with("| client |"))
        .unwrap()
        + 2;
    let rows = lines[head..]
        .iter()
        .take_while(|line| line.starts_with('|'))
        .count();
    let mut table = lines[head..head + rows].to_vec();
    let place = table
        .iter()
        .position(|line| name(line) == client.package.name);
    let found = place.map(|place| table[place]);
    if found == Some(row) {
        return;
    }
    if !is_updating() {
        drop(guard);
        let found = found.unwrap_or("no such row");
        panic!(
            "the table in the emulator's README differs\n- {found}\n+ {row}\nafter an intended change: \
             RELATION_CLIENTS=all INSTA_UPDATE=always cargo test -p relation-e2e --test clients"
        );
    }
    match place {
        Some(place) => table[place] = row,
        None => table.push(row),
    }
    table.sort_by_key(|line| {
        CLIENTS
            .iter()
            .position(|client| client.package.name == name(line))
    });
    table.retain(|line| {
        CLIENTS
            .iter()
            .any(|client| client.package.name == name(line))
    });
    let mut text = [&lines[..head], &table, &lines[head + rows..]]
        .concat()
        .join("\n");
    text.push('\n');
    std::fs::write(readme(), text).unwrap();
}
