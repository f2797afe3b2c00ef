//! Asserts that secrets are never in clear: not in the database and the files beside it, in outputs of commands, or in
//! the finest logs.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use relation_e2e::cli_world::{CliWorld, NODE, browse};
use relation_e2e::faulty_proxy::FaultyProxy;
use relation_e2e::process::{CLIENT_ID, Program, ProgramOutput, eventually};
use relation_e2e::trace_collector::TraceCollector;
use relation_e2e::world::CLIENT_SECRET;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use url::Url;
use webex_emulator::{Consent, Emulator, Fault, Grant, Mode, Organization};

const TOKEN: &str = "/v1/access_token";
const USER: &str = "proxy-user";
const PASSWORD: &str = "pröxy:p@ss/word 5b1e";
const REFRESHED: [&str; 2] = [
    "canary-access-refreshed-93c1",
    "canary-refresh-refreshed-93c1",
];
const LOG_FILE: &str = "run.log";
const MALFORMED: &str = "canary-in-malformed-input-77aa";

/// The secrets, with what each is.
#[derive(Default)]
struct Secrets(Vec<(String, Vec<u8>)>);

impl Secrets {
    fn add(&mut self, what: &str, secret: impl AsRef<[u8]>) {
        let secret = secret.as_ref().to_owned();
        assert!(secret.len() > 6, "{what} is too short to be looked for");
        self.0.push((what.to_owned(), secret));
    }

    fn add_grant(&mut self, what: &str, grant: &Grant) {
        self.add(&format!("the access token {what}"), grant.access_token());
        self.add(&format!("the refresh token {what}"), grant.refresh_token());
    }

    /// Adds the master key, as its file has it and as bytes.
    fn key(&mut self, file: &Path) {
        let text = std::fs::read_to_string(file).unwrap();
        let line = text
            .lines()
            .find(|line| !line.trim_start().starts_with('#'));
        let line = line.unwrap().trim();
        let digits = &line[line.len() - 64..];
        let bytes = hex::decode(digits).unwrap();
        self.add("the key in hexadecimal", digits);
        self.add("the key in base64", BASE64.encode(&bytes));
        self.add("the key", bytes);
    }

    fn found_in(&self, location: &str, bytes: &[u8]) -> Vec<String> {
        let found = self.0.iter().filter(|(_, secret)| contains(bytes, secret));
        found
            .map(|(what, _)| format!("{what} in {location}"))
            .collect()
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Takes a customer through everything that handles secrets, with these options on each command.
fn assert_secrets_hidden(options: &[&str]) {
    let (world, _) = CliWorld::with(Emulator::builder().mode(Mode::Rotate)).with_redirect();
    let runtime = Runtime::new().unwrap();
    let account = format!("{USER}:{PASSWORD}");
    let proxy = FaultyProxy::start_for(world.emulator.address(), &account);
    let proxy = runtime.block_on(proxy);
    let line = format!("egress.proxies = [\"http://{}\"]", proxy.address());
    // All spans of all commands.
    let collector = TraceCollector::start();
    let endpoint = format!("traces.endpoint = \"{}\"", collector.endpoint());
    let world = [
        &line,
        &endpoint,
        "traces.sample = 1",
        "traces.customers = true",
    ]
    .into_iter()
    .fold(world, CliWorld::with_config_line);
    let workspace = &world.workspace;
    let relation = |arguments: &[&str]| -> Program { workspace.relation(arguments).args(options) };
    let run = |arguments: &[&str]| -> ProgramOutput { relation(arguments).run() };
    let proxy_url = format!("http://{USER}:{}@{}/", encoded(PASSWORD), proxy.address());

    let (organization, first) = world.organization_with_grant("Contoso");
    let fields = json!({
        "account_number": organization.id,
        "token": first.access_token(),
        "token_repeat": first.access_token(),
        "refresh_token": first.refresh_token(),
        "refresh_token_repeat": first.refresh_token(),
        "http_proxy": proxy_url,
    });
    let add = world.add("Contoso").args(options).args(["--fields", "-"]);
    add.stdin(fields.to_string()).run().succeeds();
    assert!(proxy.forwarded() > 0, "no request to Webex used the proxy");
    // An open reader keeps the write-ahead log, so that the test can search it. A service would
    // take the wakeups meant for the commands, so it comes last.
    let reader = rusqlite::Connection::open(workspace.path("relation.db")).unwrap();
    let version = "SELECT COUNT(*) FROM sqlite_schema";
    let _: i64 = reader.query_row(version, [], |row| row.get(0)).unwrap();

    let [access, refresh] = REFRESHED;
    let response = json!({ "access_token": access, "refresh_token": refresh });
    world.emulator.inject(Fault::patch(TOKEN, response));
    run(&["refresh", "Contoso"]).succeeds();

    // A response that repeats the whole request, as a careless gateway's may.
    let client = BASE64.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
    let echo = format!(
        "{access} {refresh} {CLIENT_SECRET} Basic {client} {PASSWORD} {} {proxy_url}",
        encoded(PASSWORD)
    );
    world.emulator.inject(Fault::status_with_body(
        TOKEN,
        503,
        Value::from(echo.clone()),
    ));
    run(&["refresh", "Contoso"]).exits(5);
    let body = json!({ "message": echo, "error": "server_error", "error_description": echo });
    world
        .emulator
        .inject(Fault::status_with_body(TOKEN, 500, body));
    run(&["refresh", "Contoso"]).exits(5);
    // New tokens in an unreadable response.
    let torn = format!("{{\"access_token\": \"{MALFORMED}\", \"refresh_token\": {MALFORMED}");
    world
        .emulator
        .inject(Fault::status_with_body(TOKEN, 200, Value::from(torn)));
    run(&["refresh", "Contoso"]).exits(5);
    // Webex does not know the token that the patched response brought.
    run(&["refresh", "Contoso"]).exits(4);

    let second = world
        .emulator
        .grant(&organization, first.scopes().iter().cloned());
    let tokens = ["modify", "Contoso", "--tokens", "-"];
    relation(&tokens)
        .stdin(second.json().to_string())
        .run()
        .succeeds();
    run(&["refresh", "Contoso"]).succeeds();
    let broken = format!("{{\"access_token\": \"{MALFORMED}\", \"refresh_token\": {MALFORMED}");
    relation(&tokens).stdin(broken).run().exits(2);
    let wrong = json!({ "access_token": MALFORMED, "refresh_token": MALFORMED, "expires_in": 5 });
    relation(&tokens).stdin(wrong.to_string()).run().exits(2);
    let unusable = json!({
        "name": "Fabrikam",
        "http_proxy": format!("ftp://{USER}:{}@[nowhere/", encoded(PASSWORD)),
        "https_proxy": format!("http://{USER}:{PASSWORD}@proxy/path?query"),
        "token": MALFORMED,
        "token_repeat": format!("{MALFORMED}-else"),
        "tokens": MALFORMED,
    });
    let add = ["add", "--hierarchy", NODE, "--fields", "-"];
    relation(&add).stdin(unusable.to_string()).run().exits(2);

    // A person connects; Webex's response to the exchange of the code repeats it.
    let mut secrets = Secrets::default();
    let connect = || relation(&["connect", "Contoso"]).start();
    for (kind, error) in [
        ("the code of a consent", None),
        ("a refused code", Some(400)),
    ] {
        let command = connect();
        let callback = consent_to_link(&world, &organization, || command.stdout());
        let code = query(&callback, "code");
        secrets.add(kind, &code);
        if let Some(status) = error {
            let body = json!({ "error": "invalid_grant", "error_description": format!("{code} {CLIENT_SECRET}") });
            world
                .emulator
                .inject(Fault::status_with_body(TOKEN, status, body));
        }
        let (_, page) = browse(callback.as_str());
        assert!(!page.contains(&code), "the page repeats the code: {page}");
        match error {
            None => command.wait().succeeds(),
            Some(_) => command.wait().exits(4),
        };
    }
    run(&["sync", "Contoso"]).succeeds();
    // Its output is the token, but nothing that it leaves may have it.
    workspace.relation(["token", "Contoso"]).run().succeeds();
    run(&["connect", "Contoso", "--no-listen"]).exits(2);

    let newest = workspace.json(["transactions", "--subject", "Contoso", "--all"]);
    for transaction in newest["items"].as_array().unwrap() {
        run(&["transactions", transaction["id"].as_str().unwrap()]).succeeds();
    }
    run(&["transactions"]).succeeds();
    run(&["transactions", "--status", "fail"]).succeeds();
    run(&["show", "Contoso"]).succeeds();
    run(&["list"]).succeeds();
    run(&["wakeups"]).succeeds();
    run(&["check-expiry", "Contoso"]).succeeds();
    run(&["describe"]).succeeds();
    run(&["run", "--until-idle"]).succeeds();
    run(&["delete", "Contoso", "--dry-run"]).succeeds();

    secrets.add_grant("that was added", &first);
    secrets.add_grant("that was modified", &second);
    for token in REFRESHED {
        secrets.add("a token of a response", token);
    }
    secrets.add("the client secret", CLIENT_SECRET);
    let basic = BASE64.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
    secrets.add("the client's authorization", basic);
    secrets.add("the proxy's password", PASSWORD);
    secrets.add("the proxy's password, encoded", encoded(PASSWORD));
    let basic = BASE64.encode(format!("{USER}:{PASSWORD}"));
    secrets.add("the proxy's authorization", basic);
    secrets.add("a token in malformed input", MALFORMED);
    secrets.key(&workspace.path("relation.key"));

    let service = relation(&["run"]).start();
    eventually("the service runs", || {
        let logged = service.stderr() + &read_log(&world);
        logged.contains("running due wakeups").then_some(())
    });
    // Before the delete and after it: unused pages keep their contents.
    let mut found = search(&world, &secrets);
    run(&["delete", "Contoso", "--yes"]).succeeds();
    found.extend(search(&world, &secrets));
    service.terminate();
    service.wait().succeeds();
    let spans = collector.bytes();
    found.extend(secrets.found_in("the spans", &spans));
    for expected in [
        "call refresh",
        "call complete-connect",
        "http POST token",
        "Contoso",
    ] {
        assert!(
            contains(&spans, expected.as_bytes()),
            "no span has {expected}"
        );
    }
    assert!(found.is_empty(), "in clear: {found:#?}");
}

/// Waits for the link that the command prints and consents; returns the address to which the
/// browser is sent.
fn consent_to_link(
    world: &CliWorld,
    organization: &Organization,
    printed: impl Fn() -> String,
) -> Url {
    let link = eventually("the link is printed", || {
        let printed = printed();
        let words = printed.split(|c: char| c.is_whitespace() || c == '"');
        let mut links = words.filter(|word| word.contains("/v1/authorize?"));
        links.next_back().map(str::to_owned)
    });
    let consent = Consent::accept(organization);
    let callback = world.emulator.authorize(&link, &consent).unwrap();
    Url::parse(&callback).unwrap()
}

fn query(address: &Url, name: &str) -> String {
    let mut pairs = address.query_pairs();
    let pair = pairs.find(|(each, _)| each == name);
    pair.unwrap().1.into_owned()
}

/// Returns the log file, if there is one.
fn read_log(world: &CliWorld) -> String {
    std::fs::read_to_string(world.workspace.path(LOG_FILE)).unwrap_or_default()
}

/// Searches everywhere for the secrets. Finds known plain values too, to show that the search
/// works.
fn search(world: &CliWorld, secrets: &Secrets) -> Vec<String> {
    let mut control = Secrets::default();
    control.add("the name", "Contoso");
    let (mut found, mut seen) = (Vec::new(), Vec::new());
    let mut files = Vec::new();
    let mut folders = vec![world.workspace.directory().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if ["client-secret", "relation.key"].contains(&name.as_str()) {
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            found.extend(secrets.found_in(&name, &bytes));
            seen.extend(control.found_in(&name, &bytes));
            files.push(name);
        }
    }
    for name in [
        "relation.toml",
        "relation.db",
        "relation.db-wal",
        "relation.db-shm",
    ] {
        assert!(
            files.iter().any(|file| file == name),
            "{name} was not looked into: {files:?}"
        );
    }
    let printed = world.workspace.all_output();
    let logs = printed.clone() + &read_log(world);
    assert!(logs.contains("DEBUG"), "nothing was logged");
    found.extend(secrets.found_in("an output or log", printed.as_bytes()));
    seen.extend(control.found_in("an output or log", printed.as_bytes()));
    assert!(seen.len() >= 2, "the search finds nothing at all: {seen:?}");
    found
}

#[test]
fn no_secret_in_text_output_and_library_traces() {
    let carriers = [
        "hyper",
        "hyper_util",
        "relation_host",
        "rustls",
        "wasmtime_wasi_http",
    ];
    let everything = carriers.map(|library| format!("{library}=trace")).join(",");
    assert_secrets_hidden(&["--log", &everything]);
}

#[test]
fn no_secret_in_json_output_and_logs() {
    assert_secrets_hidden(&[
        "--log",
        "trace",
        "--log-format",
        "json",
        "--log-file",
        LOG_FILE,
        "--json",
    ]);
}
