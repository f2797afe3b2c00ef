//! Notices: settings and recipients of a node, the preview of an organization, and deliveries.

use relation_e2e::cli_world::NODE;

use crate::keyboard::Connected;
use crate::world::PageWorld;

/// The page with the settings of a node.
const NOTICES: &str = "Notices";
const MAILBOX: &str = "it@contoso.example";

pub fn name_recipients_and_change_settings(world: &PageWorld, contoso: &Connected) {
    world.open(&contoso.path);
    world.follow("Notice settings");
    let wanted = ["No recipients", "30d, 14d, 7d, 2d", "default"];
    world.see_and_check("notices-empty", NOTICES, &wanted);

    world.follow("Add e-mail address");
    world.see("Add e-mail address", &[]);
    world.fill(&[("address", "not an address")]);
    world.follow("Save");
    world.see("Add e-mail address", &["Please correct this"]);
    world.fill(&[("address", MAILBOX)]);
    world.follow("Save");
    world.see(NOTICES, &[MAILBOX]);

    world.follow("Add webhook");
    world.see("Add webhook", &[]);
    let url = "https://tickets.contoso.example/notices?token=canary";
    world.fill(&[("name", "Ticket system"), ("url", url)]);
    world.follow("Save");
    let wanted = ["Ticket system", "It is shown only now."];
    world.see("The signing secret", &wanted);
    world.follow("Done");
    let shown = world.see(
        NOTICES,
        &["Ticket system", "https://tickets.contoso.example"],
    );
    assert!(!shown.contains("canary"), "{shown}");

    world.follow("Add SNMP target");
    world.see_and_check("recipient-snmp", "Add SNMP target", &["Host and port"]);
    world.fill(&[("name", "NOC"), ("address", "noc.contoso.example:port")]);
    world.follow("Save");
    let wanted = ["Please correct this", "Host and port", "User"];
    world.see_and_check("recipient-errors", "Add SNMP target", &wanted);
    world.fill(&[("address", "noc.contoso.example"), ("user", "relation")]);
    world.follow("Save");
    world.see("Credentials of NOC", &["never shown again"]);
    world.fill(&[("auth_password", "short"), ("privacy_password", "short")]);
    world.follow("Save");
    world.see("Credentials of NOC", &["Please correct this"]);
    let password = "canary-snmp-password";
    world.fill(&[("auth_password", password), ("privacy_password", password)]);
    world.follow("Save");
    world.see(NOTICES, &["NOC", "noc.contoso.example:162"]);

    world.follow("Change settings");
    world.see("Change notice settings", &["Inherit: Yes (default)"]);
    let mode = |value: &str| format!("[name='thresholds.mode'] option[value={value}]");
    world.fill(&[("thresholds", "21d, soon"), ("budget", "many")]);
    world.browser.click(&mode("add-to-inherited"));
    world.follow("Save");
    let wanted = ["Please correct this", "soon", "whole number"];
    world.see_and_check("notices-errors", "Change notice settings", &wanted);
    world.fill(&[("thresholds", "21d"), ("budget", "")]);
    world.follow("Save");
    let wanted = ["30d, 21d, 14d, 7d, 2d", "this level, with inherited values"];
    world.see_and_check("notices", NOTICES, &wanted);
}

pub fn test_rotate_and_remove_recipients(world: &PageWorld) {
    world.open(&format!("/notices?hierarchy={NODE}"));
    world.follow(&format!("Test {MAILBOX}"));
    let heading = format!("Test of {MAILBOX}");
    world.see_and_check("recipient-test", &heading, &["The test was not delivered."]);
    world.follow("Done");
    world.see(NOTICES, &[MAILBOX]);
    world.follow("Rotate secret Ticket system");
    world.see_and_check(
        "recipient-rotate",
        "Rotate the secret of Ticket system?",
        &["24 hours"],
    );
    world.follow("Rotate secret");
    world.see("The signing secret", &["It is shown only now."]);
    world.follow("Done");
    world.see(NOTICES, &["The former secret is used too until"]);
    world.follow("Remove NOC");
    world.see_and_check("recipient-remove", "Remove NOC?", &["is not told any more"]);
    world.follow("Remove for good");
    let shown = world.see(NOTICES, &["Ticket system"]);
    assert!(!shown.contains("NOC"), "{shown}");
}

pub fn preview_notices(world: &PageWorld, contoso: &Connected) {
    world.open(&contoso.path);
    world.follow("Coming notices");
    let wanted = [
        "30 d before the expiry",
        "2 d before the expiry",
        "Expired",
        MAILBOX,
        "NOC",
    ];
    world.see_and_check("preview", "Coming notices", &wanted);
}

pub fn look_at_deliveries(world: &PageWorld) {
    world.open_until("/deliveries", MAILBOX);
    world.see_and_check("deliveries", "Deliveries of notices", &["Contoso"]);
    world.follow(MAILBOX);
    world.see_and_check("delivery", MAILBOX, &["Attempts and replies"]);
    world.open("/deliveries");
    world.follow("Send failed ones again …");
    let heading = "Send failed deliveries again?";
    world.see_and_check("deliveries-resend", heading, &["the last 24 hours"]);
    world.follow("Send again");
    world.see("Sent again", &[]);
    world.follow("Back to the list");
    world.see("Deliveries of notices", &["Contoso"]);
}
