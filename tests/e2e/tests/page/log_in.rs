//! Log-in and log-out at a real OpenID provider.

use std::time::Duration;

use relation_e2e::openid_provider::OpenIdProvider;
use serde_json::json;

use crate::world::PageWorld;

/// The button of the log-in page, as the configuration names it.
const BUTTON: &str = "Log in with Example";
const START: &str = "What needs you";

pub fn log_in_and_out_at_a_provider(world: &mut PageWorld, provider: &OpenIdProvider) {
    let log_ins = || provider.control(&json!({}))["logIns"].clone();
    provider.control(&json!({ "session": 3600 }));
    world.open("/alerts");
    world.see("Log in", &[]);
    world.follow(BUTTON);
    world.see("Not logged in", &["your account has no role", "Ida"]);
    provider.control(&json!({ "groups": ["admins"] }));
    world.follow("Try again");
    world.see(START, &[]);
    assert_eq!(
        log_ins(),
        1,
        "the person was still logged in at the provider"
    );

    world.follow("Log out");
    let end = format!("{}/session/end?", provider.issuer);
    let address = world.browser.wait_for_url(&end);
    assert!(address.contains("&id_token_hint=ey"), "{address}");
    world.follow("Yes, sign me out");
    world.see("Log in", &[]);
    assert_eq!(world.path(), "/login");
    world.open("/");
    world.see("Log in", &[]);
    world.follow(BUTTON);
    world.see(START, &[]);
    assert_eq!(
        log_ins(),
        2,
        "the log-out ended the session at the provider"
    );

    // The server reads once an hour what the provider has.
    provider.control(&json!({ "withoutLogOut": true }));
    world.restart_after(Duration::ZERO);
    world.open("/");
    world.see(START, &[]);
    world.follow("Log out");
    world.see("Log in", &[]);
    assert_eq!(world.path(), "/login");
    world.open("/");
    world.see("Log in", &[]);
}
