//! `keys rotate` is killed after a committed step, and run again.

use relation_e2e::cli_world::CliWorld;
use relation_e2e::process::{Workspace, eventually};
use relation_host::store::seal::{KeyFile, Sealer};
use relation_host::store::sqlite::{SqliteOptions, SqliteStore};
use relation_host::store::{Change, Commit, DocumentStore as _};
use relation_host::types::{Document, Pkid, Reference, Timestamp};

use crate::last;

/// So many that a rotation in steps of one cannot end between two polls of the database.
const OTHERS: usize = 400;

/// Adds documents with one secret each, as other models may have them.
fn add_others(workspace: &Workspace) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let options = SqliteOptions::default();
        let store = SqliteStore::open(workspace.path("relation.db"), &options).unwrap();
        let keys = KeyFile::new(workspace.path("relation.key"));
        let sealer = Sealer::open(&store, keys, Timestamp(0)).await.unwrap();
        let mut changes = Vec::new();
        for _ in 0..OTHERS {
            let owner = Reference::new("data/Other", Pkid::random());
            let value = "another secret".to_owned().into();
            let sealed = sealer.seal(&owner, "password", &value).unwrap();
            changes.push(Change::Put(Document {
                reference: owner.clone(),
                hierarchy: "sys".parse().unwrap(),
                version: 0,
                body: "{}".to_owned(),
                keys: Vec::new(),
            }));
            changes.push(Change::PutSecret {
                owner,
                name: "password".to_owned(),
                sealed,
            });
        }
        let commit = Commit {
            changes,
            ..Commit::default()
        };
        store.commit(commit).await.unwrap();
    });
}

#[test]
fn killed_rotation_is_continued() {
    let world = CliWorld::new();
    let workspace = &world.workspace;
    let customer = world.add_customer("Contoso");
    add_others(workspace);
    let database = world.database();
    let total = database.secrets_by_key()[&1];
    assert_eq!(total, OTHERS + 2);

    let rotate = || workspace.relation(["keys", "rotate", "--step", "1", "--json"]);
    let mut sealed_anew = 0;
    for _ in 0..2 {
        let running = rotate().start();
        // The holder of the lock sees only committed steps, and keeps the next from ending.
        eventually("more steps are committed", || {
            database.lock();
            let now = database.secrets_by_key().get(&2).copied().unwrap_or(0);
            if now > sealed_anew {
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
        assert_eq!(counts.values().sum::<usize>(), total, "{counts:?}");
        assert!(counts.contains_key(&1), "it was not interrupted");
    }
    // A partial rotation is not an obstacle.
    workspace
        .relation(["refresh", &customer.pkid])
        .run()
        .succeeds();
    let sealed_anew = database.secrets_by_key()[&2];

    let ended = last(&rotate().run().succeeds().stdout);
    assert_eq!(ended["data_key"], 2);
    assert_eq!(ended["added"], false);
    assert_eq!(ended["resealed"], total - sealed_anew);
    assert_eq!(database.secrets_by_key(), [(2, total)].into());
    workspace.relation(["keys", "retire", "1"]).run().succeeds();
    workspace.relation(["keys", "check"]).run().succeeds();
    workspace
        .relation(["refresh", &customer.pkid])
        .run()
        .succeeds();
    world.emulator.assert_sound();
}
