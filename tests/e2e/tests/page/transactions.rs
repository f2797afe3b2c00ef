//! Transactions that move while a person looks, fail, are canceled, and are replayed.

use webex_emulator::Fault;

use crate::keyboard::Connected;
use crate::world::PageWorld;

const SYNC: &str = "ExecuteDataSync";
const REFRESH: &str = "RefreshAccessToken";

pub fn follow_a_sync(world: &PageWorld, contoso: &Connected) {
    let emulator = &world.cli.emulator;
    let locations = emulator.gate("/v1/locations");
    let people = emulator.gate("/v1/people");
    world.open(&contoso.path);
    world.follow("Run now SyncSparkContoso");
    world.see(SYNC, &["Processing", "reading workspace locations"]);
    world.checks.check(&world.browser, "transaction-running");
    // The page that is shown now moves on, and is not loaded again.
    world.browser.execute("window.isFirst = true");
    locations.release();
    world.see(SYNC, &["Processing", "reading users"]);
    assert_eq!(world.browser.execute("return window.isFirst"), true);
    people.release();
    world.see_and_check("transaction-sync", SYNC, &["Success"]);
    world.follow("Contoso");
    world.see("Contoso", &["Imported data", "User"]);
    world.follow("User");
    world.see_and_check("data", "User", &[]);
}

pub fn cancel_and_replay(world: &PageWorld, contoso: &Connected) {
    let emulator = &world.cli.emulator;
    emulator.inject(Fault::status("/v1/access_token", 503).always());
    // The call of the command fails at once, since the command waits for it.
    let pkid = contoso.path.rsplit('/').next().unwrap();
    let invoke = ["invoke", REFRESH, pkid];
    let output = world.cli.workspace.relation(invoke).run();
    assert_ne!(output.code, Some(0), "{}", output.stdout);
    let reason = "503";
    world.open("/transactions");
    world.follow(REFRESH);
    world.see_and_check("transaction-failed", REFRESH, &["Failed", reason]);

    // The call of a person is queued, and waits for another attempt until it is canceled.
    world.open(&contoso.path);
    world.follow("Refresh now");
    world.see_and_check("transaction-queued", REFRESH, &["Queued", reason]);
    let queued = world.path();
    world.follow("Cancel");
    world.see_and_check("transaction-canceled", REFRESH, &["Failed", "canceled"]);

    emulator.clear_faults();
    world.follow("Replay");
    world.see(REFRESH, &["Success"]);
    assert_ne!(world.path(), queued);
    world.follow("Contoso");
    world.see("Contoso", &["Connected"]);
}
