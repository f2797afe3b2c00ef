//! `serve`: the server as a process, from its start to its stop.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use relation_e2e::cli_world::{CliWorld, browse};
use relation_e2e::process::eventually;
use relation_e2e::tls::Authority;
use rustls::pki_types::ServerName;

#[test]
fn server_responds_runs_wakeups_and_stops() {
    let world = CliWorld::new();
    let customer = world.add_customer("Contoso");
    world
        .time
        .advance(std::time::Duration::from_secs(8 * 86_400));
    let (running, address) = world.serve(&[]);
    let (status, document) = browse(&format!("http://{address}/api/openapi.json"));
    assert_eq!(status, 200);
    assert!(document.contains("\"3.1.0\""), "{document}");
    let (status, _) = browse(&format!("http://{address}/api/relation/SparkCustomer/"));
    assert_eq!(status, 401);
    eventually("the due refresh has run", || {
        (world.token_requests().len() == 1).then_some(())
    });
    // A connection that sends nothing does not delay the stop.
    let idle = TcpStream::connect(&address).unwrap();
    running.terminate();
    running.wait().succeeds();
    drop(idle);
    assert_eq!(world.state(&customer), "connected");
}

#[test]
fn pure_front_leaves_wakeups_alone() {
    let world = CliWorld::new();
    world.add_customer("Contoso");
    world
        .time
        .advance(std::time::Duration::from_secs(8 * 86_400));
    let (running, address) = world.serve(&["--no-dispatch"]);
    assert_eq!(browse(&format!("http://{address}/api/openapi.json")).0, 200);
    running.terminate();
    running.wait().succeeds();
    assert!(world.token_requests().is_empty());
}

#[test]
fn address_of_the_network_needs_encryption() {
    let world = CliWorld::new();
    let serve = ["serve", "--listen", "0.0.0.0:0"];
    let refused = world.workspace.relation(serve).run().exits(6);
    refused.reports(&["unencrypted", "web.tls-certificate"]);
    let world = world.with_config_line("web.trusted-proxies = [\"10.0.0.5\"]");
    let refused = world.workspace.relation(serve).run().exits(6);
    refused.reports(&["not an address for a browser", "web.public-url"]);
    let (_running, address) = world.serve(&[]);
    let taken = world
        .workspace
        .relation(["serve", "--listen", &address])
        .run();
    taken.exits(6).reports(&["cannot listen", "--listen"]);
}

#[test]
fn certificate_files_make_it_https() {
    let world = CliWorld::new();
    let authority = Authority::new("Test authority");
    let (certificate, key) = authority.issue("127.0.0.1", 2099);
    world.workspace.write("cert.pem", &certificate.pem());
    world.workspace.write("key.pem", &key.serialize_pem());
    let world = world
        .with_config_line("web.tls-certificate = \"cert.pem\"")
        .with_config_line("web.tls-key = \"key.pem\"");
    let (running, address) = world.serve(&[]);
    assert!(running.stdout().contains(&format!("https://{address}/")));

    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(authority.file()).unwrap();
    for certificate in rustls_pki(&pem) {
        roots.add(certificate).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(&address).unwrap();
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    write!(
        stream,
        "GET /api/openapi.json HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut response = [0; 12];
    stream.read_exact(&mut response).unwrap();
    assert_eq!(&response, b"HTTP/1.1 200");

    let world = world.with_config_line("web.listen = \"127.0.0.1:0\"");
    world.workspace.write("key.pem", "no key");
    let refused = world.workspace.relation(["serve"]).run().exits(6);
    refused.reports(&["key.pem", "web.tls-key"]);
}

fn rustls_pki(pem: &[u8]) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    use rustls::pki_types::pem::PemObject as _;
    rustls::pki_types::CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .unwrap()
}
