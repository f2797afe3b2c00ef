//! `relation-host run --record`: the recording replays, and holds no secret.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use relation_e2e::artifacts;
use relation_e2e::cli_world::{CliWorld, NODE};
use relation_e2e::process::{CLIENT_ID, ProgramOutput, RunningProgram, eventually};
use relation_e2e::world::CLIENT_SECRET;
use serde_json::{Value, json};
use webex_emulator::{Emulator, Fault, License, Listing, Mode, Paging};

const TOKEN: &str = "/v1/access_token";
const PASSWORD: &str = "canary: of a pröxy/81";
const REFRESHED: [&str; 2] = ["canary-access-93c1", "canary+refresh/93c1"];

/// Creates a world whose Webex tokens are due for a refresh one second after their issue.
fn world() -> CliWorld {
    CliWorld::with(Emulator::builder().mode(Mode::Rotate))
        .with_config_line("refresh.period = \"1s\"")
}

fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn read(world: &CliWorld, name: &str) -> String {
    std::fs::read_to_string(world.workspace.path(name)).unwrap()
}

/// Lets two and a half seconds pass, runs what is due then, and records it.
fn record(world: &CliWorld, name: &str) -> (Value, String) {
    world.time.advance(Duration::from_millis(2500));
    let words = ["run", "--until-idle", "--record", name, "--json"];
    let output = world.workspace.relation(words).run();
    let run = output.json();
    let code = match (&run["need_person"], &run["retrying"]) {
        (person, _) if *person != 0 => 4,
        (_, later) if *later != 0 => 5,
        _ => 0,
    };
    output.exits(code);
    assert_eq!(run["recorded"]["file"], name, "{run}");
    assert_eq!(
        run["recorded"]["left_out"],
        0,
        "{run}\n{}",
        read(world, name)
    );
    (run, read(world, name))
}

fn replay(world: &CliWorld, name: &str) -> ProgramOutput {
    world.workspace.relation(["test", name]).run()
}

/// Records to `service.toml` until the service is stopped.
fn start_recorded_service(world: &CliWorld) -> RunningProgram {
    let run = ["run", "--record", "service.toml"];
    world.workspace.relation(run).start()
}

/// Waits until Webex has received `more` further token requests.
#[track_caller]
fn wait_for_refreshes(world: &CliWorld, more: usize) {
    let before = world.token_requests().len();
    eventually("it was refreshed", || {
        (world.token_requests().len() >= before + more).then_some(())
    });
}

fn assert_owner_only(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn recording_replays_and_holds_no_secret() {
    // The warning about a refresh token is due two seconds after its issue.
    let lifetime = Duration::from_secs(600);
    let webex = Emulator::builder().mode(Mode::Rotate).refresh_ttl(lifetime);
    let world = CliWorld::with(webex).with_config_line(
        "egress.proxies = [\"http://127.0.0.1:9\"]\nexpiry.thresholds = [\"598s\"]",
    );
    let (organization, contoso) = world.organization_with_grant("Contoso");
    let proxy = format!("http://someone:{}@127.0.0.1:9/", percent_encoded(PASSWORD));
    let fields = json!({ "account_number": organization.uuid, "https_proxy": proxy });
    let file = world.workspace.write("fields.json", &fields.to_string());
    let add = world.add("Contoso").args(["--tokens", "-", "--fields"]);
    let add = add.arg(file).stdin(contoso.json().to_string());
    add.run().succeeds();
    let fabrikam = world.add_customer("Fabrikam");
    // The first refresh of pasted tokens is due immediately, and would move the warning.
    for name in ["Contoso", "Fabrikam"] {
        world.workspace.relation(["refresh", name]).run().succeeds();
    }

    // An import that continues by itself.
    let licenses = (1..=300).map(|number| License::new(&format!("license {number}"), number));
    world.emulator.set_licenses(&organization, licenses);
    world
        .emulator
        .set_paging(Listing::Licenses, Paging::with_size(5));
    let fault = Fault::rate_limited("/v1/licenses", "0").skipping(40);
    world.emulator.inject(fault);
    world.workspace.relation(["sync", "Contoso"]).run().exits(5);

    let (_, looked) = record(&world, "looked.toml");
    for wakeup in ["expiry", "sync.roles-licenses"] {
        let line = format!("wakeup = \"{wakeup}\"");
        assert!(looked.contains(&line), "{line}: {looked}");
    }

    // New tokens, then a response that repeats the whole request, as a careless gateway's may.
    let configuration = read(&world, "relation.toml");
    let sooner = format!("{configuration}refresh.period = \"1s\"\n");
    world.workspace.write("relation.toml", &sooner);
    for name in ["Contoso", "Fabrikam"] {
        world.workspace.relation(["refresh", name]).run().succeeds();
    }
    let [access, refresh] = REFRESHED;
    let patch = json!({ "access_token": access, "refresh_token": refresh });
    world.emulator.inject(Fault::patch(TOKEN, patch).times(2));
    let (_, rotated) = record(&world, "rotated.toml");
    let refreshes = rotated.matches("wakeup = \"refresh\"").count();
    assert!(refreshes >= 2, "{rotated}");
    let basic = STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
    let echo = format!(
        "{refresh} {access} {} Basic {basic} {CLIENT_SECRET} {PASSWORD} {proxy}",
        STANDARD.encode(refresh)
    );
    let body = json!({ "message": echo, "error_description": percent_encoded(refresh), "error": "server_error" });
    world
        .emulator
        .inject(Fault::status_with_body(TOKEN, 503, body).times(2));
    let (_, failed) = record(&world, "failed.toml");
    assert!(failed.contains("status = 503"), "{failed}");

    let mut secrets = vec![CLIENT_SECRET.to_owned(), PASSWORD.to_owned()];
    secrets.extend(REFRESHED.map(str::to_owned));
    for grant in [&contoso, &fabrikam.grant] {
        secrets.extend([
            grant.access_token().to_owned(),
            grant.refresh_token().to_owned(),
        ]);
    }
    let key = read(&world, "relation.key");
    let key = key.lines().rfind(|line| !line.starts_with('#')).unwrap();
    secrets.push(key[key.len() - 64..].to_owned());
    for (name, recorded) in [
        ("looked.toml", &looked),
        ("rotated.toml", &rotated),
        ("failed.toml", &failed),
    ] {
        for secret in &secrets {
            let spellings = [
                secret.clone(),
                percent_encoded(secret),
                STANDARD.encode(secret),
                URL_SAFE_NO_PAD.encode(secret),
            ];
            for spelling in spellings {
                assert!(
                    !recorded.contains(&spelling),
                    "{spelling} is in {name}: {recorded}"
                );
            }
        }
        assert!(!recorded.contains(&basic), "{name}: {recorded}");
        assert!(recorded.contains("\"recorded"), "{name}: {recorded}");
        assert!(
            recorded.contains("Contoso"),
            "the search finds nothing at all"
        );
        assert_owner_only(&world.workspace.path(name));
        replay(&world, name).succeeds();
    }
}

#[test]
fn replay_fails_on_another_response() {
    let world = world();
    world.add_customer("Contoso");
    world.emulator.inject(Fault::status(TOKEN, 503));
    let (_, recorded) = record(&world, "recorded.toml");
    replay(&world, "recorded.toml").succeeds();
    let altered = recorded.replace("status = 503", "status = 400");
    world.workspace.write("altered.toml", &altered);
    replay(&world, "altered.toml").exits(1);
}

#[test]
fn replay_fails_on_another_plugin_behavior() {
    let world = world();
    world.add_customer("Contoso");
    world.emulator.inject(Fault::status(TOKEN, 503));
    record(&world, "recorded.toml");
    let component = artifacts::mutant("server_error_is_a_refusal");
    let broken = world
        .workspace
        .relation(["test", "recorded.toml", "--component"]);
    let output = broken.arg(component).run().exits(1);
    assert!(
        output.stdout.contains("connection.state"),
        "{}",
        output.stdout
    );
}

#[test]
fn replay_repeats_network_errors() {
    let world = world();
    world.add_customer("Contoso");
    world.emulator.inject(Fault::reset_after(TOKEN));
    let (_, reset) = record(&world, "reset.toml");
    assert!(reset.contains("fault = \"reset\""), "{reset}");
    replay(&world, "reset.toml").succeeds();
}

#[test]
fn stopped_service_writes_its_recording() {
    let world = world();
    world.add_customer("Contoso");
    let service = start_recorded_service(&world);
    wait_for_refreshes(&world, 2);
    assert!(!world.workspace.path("service.toml").exists());
    service.terminate();
    let output = service.wait().succeeds();
    assert!(
        output.stdout.contains("calls recorded"),
        "{}",
        output.stdout
    );
    let recorded = read(&world, "service.toml");
    assert!(
        recorded.matches("wakeup = \"refresh\"").count() >= 2,
        "{recorded}"
    );
    assert_owner_only(&world.workspace.path("service.toml"));
    replay(&world, "service.toml").succeeds();
}

#[test]
fn record_changed_concurrently_is_left_out() {
    let world = world();
    world.add_customer("Contoso");
    let service = start_recorded_service(&world);
    wait_for_refreshes(&world, 1);
    let modify = ["modify", "Contoso", "--name", "Fabrikam"];
    world.workspace.relation(modify).run().succeeds();
    wait_for_refreshes(&world, 2);
    service.interrupt();
    service.wait().succeeds();
    let recorded = read(&world, "service.toml");
    assert!(
        recorded.contains("another writer has changed"),
        "{recorded}"
    );
    replay(&world, "service.toml").succeeds();
}

#[test]
fn unusable_recording_target_is_rejected_first() {
    let world = world();
    world.add_customer("Contoso");
    world.workspace.write("mine.toml", "mine");
    let record = |arguments: &[&str]| {
        let run = ["run", "--until-idle", "--record"];
        world.workspace.relation(run).args(arguments).run()
    };
    record(&["mine.toml"])
        .exits(2)
        .reports(&["exists already", "hint:"]);
    assert_eq!(read(&world, "mine.toml"), "mine");
    record(&["nowhere/a.toml"])
        .exits(2)
        .reports(&["nowhere/a.toml"]);
    let both = record(&["a.toml", "--concurrency", "4"]);
    both.exits(2).reports(&["--record", "--concurrency"]);
    assert!(world.token_requests().is_empty());

    let nothing = CliWorld::new();
    nothing
        .workspace
        .json(["add", "--hierarchy", NODE, "--name", "Contoso"]);
    let run = ["run", "--until-idle", "--record", "a.toml"];
    let run = nothing.workspace.json(run);
    assert_eq!(run["recorded"]["file"], Value::Null, "{run}");
    assert!(!nothing.workspace.path("a.toml").exists());
}
