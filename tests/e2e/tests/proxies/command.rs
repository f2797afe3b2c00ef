//! Customers of the command whose way to Webex leads through a proxy.

use relation_e2e::scene::Scene;
use serde_json::json;

use crate::servers::Authority;
use crate::squid::Squid;
use crate::tinyproxy::{Options, Tinyproxy};
use crate::way::with_account;

const ACCOUNT: (&str, &str) = ("contoso", "canary-password");

#[test]
fn a_customer_is_added_and_refreshed_through_its_proxy() {
    let options = Options {
        account: Some(ACCOUNT),
        ..Options::default()
    };
    let Some(tinyproxy) = Tinyproxy::start("127.0.0.1", &options) else {
        return;
    };
    let proxy = format!("http://{}", tinyproxy.address);
    let scene = Scene::new().configured(&format!("egress.proxies = [\"{proxy}\"]"));
    let (organization, grant) = scene.granted("Contoso");
    let written = with_account(&proxy, ACCOUNT);
    let fields = json!({
        "account_number": organization.id,
        "token": grant.access_token(),
        "token_repeat": grant.access_token(),
        "refresh_token": grant.refresh_token(),
        "refresh_token_repeat": grant.refresh_token(),
        "http_proxy": written,
        "https_proxy": written,
    });
    let place = &scene.place;
    let add = scene.add("Contoso").args(["--fields", "-"]);
    add.stdin(fields.to_string()).run().done();
    let base = format!("http://{}/v1", scene.emulator.address());
    let organizations = format!("GET {base}/organizations");
    let asked = tinyproxy.requests();
    assert!(
        asked.iter().all(|line| line.starts_with(&organizations)) && !asked.is_empty(),
        "{asked:?}"
    );

    place.relation(["refresh", "Contoso"]).run().done();
    let token = format!("POST {base}/access_token HTTP/1.1");
    assert!(
        tinyproxy.requests().contains(&token),
        "{:?}",
        tinyproxy.requests()
    );
    assert_eq!(scene.token_requests().len(), 1);
    assert_eq!(
        scene.emulator.requests().len(),
        tinyproxy.requests().len(),
        "something went past the proxy"
    );
    assert!(!place.said().contains("canary"), "{}", place.said());
}

#[test]
fn a_wrong_account_is_told_and_nothing_reaches_webex() {
    let authority = Authority::new();
    let Some(squid) = Squid::start(&authority, &[ACCOUNT]) else {
        return;
    };
    let proxy = format!("http://{}", squid.http);
    let scene = Scene::new().configured(&format!("egress.proxies = [\"{proxy}\"]"));
    let customer = scene.customer("Contoso");
    let before = scene.emulator.requests().len();
    let wrong = json!({ "http_proxy": with_account(&proxy, ("contoso", "canary-wrong")) });
    let modify = ["modify", &customer.pkid, "--fields", "-"];
    let place = &scene.place;
    place.relation(modify).stdin(wrong.to_string()).run().done();
    let refresh = place.relation(["refresh", &customer.pkid]).run().exits(5);
    assert_eq!(scene.emulator.requests().len(), before);

    let id = refresh.stderr.split("`relation-host transactions ").nth(1);
    let id = id.and_then(|rest| rest.split('`').next()).unwrap();
    place.relation(["transactions", id]).run().done();
    let words = format!(
        "proxy `{proxy}` refused the user name or password (407); correct them in the proxy setting"
    );
    let said = place.said();
    assert!(said.contains(&words), "{said}");
    assert!(!said.contains("canary"), "{said}");
}

#[test]
fn a_proxy_that_the_operator_does_not_allow_is_told_with_the_setting() {
    for (origin, listed, written, words) in [
        (
            "http://127.0.0.1:3128",
            "http://proxy.example:3128",
            "http://user:canary-password@127.0.0.1:3128",
            "proxy `http://127.0.0.1:3128` is not allowed: `egress.proxies` has no entry for this \
             scheme, host and port; add \"http://127.0.0.1:3128\" to it",
        ),
        (
            "http://10.0.0.1:3128",
            "",
            "http://user:canary-password@[::ffff:10.0.0.1]:3128/",
            "proxy `http://10.0.0.1:3128` is not at a public address (private), and such a proxy is \
             used only where its address is listed; the operator can add it as \
             \"http://ADDRESS:3128\" to `egress.proxies`",
        ),
    ] {
        let entries: Vec<&str> = Some(listed)
            .filter(|one| !one.is_empty())
            .into_iter()
            .collect();
        let allowing = format!("egress.proxies = [{origin:?}]");
        let forbidding = format!("egress.proxies = {entries:?}");
        let scene = Scene::new().configured(&allowing);
        let customer = scene.customer("Contoso");
        let change = json!({ "https_proxy": written }).to_string();
        let modify = ["modify", &customer.pkid, "--fields", "-"];
        let place = &scene.place;
        let configuration = std::fs::read_to_string(place.path("relation.toml")).unwrap();
        let forbidden = configuration.replace(&allowing, &forbidding);
        let before = scene.emulator.requests().len();

        // Where it is entered.
        place.write("relation.toml", &forbidden);
        let entered = place.relation(modify).stdin(change.clone()).run();
        entered.exits(2).says(&["https_proxy", words]);

        // When it was entered before it was forbidden.
        place.write("relation.toml", &configuration);
        place.relation(modify).stdin(change).run().done();
        place.write("relation.toml", &forbidden);
        let refresh = place.relation(["refresh", &customer.pkid]).run();
        refresh.exits(5).says(&[words]);
        assert_eq!(scene.emulator.requests().len(), before);
        assert!(!place.said().contains("canary"), "{}", place.said());
    }
}
