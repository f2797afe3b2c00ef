//! `connect`: a link, a person's consent, a browser that comes back, and a customer with tokens.

use std::io::Write as _;

use relation_e2e::cli_world::{CliWorld, NODE, browse};
use relation_e2e::process::{RunningProgram, Workspace, eventually};
use serde_json::Value;
use url::Url;
use webex_emulator::{Consent, Organization};

/// Creates a world whose integration at Webex has a redirect address with a free port.
fn world() -> (CliWorld, String) {
    CliWorld::new().with_redirect()
}

/// Adds a customer without tokens and returns its pkid.
fn add_record(workspace: &Workspace, name: &str, more: &[&str]) -> String {
    let add = ["add", "--hierarchy", NODE, "--name", name];
    let added = workspace
        .relation(add)
        .args(more)
        .arg("--json")
        .run()
        .succeeds();
    let pkid = &added.json()["connection"]["pkid"];
    pkid.as_str().unwrap().to_owned()
}

fn start_connect(world: &CliWorld, pkid: &str) -> RunningProgram {
    let connect = world.workspace.relation(["connect", pkid, "--json"]);
    connect.start()
}

/// Returns the events that the command has printed, once there are at least `count`.
fn events(running: &mut RunningProgram, count: usize) -> Vec<Value> {
    eventually("the command prints the link", || {
        let stdout = running.stdout();
        let lines = stdout.lines().filter(|_| stdout.ends_with('\n'));
        let lines: Vec<Value> = lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(
            lines.len() >= count || running.is_running(),
            "{}",
            running.stderr()
        );
        (lines.len() >= count).then_some(lines)
    })
}

fn link(running: &mut RunningProgram) -> String {
    let event = events(running, 1).pop().unwrap();
    assert_eq!(event["event"], "authorization");
    event["url"].as_str().unwrap().to_owned()
}

/// Opens the link and decides, as a person does; returns the address to which Webex sends the
/// browser.
fn consent_in_browser(world: &CliWorld, link: &str, consent: &Consent) -> String {
    world.emulator.authorize(link, consent).unwrap()
}

fn connect_customer(world: &CliWorld, name: &str, organization: &Organization) -> String {
    let pkid = add_record(&world.workspace, name, &[]);
    let mut running = start_connect(world, &pkid);
    let link = link(&mut running);
    let (status, page) = browse(&consent_in_browser(
        world,
        &link,
        &Consent::accept(organization),
    ));
    assert_eq!(status, 200, "{page}");
    running.wait().succeeds();
    pkid
}

#[test]
fn a_customer_is_connected_with_both_expiries() {
    let (world, _) = world();
    let contoso = world.emulator.create_organization("Contoso");
    let pkid = add_record(&world.workspace, "Contoso <& Co>", &[]);
    let mut running = start_connect(&world, &pkid);
    let back = consent_in_browser(&world, &link(&mut running), &Consent::accept(&contoso));
    let (status, page) = browse(&back);
    assert_eq!(status, 200, "{page}");
    assert!(
        page.contains("Contoso &lt;&amp; Co&gt; is connected"),
        "{page}"
    );
    assert!(page.contains("You can close this window"), "{page}");
    let code = Url::parse(&back).unwrap();
    let code = code
        .query_pairs()
        .find(|(name, _)| name == "code")
        .unwrap()
        .1;
    assert!(!page.contains(&*code), "{page}");

    let output = running.wait().succeeds();
    let last: Value = serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "connected");
    assert_eq!(last["organization"], contoso.uuid.as_str());
    let connection = &last["connection"];
    assert_eq!(connection["state"], "connected");
    for expiry in ["access_token_expires", "refresh_token_expires"] {
        assert!(connection[expiry]["at"].is_u64(), "{connection}");
        assert_eq!(connection[expiry]["assumed"], false);
    }
    let transaction = last["transaction"].as_str().unwrap();
    let reported = world.workspace.json(["transactions", transaction]);
    assert_eq!(reported["action"], "complete-connect");
    assert_eq!(reported["status"], "Success");
    let printed = world.workspace.all_output();
    assert!(!printed.contains(&*code), "the code is not shown");
    // The grant works.
    world
        .workspace
        .relation(["refresh", &pkid])
        .run()
        .succeeds();
}

#[test]
fn a_person_is_shown_the_link_and_told_what_to_do() {
    let (world, _) = world();
    let contoso = world.emulator.create_organization("Contoso");
    let pkid = add_record(&world.workspace, "Contoso", &[]);
    let running = world.workspace.relation(["connect", &pkid]).start();
    let link = eventually("the link is shown", || {
        let stdout = running.stdout();
        stdout.ends_with('\n').then(|| stdout.trim().to_owned())
    });
    eventually("the person is told what to do", || {
        let told = running.stderr().contains("Open this link in a browser");
        told.then_some(())
    });
    let (status, page) = browse(&consent_in_browser(
        &world,
        &link,
        &Consent::accept(&contoso),
    ));
    assert_eq!(status, 200, "{page}");
    let output = running.wait().succeeds();
    for word in ["connected", "access token", "refresh token"] {
        assert!(output.stdout.contains(word), "{}", output.stdout);
    }
}

#[test]
fn declined_consent_leaves_the_customer_unchanged() {
    let (world, _) = world();
    let contoso = world.emulator.create_organization("Contoso");
    let pkid = connect_customer(&world, "Contoso", &contoso);
    let before = world.workspace.json(["show", &pkid]);
    let mut running = start_connect(&world, &pkid);
    let back = consent_in_browser(&world, &link(&mut running), &Consent::decline());
    let (_, page) = browse(&back);
    assert!(page.contains("Contoso was not connected"), "{page}");
    assert!(page.contains("declined"), "{page}");
    let output = running.wait().exits(4);
    let error = output.error();
    assert_eq!(error["kind"], "reauthorize");
    assert!(
        error["hint"].as_str().unwrap().contains("connect"),
        "{error}"
    );
    let after = world.workspace.json(["show", &pkid]);
    assert_eq!(after["connection"], before["connection"]);
    world
        .workspace
        .relation(["refresh", &pkid])
        .run()
        .succeeds();
}

#[test]
fn consent_of_another_organization_fails() {
    let (world, _) = world();
    let contoso = world.emulator.create_organization("Contoso");
    let other = world.emulator.create_organization("Fabrikam");
    let number = ["--account-number", contoso.uuid.as_str()];
    let pkid = add_record(&world.workspace, "Contoso", &number);
    let mut running = start_connect(&world, &pkid);
    let back = consent_in_browser(&world, &link(&mut running), &Consent::accept(&other));
    browse(&back);
    running.wait().exits(4).reports(&[&other.uuid]);
    assert_eq!(
        world.workspace.json(["show", &pkid])["connection"]["state"],
        "not-connected"
    );
}

#[test]
fn callback_without_the_state_is_ignored() {
    let (world, redirect) = world();
    let contoso = world.emulator.create_organization("Contoso");
    let pkid = add_record(&world.workspace, "Contoso", &[]);
    let mut running = start_connect(&world, &pkid);
    let back = consent_in_browser(&world, &link(&mut running), &Consent::accept(&contoso));
    let state = Url::parse(&back).unwrap();
    let state = state
        .query_pairs()
        .find(|(name, _)| name == "state")
        .unwrap()
        .1;
    for foreign in [
        format!("{redirect}?code=stolen&state={pkid}.guess"),
        format!("{redirect}?error=access_denied"),
        redirect.clone(),
        format!("{redirect}/else?code=c&state={state}"),
    ] {
        let (status, page) = browse(&foreign);
        assert!(matches!(status, 400 | 404), "{foreign}: {page}");
    }
    assert!(running.is_running());
    assert_eq!(browse(&back).0, 200);
    running.wait().succeeds();
}

#[test]
fn redirect_url_is_read_from_stdin_without_listener() {
    let (world, redirect) = world();
    let contoso = world.emulator.create_organization("Contoso");
    let pkid = add_record(&world.workspace, "Contoso", &[]);
    let connect = ["connect", &pkid, "--no-listen", "--json"];
    // An address elsewhere works as well: no server has to be there.
    let elsewhere = "https://relation.example.com/webex";
    world.emulator.add_redirect_uri(elsewhere);
    let (mut running, mut stdin) = world
        .workspace
        .relation(connect)
        .args(["--redirect", elsewhere])
        .start_with_stdin();
    let back = consent_in_browser(&world, &link(&mut running), &Consent::accept(&contoso));
    assert!(back.starts_with(elsewhere), "{back}");
    writeln!(stdin, "  {back}").unwrap();
    let output = running.wait().succeeds();
    assert!(output.stdout.contains("\"connected\""), "{}", output.stdout);

    let nothing = world.workspace.relation(connect).stdin("\n").run().exits(2);
    nothing.reports(&["stdin held no address"]);
    let wrong = world
        .workspace
        .relation(connect)
        .stdin(format!("{redirect}?code=c\n"))
        .run()
        .exits(2);
    let error = wrong.error();
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("it has no state"), "{error}");
    let refused = world
        .workspace
        .relation(["connect", &pkid, "--redirect", elsewhere])
        .run()
        .exits(2);
    refused.reports(&["not a loopback address", "--no-listen"]);
}

#[test]
fn wholesale_customer_consents_once_per_grant() {
    let (world, _) = world();
    let contoso = world.emulator.create_organization("Contoso");
    let pkid = add_record(&world.workspace, "Contoso", &["--wholesale"]);
    let mut running = start_connect(&world, &pkid);
    let mut link = link(&mut running);
    for (step, grant) in ["organization", "wholesale-customers", "wholesale-users"]
        .into_iter()
        .enumerate()
    {
        let back = consent_in_browser(&world, &link, &Consent::accept(&contoso));
        let (status, page) = browse(&back);
        assert_eq!(status, 200, "{page}");
        let reported = events(&mut running, 2 * step + 2);
        assert_eq!(reported[2 * step]["grant"], grant);
        assert_eq!(reported[2 * step + 1]["event"], "connected");
        assert_eq!(reported[2 * step + 1]["grant"], grant);
        if step < 2 {
            let reported = events(&mut running, 2 * step + 3);
            link = reported[2 * step + 2]["url"].as_str().unwrap().to_owned();
            assert!(
                page.contains("Continue with the consent for wholesale-"),
                "{page}"
            );
        }
    }
    running.wait().succeeds();
    let refused = world
        .workspace
        .relation(["connect", &pkid, "--grant", "wholesale"]);
    refused.run().exits(2).reports(&["wholesale-users"]);
    let other = add_record(&world.workspace, "Fabrikam", &[]);
    let refused = world
        .workspace
        .relation(["connect", &other, "--grant", "wholesale-users"])
        .run()
        .exits(2);
    refused.reports(&["has no such grant", "--wholesale"]);
}

#[test]
fn used_port_is_reported_before_the_consent() {
    let (world, redirect) = world();
    let pkid = add_record(&world.workspace, "Contoso", &[]);
    let port = Url::parse(&redirect).unwrap().port().unwrap();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let output = world.workspace.relation(["connect", &pkid]).run().exits(1);
    let printed = output.reports(&[
        "cannot wait for the browser",
        &port.to_string(),
        "--no-listen",
    ]);
    assert_eq!(printed.stdout, "");
}

#[test]
fn interrupt_leaves_the_customer_unchanged() {
    let (world, _) = world();
    let pkid = add_record(&world.workspace, "Contoso", &[]);
    let mut running = start_connect(&world, &pkid);
    link(&mut running);
    running.interrupt();
    let output = running.wait().exits(1);
    output.reports(&["stopped while waiting for the consent"]);
    assert_eq!(
        world.workspace.json(["show", &pkid])["connection"]["state"],
        "not-connected"
    );
}

#[test]
fn invalid_redirect_is_reported_with_its_line() {
    let world = CliWorld::new().with_config_line("connect.redirect = \"ftp://127.0.0.1/\"");
    let output = world
        .workspace
        .relation(["connect", "Contoso"])
        .run()
        .exits(2);
    output.reports(&["connect.redirect", "not an http or https address", "line "]);
}
