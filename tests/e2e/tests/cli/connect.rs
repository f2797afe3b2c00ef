//! `connect`: a link, a person's consent, a browser that comes back, and a customer with tokens.

use std::io::{Read, Write};
use std::net::TcpStream;

use relation_e2e::process::{Place, Running, eventually};
use relation_e2e::scene::{NODE, Scene};
use serde_json::Value;
use url::Url;
use webex_emulator::{Consent, Organization};

/// A scene where the integration at Webex has a redirect address, of a port that is free.
fn scene() -> (Scene, String) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let redirect = format!("http://{}/callback", free.local_addr().unwrap());
    let scene = Scene::new().configured(&format!("connect.redirect = \"{redirect}\""));
    scene.emulator.add_redirect_uri(&redirect);
    (scene, redirect)
}

/// Adds a customer without tokens; its pkid.
fn added(place: &Place, name: &str, more: &[&str]) -> String {
    let add = ["add", "--hierarchy", NODE, "--name", name];
    let added = place.relation(add).args(more).arg("--json").run().done();
    let pkid = &added.json()["connection"]["pkid"];
    pkid.as_str().unwrap().to_owned()
}

fn connecting(scene: &Scene, pkid: &str) -> Running {
    let connect = scene.place.relation(["connect", pkid, "--json"]);
    connect.start()
}

/// The events that the command has printed, when there are at least `count`.
fn events(running: &mut Running, count: usize) -> Vec<Value> {
    eventually("the command tells", || {
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

fn link(running: &mut Running) -> String {
    let event = events(running, 1).pop().unwrap();
    assert_eq!(event["event"], "authorization");
    event["url"].as_str().unwrap().to_owned()
}

/// What a browser sees at `address`: status and page.
fn browse(address: &str) -> (u16, String) {
    let url = Url::parse(address).unwrap();
    let host = url.host_str().unwrap();
    let port = url.port_or_known_default().unwrap();
    let mut stream = TcpStream::connect((host, port)).unwrap();
    let target = &url[url::Position::BeforePath..];
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

/// A person opens the link and decides; the address to which Webex sends the browser.
fn decided(scene: &Scene, link: &str, consent: &Consent) -> String {
    scene.emulator.authorize(link, consent).unwrap()
}

fn connected(scene: &Scene, name: &str, organization: &Organization) -> String {
    let pkid = added(&scene.place, name, &[]);
    let mut running = connecting(scene, &pkid);
    let link = link(&mut running);
    browse(&decided(scene, &link, &Consent::accept(organization)));
    running.end().done();
    pkid
}

#[test]
fn a_customer_is_connected_with_both_expiries() {
    let (scene, _) = scene();
    let contoso = scene.emulator.create_organization("Contoso");
    let pkid = added(&scene.place, "Contoso <& Co>", &[]);
    let mut running = connecting(&scene, &pkid);
    let back = decided(&scene, &link(&mut running), &Consent::accept(&contoso));
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

    let ran = running.end().done();
    let last: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "connected");
    assert_eq!(last["organization"], contoso.uuid.as_str());
    let connection = &last["connection"];
    assert_eq!(connection["state"], "connected");
    for expiry in ["access_token_expires", "refresh_token_expires"] {
        assert!(connection[expiry]["at"].is_u64(), "{connection}");
        assert_eq!(connection[expiry]["assumed"], false);
    }
    let transaction = last["transaction"].as_str().unwrap();
    let told = scene.place.json(["transactions", transaction]);
    assert_eq!(told["action"], "complete-connect");
    assert_eq!(told["status"], "Success");
    let said = scene.place.said();
    assert!(!said.contains(&*code), "the code is told nobody");
    // The grant works.
    scene.place.relation(["refresh", &pkid]).run().done();
}

#[test]
fn a_person_is_shown_the_link_and_told_what_to_do() {
    let (scene, _) = scene();
    let contoso = scene.emulator.create_organization("Contoso");
    let pkid = added(&scene.place, "Contoso", &[]);
    let running = scene.place.relation(["connect", &pkid]).start();
    let link = eventually("the link is shown", || {
        let stdout = running.stdout();
        stdout.ends_with('\n').then(|| stdout.trim().to_owned())
    });
    assert!(running.stderr().contains("Open this link in a browser"));
    browse(&decided(&scene, &link, &Consent::accept(&contoso)));
    let ran = running.end().done();
    for word in ["connected", "access token", "refresh token"] {
        assert!(ran.stdout.contains(word), "{}", ran.stdout);
    }
}

#[test]
fn a_consent_that_is_declined_leaves_the_customer_as_it_was() {
    let (scene, _) = scene();
    let contoso = scene.emulator.create_organization("Contoso");
    let pkid = connected(&scene, "Contoso", &contoso);
    let before = scene.place.json(["show", &pkid]);
    let mut running = connecting(&scene, &pkid);
    let back = decided(&scene, &link(&mut running), &Consent::decline());
    let (_, page) = browse(&back);
    assert!(page.contains("Contoso was not connected"), "{page}");
    assert!(page.contains("declined"), "{page}");
    let ran = running.end().exits(4);
    let error = ran.error();
    assert_eq!(error["kind"], "reauthorize");
    assert!(
        error["hint"].as_str().unwrap().contains("connect"),
        "{error}"
    );
    let after = scene.place.json(["show", &pkid]);
    assert_eq!(after["connection"], before["connection"]);
    scene.place.relation(["refresh", &pkid]).run().done();
}

#[test]
fn another_organisation_is_not_taken() {
    let (scene, _) = scene();
    let contoso = scene.emulator.create_organization("Contoso");
    let other = scene.emulator.create_organization("Fabrikam");
    let number = ["--account-number", contoso.uuid.as_str()];
    let pkid = added(&scene.place, "Contoso", &number);
    let mut running = connecting(&scene, &pkid);
    let back = decided(&scene, &link(&mut running), &Consent::accept(&other));
    browse(&back);
    running.end().exits(4).says(&[&other.uuid]);
    assert_eq!(
        scene.place.json(["show", &pkid])["connection"]["state"],
        "not-connected"
    );
}

#[test]
fn who_does_not_bring_the_state_ends_nothing() {
    let (scene, redirect) = scene();
    let contoso = scene.emulator.create_organization("Contoso");
    let pkid = added(&scene.place, "Contoso", &[]);
    let mut running = connecting(&scene, &pkid);
    let back = decided(&scene, &link(&mut running), &Consent::accept(&contoso));
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
    running.end().done();
}

#[test]
fn without_a_listener_the_address_comes_from_stdin() {
    let (scene, redirect) = scene();
    let contoso = scene.emulator.create_organization("Contoso");
    let pkid = added(&scene.place, "Contoso", &[]);
    let connect = ["connect", &pkid, "--no-listen", "--json"];
    // An address elsewhere is as good: nobody here has to be there.
    let elsewhere = "https://relation.example.com/webex";
    scene.emulator.add_redirect_uri(elsewhere);
    let (mut running, mut stdin) = scene
        .place
        .relation(connect)
        .args(["--redirect", elsewhere])
        .start_with_stdin();
    let back = decided(&scene, &link(&mut running), &Consent::accept(&contoso));
    assert!(back.starts_with(elsewhere), "{back}");
    writeln!(stdin, "  {back}").unwrap();
    let ran = running.end().done();
    assert!(ran.stdout.contains("\"connected\""), "{}", ran.stdout);

    let nothing = scene.place.relation(connect).stdin("\n").run().exits(2);
    nothing.says(&["stdin held no address"]);
    let wrong = scene
        .place
        .relation(connect)
        .stdin(format!("{redirect}?code=c\n"))
        .run()
        .exits(2);
    let error = wrong.error();
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("it has no state"), "{error}");
    let refused = scene
        .place
        .relation(["connect", &pkid, "--redirect", elsewhere])
        .run()
        .exits(2);
    refused.says(&["not a loopback address", "--no-listen"]);
}

#[test]
fn a_wholesale_customer_consents_once_for_each_of_its_grants() {
    let (scene, _) = scene();
    let contoso = scene.emulator.create_organization("Contoso");
    let pkid = added(&scene.place, "Contoso", &["--wholesale"]);
    let mut running = connecting(&scene, &pkid);
    let mut link = link(&mut running);
    for (step, grant) in ["organization", "wholesale-customers", "wholesale-users"]
        .into_iter()
        .enumerate()
    {
        let back = decided(&scene, &link, &Consent::accept(&contoso));
        let (status, page) = browse(&back);
        assert_eq!(status, 200, "{page}");
        let told = events(&mut running, 2 * step + 2);
        assert_eq!(told[2 * step]["grant"], grant);
        assert_eq!(told[2 * step + 1]["event"], "connected");
        assert_eq!(told[2 * step + 1]["grant"], grant);
        if step < 2 {
            let told = events(&mut running, 2 * step + 3);
            link = told[2 * step + 2]["url"].as_str().unwrap().to_owned();
            assert!(
                page.contains("Go on with the consent for wholesale-"),
                "{page}"
            );
        }
    }
    running.end().done();
    let refused = scene
        .place
        .relation(["connect", &pkid, "--grant", "wholesale"]);
    refused.run().exits(2).says(&["wholesale-users"]);
    let other = added(&scene.place, "Fabrikam", &[]);
    let refused = scene
        .place
        .relation(["connect", &other, "--grant", "wholesale-users"])
        .run()
        .exits(2);
    refused.says(&["has no such grant", "--wholesale"]);
}

#[test]
fn a_port_that_is_taken_is_told_before_anybody_consents_in_vain() {
    let (scene, redirect) = scene();
    let pkid = added(&scene.place, "Contoso", &[]);
    let port = Url::parse(&redirect).unwrap().port().unwrap();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let ran = scene.place.relation(["connect", &pkid]).run().exits(1);
    let said = ran.says(&[
        "cannot wait for the browser",
        &port.to_string(),
        "--no-listen",
    ]);
    assert_eq!(said.stdout, "");
}

#[test]
fn whoever_is_asked_to_stop_leaves_the_customer_as_it_was() {
    let (scene, _) = scene();
    let pkid = added(&scene.place, "Contoso", &[]);
    let mut running = connecting(&scene, &pkid);
    link(&mut running);
    running.interrupt();
    let ran = running.end().exits(1);
    ran.says(&["stopped before anybody consented"]);
    assert_eq!(
        scene.place.json(["show", &pkid])["connection"]["state"],
        "not-connected"
    );
}

#[test]
fn a_redirect_address_that_cannot_be_is_told_with_its_line() {
    let scene = Scene::new().configured("connect.redirect = \"ftp://127.0.0.1/\"");
    let ran = scene.place.relation(["connect", "Contoso"]).run().exits(2);
    ran.says(&["connect.redirect", "not an http or https address", "line "]);
}
