//! Measures refreshes by two workers: adds customers with tokens, whose first refresh is due, then starts the workers.
//!
//! ```console
//! cargo xtask engine temporal load 2000
//! ```

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use relation_host::AddRequest;
use relation_temporal::customer::{SparkCustomer, workflow_id};
use secrecy::SecretString;
use serde_json::json;
use support::World;
use support::customer::refreshes;
use temporalio_client::WorkflowFetchHistoryOptions;
use webex_emulator::{DEFAULT_SCOPES, Emulator};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let customers: usize = match std::env::args().nth(1) {
        Some(number) => number.parse()?,
        None => 200,
    };
    let program = support::server_program().ok_or("the program `temporal` is needed")?;
    let webex = Emulator::builder().recorded_requests(20 * customers);
    let world = World::start(&program, webex).await;
    let mut last = None;
    for number in 0..customers {
        let organization = world
            .webex
            .create_organization(&format!("Customer {number}"));
        let grant = world.webex.grant(&organization, DEFAULT_SCOPES);
        let tokens = json!({
            "access_token": grant.access_token(),
            "refresh_token": grant.refresh_token(),
            "expires_in": 1_209_599,
            "refresh_token_expires_in": 7_775_999,
        });
        let fields =
            json!({ "name": organization.display_name, "account_number": organization.id });
        let request = AddRequest {
            hierarchy: format!("sys.Provider.Customer{number}").parse()?,
            fields: fields.as_object().cloned().unwrap_or_default(),
            token_response: Some(SecretString::from(tokens.to_string())),
            idempotency_key: None,
        };
        last = Some(world.parts.host.add(request).await?.value.connection.pkid);
    }
    let already = refreshes(&world);
    println!("added {customers} customers, whose first refreshes are due");
    let mut workers = [world.worker(), world.worker()];
    let mut began = None;
    loop {
        let done = refreshes(&world) - already;
        if done > 0 && began.is_none() {
            began = Some(Instant::now());
        }
        if done >= customers {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = began.map_or(Duration::ZERO, |began| began.elapsed());
    let rate = customers as f64 / took.as_secs_f64();
    println!("refreshed {customers} customers by two workers in {took:.1?}: {rate:.0} refreshes/s");
    if let Some(pkid) = last {
        let handle = world
            .client
            .get_workflow_handle::<SparkCustomer>(workflow_id(&pkid));
        let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
        let events = history.into_events().await?;
        let bytes: usize = events.iter().map(prost::Message::encoded_len).sum();
        println!(
            "the history of a customer: {} events, {bytes} bytes",
            events.len()
        );
    }
    for worker in &mut workers {
        worker.kill().await?;
    }
    Ok(())
}
