//! A connection made by a person with a browser: Chromium in front of the consent page.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it cannot go on"
)]

use relation_e2e::browser::Browser;
use relation_e2e::process::CLIENT_ID;
use relation_e2e::scene::Scene;

/// A link to the consent page that leads back to the emulated Webex itself, where nothing is.
fn link(scene: &Scene) -> String {
    let back = format!("http://{}/back", scene.emulator.address());
    scene.emulator.add_redirect_uri(&back);
    format!(
        "{}/authorize?response_type=code&client_id={CLIENT_ID}&redirect_uri={back}\
         &scope=spark-admin:roles_read+spark-admin:people_read&state=a%26b",
        scene.emulator.base_url()
    )
}

#[test]
fn the_consent_page_can_be_read_accepted_and_declined_in_a_browser() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let scene = Scene::new();
    scene.emulator.create_organization("Contoso <& Co>");
    let link = link(&scene);
    browser.open(&link);
    assert_eq!(browser.title(), "Emulated Webex: Allow access?");
    assert_eq!(browser.text("#client"), CLIENT_ID);
    assert!(browser.text("#organization").contains("Contoso <& Co>"));
    assert!(browser.text("#scopes").contains("spark-admin:roles_read"));

    browser.click("#accept");
    let accepted = browser.url();
    assert!(accepted.contains("/back?code="), "{accepted}");
    assert!(accepted.ends_with("&state=a%26b"), "{accepted}");

    browser.open(&link);
    browser.click("#decline");
    let declined = browser.url();
    assert!(
        declined.contains("/back?error=access_denied&"),
        "{declined}"
    );
}
