//! Customers of the command who reach Webex through a proxy.

use relation_e2e::cli_world::CliWorld;
use relation_e2e::tls::Authority;
use serde_json::json;

use crate::squid::Squid;
use crate::targets::with_account;
use crate::tinyproxy::{Options, Tinyproxy};

const ACCOUNT: (&str, &str) = ("contoso", "canary-password");

#[test]
fn customer_is_added_and_refreshed_via_proxy() {
    let options = Options {
        account: Some(ACCOUNT),
        ..Options::default()
    };
    let Some(tinyproxy) = Tinyproxy::start("127.0.0.1", &options) else {
        return;
    };
    let proxy = format!("http://{}", tinyproxy.address);
    let world = CliWorld::new().with_config_line(&format!("egress.proxies = [\"{proxy}\"]"));
    let (organization, grant) = world.organization_with_grant("Contoso");
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
    let workspace = &world.workspace;
    let add = world.add("Contoso").args(["--fields", "-"]);
    add.stdin(fields.to_string()).run().succeeds();
    let base = format!("http://{}/v1", world.emulator.address());
    let organizations = format!("GET {base}/organizations");
    let requests = tinyproxy.requests();
    assert!(
        requests.iter().all(|line| line.starts_with(&organizations)) && !requests.is_empty(),
        "{requests:?}"
    );

    workspace.relation(["refresh", "Contoso"]).run().succeeds();
    let token = format!("POST {base}/access_token HTTP/1.1");
    assert!(
        tinyproxy.requests().contains(&token),
        "{:?}",
        tinyproxy.requests()
    );
    assert_eq!(world.token_requests().len(), 1);
    assert_eq!(
        world.emulator.requests().len(),
        tinyproxy.requests().len(),
        "something went past the proxy"
    );
    assert!(
        !workspace.all_output().contains("canary"),
        "{}",
        workspace.all_output()
    );
}

#[test]
fn wrong_proxy_account_is_reported() {
    let authority = Authority::new("authority of a test");
    let Some(squid) = Squid::start(&authority, &[ACCOUNT]) else {
        return;
    };
    let proxy = format!("http://{}", squid.http);
    let world = CliWorld::new().with_config_line(&format!("egress.proxies = [\"{proxy}\"]"));
    let customer = world.add_customer("Contoso");
    let before = world.emulator.requests().len();
    let wrong = json!({ "http_proxy": with_account(&proxy, ("contoso", "canary-wrong")) });
    let modify = ["modify", &customer.pkid, "--fields", "-"];
    let workspace = &world.workspace;
    workspace
        .relation(modify)
        .stdin(wrong.to_string())
        .run()
        .succeeds();
    let refresh = workspace
        .relation(["refresh", &customer.pkid])
        .run()
        .exits(6);
    assert_eq!(world.emulator.requests().len(), before);

    let id = refresh.stderr.split("`relation-host transactions ").nth(1);
    let id = id.and_then(|rest| rest.split('`').next()).unwrap();
    workspace.relation(["transactions", id]).run().succeeds();
    let words = format!(
        "proxy `{proxy}` refused the user name or password (407); correct them in the proxy setting"
    );
    let printed = workspace.all_output();
    assert!(printed.contains(&words), "{printed}");
    assert!(!printed.contains("canary"), "{printed}");
}

#[test]
fn denied_proxy_is_reported_with_the_setting() {
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
            "proxy `http://10.0.0.1:3128` is not at a public address (private), and such a proxy \
             is used only if its address is listed; the operator can add it as \
             \"http://ADDRESS:3128\" to `egress.proxies`",
        ),
    ] {
        let entries: Vec<&str> = Some(listed)
            .filter(|one| !one.is_empty())
            .into_iter()
            .collect();
        let allowing = format!("egress.proxies = [{origin:?}]");
        let forbidding = format!("egress.proxies = {entries:?}");
        let world = CliWorld::new().with_config_line(&allowing);
        let customer = world.add_customer("Contoso");
        let change = json!({ "https_proxy": written }).to_string();
        let modify = ["modify", &customer.pkid, "--fields", "-"];
        let workspace = &world.workspace;
        let configuration = std::fs::read_to_string(workspace.path("relation.toml")).unwrap();
        let forbidden = configuration.replace(&allowing, &forbidding);
        let before = world.emulator.requests().len();

        // Rejected on entry.
        workspace.write("relation.toml", &forbidden);
        let entered = workspace.relation(modify).stdin(change.clone()).run();
        entered.exits(2).reports(&["https_proxy", words]);

        // Entered before it was forbidden.
        workspace.write("relation.toml", &configuration);
        workspace.relation(modify).stdin(change).run().succeeds();
        workspace.write("relation.toml", &forbidden);
        let refresh = workspace.relation(["refresh", &customer.pkid]).run();
        refresh.exits(6).reports(&[words]);
        assert_eq!(world.emulator.requests().len(), before);
        assert!(
            !workspace.all_output().contains("canary"),
            "{}",
            workspace.all_output()
        );
    }
}
