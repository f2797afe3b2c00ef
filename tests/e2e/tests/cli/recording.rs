//! `relation-host run --record`: what is written replays, and holds no secret.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use relation_e2e::artifacts;
use relation_e2e::process::{CLIENT_ID, Ran, Running, eventually};
use relation_e2e::scene::Scene;
use relation_e2e::world::CLIENT_SECRET;
use serde_json::{Value, json};
use webex_emulator::{Emulator, Fault, License, Listing, Mode, Paging};

const TOKEN: &str = "/v1/access_token";
const PASSWORD: &str = "canary: of a pröxy/81";
const REFRESHED: [&str; 2] = ["canary-access-93c1", "canary+refresh/93c1"];

/// A Webex whose tokens are refreshed a second after they were given.
fn scene() -> Scene {
    Scene::with(Emulator::builder().mode(Mode::Rotate)).configured("refresh.period = \"1s\"")
}

fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn read(scene: &Scene, name: &str) -> String {
    std::fs::read_to_string(scene.place.path(name)).unwrap()
}

/// Lets two seconds and a half pass, runs what is due then, and records it.
fn record(scene: &Scene, name: &str) -> (Value, String) {
    scene.time.pass(Duration::from_millis(2500));
    let words = ["run", "--until-idle", "--record", name, "--json"];
    let ran = scene.place.relation(words).run();
    let run = ran.json();
    let code = match (&run["need_person"], &run["retrying"]) {
        (person, _) if *person != 0 => 4,
        (_, later) if *later != 0 => 5,
        _ => 0,
    };
    ran.exits(code);
    assert_eq!(run["recorded"]["file"], name, "{run}");
    assert_eq!(
        run["recorded"]["left_out"],
        0,
        "{run}\n{}",
        read(scene, name)
    );
    (run, read(scene, name))
}

fn replay(scene: &Scene, name: &str) -> Ran {
    scene.place.relation(["test", name]).run()
}

/// Records to `service.toml` until it is stopped.
fn recorded_service(scene: &Scene) -> Running {
    let run = ["run", "--record", "service.toml"];
    scene.place.relation(run).start()
}

/// Waits until Webex was asked for new tokens `more` times.
#[track_caller]
fn refreshed(scene: &Scene, more: usize) {
    let before = scene.token_requests().len();
    eventually("it was refreshed", || {
        (scene.token_requests().len() >= before + more).then_some(())
    });
}

fn owner_alone_can_read(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_recording_replays_and_holds_no_secret_in_any_spelling() {
    // It is warned about a refresh token two seconds after it was given.
    let life = Duration::from_secs(600);
    let webex = Emulator::builder().mode(Mode::Rotate).refresh_ttl(life);
    let scene = Scene::with(webex)
        .configured("egress.proxies = [\"http://127.0.0.1:9\"]\nexpiry.thresholds = [\"598s\"]");
    let (organization, contoso) = scene.granted("Contoso");
    let proxy = format!("http://someone:{}@127.0.0.1:9/", percent_encoded(PASSWORD));
    let fields = json!({ "account_number": organization.uuid, "https_proxy": proxy });
    let file = scene.place.write("fields.json", &fields.to_string());
    let add = scene.add("Contoso").args(["--tokens", "-", "--fields"]);
    let add = add.arg(file).stdin(contoso.json().to_string());
    add.run().done();
    let fabrikam = scene.customer("Fabrikam");
    // The first refresh of pasted tokens is due at once, and would move the warning.
    for name in ["Contoso", "Fabrikam"] {
        scene.place.relation(["refresh", name]).run().done();
    }

    // An import that goes on by itself.
    let licenses = (1..=300).map(|number| License::new(&format!("licence {number}"), number));
    scene.emulator.set_licenses(&organization, licenses);
    scene.emulator.set_paging(Listing::Licenses, Paging::by(5));
    let fault = Fault::rate_limited("/v1/licenses", "0").skipping(40);
    scene.emulator.inject(fault);
    scene.place.relation(["sync", "Contoso"]).run().exits(5);

    let (_, looked) = record(&scene, "looked.toml");
    for wakeup in ["expiry", "sync"] {
        let line = format!("wakeup = \"{wakeup}\"");
        assert!(looked.contains(&line), "{line}: {looked}");
    }

    // New tokens, then an answer that repeats everything it was told, as a careless gateway's may.
    let configuration = read(&scene, "relation.toml");
    let sooner = format!("{configuration}refresh.period = \"1s\"\n");
    scene.place.write("relation.toml", &sooner);
    for name in ["Contoso", "Fabrikam"] {
        scene.place.relation(["refresh", name]).run().done();
    }
    let [access, refresh] = REFRESHED;
    let patch = json!({ "access_token": access, "refresh_token": refresh });
    scene.emulator.inject(Fault::patch(TOKEN, patch).times(2));
    let (_, rotated) = record(&scene, "rotated.toml");
    let refreshes = rotated.matches("wakeup = \"refresh\"").count();
    assert!(refreshes >= 2, "{rotated}");
    let basic = STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
    let echo = format!(
        "{refresh} {access} {} Basic {basic} {CLIENT_SECRET} {PASSWORD} {proxy}",
        STANDARD.encode(refresh)
    );
    let body = json!({ "message": echo, "error_description": percent_encoded(refresh), "error": "server_error" });
    scene
        .emulator
        .inject(Fault::status_with_body(TOKEN, 503, body).times(2));
    let (_, failed) = record(&scene, "failed.toml");
    assert!(failed.contains("status = 503"), "{failed}");

    let mut secrets = vec![CLIENT_SECRET.to_owned(), PASSWORD.to_owned()];
    secrets.extend(REFRESHED.map(str::to_owned));
    for grant in [&contoso, &fabrikam.grant] {
        secrets.extend([
            grant.access_token().to_owned(),
            grant.refresh_token().to_owned(),
        ]);
    }
    let key = read(&scene, "relation.key");
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
        owner_alone_can_read(&scene.place.path(name));
        replay(&scene, name).done();
    }
}

#[test]
fn a_replay_fails_where_webex_answers_otherwise() {
    let scene = scene();
    scene.customer("Contoso");
    scene.emulator.inject(Fault::status(TOKEN, 503));
    let (_, recorded) = record(&scene, "recorded.toml");
    replay(&scene, "recorded.toml").done();
    let altered = recorded.replace("status = 503", "status = 400");
    scene.place.write("altered.toml", &altered);
    replay(&scene, "altered.toml").exits(1);
}

#[test]
fn a_replay_fails_where_a_plugin_does_otherwise() {
    let scene = scene();
    scene.customer("Contoso");
    scene.emulator.inject(Fault::status(TOKEN, 503));
    record(&scene, "recorded.toml");
    let component = artifacts::broken("server_error_is_a_refusal");
    let broken = scene
        .place
        .relation(["test", "recorded.toml", "--component"]);
    let ran = broken.arg(component).run().exits(1);
    assert!(ran.stdout.contains("connection.state"), "{}", ran.stdout);
}

#[test]
fn what_the_network_did_is_done_again_in_a_replay() {
    let scene = scene();
    scene.customer("Contoso");
    scene.emulator.inject(Fault::reset_after(TOKEN));
    let (_, reset) = record(&scene, "reset.toml");
    assert!(reset.contains("fault = \"reset\""), "{reset}");
    replay(&scene, "reset.toml").done();
}

#[test]
fn a_service_that_is_stopped_writes_what_it_did_until_then() {
    let scene = scene();
    scene.customer("Contoso");
    let service = recorded_service(&scene);
    refreshed(&scene, 2);
    assert!(!scene.place.path("service.toml").exists());
    service.terminate();
    let ran = service.end().done();
    assert!(ran.stdout.contains("calls recorded"), "{}", ran.stdout);
    let recorded = read(&scene, "service.toml");
    assert!(
        recorded.matches("wakeup = \"refresh\"").count() >= 2,
        "{recorded}"
    );
    owner_alone_can_read(&scene.place.path("service.toml"));
    replay(&scene, "service.toml").done();
}

#[test]
fn a_record_that_somebody_else_changes_meanwhile_is_left_out_and_named() {
    let scene = scene();
    scene.customer("Contoso");
    let service = recorded_service(&scene);
    refreshed(&scene, 1);
    let modify = ["modify", "Contoso", "--name", "Fabrikam"];
    scene.place.relation(modify).run().done();
    refreshed(&scene, 2);
    service.interrupt();
    service.end().done();
    let recorded = read(&scene, "service.toml");
    assert!(recorded.contains("somebody else has changed"), "{recorded}");
    replay(&scene, "service.toml").done();
}

#[test]
fn nothing_is_overwritten_and_what_cannot_be_is_told_before_anything_runs() {
    let scene = scene();
    scene.customer("Contoso");
    scene.place.write("mine.toml", "mine");
    let record = |arguments: &[&str]| {
        let run = ["run", "--until-idle", "--record"];
        scene.place.relation(run).args(arguments).run()
    };
    record(&["mine.toml"])
        .exits(2)
        .says(&["exists already", "hint:"]);
    assert_eq!(read(&scene, "mine.toml"), "mine");
    record(&["nowhere/a.toml"])
        .exits(2)
        .says(&["nowhere/a.toml"]);
    let both = record(&["a.toml", "--concurrency", "4"]);
    both.exits(2).says(&["--record", "--concurrency"]);
    assert!(scene.token_requests().is_empty());

    let nothing = Scene::new();
    nothing.customer("Contoso");
    let run = ["run", "--until-idle", "--record", "a.toml"];
    let run = nothing.place.json(run);
    assert_eq!(run["recorded"]["file"], Value::Null, "{run}");
    assert!(!nothing.place.path("a.toml").exists());
}
