//! Notes what goes out and what comes back, between the policy and the network.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use relation_host::egress::{ProxyUrl, Transport, TransportError};

use super::Recorder;

/// The network, seen by a recorder.
pub(super) struct WayOut {
    pub(super) network: Arc<dyn Transport>,
    pub(super) recorder: Recorder,
}

#[async_trait]
impl Transport for WayOut {
    async fn send(
        &self,
        request: Request<Bytes>,
        proxy: Option<&ProxyUrl>,
    ) -> Result<Response<Bytes>, TransportError> {
        // Noted before it is sent: a call that is stopped while it waits has asked all the same.
        self.recorder.notes().asked(request.clone());
        let answer = self.network.send(request, proxy).await;
        self.recorder.notes().answered(&answer);
        answer
    }
}
