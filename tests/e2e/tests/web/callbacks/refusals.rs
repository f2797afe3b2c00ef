//! Refused addresses, foreign credentials, and secrets that stay secret.

use std::io;
use std::net::IpAddr;

use async_trait::async_trait;
use relation_host::egress::Resolve;

use super::*;

/// A name server on which every name is this machine.
struct Loopback;

#[async_trait]
impl Resolve for Loopback {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    }
}

/// Sends an add with this `request_meta`, which is refused; returns the errors by field.
async fn refuse(client: &Client, meta: &Value) -> Vec<(String, String)> {
    let path = format!("{RECORDS}?hierarchy=sys.A.B&nowait=true");
    let input = json!({ "name": "Contoso", "request_meta": meta });
    let problem = client.json(Method::POST, &path, &input).await.expect(422);
    let errors = problem["errors"].as_array().unwrap();
    let text = |error: &Value, member: &str| error[member].as_str().unwrap().to_owned();
    let errors = errors.iter();
    errors
        .map(|error| (text(error, "field"), text(error, "message")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_are_refused_without_the_setting() {
    let world = WorldBuilder::default().start().await;
    let client = administrator(&world, "sys").await;
    let url = format!("https://crm.example.com/hook?key={IN_URL}");
    let errors = refuse(&client, &json!({ "callback_url": url })).await;
    let [(field, message)] = errors.as_slice() else {
        panic!("{errors:?}");
    };
    assert_eq!(field, "request_meta.callback_url");
    for expected in ["`web.callback-origins` is empty", "https://crm.example.com"] {
        assert!(message.contains(expected), "{message}");
    }
    assert!(!message.contains(IN_URL), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_addresses_are_refused_with_all_errors() {
    let receiver = Receiver::start().await;
    let port = receiver.address.port();
    let allow = [receiver.origin(), format!("http://localhost:{}", port ^ 1)];
    let policy = Policy::parse_callbacks(&allow).unwrap();
    let callbacks = EgressClient::new(policy, ClientOptions::default()).unwrap();
    let world = WorldBuilder::default().callbacks(callbacks).start().await;
    let client = administrator(&world, "sys").await;
    for url in [
        format!("https://127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{}/", port ^ 1),
        format!("http://localhost:{port}/"),
        // Listed by its name, but not by its address.
        format!("http://localhost:{}/", port ^ 1),
        format!("http://user:{PASSWORD}@127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}/#fragment"),
        "/hook".to_owned(),
        "not an address".to_owned(),
        "http://127.0.0.1:port/ü".to_owned(),
        "/ü".to_owned(),
    ] {
        let errors = refuse(&client, &json!({ "callback_url": url })).await;
        assert_eq!(errors.len(), 1, "{url}: {errors:?}");
        assert!(!errors[0].1.contains(PASSWORD), "{errors:?}");
    }
    let all = json!({ "external_id": 17, "callback_url": "ftp://x/", "callback_auth": "unknown" });
    let fields: Vec<String> = refuse(&client, &all)
        .await
        .into_iter()
        .map(|each| each.0)
        .collect();
    let expected = ["external_id", "callback_url", "callback_auth"];
    assert_eq!(fields, expected.map(|name| format!("request_meta.{name}")));
    let alone = refuse(&client, &json!({ "callback_auth": "crm" })).await;
    assert!(
        alone.iter().any(|error| error.1.contains("callback_url")),
        "{alone:?}"
    );
    assert_eq!(receiver.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_members_are_refused_in_every_write() {
    let world = WorldBuilder::default().start().await;
    let client = administrator(&world, "sys").await;
    let record = json!({ "name": "Contoso" });
    let path = format!("{RECORDS}?hierarchy=sys.A");
    let added = client.json(Method::POST, &path, &record).await;
    let href = added.expect(201)["href"].as_str().unwrap().to_owned();
    let user = json!({ "name": "ada", "hierarchy": "sys.A", "grants": [] });
    let bulk = json!({ "hrefs": [href], "data": { "account_email": "it@example.com" } });
    let list = RECORDS.to_owned();
    let action = format!("{href}+CheckTokenExpiry/");
    let meta = json!({
        "external_id": "a\nb", "external_reference": "a\u{202e}b", "callback_ur": "https://crm.example.com/",
        "callback_password": "canary-password",
    });
    for (method, path, body) in [
        (
            Method::POST,
            format!("{list}?hierarchy=sys.B"),
            record.clone(),
        ),
        (Method::PATCH, href.clone(), json!({})),
        (Method::PUT, href.clone(), record.clone()),
        (Method::DELETE, href.clone(), json!({})),
        (Method::POST, action, json!({})),
        (Method::PATCH, list, bulk),
        (Method::POST, "/api/data/User/".to_owned(), user.clone()),
    ] {
        let mut body = body;
        body["request_meta"] = meta.clone();
        let response = client.json(method.clone(), &path, &body).await;
        let problem = response.expect(422);
        let errors = problem["errors"].as_array().unwrap().iter();
        let mut fields: Vec<&str> = errors.map(|each| each["field"].as_str().unwrap()).collect();
        fields.sort_unstable();
        let wrong = [
            "request_meta.callback_password",
            "request_meta.callback_ur",
            "request_meta.external_id",
            "request_meta.external_reference",
        ];
        assert_eq!(fields, wrong, "{method} {path}: {problem}");
        let hint = problem["hint"].as_str().unwrap();
        assert!(hint.contains("callback_url, callback_auth"), "{hint}");
        assert!(!problem.to_string().contains("canary"), "{problem}");
    }
    // A request without a transaction has no callback, and an id has no effect.
    for (meta, status) in [
        (json!({ "callback_url": "https://crm.example.com/" }), 422),
        (json!({ "external_id": "17" }), 201),
    ] {
        let mut body = user.clone();
        body["request_meta"] = meta;
        client
            .json(Method::POST, "/api/data/User/", &body)
            .await
            .expect(status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn name_of_a_private_address_is_not_reached() {
    let receiver = Receiver::start().await;
    let origin = format!("http://receiver.example.com:{}", receiver.address.port());
    let policy = Policy::parse_callbacks(std::slice::from_ref(&origin)).unwrap();
    let resolver = Arc::new(Loopback);
    let callbacks =
        EgressClient::with_resolver(policy, ClientOptions::default(), resolver).unwrap();
    let world = WorldBuilder::default().callbacks(callbacks).start().await;
    let client = administrator(&world, "sys").await;
    let id = submit(
        &client,
        "Contoso",
        &json!({ "callback_url": format!("{origin}/hook") }),
    )
    .await;
    world.run_for(Duration::from_secs(1)).await;
    let shown = callback(&client, &id).await;
    let error = shown["last_error"].as_str().unwrap();
    assert!(error.contains("not at a public address"), "{error}");
    // The text does not reveal the addresses that names resolve to.
    assert!(!error.contains("127.0.0.1"), "{error}");
    assert_eq!(receiver.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_other_tenants_are_not_found() {
    let receiver = Receiver::start().await;
    let world = receiver.world().await;
    let root = administrator(&world, "sys").await;
    for (node, name) in [
        ("sys", "of-provider"),
        ("sys.A.B", "of-customer"),
        ("sys.C", "of-other"),
    ] {
        add_credentials(&root, node, name).await;
    }
    let tenant = administrator(&world, "sys.A").await;
    let url = receiver.url();
    for name in ["of-provider", "of-other", "unknown"] {
        let meta = json!({ "callback_url": url, "callback_auth": name });
        let errors = refuse(&tenant, &meta).await;
        assert_eq!(
            errors[0].0, "request_meta.callback_auth",
            "{name}: {errors:?}"
        );
        assert!(!errors[0].1.contains("sys.C"), "{errors:?}");
    }
    // Credentials below the node of the request are not used either.
    let path = format!("{RECORDS}?hierarchy=sys.A&nowait=true");
    let meta = json!({ "callback_url": url, "callback_auth": "of-customer" });
    let input = json!({ "name": "Contoso", "request_meta": meta });
    tenant.json(Method::POST, &path, &input).await.expect(422);
    let path = format!("{RECORDS}?hierarchy=sys.A.B&nowait=true");
    tenant.json(Method::POST, &path, &input).await.expect(202);
    // The platform's name of the member.
    let meta = json!({ "callback_url": url, "callback_auth_name": "of-other" });
    let errors = refuse(&tenant, &meta).await;
    assert_eq!(errors[0].0, "request_meta.callback_auth", "{errors:?}");
    let meta = json!({ "callback_url": url, "callback_auth_name": "of-customer" });
    let input = json!({ "name": "Fabrikam", "request_meta": meta });
    tenant.json(Method::POST, &path, &input).await.expect(202);

    // A name is taken at the node and below it, as far as the administrator sees.
    let input = json!({ "name": "of-customer", "hierarchy": "sys.A.B", "token": TOKEN });
    let taken = tenant.json(Method::POST, AUTH, &input).await;
    assert_eq!(
        (taken.status.as_u16(), taken.error_fields()),
        (422, vec!["name".to_owned()])
    );
    let input = json!({ "name": "of-provider", "hierarchy": "sys.A", "token": TOKEN });
    tenant.json(Method::POST, AUTH, &input).await.expect(201);
    root.json(
        Method::POST,
        AUTH,
        &json!({ "name": "of-provider", "hierarchy": "sys.A.B", "token": TOKEN }),
    )
    .await
    .expect(422);
    // The nearest ones are used: those with the token.
    let meta = json!({ "callback_url": url, "callback_auth": "of-provider" });
    let id = submit(&root, "Fabrikam", &meta).await;
    world.run_for(Duration::from_secs(1)).await;
    let received = receiver.received();
    let posted = received
        .iter()
        .find(|each| each.json().get(&id).is_some())
        .unwrap();
    assert_eq!(posted.header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(posted.header("webhook-signature"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_callbacks_appear_nowhere() {
    let receiver = Receiver::start().await;
    let world = receiver.world().await;
    let client = administrator(&world, "sys").await;
    let added = add_credentials(&client, "sys", "crm").await;
    let href = format!("{AUTH}{}/", added["pkid"].as_str().unwrap());
    let mut texts = vec![added.to_string()];
    let wrong = json!({ "name": "crm", "token": format!("{TOKEN} "), "signing_secret": IN_URL });
    texts.push(client.json(Method::PUT, &href, &wrong).await.text);
    receiver.respond_with(&[500]);
    let meta = json!({ "callback_url": receiver.url(), "callback_auth": "crm" });
    let id = submit(&client, "Contoso", &meta).await;
    world.run_for(Duration::from_secs(1)).await;
    let mut files = read_files(&world);
    let replaced = json!({ "name": "crm", "token": TOKEN });
    let replaced = client.json(Method::PUT, &href, &replaced).await;
    assert_eq!(replaced.expect(200)["kind"], "bearer");
    texts.push(replaced.text);
    world.run_for(Duration::from_secs(10)).await;
    let last = receiver.received().pop().unwrap();
    assert_eq!(last.header("authorization"), format!("Bearer {TOKEN}"));
    for path in [AUTH, &href, "/api/data/AuditEvent/", "/api/openapi.json"] {
        texts.push(client.get(path).await.text);
    }
    texts.push(
        client
            .get(format!("/api/tool/Transaction/{id}/"))
            .await
            .text,
    );
    files.extend(read_files(&world));
    let signing = signing_secret();
    let encoded = STANDARD.encode(format!("relation:{PASSWORD}"));
    for secret in [PASSWORD, TOKEN, IN_URL, &signing, &signing[6..], &encoded] {
        for text in &texts {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
        for (name, bytes) in &files {
            let mut windows = bytes.windows(secret.len());
            assert!(
                !windows.any(|window| window == secret.as_bytes()),
                "{secret} is in {name}"
            );
        }
    }

    // Without its credentials, a callback is not delivered.
    receiver.respond_with(&[500]);
    let id = submit(&client, "Fabrikam", &meta).await;
    world.run_for(Duration::from_secs(1)).await;
    let deleted = client.json(Method::DELETE, &href, &json!({})).await;
    assert_eq!(deleted.status, 204);
    client.get(&href).await.expect(404);
    let attempts = receiver.received().len();
    world.run_for(Duration::from_secs(10)).await;
    assert_eq!(receiver.received().len(), attempts);
    let shown = callback(&client, &id).await;
    assert_eq!(shown["last_error"], "the credentials were deleted");
}

/// Returns the files of the store, with their names.
fn read_files(world: &World) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(world.directory()).unwrap();
    let files = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file());
    files
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect()
}
