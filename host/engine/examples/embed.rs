//! The shortest program that embeds the host: it chooses a store and a clock, adds a customer and
//! prints the result.
//!
//! ```console
//! cargo xtask build
//! cargo run -p relation-host --example embed -- target/component/spark-customer.wasm
//! ```

use std::sync::Arc;

use relation_host::clock::{Clock, SystemClock};
use relation_host::egress::{Client, ClientOptions, Policy};
use relation_host::store::Store;
use relation_host::store::seal::{KeyFile, Sealer};
use relation_host::store::sqlite::{SqliteOptions, SqliteStore};
use relation_host::{AddRequest, ComponentSource, Host};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let component = std::env::args_os()
        .nth(1)
        .ok_or("usage: embed COMPONENT.wasm")?;
    let place = tempfile::tempdir()?;

    // An engine supplies these two; any implementation of the traits works.
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(
        place.path().join("relation.db"),
        &SqliteOptions::default(),
    )?);

    let key = KeyFile::new(place.path().join("relation.key"));
    let sealer = Arc::new(Sealer::open(&*store, key, clock.now()).await?);
    let webex = Policy::parse(&["https://webexapis.com".to_owned()])?;
    let host = Host::builder()
        .component(ComponentSource::File(component.into()))
        .store(store.clone())
        .sealer(sealer)
        .clock(clock)
        .egress(Client::new(webex, ClientOptions::default())?)
        .stash(place.path().join("relation.db-stash"))
        .build()
        .await?;
    // Invalid settings fail every call, so check them before the first call.
    host.check_settings().await?;

    let fields = serde_json::json!({ "name": "Contoso" });
    let added = host
        .add(AddRequest {
            hierarchy: "sys.Provider.Reseller.Contoso".parse()?,
            fields: fields.as_object().cloned().unwrap_or_default(),
            token_response: None,
            idempotency_key: Some("order-4711".into()),
        })
        .await?;
    println!(
        "{} is {}",
        added.value.connection.name, added.value.connection.state
    );
    for created in &added.value.created {
        println!("created {created}");
    }
    Ok(())
}
