//! Real clients of Webex against the emulator. Each is installed from its registry, runs its program in
//! `tests/e2e/clients/`, and has a row in the table of the emulator's README.
//!
//! Two clients always run, the others with `RELATION_CLIENTS=all`. A client that cannot be installed is
//! reported as skipped, or fails the test if `RELATION_REQUIRE_CLIENTS` is set.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use relation_e2e::artifacts;
use relation_e2e::optional_programs::{report_left_out, report_skipped};
use serde_json::{Value, json};
use webex_emulator::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Emulator};

/// Environment variable that makes a client that cannot be installed an error.
const REQUIRED: &str = "RELATION_REQUIRE_CLIENTS";

/// No server is there: the programs read the code from the redirect.
const REDIRECT: &str = "http://127.0.0.1:9/callback";

const SCOPES: &str = "spark-admin:organizations_read spark-admin:licenses_read spark-admin:roles_read \
                      spark-admin:people_read spark-admin:locations_read spark-admin:workspaces_read \
                      identity:groups_read identity:tokens_read identity:tokens_write";

/// Dependencies of npm packages are those of this day; those of PyPI are in `constraints.txt`.
const NPM_BEFORE: &str = "2026-11-29";

/// A real client.
struct Client {
    registry: Registry,
    /// The package and its version.
    package: (&'static str, &'static str),
    /// Other packages that it needs and does not declare, as arguments of the installer.
    others: &'static [&'static str],
    program: &'static str,
    /// Whether it runs without `RELATION_CLIENTS=all`.
    always: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Registry {
    PyPi,
    Npm,
}

const WXC_SDK: Client = Client {
    registry: Registry::PyPi,
    package: ("wxc_sdk", "1.41.0"),
    others: &[],
    program: "use_wxc_sdk.py",
    always: true,
};
const WEBEXPYTHONSDK: Client = Client {
    registry: Registry::PyPi,
    package: ("webexpythonsdk", "2.0.6"),
    others: &[],
    program: "use_webexpythonsdk.py",
    always: false,
};
const AUTHLIB: Client = Client {
    registry: Registry::PyPi,
    package: ("authlib", "1.9.10"),
    others: &["requests"],
    program: "use_authlib.py",
    always: false,
};
const OPENID_CLIENT: Client = Client {
    registry: Registry::Npm,
    package: ("openid-client", "6.9.0"),
    others: &[],
    program: "use_openid_client.mjs",
    always: true,
};
const WEBEX_CORE: Client = Client {
    registry: Registry::Npm,
    package: ("@webex/webex-core", "3.12.0"),
    others: &[
        "@webex/plugin-authorization-node@3.12.0",
        "@babel/runtime-corejs2@7",
    ],
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
            let (name, version) = self.package;
            return report_left_out(&format!(
                "{name} {version} runs only with RELATION_CLIENTS=all"
            ));
        }
        let directory = match self.install() {
            Ok(directory) => directory,
            Err(reason) => return report_skipped(&reason, REQUIRED),
        };
        compare(self, &self.row(&self.run(&directory)));
    }

    /// Installs the client, unless it is cached in the target directory. Returns its folder, or why it
    /// cannot be installed.
    fn install(&self) -> Result<PathBuf, String> {
        let (name, version) = self.package;
        let clients = artifacts::clients();
        let folder = clients.join(format!(
            "{}-{version}",
            name.replace('@', "").replace('/', "-")
        ));
        self.registry
            .find_programs()
            .map_err(|reason| format!("{name} {version} cannot run: {reason}"))?;
        if folder.is_dir() {
            return Ok(folder);
        }
        std::fs::create_dir_all(&clients).expect("the target directory can be written");
        let staging = tempfile::tempdir_in(&clients).expect("the target directory can be written");
        let mut installer = self.registry.installer(staging.path());
        installer.arg(match self.registry {
            Registry::PyPi => format!("{name}=={version}"),
            Registry::Npm => format!("{name}@{version}"),
        });
        let output = installer.args(self.others).output();
        let output = output.map_err(|error| format!("{name}: {installer:?}: {error}"))?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let mut lines = stderr.lines();
            let reason = lines.find(|line| line.to_lowercase().contains("error"));
            let reason = reason.or(stderr.lines().last()).unwrap_or_default();
            return Err(format!("{name} {version} cannot be installed: {reason}"));
        }
        // Another process may have been faster.
        let _ = std::fs::rename(staging.path(), &folder);
        Ok(folder)
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
        let mut command = self.registry.command(folder, self.program);
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

    fn heading(&self) -> String {
        let (name, version) = self.package;
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
            &summarise(&report["modes"], "all modes"),
            text("refused"),
            &summarise(&report["resources"], ""),
            &revoke,
        ] {
            let cell = cell.replace('|', "\\|").replace('<', "&lt;");
            write!(row, " {cell} |").expect("a text grows");
        }
        row
    }
}

/// Lists what works and what does not, with its error; `all` replaces the list of everything.
fn summarise(outcomes: &Value, all: &str) -> String {
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

impl Registry {
    /// Fails if a program for its packages is missing or too old.
    fn find_programs(self) -> Result<(), String> {
        let (runs, installs, oldest): (_, &[&str], _) = match self {
            Self::PyPi => ("python3", &["python3", "-m", "pip"], (3, 11)),
            Self::Npm => ("node", &["npm"], (20, 0)),
        };
        for command in [&[runs], installs] {
            let [program, arguments @ ..] = command else {
                continue;
            };
            let output = Command::new(program)
                .args(arguments)
                .arg("--version")
                .output();
            let output = output
                .ok()
                .filter(|output| output.status.success())
                .ok_or_else(|| format!("{} is not installed", command.join(" ")))?;
            if command == [runs] {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let version = text
                    .trim()
                    .trim_start_matches(|c: char| !c.is_ascii_digit());
                let mut parts = version.split('.').map_while(|part| part.parse().ok());
                let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
                if found < oldest {
                    let (major, minor) = oldest;
                    return Err(format!("{runs} {version} is older than {major}.{minor}"));
                }
            }
        }
        Ok(())
    }

    /// Returns the command that installs the packages of its further arguments into this folder.
    fn installer(self, folder: &Path) -> Command {
        match self {
            Self::PyPi => {
                let mut pip = Command::new("python3");
                pip.args(["-m", "pip", "install", "--quiet", "--no-input"])
                    .args(["--disable-pip-version-check", "--retries", "1"])
                    .args(["--timeout", "30"])
                    .arg("--target")
                    .arg(folder)
                    .arg("--constraint")
                    .arg(programs().join("constraints.txt"));
                pip
            }
            Self::Npm => {
                let mut npm = Command::new("npm");
                npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts"])
                    .args(["--fetch-retries", "1", "--fetch-timeout", "30000"])
                    .args(["--before", NPM_BEFORE])
                    .arg("--prefix")
                    .arg(folder);
                npm
            }
        }
    }

    /// Returns the command that runs a program with the packages of this folder.
    fn command(self, folder: &Path, program: &str) -> Command {
        match self {
            Self::PyPi => {
                let mut python = Command::new("python3");
                python
                    .arg(programs().join(program))
                    .env("PYTHONPATH", folder)
                    .env("PYTHONDONTWRITEBYTECODE", "1");
                python
            }
            Self::Npm => {
                // Modules find packages beside themselves only.
                for name in [program, "emulated.mjs"] {
                    std::fs::copy(programs().join(name), folder.join(name)).unwrap();
                }
                let mut node = Command::new("node");
                node.arg(folder.join(program));
                node
            }
        }
    }
}

/// Returns the folder of the clients' programs.
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
    let place = table.iter().position(|line| name(line) == client.package.0);
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
            .position(|client| client.package.0 == name(line))
    });
    table.retain(|line| CLIENTS.iter().any(|client| client.package.0 == name(line)));
    let mut text = [&lines[..head], &table, &lines[head + rows..]]
        .concat()
        .join("\n");
    text.push('\n');
    std::fs::write(readme(), text).unwrap();
}
