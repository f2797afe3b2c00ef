//! The procedure of the documentation, by the keyboard alone: from the first administrator to both expiry times.

use relation_e2e::browser::Key;
use relation_e2e::cli_world::NODE;
use relation_e2e::process::eventually;

use crate::world::{PASSWORD, PageWorld, USER};

/// An organization that is connected.
pub struct Connected {
    pub path: String,
    pub organization: webex_emulator::Organization,
}

pub fn set_up_add_and_connect(world: &PageWorld) -> Connected {
    let organization = world.cli.emulator.create_organization("Contoso");
    world.open(&world.set_up_path());
    world.see_and_check(
        "set-up",
        "Set up the first administrator",
        &["New password"],
    );
    world.type_into("Name", USER);
    world.type_into("New password", PASSWORD);
    world.type_into("Repeat the password", PASSWORD);
    world.enter("Save");

    world.see_and_check("log-in", "Log in", &["Password"]);
    world.type_into("Name", USER);
    world.type_into("Password", "wrong");
    world.browser.press(&[Key::Enter]);
    world.see_and_check(
        "log-in-refused",
        "Log in",
        &["The name or the password is wrong."],
    );
    world.type_into("Password", PASSWORD);
    world.browser.press(&[Key::Enter]);

    world.see_and_check("start-new", "What needs you", &["No organizations yet"]);
    // The first control leads past the navigation.
    world.enter("Skip to the content");
    world.browser.press(&[Key::Tab]);
    assert_eq!(world.browser.active_element().label, "Add organization");
    world.browser.press(&[Key::ShiftTab]);
    assert_ne!(world.browser.active_element().label, "Add organization");
    world.enter("Add organization");

    world.see_and_check("add", "Add organization", &["Organization Account Number"]);
    world.type_into("Node", NODE);
    world.type_into("Customer Name", "Contoso");
    world.type_into("Organization Account Number", &organization.uuid);
    world.tab_to("Contact Center Customer");
    world.browser.press(&[Key::Space]);
    world.tab_to("Contact Center Region");
    world.browser.press(&[Key::ArrowDown, Key::ArrowUp]);
    world.press_back_to("Contact Center Customer");
    world.browser.press(&[Key::Space]);
    world.enter("Save");

    world.see_and_check("organization-new", "Contoso", &["Not connected"]);
    world.enter("Connect to Webex Control Hub");
    world.see_and_check(
        "connect",
        "Connect to Webex Control Hub",
        &["full administrator"],
    );
    world.enter("Continue to Webex");
    world.see_webex();
    world.tab_to("Accept");
    world.browser.press(&[Key::Space]);
    world.see_and_check("transaction", "complete-connect", &["Success", "Log"]);
    world.enter("Contoso");

    let path = {
        let text = world.see("Contoso", &["Connected", "Access token expires in"]);
        assert!(
            text.contains("13 d 23 h") && text.contains("89 d 23 h"),
            "{text}"
        );
        world.path()
    };
    find_a_transaction(world);
    Connected { path, organization }
}

fn find_a_transaction(world: &PageWorld) {
    world.enter("Transactions");
    world.see_and_check(
        "transactions",
        "Transactions",
        &["complete-connect", "Contoso"],
    );
    world.tab_to("Status");
    let chosen = || world.browser.execute("return document.activeElement.value");
    for _ in 0..5 {
        world.browser.press(&[Key::ArrowDown]);
        if chosen() == "success" {
            break;
        }
    }
    assert_eq!(chosen(), "success");
    world.type_into("Action", "complete-connect");
    world.enter("Show");
    eventually("the list is filtered", || {
        let url = world.browser.url();
        url.contains("action=complete-connect").then_some(())
    });
    let text = world.see("Transactions", &["complete-connect"]);
    assert!(!text.contains("added Contoso"), "{text}");
    world.enter("complete-connect");
    world.see("complete-connect", &["Success"]);
}
