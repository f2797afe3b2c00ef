//! The lists, users and keys.

use relation_e2e::browser::Key;
use relation_e2e::cli_world::NODE;

use crate::keyboard::Connected;
use crate::world::PageWorld;

pub fn look_at_every_list(world: &PageWorld, contoso: &Connected) {
    world.open("/organizations");
    world.fill(&[("q", "Nobody")]);
    world.follow("Show");
    world.see_and_check(
        "organizations-nothing",
        "Webex Organizations",
        &["Nothing found"],
    );
    world.follow("Show all organizations");
    world.see("Webex Organizations", &["Contoso", "Fabrikam"]);
    world.follow("Audit");
    world.see_and_check("audit", "Audit log", &["Success"]);
    world.open(&format!("{}/actions/SaveDataSync", contoso.path));
    world.see_and_check("data-sync", "Save Data Sync", &[]);
    world.open("/nothing");
    world.see_and_check(
        "not-found",
        "Not found",
        &["There is nothing at this address."],
    );
    world.follow("To the start page");
    world.see("What needs you", &[]);
    world.follow("Deutsch");
    world.see_and_check("start-german", "Was zu tun ist", &[]);
    world.follow("English");
    world.see("What needs you", &[]);
}

pub fn select_organizations_by_the_keyboard(world: &PageWorld) {
    const LIST: &str = "Webex Organizations";
    let path = world.add("Wingtip", "", &[]);
    let pkid = path.rsplit('/').next().unwrap();
    world.open("/organizations");
    world.see(LIST, &["Selected organizations", "Select all of this page"]);
    let boxes = "return document.querySelectorAll('[name=pkid]').length";
    let count = world.browser.execute(boxes).as_u64().unwrap();
    world.tab_to("Select all of this page");
    world.browser.press(&[Key::Space]);
    world.see(LIST, &[&format!("{count} selected")]);
    world.checks.check(&world.browser, "organizations-selected");
    // The check has moved the focus.
    world.tab_to("Select all of this page");
    world.browser.press(&[Key::Space]);
    world.tab_to("Select Wingtip");
    world.browser.press(&[Key::Space]);
    world.see(LIST, &["1 selected"]);
    world.press_back_to("Refresh now");
    world.browser.press(&[Key::Enter]);
    let wanted = ["Nothing was started", "Wingtip", "is not connected"];
    world.see_and_check("selection-refused", "Selected organizations", &wanted);
    world.enter("Back to the list");
    world.see(LIST, &["Wingtip"]);
    world.browser.click(&format!("[name=pkid][value='{pkid}']"));
    world.follow("Delete …");
    let wanted = ["Wingtip", "Removed documents"];
    world.see_and_check(
        "selection-delete",
        "Delete the selected organizations?",
        &wanted,
    );
    world.enter("Delete 1 for good");
    world.see("bulk delete", &["Success", "Wingtip"]);
    world.open("/organizations");
    let list = world.see(LIST, &["Contoso"]);
    assert!(!list.contains("Wingtip"), "{list}");
}

pub fn invite_and_disable_a_user(world: &PageWorld) {
    world.follow("Users");
    world.see_and_check("users", "Users", &["anna"]);
    world.follow("Add user");
    world.see("Add user", &[]);
    world.fill(&[("hierarchy", "not a node")]);
    world.follow("Save");
    world.see_and_check("user-errors", "Add user", &["Please correct this"]);
    world.fill(&[("name", "bob"), ("hierarchy", NODE)]);
    world
        .browser
        .click("[name='grants[0].role'] option[value=operator]");
    world.follow("Save");
    world.see_and_check(
        "user-link",
        "Link to set a password",
        &["It is shown only now."],
    );
    world.follow("Done");
    world.see_and_check("user", "bob", &["No password yet"]);
    world.follow("Disable");
    world.see_and_check("user-disabled", "bob", &["Disabled"]);
    world.follow("Enable");
    world.see("bob", &["No password yet"]);
}

pub fn add_and_delete_a_role(world: &PageWorld) {
    world.follow("Roles");
    world.see_and_check("roles-empty", "Custom roles", &["No custom roles"]);
    world.follow("Add role");
    world.see("Add role", &["Permitted operations"]);
    world.fill(&[("name", "service desk"), ("hierarchy", NODE)]);
    world.follow("Save");
    world.see_and_check("role-errors", "Add role", &["Please correct this"]);
    world.fill(&[("name", "service-desk")]);
    world.browser.click("[name=operations][value=refresh]");
    world.follow("Save");
    world.see_and_check(
        "role",
        "service-desk",
        &["No user and no key has this role."],
    );
    world.follow("Delete");
    world.see_and_check("role-delete", "Delete service-desk?", &["removed for good"]);
    world.follow("Delete for good");
    world.see("Custom roles", &["No custom roles"]);
}

pub fn add_and_revoke_a_key(world: &PageWorld) {
    world.follow("API keys");
    world.see_and_check("keys-empty", "API keys", &["No API keys"]);
    world.follow("Add API key");
    world.see_and_check(
        "key-add",
        "Add API key",
        &["The program that uses the key."],
    );
    world.fill(&[("name", "provisioning"), ("hierarchy", NODE)]);
    world
        .browser
        .click("[name='grants[0].role'] option[value=machine]");
    world.follow("Save");
    world.see("The API key", &["It is shown only now."]);
    world.follow("Done");
    world.see_and_check("keys", "API keys", &["provisioning", "Valid"]);
    world.follow("Rotate provisioning");
    world.see_and_check(
        "key-rotate",
        "Rotate provisioning?",
        &["The present secret ends"],
    );
    world.follow("Rotate");
    world.see("The API key", &["The former secret stays valid until"]);
    world.follow("Done");
    world.follow("Revoke provisioning");
    world.see_and_check(
        "key-revoke",
        "Revoke provisioning?",
        &["never becomes valid again"],
    );
    world.follow("Revoke for good");
    world.see("API keys", &["Revoked"]);
}

pub fn delete_an_organization(world: &PageWorld, contoso: &Connected) {
    world.open(&contoso.path);
    world.follow("Delete");
    world.see_and_check("delete", "Delete Contoso?", &["Removed documents"]);
    world.follow("Delete for good");
    world.see("Webex Organizations", &["Fabrikam"]);
    world.open(&contoso.path);
    world.see("Not found", &[]);
}
