//! One method per workflow, with its result in the host's own types.

use relation_host::AddRequest;
use relation_host::reports::{
    AddReport, Authorization, ConnectReport, ConnectionReport, Deletion, ExpiryReport, Grant,
    Model, RefreshReport, SyncReport, SyncSelector,
};
use relation_host::types::Pkid;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Call, CallFailure, Harness, ObservedCall};

impl Harness {
    /// Describes the model.
    pub async fn describe(&self) -> ObservedCall<Model> {
        self.call_typed(Call::Describe {}).await
    }

    /// Asks the plugin whether its settings are valid.
    pub async fn check_settings(&self) -> ObservedCall<()> {
        self.call_typed(Call::CheckSettings {}).await
    }

    /// Adds a record.
    pub async fn add(&self, request: AddRequest) -> ObservedCall<AddReport> {
        let AddRequest {
            hierarchy,
            fields,
            token_response,
            idempotency_key,
        } = request;
        let call = Call::Add {
            hierarchy,
            fields,
            token_response,
            idempotency_key,
        };
        self.call_typed(call).await
    }

    /// Changes the fields given.
    pub async fn modify(
        &self,
        pkid: &Pkid,
        fields: Map<String, Value>,
        token_response: Option<SecretString>,
    ) -> ObservedCall<ConnectionReport> {
        let call = Call::Modify {
            pkid: pkid.clone(),
            fields,
            token_response,
        };
        self.call_typed(call).await
    }

    /// Deletes a record and everything that belongs to it, or reports what would be deleted.
    pub async fn delete(&self, pkid: &Pkid, dry_run: bool) -> ObservedCall<Deletion> {
        let pkid = pkid.clone();
        self.call_typed(Call::Delete { pkid, dry_run }).await
    }

    /// Begins a consent.
    pub async fn connect(
        &self,
        pkid: &Pkid,
        grant: Grant,
        redirect_uri: &str,
    ) -> ObservedCall<Authorization> {
        let call = Call::Connect {
            pkid: pkid.clone(),
            grant,
            redirect_uri: redirect_uri.to_owned(),
        };
        self.call_typed(call).await
    }

    /// Completes a consent with the address to which the browser was redirected.
    pub async fn complete_connect(
        &self,
        pkid: &Pkid,
        callback: SecretString,
    ) -> ObservedCall<ConnectReport> {
        let pkid = pkid.clone();
        self.call_typed(Call::CompleteConnect { pkid, callback })
            .await
    }

    /// Refreshes the tokens of a grant now.
    pub async fn refresh(&self, pkid: &Pkid, grant: Grant) -> ObservedCall<RefreshReport> {
        let pkid = pkid.clone();
        self.call_typed(Call::Refresh { pkid, grant }).await
    }

    /// Checks the expiries of a grant's tokens.
    pub async fn check_expiry(&self, pkid: &Pkid, grant: Grant) -> ObservedCall<ExpiryReport> {
        let pkid = pkid.clone();
        self.call_typed(Call::CheckExpiry { pkid, grant }).await
    }

    /// Executes a data sync. With `accept_removals` implausible removals are made too.
    pub async fn sync(
        &self,
        pkid: &Pkid,
        sync: SyncSelector,
        accept_removals: bool,
    ) -> ObservedCall<SyncReport> {
        let call = Call::Sync {
            pkid: pkid.clone(),
            sync,
            accept_removals,
        };
        self.call_typed(call).await
    }

    /// Runs an action that `describe` lists.
    pub async fn invoke(
        &self,
        action: &str,
        pkid: &Pkid,
        arguments: Map<String, Value>,
    ) -> ObservedCall<Value> {
        let call = Call::Invoke {
            pkid: pkid.clone(),
            action: action.to_owned(),
            arguments,
        };
        self.call_typed(call).await
    }

    async fn call_typed<T: DeserializeOwned>(&self, call: Call) -> ObservedCall<T> {
        self.call(call).await.and_then(|value| {
            serde_json::from_value(value).map_err(|error| CallFailure::from_harness(&error))
        })
    }
}
