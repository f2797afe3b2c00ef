//! The check boxes of the list of organizations by plain HTTP, as a browser without JavaScript sends them.

use std::time::Duration;

use axum::http::StatusCode;
use relation_e2e::world::{World, WorldBuilder};

use crate::support::{Client, Response, location, post, principal};

const REFRESH: &str = "/organizations/refresh";
const DELETE: &str = "/organizations/delete";

struct Selection {
    world: World,
    anonymous: Client,
    client: Client,
}

impl Selection {
    async fn start() -> Self {
        let world = WorldBuilder::default().start().await;
        let anonymous = Client::anonymous(&world).await;
        let client = anonymous.with(principal("provider-administrator", "sys"));
        Self {
            world,
            anonymous,
            client,
        }
    }

    async fn add(&self, node: &str, name: &str) -> String {
        self.client.add(node, name).await.0
    }

    async fn exists(&self, pkid: &str) -> bool {
        let shown = self.client.get(format!("/organizations/{pkid}")).await;
        shown.status == StatusCode::OK
    }
}

async fn send(client: &Client, path: &str, pkids: &[&str], is_confirmed: bool) -> Response {
    let mut fields = vec![("back", "/organizations?state=connected")];
    fields.extend(pkids.iter().map(|pkid| ("pkid", *pkid)));
    if is_confirmed {
        fields.push(("confirmed", "yes"));
    }
    post(client, path, &fields).await
}

#[track_caller]
fn contains_all(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmation_deletes_selected_organizations() {
    let test = Selection::start().await;
    let contoso = test.add("sys.A", "Contoso").await;
    let fabrikam = test.add("sys.A", "Fabrikam").await;
    let adatum = test.add("sys.A", "Adatum").await;
    let list = test.client.get("/organizations").await.text;
    for pkid in [&contoso, &fabrikam, &adatum] {
        contains_all(&list, &[&format!("name=\"pkid\" value=\"{pkid}\"")]);
    }
    let selected = [contoso.as_str(), &fabrikam];
    let tried = send(&test.client, DELETE, &selected, false).await;
    assert_eq!(tried.status, StatusCode::OK, "{tried:?}");
    let parts = [
        "Delete the selected organizations?",
        "Contoso",
        "Fabrikam",
        "state=connected",
    ];
    contains_all(&tried.text, &parts);
    assert!(!tried.text.contains("Adatum"), "{}", tried.text);
    test.world.run_for(Duration::from_secs(1)).await;
    assert!(test.exists(&contoso).await, "a dry run deletes nothing");

    let deleted = send(&test.client, DELETE, &selected, true).await;
    let transaction = location(&deleted);
    contains_all(&test.client.get(&transaction).await.text, &["Queued"]);
    test.world.run_for(Duration::from_secs(1)).await;
    let shown = test.client.get(&transaction).await.text;
    contains_all(&shown, &["bulk delete", "Success", "Contoso", "Fabrikam"]);
    assert!(!test.exists(&contoso).await && !test.exists(&fabrikam).await);
    assert!(test.exists(&adatum).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_connected_organizations_are_refreshed() {
    let test = Selection::start().await;
    let contoso = test.world.add_customer("Contoso").await;
    let adatum = test.world.add_customer("Adatum").await;
    let fabrikam = test.add("sys.A", "Fabrikam").await;
    let requests = test.world.token_requests();
    let all = [contoso.pkid.as_str(), adatum.pkid.as_str()];
    let queued = location(&send(&test.client, REFRESH, &all, false).await);
    test.world.run_for(Duration::from_secs(1)).await;
    assert_eq!(test.world.token_requests(), requests + 2);
    contains_all(
        &test.client.get(&queued).await.text,
        &["Success", "Contoso", "Adatum"],
    );

    let unknown = "0123456789abcdef01234567";
    let some = [contoso.pkid.as_str(), fabrikam.as_str(), unknown];
    let partial = send(&test.client, REFRESH, &some, false).await;
    assert_eq!(partial.status, StatusCode::OK, "{partial:?}");
    let parts = [
        "whose work has begun: 1.",
        "Fabrikam",
        "is not connected",
        unknown,
    ];
    contains_all(&partial.text, &parts);
    assert!(!partial.text.contains("Contoso"), "{}", partial.text);
    contains_all(&partial.text, &["href=\"/organizations?state=connected\""]);

    for nothing in [&[][..], &[fabrikam.as_str()][..]] {
        for path in [REFRESH, DELETE] {
            if path == DELETE && !nothing.is_empty() {
                continue;
            }
            let refused = send(&test.client, path, nothing, false).await;
            assert_eq!(
                refused.status,
                StatusCode::UNPROCESSABLE_ENTITY,
                "{refused:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_of_one_organization_is_shown_beside_it() {
    let test = Selection::start().await;
    let contoso = test.add("sys.A", "Contoso").await;
    let fabrikam = test.add("sys.A", "Fabrikam").await;
    let customer = test.world.add_customer("Adatum").await;
    assert!(test.world.emulator.revoke(&customer.organization));
    let queued = [customer.pkid.as_str()];
    let queued = location(&send(&test.client, REFRESH, &queued, false).await);
    test.world.run_for(Duration::from_secs(1)).await;
    contains_all(&test.client.get(&queued).await.text, &["Failed", "Adatum"]);
    // A record that is deleted meanwhile is a success of its deletion.
    let deleted = send(&test.client, DELETE, &[&contoso, &fabrikam], true).await;
    send(&test.client, DELETE, &[&contoso], true).await;
    test.world.run_for(Duration::from_secs(1)).await;
    contains_all(
        &test.client.get(location(&deleted)).await.text,
        &["Success"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_permitted_organizations_can_be_selected() {
    let test = Selection::start().await;
    let own = test.add("sys.A", "Contoso").await;
    let foreign = test.add("sys.B", "Fabrikam").await;
    let selected = [own.as_str(), foreign.as_str()];
    let reader = test.anonymous.with(principal("auditor", "sys.A"));
    assert!(
        !reader
            .get("/organizations")
            .await
            .text
            .contains("name=\"pkid\"")
    );
    let operator = test.anonymous.with(principal("operator", "sys.A"));
    let list = operator.get("/organizations").await.text;
    assert!(
        list.contains("name=\"pkid\"") && !list.contains(DELETE),
        "{list}"
    );
    for (client, path) in [(&reader, REFRESH), (&reader, DELETE), (&operator, DELETE)] {
        let refused = send(client, path, &selected, true).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
    }

    let tenant = test
        .anonymous
        .with(principal("reseller-administrator", "sys.A"));
    let tried = send(&tenant, DELETE, &selected, false).await;
    contains_all(&tried.text, &["Contoso", "It does not exist"]);
    assert!(!tried.text.contains("Fabrikam") && !tried.text.contains("sys.B"));
    let partial = send(&tenant, DELETE, &selected, true).await;
    contains_all(&partial.text, &[&foreign, "It does not exist"]);
    assert!(!partial.text.contains("Fabrikam"));
    test.world.run_for(Duration::from_secs(1)).await;
    assert!(!test.exists(&own).await && test.exists(&foreign).await);

    // A reader who may not delete an organization sees its name with the reason.
    let mut mixed = principal("reseller-administrator", "sys.A");
    mixed.grants.extend(principal("auditor", "sys.B").grants);
    let own = test.add("sys.A", "Adatum").await;
    let mixed = test.anonymous.with(mixed);
    let partial = send(&mixed, DELETE, &[&own, &foreign], true).await;
    contains_all(&partial.text, &["Fabrikam", "do not permit"]);

    // The parts of a bulk are shown only to those who may see their nodes.
    let third = test.add("sys.A", "Globex").await;
    let both = [third.as_str(), foreign.as_str()];
    let mut wide = principal("provider-administrator", "sys.A");
    wide.grants
        .extend(principal("provider-administrator", "sys.B").grants);
    let wide = test.anonymous.with(wide);
    let transaction = location(&send(&wide, DELETE, &both, true).await);
    test.world.run_for(Duration::from_secs(1)).await;
    contains_all(&wide.get(&transaction).await.text, &["Globex", "Fabrikam"]);
    let shown = reader.get(&transaction).await.text;
    assert!(
        shown.contains("Globex") && !shown.contains("Fabrikam"),
        "{shown}"
    );
    let id = transaction.rsplit('/').next().unwrap();
    let api = reader.get(format!("/api/tool/Transaction/{id}/")).await;
    let parts = api.expect(200)["sub_transactions"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(parts, 1);
    assert!(!api.text.contains("Fabrikam"), "{api:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn selection_has_at_most_one_page() {
    let test = Selection::start().await;
    let pkids: Vec<String> = (0..51).map(|number| format!("{number:024x}")).collect();
    let pkids: Vec<&str> = pkids.iter().map(String::as_str).collect();
    for path in [REFRESH, DELETE] {
        let refused = send(&test.client, path, &pkids, false).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        contains_all(&refused.text, &["at most 50 organizations"]);
    }
}
