//! `keys rotate` is killed at a committed step, and run again.

use relation_e2e::process::{Running, eventually};
use relation_e2e::scene::Scene;

use crate::last;

const CUSTOMERS: usize = 20;

#[test]
fn a_killed_rotation_is_continued_by_the_next() {
    let scene = Scene::new();
    let place = &scene.place;
    let customers: Vec<_> = (0..CUSTOMERS)
        .map(|number| scene.customer(&format!("Customer {number}")))
        .collect();
    let database = scene.database();
    let before = database.secrets_by_key();
    let total = before[&1];

    let rotate = || place.relation(["keys", "rotate", "--step", "1", "--json"]);
    let mut sealed_anew = 0;
    for _ in 0..2 {
        // Whoever holds the lock sees nothing but committed steps, and stops the next.
        let running: Running = rotate().start();
        eventually("another step is committed", || {
            database.lock();
            let now = database.secrets_by_key().get(&2).copied().unwrap_or(0);
            if now > sealed_anew + 1 {
                sealed_anew = now;
                return Some(());
            }
            database.unlock();
            None
        });
        running.kill();
        database.unlock();
        let counts = database.secrets_by_key();
        assert_eq!(counts.get(&2), Some(&sealed_anew), "{counts:?}");
        assert!(counts[&1] > 0, "it was not interrupted: {counts:?}");
        assert_eq!(counts.values().sum::<usize>(), total);
        // What is half done is no obstacle.
        place.relation(["refresh", &customers[0].pkid]).run().done();
        place
            .relation(["refresh", &customers[CUSTOMERS - 1].pkid])
            .run()
            .done();
        sealed_anew = database.secrets_by_key()[&2];
    }

    let ended = last(&rotate().run().done().stdout);
    assert_eq!(ended["data_key"], 2);
    assert_eq!(ended["added"], false);
    let rest = u64::try_from(total - sealed_anew).unwrap();
    assert_eq!(ended["resealed"], rest);
    assert_eq!(database.secrets_by_key(), [(2, total)].into());
    place.relation(["keys", "retire", "1"]).run().done();
    for customer in &customers {
        place.relation(["refresh", &customer.pkid]).run().done();
    }
    scene.emulator.assert_sound();
}
