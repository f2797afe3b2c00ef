//! The isolation matrix of the page: every route, every role, every place, as HTML and as a stream. A route without a
//! row does not compile. The response for an object that the caller may not see equals the response for an object that
//! does not exist.

pub mod tenant;

use axum::http::{Method, header};
use relation_e2e::world::WorldBuilder;
use relation_web::PageRoute;
use relation_web::access::{Operation, ROLES};

use self::tenant::{SNMP, Tenant, WEBHOOK};
use crate::places::{Members, OWN, Objects, PLACES, Place, objects};
use crate::support::{Client, Response, location, post, principal};

/// A request for something at a place.
struct Row {
    path: String,
    form: Vec<(&'static str, String)>,
    /// The status for a principal who may make the request; `None`: any.
    inside: Option<u16>,
    /// The status for an object outside of the principal's nodes.
    outside: u16,
    /// The operation of an action, besides that of its route.
    action: Option<Operation>,
}

fn row(path: impl Into<String>, inside: u16) -> Row {
    Row {
        path: path.into(),
        form: Vec::new(),
        inside: Some(inside),
        outside: 404,
        action: None,
    }
}

impl Row {
    fn form(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.form.push((name, value.into()));
        self
    }

    fn outside(mut self, status: u16) -> Self {
        self.outside = status;
        self
    }

    fn action(mut self, operation: Operation) -> Self {
        self.action = Some(operation);
        self
    }

    /// Expects the same response for all places.
    fn everywhere(self) -> Self {
        let status = self.inside.unwrap();
        self.outside(status)
    }

    async fn send(&self, client: &Client, route: PageRoute) -> Response {
        let form = self.form.iter();
        let form: Vec<(&str, &str)> = form.map(|(name, value)| (*name, value.as_str())).collect();
        match route.method() {
            Method::GET => client.get(&self.path).await,
            _ => post(client, &self.path, &form).await,
        }
    }

    fn expected(&self, route: PageRoute, permits: &[Operation], place: Place) -> Option<u16> {
        let may =
            |operation: Option<Operation>| operation.is_none_or(|each| permits.contains(&each));
        match (may(route.operation()), place.is_visible(), may(self.action)) {
            (false, _, _) | (true, true, false) => Some(403),
            (true, true, true) => self.inside,
            (true, false, _) => Some(self.outside),
        }
    }
}

/// Returns the requests of a route for a place. `own` is at the node of the principal, `name` a name that is not taken.
fn rows(route: PageRoute, tenant: &Tenant, own: &Tenant, name: &str) -> Vec<Row> {
    let node = tenant.place.node();
    let Objects {
        pkid, transaction, ..
    } = &tenant.objects;
    let Members {
        user, key, role, ..
    } = &tenant.members;
    let record = format!("/organizations/{pkid}");
    let own_record = format!("/organizations/{}", own.objects.pkid);
    let transaction_path = format!("/transactions/{transaction}");
    let grant = |row: Row, role: &str| {
        row.form("grants[0].role", role)
            .form("grants[0].node", node)
    };
    let of_node = |path: &str| {
        vec![
            row(path, 200).everywhere(),
            row(format!("{path}?hierarchy={node}"), 200),
        ]
    };
    let at_node = |path: &str| format!("{path}?hierarchy={node}");
    let of_recipient = |suffix: &str, id: &str| {
        at_node(&format!("/notices/recipient{suffix}")) + &format!("&id={id}")
    };
    let confirmed = |row: Row| Row {
        inside: None,
        ..row.form("confirmed", "yes")
    };
    let delivery = format!("/deliveries/{}", tenant.delivery);
    let user_path = format!("/users/{user}");
    let role_path = format!("/roles/{role}");
    // A user or a key at the principal's node, with a built-in role or the custom role of a place at that place.
    let members = |path: &str| {
        let member = |suffix: &str, node: &str| {
            row(path, 200)
                .outside(422)
                .form("name", format!("{name}-{suffix}"))
                .form("hierarchy", node)
        };
        let mut with_role = grant(member("role", OWN), role);
        with_role.inside = None;
        vec![
            grant(member("node", node), "operator"),
            grant(member("grant", OWN), "operator"),
            with_role,
        ]
    };
    match route {
        PageRoute::ShowNeeds => of_node("/"),
        PageRoute::ListOrganizations => {
            let mut rows = of_node("/organizations");
            rows.push(row("/organizations?q=Contoso", 200).everywhere());
            rows.push(row(format!("/organizations?q={pkid}"), 303).outside(200));
            rows
        }
        PageRoute::ShowNewOrganization => vec![row(route.path(), 200).everywhere()],
        PageRoute::AddOrganization => {
            let add = row(route.path(), 303).outside(422);
            vec![add.form("hierarchy", node).form("name", name)]
        }
        // The organizations are not connected.
        PageRoute::RefreshOrganizations => {
            vec![row(route.path(), 422).everywhere().form("pkid", pkid)]
        }
        PageRoute::DeleteOrganizations => {
            vec![row(route.path(), 200).outside(422).form("pkid", pkid)]
        }
        PageRoute::ShowOrganization => vec![
            row(record, 200),
            row(format!("{own_record}?done={transaction}"), 200).everywhere(),
        ],
        PageRoute::ShowEdit => vec![row(format!("{record}/edit"), 200)],
        PageRoute::ModifyOrganization => {
            vec![row(format!("{record}/edit"), 303).form("name", "Contoso")]
        }
        PageRoute::DeleteOrganization => vec![row(format!("{record}/delete"), 200)],
        PageRoute::ShowConnect => vec![row(format!("{record}/connect"), 200)],
        PageRoute::BeginConnect => vec![row(format!("{record}/connect"), 303)],
        PageRoute::ShowAction => {
            vec![row(format!("{record}/actions/SaveDataSync"), 200).action(Operation::Sync)]
        }
        PageRoute::RunAction => {
            let check = row(format!("{record}/actions/CheckTokenExpiry"), 303);
            vec![check.action(Operation::Refresh)]
        }
        PageRoute::ListData => vec![row(format!("{record}/data?model=device/spark/User"), 200)],
        PageRoute::CreateConsentLink => vec![row(format!("{record}/connect-link"), 200)],
        // Every holder of the link sees the name of the organization.
        PageRoute::ShowConsent => vec![row(&tenant.consent, 200).everywhere()],
        PageRoute::BeginConsent => vec![row(&tenant.consent, 303).everywhere()],
        PageRoute::CompleteConsent => {
            vec![row(format!("/callback?code=x&state={pkid}.x"), 400).everywhere()]
        }
        PageRoute::ListTransactions => {
            let mut rows = of_node("/transactions");
            rows.push(row(format!("/transactions?record={pkid}"), 200));
            rows
        }
        PageRoute::ShowTransaction => vec![row(transaction_path, 200)],
        PageRoute::PollTransaction => vec![row(format!("{transaction_path}/progress"), 200)],
        PageRoute::ShowSupportText => vec![row(format!("{transaction_path}/support"), 200)],
        // The transaction is an add that has ended. It was not queued, so that its request is not stored.
        PageRoute::ReplayTransaction => {
            vec![row(format!("{transaction_path}/replay"), 409).action(Operation::Add)]
        }
        PageRoute::CancelTransaction => {
            vec![row(format!("{transaction_path}/cancel"), 409).action(Operation::Add)]
        }
        PageRoute::StreamEvents => vec![row(format!("/events?transaction={transaction}"), 200)],
        PageRoute::ListAlerts => of_node("/alerts"),
        PageRoute::PreviewNotices => vec![row(format!("{record}/notices"), 200)],
        PageRoute::ShowNotices => of_node("/notices"),
        PageRoute::ShowEditNotices => vec![row(at_node("/notices/edit"), 200)],
        PageRoute::SaveNotices => vec![row(at_node("/notices/edit"), 303)],
        PageRoute::RemoveNotices => vec![row(at_node("/notices/remove"), 200)],
        PageRoute::ShowRecipient => vec![
            row(of_recipient("", WEBHOOK), 200),
            row(at_node("/notices/recipient") + "&type=mail", 200),
        ],
        PageRoute::SaveRecipient => {
            let path = at_node("/notices/recipient") + "&type=mail";
            vec![row(path, 303).form("address", format!("{name}@example.com"))]
        }
        PageRoute::RemoveRecipient => vec![row(of_recipient("/remove", WEBHOOK), 200)],
        // The page shows the result of the test: the operator permits no webhooks.
        PageRoute::TestRecipient => vec![row(of_recipient("/test", WEBHOOK), 200)],
        PageRoute::EnableRecipient => vec![row(of_recipient("/enable", WEBHOOK), 303)],
        // A webhook has a limited number of secrets.
        PageRoute::RotateRecipientSecret => {
            let rotate = || row(of_recipient("/rotate", WEBHOOK), 200);
            vec![rotate(), confirmed(rotate())]
        }
        PageRoute::ShowCredentials => vec![row(of_recipient("/credentials", SNMP), 200)],
        PageRoute::SetCredentials => {
            vec![row(of_recipient("/credentials", SNMP), 303).form("community", "canary")]
        }
        PageRoute::ListDeliveries => {
            let mut rows = of_node("/deliveries");
            rows.push(row(format!("/deliveries?record={pkid}"), 200));
            rows
        }
        PageRoute::ResendDeliveries => vec![
            row(at_node("/deliveries/resend"), 200),
            row(format!("/deliveries/resend?record={pkid}"), 200),
            confirmed(row(at_node("/deliveries/resend"), 200)).form("since", "30d"),
        ],
        PageRoute::ShowDelivery => vec![row(&delivery, 200)],
        // The status depends on whether an earlier principal has sent the delivery again.
        PageRoute::ResendDelivery => vec![Row {
            inside: None,
            ..row(format!("{delivery}/resend"), 303)
        }],
        PageRoute::ShowLogIn => vec![row(format!("/login?next={record}"), 303).everywhere()],
        // A log-in concerns the caller alone. The tests of sessions compare known and unknown user names.
        PageRoute::LogIn => Vec::new(),
        // There is no provider.
        PageRoute::BeginOidcLogIn | PageRoute::CompleteOidcLogIn => {
            vec![row(route.path(), 404)]
        }
        PageRoute::LogOut => vec![row(route.path(), 303).everywhere()],
        // The principal of this test has no session.
        PageRoute::KeepSession => vec![row(route.path(), 303).everywhere()],
        PageRoute::ShowSetUp => vec![row(&tenant.set_up, 200).everywhere()],
        PageRoute::SetUp => vec![row(&tenant.set_up, 422).everywhere()],
        PageRoute::ListUsers => of_node("/users"),
        PageRoute::ShowNewUser => vec![row(route.path(), 200).everywhere()],
        PageRoute::AddUser => members(route.path()),
        PageRoute::ShowUser => vec![row(user_path, 200)],
        PageRoute::SetUserRoles => {
            let own_grants = format!("/users/{}/grants", own.members.user);
            let with_role = Row {
                inside: None,
                ..row(&own_grants, 303).outside(422)
            };
            vec![
                grant(row(format!("{user_path}/grants"), 303), "operator"),
                grant(row(&own_grants, 303).outside(422), "operator"),
                grant(with_role, role),
            ]
        }
        PageRoute::CreateSetUpLink => vec![row(format!("{user_path}/link"), 200)],
        PageRoute::DisableUser => vec![row(format!("{user_path}/disable"), 303)],
        PageRoute::EnableUser => vec![row(format!("{user_path}/enable"), 303)],
        PageRoute::ListRoles => of_node("/roles"),
        PageRoute::ShowNewRole => vec![row(route.path(), 200).everywhere()],
        PageRoute::AddRole => {
            let add = row(route.path(), 303).outside(422).form("name", name);
            vec![add.form("hierarchy", node).form("operations", "read")]
        }
        PageRoute::ShowRole => vec![row(&role_path, 200)],
        PageRoute::SetRoleOperations => {
            vec![row(format!("{role_path}/operations"), 303).form("operations", "read")]
        }
        // The status depends on whether an earlier principal has deleted the role.
        PageRoute::DeleteRole => vec![Row {
            inside: None,
            ..row(format!("{role_path}/delete"), 303).form("confirmed", "yes")
        }],
        PageRoute::ListApiKeys => of_node("/keys"),
        PageRoute::ShowNewApiKey => vec![row(route.path(), 200).everywhere()],
        PageRoute::AddApiKey => members(route.path()),
        PageRoute::RotateApiKey => {
            let rotate = || row(format!("/keys/{key}/rotate"), 200).form("overlap", "0");
            vec![rotate(), rotate().form("confirmed", "yes")]
        }
        PageRoute::RevokeApiKey => {
            let revoke = |status| row(format!("/keys/{key}/revoke"), status);
            vec![revoke(200), revoke(303).form("confirmed", "yes")]
        }
        PageRoute::ListAuditEvents => of_node("/audit"),
        PageRoute::ChooseLanguage => {
            vec![row(format!("/language/de?next={record}"), 303).everywhere()]
        }
        // There is no demo.
        PageRoute::AdvanceTime | PageRoute::LogInToDemo => vec![row(route.path(), 404)],
    }
}

/// Returns whether the link itself is the permission, so that everybody who has it may use the route.
fn is_for_holders(route: PageRoute) -> bool {
    matches!(
        route,
        PageRoute::ShowConsent | PageRoute::BeginConsent | PageRoute::ShowSetUp | PageRoute::SetUp
    )
}

/// Returns what a response shows, without the lengths that follow from the request.
fn show(response: &Response) -> String {
    let mut headers = response.headers.clone();
    headers.remove(header::CONTENT_LENGTH);
    format!("{} {headers:?} {}", response.status, response.text)
}

/// Returns where two texts begin to differ.
fn find_difference(one: &str, other: &str) -> Option<String> {
    let same = one.bytes().zip(other.bytes());
    let position = same.take_while(|(one, other)| one == other).count();
    let excerpt = |text: &str| {
        let end = (position + 60).min(text.len());
        String::from_utf8_lossy(&text.as_bytes()[position.saturating_sub(40)..end]).into_owned()
    };
    (one != other).then(|| format!("{:?} instead of {:?}", excerpt(one), excerpt(other)))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_keeps_tenants_apart() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let root = anonymous.with(principal("provider-administrator", "sys"));
    let mut tenants = Vec::new();
    for place in PLACES {
        tenants.push(Tenant::create(&world, &root, place).await);
    }
    let own = &tenants[0];
    let unknown = tenants.last().unwrap();
    let (outside, inside): (Vec<&Tenant>, Vec<&Tenant>) =
        tenants.iter().partition(|each| !each.place.is_visible());
    let mut wrong = Vec::new();
    for route in PageRoute::ALL.iter().copied() {
        for role in ROLES {
            let client = anonymous.with(principal(role.name, OWN));
            let request = |tenant: &Tenant| {
                let name = format!("{}-{:?}", role.name, tenant.place);
                rows(route, tenant, own, &name)
            };
            for (index, row_of_unknown) in request(unknown).into_iter().enumerate() {
                let never = row_of_unknown.send(&client, route).await;
                let never = unknown.mask(&show(&never));
                // Requests for objects inside come last, since they change the content of forms.
                for tenant in outside.iter().chain(&inside) {
                    let row = request(tenant).swap_remove(index);
                    let response = row.send(&client, route).await;
                    let (place, status) = (tenant.place, response.status.as_u16());
                    let mut report = |what: String| {
                        let path = &row.path;
                        wrong.push(format!(
                            "{route:?} {path} by {} at {place:?}: {what}",
                            role.name
                        ));
                    };
                    if is_for_holders(route) {
                        let expected = match place {
                            Place::Unknown => Some(404),
                            _ => row.inside,
                        };
                        if Some(status) != expected {
                            report(format!("{status} instead of {expected:?}"));
                        }
                        continue;
                    }
                    let expected = row.expected(route, role.operations, place);
                    if expected.is_some_and(|expected| expected != status) {
                        report(format!("{status} instead of {expected:?}"));
                    }
                    let masked = tenant.mask(&show(&response));
                    let leak = outside.iter().find_map(|each| each.find_leak(&masked));
                    if let Some(leak) = leak {
                        report(format!("shows {leak}"));
                    }
                    if !place.is_visible()
                        && let Some(difference) = find_difference(&masked, &never)
                    {
                        report(difference);
                    }
                }
            }
        }
        for tenant in &tenants {
            for row in rows(route, tenant, own, "nobody") {
                let response = row.send(&anonymous, route).await;
                let label = format!("{route:?} {} without a session", row.path);
                if route.operation().is_some() && !location(&response).starts_with("/login") {
                    wrong.push(format!("{label}: leads elsewhere"));
                }
                let masked = own.mask(&tenant.mask(&show(&response)));
                let leak = tenants.iter().find_map(|each| each.find_leak(&masked));
                // A link leads to Webex with the state of its record.
                if let Some(leak) = leak.filter(|_| route != PageRoute::BeginConsent) {
                    wrong.push(format!("{label}: shows {leak}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn data_sync_of_others_is_unknown_to_an_action() {
    let world = WorldBuilder::default().start().await;
    let anonymous = Client::anonymous(&world).await;
    let root = anonymous.with(principal("provider-administrator", "sys"));
    let own = objects(&root, Place::Own).await;
    let client = anonymous.with(principal("reseller-administrator", OWN));
    let path = format!("/organizations/{}/actions/UnscheduleDataSync", own.pkid);
    let mut shown = Vec::new();
    for place in [Place::Unknown, Place::Sibling, Place::Parent] {
        let other = objects(&root, place).await;
        let response = post(&client, &path, &[("sync", &other.data_sync)]).await;
        assert_eq!(response.status, 422, "{response:?}");
        shown.push(show(&response).replace(&other.data_sync, "ID"));
    }
    for other in &shown[1..] {
        assert_eq!(find_difference(other, &shown[0]), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_addresses_are_pages_too() {
    let world = WorldBuilder::default().start().await;
    let client = Client::anonymous(&world).await;
    let client = client.with(principal("provider-administrator", "sys"));
    for (path, status) in [
        ("/organizations/%FF", 404),
        ("/transactions/%FF/progress", 404),
        ("/organizations/x/delete", 405),
        ("/organizations?cursor=%FF", 400),
        ("/events?from=-1", 404),
    ] {
        let response = client.get(path).await;
        assert_eq!(response.status, status, "{path}: {response:?}");
        let is_page = response.text.contains("<h1>");
        assert!(is_page, "{path}: {response:?}");
    }
}
