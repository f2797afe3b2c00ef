//! Encrypted connections.

use std::fs;

use relation_test_postgres::Programs;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn certificate_and_name_of_the_server_are_verified() {
    let Some(programs) = Programs::find().unwrap() else {
        return;
    };
    let directory = tempfile::TempDir::with_prefix_in("pgt-", "/tmp").unwrap();
    programs.give(directory.path()).unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = directory.path().join("server.crt");
    let key = directory.path().join("server.key");
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for file in [&certificate, &key] {
        programs.give(file).unwrap();
    }
    let (certificate, key) = (certificate.display(), key.display());
    let settings = format!("ssl = on\nssl_cert_file = '{certificate}'\nssl_key_file = '{key}'");
    let cluster = Cluster::start_with_tcp(&settings).unwrap().unwrap();
    let database = cluster.database().unwrap();
    let url = |host: &str, options: &str| {
        let (port, name) = (cluster.port(), database.name());
        format!("postgresql://postgres@{host}:{port}/{name}?{options}")
    };

    let trusted = format!("sslmode=verify-full&sslrootcert={certificate}");
    let store = open(&url("localhost", &trusted)).await;
    read_one(&store).await.unwrap();
    let encrypted = options(&url("localhost", &trusted));
    let inspection = PostgresStore::inspect(&encrypted).await.unwrap();
    assert!(inspection.tls);

    // `require` and `prefer` verify too.
    for (host, tls) in [
        ("localhost", "sslmode=require"),
        ("localhost", "sslmode=prefer"),
        ("127.0.0.1", trusted.as_str()),
    ] {
        let error = PostgresStore::open(options(&url(host, tls)))
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("certificate") && text.contains("sslrootcert"),
            "{text}"
        );
    }
    let plain = open(&url("localhost", "sslmode=disable")).await;
    read_one(&plain).await.unwrap();
}
