//! The recorder's transport, between the egress policy and the network.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use relation_host::egress::{ProxyUrl, Transport, TransportError};

use super::Recorder;

/// A network transport whose exchanges are recorded.
pub(super) struct RecordingTransport {
    pub(super) network: Arc<dyn Transport>,
    pub(super) recorder: Recorder,
}

#[async_trait]
impl Transport for RecordingTransport {
    async fn send(
        &self,
        request: Request<Bytes>,
        proxy: Option<&ProxyUrl>,
    ) -> Result<Response<Bytes>, TransportError> {
        // The request is noted before it is sent, because a canceled call has sent it all the same.
        self.recorder.notes().note_request(request.clone());
        let response = self.network.send(request, proxy).await;
        self.recorder.notes().note_response(&response);
        response
    }
}
