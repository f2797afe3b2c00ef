//! `automate:platform/scheduling`: lists the wakeups of a subject.

use super::bindings::automate::platform::{scheduling, types};
use super::{Call, Import, convert};
use crate::types::Failure;

impl scheduling::Host for Call {
    async fn wakeups(
        &mut self,
        subject: types::Reference,
    ) -> wasmtime::Result<Result<Vec<scheduling::Wakeup>, types::Failure>> {
        if let Some(failure) = self.gate.enter(Import::SchedulingWakeups).await? {
            return Ok(Err(failure));
        }
        let wakeups = self.wakeups_of(subject).await;
        self.gate.leave(Import::SchedulingWakeups).await?;
        Ok(wakeups.map_err(convert::failure_out))
    }
}

impl Call {
    async fn wakeups_of(
        &self,
        subject: types::Reference,
    ) -> Result<Vec<scheduling::Wakeup>, Failure> {
        let subject = convert::reference(subject)?;
        let store = &self.services.store;
        let wakeups = self
            .retry_while_unavailable(|| store.wakeups(&subject))
            .await;
        let wakeups = wakeups.map_err(|error| convert::store_failure(&error))?;
        let wakeups = wakeups.into_iter();
        Ok(wakeups.map(|due| convert::wakeup_out(due.wakeup)).collect())
    }
}

impl types::Host for Call {}
