//! Consents that are declined, given by the wrong organization, incomplete, handed on, or expired.

use std::time::Duration;

use relation_e2e::cli_world::NODE;
use webex_emulator::Organization;

use crate::keyboard::Connected;
use crate::world::PageWorld;

const CONNECT: &str = "Connect to Webex Control Hub";
/// A permission that every organization needs.
const SCOPE: &str = "spark-admin:people_read";
/// A time after which refresh tokens have expired.
const LONG: Duration = Duration::from_hours(91 * 24);

pub fn correct_all_errors_of_a_form(world: &PageWorld) {
    world.open("/");
    world.follow("Organizations");
    world.see_and_check(
        "organizations",
        "Webex Organizations",
        &["Contoso", "Connected"],
    );
    world.follow("Add organization");
    world.see("Add organization", &[]);
    world.fill(&[
        ("hierarchy", NODE),
        ("name", "Fabrikam"),
        ("account_email", "nobody"),
        ("account_number_external", "no number"),
        ("https_proxy", "not a proxy"),
    ]);
    world.follow("Paste tokens that were fetched elsewhere");
    world.fill(&[("token", "a-secret-token")]);
    world.follow("Save");
    let text = world.see_and_check("add-errors", "Add organization", &["Please correct this"]);
    let (summary, _) = text.split_once("(required)").unwrap();
    for field in [
        "Admin Account Email",
        "Organization Account Number",
        "HTTPS Proxy String",
        "Repeat Admin Access Token",
        "Refresh Token",
    ] {
        assert!(summary.contains(&format!("{field}:")), "{field}: {summary}");
    }
    assert!(!world.browser.source().contains("a-secret-token"));
    let value = |name: &str| {
        let script = format!("return document.querySelector('[name={name}]').value");
        world.browser.execute(&script)
    };
    assert_eq!(value("account_email"), "nobody");
    assert_eq!(value("token"), "");
    // An entry of the summary leads to its field.
    world.follow("Admin Account Email");
    assert_eq!(world.browser.active_element().label, "Admin Account Email");

    world.fill(&[
        ("account_email", "admin@fabrikam.example"),
        ("account_number_external", ""),
        ("https_proxy", ""),
    ]);
    world.follow("Save");
    world.see("Fabrikam", &["Not connected"]);
}

pub fn decline_mistake_and_connect(world: &PageWorld) {
    let emulator = &world.cli.emulator;
    let organization = emulator.create_organization("Fabrikam");
    let other = emulator.create_organization("Globex");
    world.follow("Edit");
    world.see_and_check("edit", "Edit Fabrikam", &["Admin Account Email"]);
    world.fill(&[("account_number_external", organization.uuid.as_str())]);
    world.follow("Save");
    world.see("Fabrikam", &["Not connected"]);
    let path = world.path();

    world.follow(CONNECT);
    world.see(CONNECT, &["Fabrikam"]);
    world.follow("Continue to Webex");
    world.decide(&organization, "decline");
    let next = "Connect again, and accept the permissions.";
    world.see_and_check("declined", "The consent was declined", &[next]);
    world.follow("Show the transaction");
    world.see_and_check(
        "transaction-declined",
        "complete-connect",
        &["Failed", "declined"],
    );
    world.follow("Connect again");

    world.see(CONNECT, &["Fabrikam"]);
    world.follow("Continue to Webex");
    world.decide(&other, "accept");
    let next = "Log out at Webex, and connect again";
    world.see_and_check(
        "wrong-organization",
        "Another organization answered",
        &[next],
    );
    world.follow("Connect again");

    world.see(CONNECT, &["Fabrikam"]);
    world.follow("Continue to Webex");
    world.see_webex();
    world.browser.click(&format!("#scopes [value=\"{SCOPE}\"]"));
    world.decide(&organization, "accept");
    let next = "accept all permissions";
    world.see_and_check(
        "missing-scope",
        "Connected, but a permission is missing",
        &[next],
    );
    world.open(&path);
    world.see_and_check(
        "organization-missing-scope",
        "Fabrikam",
        &["Scope missing", SCOPE],
    );
    connect(world, "Fabrikam", &organization);
    world.see("Fabrikam", &["Connected"]);
    assert_eq!(world.path(), path);
}

/// Connects the organization whose page is open, and returns to the page.
fn connect(world: &PageWorld, name: &str, organization: &Organization) {
    world.follow(CONNECT);
    world.see(CONNECT, &[name]);
    world.follow("Continue to Webex");
    world.decide(organization, "accept");
    world.see("complete-connect", &["Success"]);
    world.follow(name);
}

pub fn connect_a_wholesale_customer(world: &PageWorld) {
    let partner = world.cli.emulator.create_organization("Adatum");
    world.add("Adatum", &partner.uuid, &["wholesale_status"]);
    for connected in 0..3 {
        let text = world.see("Adatum", &["Wholesale customers", "Wholesale users"]);
        let (_, tokens) = text.split_once("Access Tokens").unwrap();
        let (tokens, _) = tokens.split_once("Data Syncs").unwrap();
        assert_eq!(
            tokens.matches("Not connected").count(),
            3 - connected,
            "{tokens}"
        );
        if connected == 1 {
            world.follow(CONNECT);
            world.see_and_check("connect-wholesale", CONNECT, &["What to connect"]);
            world.follow("Cancel");
            world.see("Adatum", &[]);
        }
        connect(world, "Adatum", &partner);
    }
    world.see(
        "Adatum",
        &["Wholesale Customer", "No wholesale customers yet."],
    );

    world.follow("Add customer");
    world.see("Add Wholesale Customer", &[]);
    world.fill(&[("external_id", "c-17")]);
    world.follow("Add Wholesale Customer");
    let wanted = [
        "Please correct this",
        "Provisioning id:",
        "Packages:",
        "City:",
        "Email:",
    ];
    world.see_and_check("wholesale-errors", "Add Wholesale Customer", &wanted);
    world.browser.click("[name=packages][value=webex_meetings]");
    world.fill(&[
        ("provisioning_id", "P1"),
        ("name", "Newcomer"),
        ("email", "boss@newcomer.example"),
        ("address_line1", "1 Main Street"),
        ("city", "Austin"),
        ("country", "US"),
    ]);
    world.follow("Add Wholesale Customer");
    let text = world.see("Adatum", &["Webex has accepted the creation of c-17"]);
    assert!(
        !text.contains("c-17\nc-17"),
        "the id is not its name: {text}"
    );
    world.follow("Check c-17");
    let text = ["webex_meetings", "CheckWholesaleCustomer"];
    world.see_and_check("organization-wholesale", "Adatum", &text);
    world.follow("Modify c-17");
    world.see_and_check("wholesale-modify", "Modify Wholesale Customer", &[]);
    world.follow("Cancel");
    world.see("Adatum", &[]);
    world.follow("Delete c-17");
    world.see_and_check("wholesale-delete", "Delete Wholesale Customer", &[]);
}

pub fn hand_on_a_link(world: &PageWorld) {
    let organization = world.cli.emulator.create_organization("Initech");
    let path = world.add("Initech", &organization.uuid, &[]);
    world.follow(CONNECT);
    world.see(CONNECT, &[]);
    world.follow("Create a link");
    world.see_and_check("link", "Link to hand on", &["It is shown only now."]);
    let link = world
        .browser
        .execute("return document.querySelector('#secret').value");
    let link = link.as_str().unwrap();
    world.follow("Log out");
    world.see("Log in", &[]);

    // Another person opens the link, without a log-in here.
    world.browser.open(link);
    world.see_and_check(
        "handed-on",
        CONNECT,
        &["You are asked to connect", "Initech"],
    );
    world.follow("Continue to Webex");
    world.decide(&organization, "decline");
    let close = "You can close this window.";
    let text = world.see_and_check("handed-on-declined", "The consent was declined", &[close]);
    assert!(!text.contains("Initech"), "{text}");
    world.browser.open(link);
    world.see(CONNECT, &["Initech"]);
    world.follow("Continue to Webex");
    world.decide(&organization, "accept");
    world.see_and_check("handed-on-connected", "Connected", &[close]);
    world.browser.open(link);
    world.see_and_check("link-ended", "This link has ended", &[]);

    world.log_in();
    world.open(&path);
    world.see("Initech", &["Connected"]);
}

pub fn repair_what_has_expired(world: &mut PageWorld, contoso: &Connected) {
    world.restart_after(LONG);
    world.log_in();
    world.open_until("/", "Contoso");
    world.see_and_check("start", "What needs you", &["Contoso"]);
    world.follow("Alerts");
    world.see_and_check("alerts", "Alerts", &["Contoso"]);
    world.follow("Contoso");
    world.see_and_check(
        "organization-expired",
        "Contoso",
        &["only a person can connect again"],
    );
    assert_eq!(world.path(), contoso.path);
    connect(world, "Contoso", &contoso.organization);
    world.see("Contoso", &["Connected", "89 d 23 h"]);
    assert_eq!(world.path(), contoso.path, "the record keeps its id");
    world.checks.check(&world.browser, "organization");
}
