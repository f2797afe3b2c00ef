//! `notices`: tests, deliveries and previews on the command line; notices in `status` and `check`.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use parking_lot::Mutex;
use relation_e2e::cli_world::{CliWorld, NODE};
use relation_e2e::process::ProgramOutput;
use serde_json::{Value, json};

const DAY_MS: u64 = 86_400_000;

/// A receiver of webhooks.
struct Receiver {
    origin: String,
    /// The status of the responses.
    status: Arc<AtomicU16>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let status = Arc::new(AtomicU16::new(204));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let receiver = Self {
            origin,
            status: Arc::clone(&status),
            requests: Arc::clone(&requests),
        };
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let mut request = String::new();
                while !is_complete(&request) {
                    let mut part = [0; 4096];
                    match connection.read(&mut part) {
                        Ok(0) | Err(_) => break,
                        Ok(count) => request.push_str(&String::from_utf8_lossy(&part[..count])),
                    }
                }
                requests.lock().push(request);
                let status = status.load(Ordering::SeqCst);
                let response = format!(
                    "HTTP/1.1 {status} Done\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                let _ = connection.write_all(response.as_bytes());
            }
        });
        receiver
    }

    fn respond(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn bodies(&self) -> Vec<Value> {
        let requests = self.requests.lock();
        let bodies = requests
            .iter()
            .filter_map(|request| request.split_once("\r\n\r\n"));
        bodies
            .map(|(_, body)| serde_json::from_str(body).expect("a JSON body"))
            .collect()
    }
}

/// Returns whether a request has all bytes of its body.
fn is_complete(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().unwrap())
    });
    body.len() >= length.unwrap_or_default()
}

/// Creates a world whose node has a webhook.
fn world_with_webhook(receiver: &Receiver) -> CliWorld {
    let origins = format!("notices.webhook-origins = [{:?}]", receiver.origin);
    let world = CliWorld::new().with_config_line(&origins);
    let url = format!("{}/hooks/canary-path", receiver.origin);
    let webhook = json!([{"type": "webhook", "name": "ticket system", "url": url}]);
    set(&world, NODE, &format!("recipients={webhook}"));
    world
}

#[track_caller]
fn set(world: &CliWorld, node: &str, change: &str) -> ProgramOutput {
    let set = ["settings", "set", "--hierarchy", node, change];
    world.workspace.relation(set).run().succeeds()
}

fn notices(world: &CliWorld, arguments: &[&str]) -> ProgramOutput {
    let program = world.workspace.relation(["notices"]);
    program.args(arguments).run()
}

fn run_until_idle(world: &CliWorld) -> ProgramOutput {
    world.workspace.relation(["run", "--until-idle"]).run()
}

#[test]
fn test_prints_the_reply_and_its_exit_code_the_result() {
    let receiver = Receiver::start();
    let world = world_with_webhook(&receiver);
    let test = |recipient: &str| notices(&world, &["test", "--hierarchy", NODE, recipient]);
    let accepted = test("Ticket System").succeeds().stdout;
    assert!(
        accepted.contains("has accepted the test: ") && accepted.contains("204"),
        "{accepted}"
    );
    let bodies = receiver.bodies();
    assert_eq!(bodies.len(), 1);
    assert_eq!(bodies[0]["type"], "notice.test");
    receiver.respond(403);
    test("ticket system")
        .exits(1)
        .reports(&["was not delivered", "403"]);
    test("nobody").exits(3).reports(&["settings show"]);
    set(&world, NODE, "recipients+=noc@provider.example");
    test("noc@provider.example")
        .exits(6)
        .reports(&["[notices.mail]"]);
    assert!(!world.workspace.all_output().contains("canary-path"));
}

#[test]
fn dead_delivery_is_listed_shown_and_sent_again() {
    let receiver = Receiver::start();
    let world = world_with_webhook(&receiver);
    let customer = world.add_customer("Contoso");
    run_until_idle(&world);
    receiver.respond(410);
    world.emulator.revoke(&customer.organization);
    let refresh = ["refresh", "Contoso"];
    world.workspace.relation(refresh).run().exits(4);
    run_until_idle(&world);

    let dead = ["list", "--state", "dead", "--record", "Contoso"];
    let listed = notices(&world, &[&dead[..], &["--json"]].concat());
    let listed = listed.succeeds().json();
    let items = listed["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{listed:#}");
    assert_eq!(items[0]["notice"]["kind"], "reauthorize");
    let pkid = items[0]["pkid"].as_str().unwrap();
    let text = notices(&world, &dead).succeeds().stdout;
    assert!(
        text.contains("ticket system") && text.contains(pkid),
        "{text}"
    );
    let shown = notices(&world, &["show", pkid]).succeeds().stdout;
    assert!(shown.contains("410") && shown.contains("dead"), "{shown}");
    let status = world.workspace.relation(["status"]).run().exits(4).stdout;
    assert!(
        status.contains("1 was not delivered") && status.contains("1 is disabled"),
        "{status}"
    );
    let endpoints = notices(&world, &["endpoints"]).succeeds().stdout;
    assert!(endpoints.contains("disabled (410)"), "{endpoints}");

    let enable = ["enable", "--hierarchy", NODE, "ticket system"];
    notices(&world, &enable).succeeds();
    let endpoints = notices(&world, &["endpoints"]).succeeds().stdout;
    assert!(endpoints.contains("works"), "{endpoints}");

    receiver.respond(204);
    let before = receiver.bodies().len();
    let later = notices(&world, &["resend", "--since", "2100-01-01", "--json"]);
    assert_eq!(later.succeeds().json(), json!({"resent": 0}));
    let resend = ["resend", "--since", "2020-01-01", "--hierarchy", NODE];
    let resent = notices(&world, &[&resend[..], &["--json"]].concat());
    assert_eq!(resent.succeeds().json(), json!({"resent": 1}));
    notices(&world, &["resend", pkid])
        .exits(5)
        .reports(&["pending"]);
    run_until_idle(&world);
    assert_eq!(receiver.bodies().len(), before + 1);
    let shown = world.workspace.json(["notices", "show", pkid]);
    assert_eq!(
        (&shown["state"], &shown["resent"]),
        (&json!("confirmed"), &json!(1))
    );
    let status = world.workspace.relation(["status"]).run().stdout;
    assert!(
        !status.contains("not delivered") && !status.contains("disabled"),
        "{status}"
    );
    notices(&world, &["resend", pkid]).succeeds();
    let missing = "0123456789abcdef01234567";
    notices(&world, &["show", missing])
        .exits(3)
        .reports(&["notices list"]);
    assert!(!world.workspace.all_output().contains("canary-path"));
}

#[test]
fn preview_names_times_recipients_and_reasons() {
    let world = CliWorld::new();
    world.add_customer("Contoso");
    let preview = || notices(&world, &["preview", "Contoso"]).succeeds().stdout;
    assert!(
        preview().contains("no level has a recipient"),
        "{}",
        preview()
    );
    set(&world, "sys", "recipients=noc@provider.example");
    set(&world, NODE, "thresholds=30d,2d");
    let shown = world.workspace.json(["notices", "preview", "Contoso"]);
    let planned = shown["grants"][0]["notices"].as_array().unwrap().iter();
    let planned: Vec<(u64, &str, usize)> = planned
        .map(|each| {
            let days = each["threshold_ms"].as_u64().unwrap() / DAY_MS;
            let kind = each["notice"]["kind"].as_str().unwrap();
            (days, kind, each["deliveries"].as_array().unwrap().len())
        })
        .collect();
    assert_eq!(
        planned,
        [(30, "expiring", 1), (2, "expiring", 1), (0, "expired", 1)]
    );
    let text = preview();
    assert!(
        text.contains("noc@provider.example") && text.contains("expiring, 30 d before"),
        "{text}"
    );
    set(&world, NODE, "notify=no");
    assert!(
        preview().contains("notices are switched off"),
        "{}",
        preview()
    );
    world.add("Fabrikam").run().succeeds();
    let unconnected = notices(&world, &["preview", "Fabrikam"]).succeeds().stdout;
    assert!(unconnected.contains("is not connected"), "{unconnected}");
}

#[test]
fn engine_id_stays_the_same() {
    let world = CliWorld::new();
    notices(&world, &["engine-id"])
        .exits(6)
        .reports(&["[notices.snmp]"]);
    let world = world.with_config_line("[notices.snmp]");
    let id = notices(&world, &["engine-id"]).succeeds().stdout;
    assert!(id.starts_with("0x8000"), "{id}");
    assert_eq!(notices(&world, &["engine-id"]).succeeds().stdout, id);
}

#[test]
fn problems_of_notices_are_found_by_check() {
    let world = CliWorld::new();
    let check = |world: &CliWorld| {
        let findings = world.workspace.json(["check"]);
        let findings = findings.as_array().unwrap().iter();
        let findings = findings.filter(|finding| finding["check"] == "notices");
        findings
            .map(|finding| format!("{}: {}", finding["level"], finding["message"]))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(check(&world), "");
    set(&world, NODE, "recipients=noc@provider.example");
    let found = check(&world);
    assert!(
        found.starts_with("\"warning\"")
            && found.contains("by e-mail, which is not configured")
            && found.contains(NODE),
        "{found}"
    );
    let world = world.with_config_line(
        "notices.webhook-origins = [\"http://127.0.0.1:9\"]\n[notices.mail]\nhost = \"relay.example.com\"\n\
         ehlo = \"relation.example.com\"\nfrom = \"relation@example.com\"\nuser = \"relation\"\n\
         password-file = \"mail-password\"",
    );
    let found = check(&world);
    assert!(
        found.contains("no e-mail can be sent") && found.contains("without encryption"),
        "{found}"
    );
    world.workspace.write("mail-password", "canary-password");
    assert!(!check(&world).contains("e-mail"), "{}", check(&world));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let everyone = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(world.workspace.path("mail-password"), everyone).unwrap();
        let found = check(&world);
        assert!(
            found.contains("others on this machine can read the password"),
            "{found}"
        );
    }
    assert!(!world.workspace.all_output().contains("canary-password"));
    world.database().break_settings();
    assert!(
        check(&world).contains("cannot be read"),
        "{}",
        check(&world)
    );
}
