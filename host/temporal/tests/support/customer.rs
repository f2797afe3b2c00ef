//! Steps of a customer's life.

use relation_host::reports::State;
use relation_host::types::Pkid;
use relation_temporal::AddCustomer;
use relation_temporal::calls::{Add, ConsentRequest};
use relation_temporal::customer::{Callback, CustomerState, Request, SparkCustomer, workflow_id};
use relation_temporal::inputs::Purpose;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use temporalio_client::{
    Client, WorkflowExecuteUpdateOptions, WorkflowGetResultOptions, WorkflowHandle,
    WorkflowQueryOptions, WorkflowSignalOptions, WorkflowStartOptions,
};
use webex_emulator::Consent;

use super::{NODE, REDIRECT, World, eventually};

/// The workflow of a customer.
pub type Customer = WorkflowHandle<Client, SparkCustomer>;

/// Adds a record by the workflow `AddCustomer`.
pub async fn add(world: &World, name: &str) -> Pkid {
    let input = Add {
        hierarchy: NODE.parse().unwrap(),
        fields: json!({ "name": name }).as_object().unwrap().clone(),
        input: None,
        idempotency_key: format!("add-{name}"),
    };
    let options = WorkflowStartOptions::new(world.task_queue().to_owned(), format!("add-{name}"));
    let added = world
        .client
        .start_workflow(AddCustomer::run, input, options.build())
        .await
        .unwrap();
    let added = added.get_result(WorkflowGetResultOptions::default()).await;
    added.unwrap().report.pkid
}

/// Returns the workflow of a record.
pub fn handle(world: &World, pkid: &Pkid) -> Customer {
    world.client.get_workflow_handle(workflow_id(pkid))
}

/// Queries the state, if a worker responds.
pub async fn state(customer: &Customer) -> Option<CustomerState> {
    let options = WorkflowQueryOptions::default();
    let queried = customer.query(SparkCustomer::state, (), options).await;
    queried.ok()
}

/// Waits until the connection has a state.
pub async fn wait_for(customer: &Customer, wanted: State) {
    eventually(&format!("the state is {wanted}"), async || {
        let state = state(customer).await?;
        (state.record?.state == wanted).then_some(())
    })
    .await;
}

/// Sends a request that nobody waits for.
pub async fn request(customer: &Customer, request: Request) {
    let options = WorkflowSignalOptions::default();
    let signaled = customer.signal(SparkCustomer::request, request, options);
    signaled.await.unwrap();
}

/// Connects a customer by an update and a signal. Returns the secrets of the consent.
pub async fn connect(world: &World, customer: &Customer) -> Vec<String> {
    let request_of_consent = ConsentRequest {
        grant: Default::default(),
        redirect_uri: REDIRECT.to_owned(),
    };
    let options = WorkflowExecuteUpdateOptions::default();
    let begun = customer.execute_update(SparkCustomer::connect, request_of_consent, options);
    let begun = begun.await.unwrap();
    let (input, secrets) = consent(world, &begun.report.link).await;
    request(customer, Request::CompleteConnect(Callback { input })).await;
    wait_for(customer, State::Connected).await;
    secrets
}

/// Consents as an administrator of the world's organization, by a stored link. Returns the key of the stored callback, and the
/// secrets of the consent.
pub async fn consent(world: &World, link: &Pkid) -> (Pkid, Vec<String>) {
    let inputs = &world.parts.inputs;
    let link = inputs.open(link, Purpose::Link).await;
    let link = link.unwrap().expose_secret().to_owned();
    let callback = world
        .webex
        .authorize(&link, &Consent::accept(&world.organization));
    let callback = callback.unwrap();
    let stored = SecretString::from(callback.clone());
    let node = NODE.parse().unwrap();
    let input = inputs.put(&node, Purpose::Callback, &stored).await.unwrap();
    let parameters = |address: &str| {
        let address = url::Url::parse(address).unwrap();
        let secret = address
            .query_pairs()
            .filter(|(name, _)| matches!(name.as_ref(), "state" | "code" | "code_challenge"));
        let values = secret.map(|(_, value)| value.into_owned());
        values.collect::<Vec<_>>()
    };
    (input, [parameters(&link), parameters(&callback)].concat())
}

/// Returns the number of refreshes that Webex has carried out.
pub fn refreshes(world: &World) -> usize {
    let requests = world.webex.requests();
    let refreshes = requests
        .iter()
        .filter(|request| request.grant_type.as_deref() == Some("refresh_token"));
    refreshes.filter(|request| request.processed).count()
}
