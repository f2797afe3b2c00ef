//! The page for administrators in a browser. A walk leads through every page, and follows the next step that each
//! page offers. Every page in every state is checked for accessibility.

mod administration;
mod checks;
mod consents;
mod keyboard;
mod log_in;
mod notices;
mod samples;
mod transactions;
mod world;

use relation_e2e::browser::Browser;

use crate::checks::Checks;
use crate::world::PageWorld;

#[test]
fn administrator_reaches_everything_in_a_browser() {
    let Some(mut world) = PageWorld::new() else {
        return;
    };
    let contoso = keyboard::set_up_add_and_connect(&world);
    consents::correct_all_errors_of_a_form(&world);
    consents::decline_mistake_and_connect(&world);
    consents::connect_a_wholesale_customer(&world);
    transactions::follow_a_sync(&world, &contoso);
    transactions::cancel_and_replay(&world, &contoso);
    administration::look_at_every_list(&world, &contoso);
    administration::select_organizations_by_the_keyboard(&world);
    administration::invite_and_disable_a_user(&world);
    administration::add_and_delete_a_role(&world);
    administration::add_and_revoke_a_key(&world);
    notices::name_recipients_and_change_settings(&world, &contoso);
    notices::preview_notices(&world, &contoso);
    consents::hand_on_a_link(&world);
    consents::repair_what_has_expired(&mut world, &contoso);
    notices::look_at_deliveries(&world);
    notices::test_rotate_and_remove_recipients(&world);
    administration::delete_an_organization(&world, &contoso);
    world.cli.emulator.assert_sound();
}

#[test]
fn person_logs_in_and_out_at_an_openid_provider() {
    let Some((mut world, provider)) = PageWorld::with_provider() else {
        return;
    };
    log_in::log_in_and_out_at_a_provider(&mut world, &provider);
}

#[test]
fn samples_of_every_page_are_accessible() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let checks = Checks::prepare(&browser);
    samples::check_samples(&browser, &checks);
}
