//! `automate:platform/scheduling`: what is going to wake a subject.

use super::bindings::automate::platform::{scheduling, types};
use super::{Call, convert};

impl scheduling::Host for Call {
    async fn wakeups(
        &mut self,
        subject: types::Reference,
    ) -> wasmtime::Result<Result<Vec<scheduling::Wakeup>, types::Failure>> {
        self.count()?;
        let subject = match convert::reference(subject) {
            Ok(subject) => subject,
            Err(failure) => return Ok(Err(convert::failure_out(failure))),
        };
        Ok(match self.services.store.wakeups(&subject).await {
            Ok(wakeups) => Ok(wakeups
                .into_iter()
                .map(|due| convert::wakeup_out(due.wakeup))
                .collect()),
            Err(error) => Err(convert::failure_out(convert::store_failure(&error))),
        })
    }
}

impl types::Host for Call {}
