//! `automate:platform/secrets`: opens sealed values, and counts and audits each time.

use secrecy::{ExposeSecret, SecretString};

use super::bindings::automate::platform::{secrets, types};
use super::{Call, convert};
use crate::types::Failure;

impl secrets::Host for Call {
    async fn reveal(
        &mut self,
        owner: types::Reference,
        name: String,
    ) -> wasmtime::Result<Result<Option<String>, types::Failure>> {
        self.count()?;
        let value = self.open(owner, &name).await;
        Ok(value.map_err(convert::failure_out))
    }

    async fn reveal_setting(
        &mut self,
        name: String,
    ) -> wasmtime::Result<Result<Option<String>, types::Failure>> {
        self.count()?;
        self.revealed += 1;
        tracing::info!(target: "relation_host::audit", transaction = self.journal.id(), secret = name, "a secret setting was revealed");
        let value = self.services.secret_settings.get(&name);
        if let Some(value) = value {
            self.scrubber.learn(value);
        }
        Ok(Ok(value.map(|value| value.expose_secret().to_owned())))
    }
}

impl Call {
    async fn open(
        &mut self,
        owner: types::Reference,
        name: &str,
    ) -> Result<Option<String>, Failure> {
        let owner = convert::reference(owner)?;
        self.revealed += 1;
        tracing::info!(target: "relation_host::audit", transaction = self.journal.id(), %owner, secret = name, "a secret was revealed");
        let services = &self.services;
        let sealed = services.store.sealed(&owner, name).await;
        let Some(sealed) = sealed.map_err(|error| convert::store_failure(&error))? else {
            return Ok(None);
        };
        let value: SecretString = services
            .sealer
            .unseal(&owner, name, &sealed)
            .map_err(|error| Failure::Internal(error.to_string()))?;
        self.scrubber.learn(&value);
        Ok(Some(value.expose_secret().to_owned()))
    }
}
