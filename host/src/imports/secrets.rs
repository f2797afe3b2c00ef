//! `automate:platform/secrets`: opens sealed values, and counts and audits each time.

use secrecy::ExposeSecret;

use super::bindings::automate::platform::{secrets, types};
use super::{Call, Services, convert};
use crate::store::seal::SealError;
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
        let Services { store, sealer, .. } = self.services.as_ref();
        let revealed = self.patiently(|| async {
            match sealer.reveal(store.as_ref(), &owner, name).await {
                Ok(value) => Ok(Ok(value)),
                // A store that cannot be reached passes; what does not open needs a person.
                Err(SealError::Store(error)) => Err(error),
                Err(error) => Ok(Err(Failure::Internal(error.to_string()))),
            }
        });
        let revealed = revealed
            .await
            .map_err(|error| convert::store_failure(&error))?;
        let Some(value) = revealed? else {
            return Ok(None);
        };
        self.scrubber.learn(&value);
        Ok(Some(value.expose_secret().to_owned()))
    }
}
