//! One method for each workflow, with its answer in the host's own types.

use relation_host::AddRequest;
use relation_host::reports::{
    AddReport, Authorization, ConnectReport, ConnectionReport, Deletion, ExpiryReport, Grant,
    Model, RefreshReport, SyncKind, SyncReport,
};
use relation_host::types::Pkid;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Call, Failed, Harness, Observed};

impl Harness {
    /// The model, as the plugin describes it.
    pub async fn describe(&self) -> Observed<Model> {
        self.typed(Call::Describe {}).await
    }

    /// Asks the plugin whether it takes its settings.
    pub async fn check_settings(&self) -> Observed<()> {
        self.typed(Call::CheckSettings {}).await
    }

    /// Adds a record.
    pub async fn add(&self, request: AddRequest) -> Observed<AddReport> {
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
        self.typed(call).await
    }

    /// Changes the fields given.
    pub async fn modify(
        &self,
        pkid: &Pkid,
        fields: Map<String, Value>,
        token_response: Option<SecretString>,
    ) -> Observed<ConnectionReport> {
        let call = Call::Modify {
            pkid: pkid.clone(),
            fields,
            token_response,
        };
        self.typed(call).await
    }

    /// Deletes a record with all that belongs to it, or says what that would be.
    pub async fn delete(&self, pkid: &Pkid, dry_run: bool) -> Observed<Deletion> {
        let pkid = pkid.clone();
        self.typed(Call::Delete { pkid, dry_run }).await
    }

    /// Begins a consent.
    pub async fn connect(
        &self,
        pkid: &Pkid,
        grant: Grant,
        redirect_uri: &str,
    ) -> Observed<Authorization> {
        let call = Call::Connect {
            pkid: pkid.clone(),
            grant,
            redirect_uri: redirect_uri.to_owned(),
        };
        self.typed(call).await
    }

    /// Completes a consent with the address to which the browser was sent.
    pub async fn complete_connect(
        &self,
        pkid: &Pkid,
        callback: SecretString,
    ) -> Observed<ConnectReport> {
        let pkid = pkid.clone();
        self.typed(Call::CompleteConnect { pkid, callback }).await
    }

    /// Refreshes the tokens of a grant now.
    pub async fn refresh(&self, pkid: &Pkid, grant: Grant) -> Observed<RefreshReport> {
        let pkid = pkid.clone();
        self.typed(Call::Refresh { pkid, grant }).await
    }

    /// Looks at the expiries of a grant's tokens.
    pub async fn check_expiry(&self, pkid: &Pkid, grant: Grant) -> Observed<ExpiryReport> {
        let pkid = pkid.clone();
        self.typed(Call::CheckExpiry { pkid, grant }).await
    }

    /// Imports from Webex. With `accept_removals` also what is not plausible is removed.
    pub async fn sync(
        &self,
        pkid: &Pkid,
        kind: SyncKind,
        accept_removals: bool,
    ) -> Observed<SyncReport> {
        let call = Call::Sync {
            pkid: pkid.clone(),
            kind,
            accept_removals,
        };
        self.typed(call).await
    }

    async fn typed<T: DeserializeOwned>(&self, call: Call) -> Observed<T> {
        self.call(call).await.and_then(|value| {
            serde_json::from_value(value).map_err(|error| Failed::harness(&error))
        })
    }
}
