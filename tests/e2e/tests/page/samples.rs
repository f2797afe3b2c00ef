//! Every page with hostile data, with errors and empty, without a host.

use std::net::{Ipv4Addr, SocketAddr};

use relation_e2e::browser::Browser;
use relation_web::samples;

use crate::checks::Checks;

/// Serves the samples until the end of the test, and returns their address.
fn serve(runtime: &tokio::runtime::Runtime) -> SocketAddr {
    let listening = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listener = runtime.block_on(listening).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async { axum::serve(listener, samples::router()).await });
    address
}

pub fn check_samples(browser: &Browser, checks: &Checks) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let address = serve(&runtime);
    for name in samples::names() {
        // These pages lead to the provider in a moment.
        if name.ends_with("-leaving") {
            continue;
        }
        browser.open(&format!("http://{address}/samples/{name}"));
        checks.check_sample(browser, &format!("sample-{name}"));
    }
    browser.open("about:blank");
    runtime.shutdown_background();
}
