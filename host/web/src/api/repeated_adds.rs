//! Adds that are repeated with their idempotency key.

use relation_host::types::Hierarchy;

use crate::access::Principal;
use crate::access::idempotency::{self, ClaimedKey, Earlier, RequestDigest};
use crate::calls::POLL_INTERVAL;
use crate::{Web, WebError};

/// The claim of an idempotency key.
pub(super) enum KeyClaim {
    /// The request was accepted before, as this transaction.
    Accepted(String),
    /// The request may run, with the key.
    Claimed(ClaimedKey),
}

/// Claims the idempotency key of an add. Waits for the end of an earlier request that is the same, unless the add is to
/// be queued.
pub(super) async fn claim_key(
    web: &Web,
    principal: &Principal,
    key: &str,
    request: (&Hierarchy, &RequestDigest, &str),
    nowait: bool,
) -> Result<KeyClaim, WebError> {
    let began = tokio::time::Instant::now();
    loop {
        let claimed = idempotency::claim(web.access(), principal, key, request).await?;
        match &claimed.earlier {
            Some(Earlier::Running(earlier))
                if nowait || began.elapsed() >= web.options().call_wait =>
            {
                return Ok(KeyClaim::Accepted(earlier.clone()));
            }
            Some(Earlier::Running(_)) => tokio::time::sleep(POLL_INTERVAL).await,
            Some(Earlier::Done(earlier)) if nowait => {
                return Ok(KeyClaim::Accepted(earlier.clone()));
            }
            _ => return Ok(KeyClaim::Claimed(claimed)),
        }
    }
}
