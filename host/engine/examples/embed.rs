//! Embeds the host: connects a customer by a person's consent, and refreshes the tokens. An
//! emulator takes the place of Webex and of the person.
//!
//! ```console
//! cargo xtask build
//! cargo run -p relation-host --example embed -- target/component/spark-customer.wasm
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use relation_host::clock::{Clock, SystemClock};
use relation_host::egress::{Client, ClientOptions, Policy};
use relation_host::reports::Grant;
use relation_host::schedule::DispatcherOptions;
use relation_host::store::Store;
use relation_host::store::seal::{KeyFile, Sealer};
use relation_host::store::sqlite::{SqliteOptions, SqliteStore};
use relation_host::{AddRequest, AlertChanged, CallEnded, ComponentSource, Host, Observer};
use secrecy::SecretString;
use webex_emulator::{Consent, DEFAULT_CLIENT_SECRET, Emulator};

/// The page of the engine to which Webex returns the browser after the consent.
const REDIRECT: &str = "http://127.0.0.1:8400/callback";

/// An observer that prints what the host has done. An engine would count it or send notices.
struct Printer;

impl Observer for Printer {
    fn call_ended(&self, event: &CallEnded<'_>) {
        println!("{}: {}", event.action, event.status.as_str());
    }

    fn alert_changed(&self, event: &AlertChanged<'_>) {
        println!("alert {}: {}", event.change, event.alert);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let component = std::env::args_os()
        .nth(1)
        .ok_or("usage: embed COMPONENT.wasm")?;
    let directory = tempfile::tempdir()?;
    let webex = Emulator::builder().redirect_uri(REDIRECT).start().await?;
    let organization = webex.create_organization("Contoso");

    // An engine supplies these two; any implementation of the traits works.
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(
        directory.path().join("relation.db"),
        &SqliteOptions::default(),
    )?);

    let key = KeyFile::new(directory.path().join("relation.key"));
    let sealer = Arc::new(Sealer::open(&*store, key, clock.now()).await?);
    // For Webex itself: "https://webexapis.com", and no `webex.base-url`.
    let policy = Policy::parse(&[format!("http://{}", webex.address())])?;
    let settings = BTreeMap::from([
        ("webex.base-url".to_owned(), webex.base_url()),
        ("webex.client-id".to_owned(), webex.client_id().to_owned()),
    ]);
    let host = Host::builder()
        .component(ComponentSource::File(component.into()))
        .store(store)
        .sealer(sealer)
        .clock(clock)
        .settings(settings)
        .secret_setting(
            "webex.client-secret",
            SecretString::from(DEFAULT_CLIENT_SECRET),
        )
        .egress(Client::new(policy, ClientOptions::default())?)
        .stash(directory.path().join("relation.db-stash"))
        .observer(Arc::new(Printer))
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
        .await?
        .value;
    println!("{} is {}", added.connection.name, added.connection.state);
    for created in &added.created {
        println!("created {created}");
    }

    // A person opens the URL and consents; Webex returns the browser to the redirect URI.
    let pkid = added.connection.pkid;
    let begun = host.connect(&pkid, Grant::Organization, REDIRECT).await?;
    let callback = webex.authorize(&begun.value.url, &Consent::accept(&organization))?;
    let callback = SecretString::from(callback);
    let connected = host.complete_connect(&pkid, &callback).await?.value;
    println!("Contoso is {}", connected.connection.state);

    // `Ok` says that the workflow ran, and `into_result` whether Webex returned tokens.
    let refreshed = host.refresh(&pkid).await?.value.into_result()?;
    if let Some(next) = refreshed.connection.next_refresh {
        println!("refreshed; the next refresh is due at {next}");
    }

    // A service runs the dispatcher until it stops: `dispatcher.run(stop).await`.
    let dispatcher = host.dispatcher(DispatcherOptions::default());
    let summary = dispatcher.run_until_idle().await?;
    println!("ran {} due wakeups", summary.done);
    Ok(())
}
