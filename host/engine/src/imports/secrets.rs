//! `automate:platform/secrets`: reveals sealed values, and counts and audits each access.

use secrecy::{ExposeSecret, SecretString};

use super::bindings::automate::platform::{secrets, types};
use super::gate::ImportResult;
use super::{Call, Import, Services, convert};
use crate::store::seal::SealError;
use crate::transactions::{SecretAccess, SecretAccessOutcome};
use crate::types::{Failure, Reference};

/// The maximum length of an audited name, in characters.
const MAX_NAME_CHARS: usize = 128;

impl secrets::Host for Call {
    async fn reveal(
        &mut self,
        owner: types::Reference,
        name: String,
    ) -> ImportResult<Option<String>> {
        let gate = self.gate.clone();
        gate.intercept(Import::SecretsReveal, self.reveal_secret(owner, &name))
            .await
    }

    async fn reveal_setting(&mut self, name: String) -> ImportResult<Option<String>> {
        let reveal = async { Ok(self.reveal_secret_setting(&name)) };
        self.gate
            .intercept(Import::SecretsRevealSetting, reveal)
            .await
    }
}

impl Call {
    async fn reveal_secret(
        &mut self,
        owner: types::Reference,
        name: &str,
    ) -> Result<Option<String>, Failure> {
        let owner = convert::reference(owner)?;
        let revealed = match self.check_own_record(&owner) {
            Ok(()) => self.decrypt(&owner, name).await,
            Err(foreign) => Err(foreign),
        };
        let revealed = revealed.and_then(|value| {
            if let Some(value) = &value {
                self.add_secret(value)?;
            }
            Ok(value)
        });
        let outcome = match &revealed {
            Ok(Some(_)) => SecretAccessOutcome::Opened,
            Ok(None) => SecretAccessOutcome::Absent,
            Err(_) => SecretAccessOutcome::Failed,
        };
        self.audit(Some(owner), name, outcome);
        Ok(revealed?.map(|value| value.expose_secret().to_owned()))
    }

    fn reveal_secret_setting(&self, name: &str) -> Option<String> {
        let value = self.services.secret_settings.get(name);
        let value = value.and_then(|setting| setting.current());
        // The value may have changed since the call began. Unlimited: the plugin does not control it.
        if let Some(value) = &value {
            self.redactor.add(value, usize::MAX);
        }
        let outcome = match value {
            Some(_) => SecretAccessOutcome::Opened,
            None => SecretAccessOutcome::Absent,
        };
        self.audit(None, name, outcome);
        value.map(|value| value.expose_secret().to_owned())
    }

    async fn decrypt(
        &mut self,
        owner: &Reference,
        name: &str,
    ) -> Result<Option<SecretString>, Failure> {
        let Services { store, sealer, .. } = self.services.as_ref();
        let revealed = self.retry_while_unavailable(|| async {
            match sealer.reveal(store.as_ref(), owner, name).await {
                Ok(value) => Ok(Ok(value)),
                // An unreachable store is temporary; a value that does not decrypt needs a person.
                Err(SealError::Store(error)) => Err(error),
                Err(error) => Ok(Err(Failure::Internal(error.to_string()))),
            }
        });
        revealed
            .await
            .map_err(|error| convert::store_failure(&error))?
    }

    /// Records an attempt to reveal a secret in the call's transaction and in the process log.
    /// Never records the value.
    fn audit(&self, owner: Option<Reference>, name: &str, outcome: SecretAccessOutcome) {
        // The name comes from the guest.
        let name: String = self
            .sanitize_line(name)
            .chars()
            .take(MAX_NAME_CHARS)
            .collect();
        tracing::info!(
            target: "relation_host::audit",
            customer = ?self.journal.subject_name(),
            transaction = self.journal.id(),
            owner = owner.as_ref().map(ToString::to_string),
            secret = name,
            outcome = outcome.as_str(),
            "a secret was requested"
        );
        let observers = &self.services.observers;
        observers.notify(|observer| observer.secret_requested(outcome));
        self.journal.record_secret_access(SecretAccess {
            at: self.services.clock.now(),
            owner,
            name,
            outcome,
        });
    }
}
