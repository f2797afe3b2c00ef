//! `automate:platform/scheduling`: lists the wakeups of a subject.

use super::bindings::automate::platform::{scheduling, types};
use super::gate::ImportResult;
use super::{Call, Import, convert};
use crate::types::Failure;

impl scheduling::Host for Call {
    async fn wakeups(
        &mut self,
        subject: types::Reference,
    ) -> ImportResult<Vec<scheduling::Wakeup>> {
        let gate = self.gate.clone();
        gate.intercept(Import::SchedulingWakeups, self.wakeups_of(subject))
            .await
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
