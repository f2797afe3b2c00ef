//! A plugin that panics or is stopped while it holds a secret does not reveal it in errors, stored data or the finest
//! traces of any library.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use relation_e2e::artifacts;
use relation_e2e::world::{CLIENT_SECRET, World, WorldBuilder, object};
use relation_host::{AddRequest, Limits};
use serde_json::json;

/// Fixtures that fail after they have opened the client secret, and the error of each.
const WAYS: [(&str, &str); 5] = [
    ("panic_with_secret", "leaking [secret]"),
    ("log_secret", "leaking [secret]"),
    ("memory_bomb", "limits.memory"),
    ("endless_loop", "limits.time"),
    ("deep_recursion", "stack"),
];

/// Collected traces.
#[derive(Clone, Default)]
struct Traces(Arc<Mutex<Vec<u8>>>);

impl io::Write for Traces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn chain(error: &dyn Error) -> String {
    let mut texts = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(below) = source {
        texts.push_str(&format!("\n{below} {below:?}"));
        source = below.source();
    }
    texts
}

/// Creates a world for the fixture of this name.
fn world(fixture: &str) -> WorldBuilder {
    let limits = Limits {
        memory: 32 << 20,
        time: Duration::from_millis(1500),
        ..Limits::default()
    };
    World::builder()
        .component(artifacts::fixture(fixture))
        .limits(limits)
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_plugin_leaks_no_secret() {
    // Compile before anything is traced: the compiler's own traces are gigabytes, and contain no
    // secret.
    for (way, _) in WAYS {
        world(way).start().await;
    }
    let traces = Traces::default();
    let collect = traces.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || collect.clone())
        .init();
    let mut found = String::new();
    for (way, says) in WAYS {
        let world = world(way).start().await;
        let request = AddRequest {
            hierarchy: "sys.Test".parse().unwrap(),
            fields: object(json!({ "name": "x" })),
            token_response: None,
            idempotency_key: None,
        };
        let error = world.host().add(request).await.expect_err("it misbehaves");
        let reported = chain(&error);
        assert!(reported.contains(says), "{way} is reported as {reported}");
        found.push_str(&reported);
        let transaction = error.transaction.expect("the call was a transaction");
        let stored = world.host().store().transaction(&transaction).await;
        found.push_str(&format!("{:?}", stored.unwrap().unwrap()));
        for file in std::fs::read_dir(world.directory()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
            found.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    found.push_str(&String::from_utf8_lossy(&traces.0.lock()));
    assert!(found.contains("TRACE"), "nothing was traced");
    assert!(found.contains("SQLite format 3"), "no database was read");
    assert!(!found.contains(CLIENT_SECRET), "the secret is in clear");
}
