//! The listener: accepts connections, serves HTTP/1.1 on them, and can reset them.

use std::error::Error as _;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::serve::{ConnectionEnd, serve};
use crate::webex::Webex;

/// Grace period for requests in flight once the emulator is stopped.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Pause before accepting again when the system has no connection to offer.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Serves until `stop` turns true, then lets requests in flight end.
pub(crate) async fn run(listener: TcpListener, webex: Webex, stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let mut stop_requested = pin!(wait_for_stop(stop.clone()));
    loop {
        tokio::select! {
            () = &mut stop_requested => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, webex.clone(), stop.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    // Requests still held at a gate or waiting are aborted when the set is dropped.
    let _ = tokio::time::timeout(SHUTDOWN_GRACE, drained).await;
}

async fn wait_for_stop(mut stop: watch::Receiver<bool>) {
    // A dropped sender means the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn serve_connection(stream: TcpStream, webex: Webex, stop: watch::Receiver<bool>) {
    // A response is one small write; waiting for more would only add latency.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let response = serve(webex.clone(), request);
        // Boxed because polling without shutdown needs `Unpin`.
        Box::pin(response)
            as Pin<Box<dyn Future<Output = Result<Response<Body>, ConnectionEnd>> + Send>>
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut stop_requested = pin!(wait_for_stop(stop));
    let mut shutting_down = false;
    // Without hyper's own shutdown the socket stays open and can be reset.
    let result = loop {
        tokio::select! {
            result = poll_fn(|context| connection.poll_without_shutdown(context)) => break result,
            () = &mut stop_requested, if !shutting_down => {
                shutting_down = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let stream = connection.into_parts().io.into_inner();
    let reset = result.is_err_and(|error| {
        error
            .source()
            .is_some_and(|reason| reason.is::<ConnectionEnd>())
    });
    if reset {
        // With no time to linger, closing sends RST in place of FIN.
        let _ = stream.set_zero_linger();
    }
}
