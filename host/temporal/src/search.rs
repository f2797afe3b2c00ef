//! The search attributes of the workflows: `RelationState` and `RelationHierarchy`.

use temporalio_client::Client;
use temporalio_client::tonic::{Code, Request};
use temporalio_common::protos::temporal::api::enums::v1::IndexedValueType;
use temporalio_common::protos::temporal::api::operatorservice::v1::AddSearchAttributesRequest;
use temporalio_common::search_attributes::SearchAttributeKey;

/// The state of the connection, such as `connected`.
pub const STATE: SearchAttributeKey<String> = SearchAttributeKey::keyword("RelationState");
/// The customer's node in the hierarchy. `STARTS_WITH` finds the customers below a node.
pub const HIERARCHY: SearchAttributeKey<String> = SearchAttributeKey::keyword("RelationHierarchy");

/// Registers the search attributes in the client's namespace, as far as they are missing.
///
/// # Errors
/// The server could not be reached, or does not permit it: an operator registers them, as the text says.
pub async fn register(client: &Client) -> anyhow::Result<()> {
    let keyword = IndexedValueType::Keyword as i32;
    let names = [STATE.name(), HIERARCHY.name()];
    let attributes = names.map(|name| (name.to_owned(), keyword));
    let request = AddSearchAttributesRequest {
        search_attributes: attributes.into_iter().collect(),
        namespace: client.options().namespace.clone(),
    };
    let mut operator = client.connection().operator_service();
    let added = operator.add_search_attributes(Request::new(request));
    match added.await {
        Ok(_) => Ok(()),
        Err(status) if status.code() == Code::AlreadyExists => Ok(()),
        Err(status) => Err(anyhow::anyhow!(
            "cannot register the search attributes in the namespace {:?}: {}; register them by `temporal operator \
             search-attribute create --name {} --type Keyword --name {} --type Keyword`, and start the worker with \
             --registered",
            client.options().namespace,
            status.message(),
            STATE.name(),
            HIERARCHY.name(),
        )),
    }
}
