//! The limit of requests to Contact Center.

use super::State;
use crate::errors::ApiError;

impl State {
    /// Counts a request of the client to Contact Center.
    ///
    /// # Errors
    /// If the client has made `limit` requests in this minute.
    pub(crate) fn count_contact_center_request(
        &mut self,
        client_id: &str,
        limit: u64,
    ) -> Result<(), ApiError> {
        const MINUTE: u64 = 60_000;
        let now = self.settings.now();
        let (start, count) = self
            .contact_center_requests
            .entry(client_id.to_owned())
            .or_insert((now, 0));
        if now >= start.saturating_add(MINUTE) {
            (*start, *count) = (now, 0);
        }
        if *count >= limit {
            let wait = start.saturating_add(MINUTE).saturating_sub(now);
            let retry_after = wait.div_ceil(1000);
            return Err(ApiError::TooManyRequests { retry_after });
        }
        *count += 1;
        Ok(())
    }
}
