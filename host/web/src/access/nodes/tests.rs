use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use relation_host::store::layer::{Layered, StoreLayer};
use relation_host::store::sqlite::SqliteStore;
use relation_host::store::{Commit, Store};
use relation_host::types::{Document, FieldError};

use super::*;
use crate::access::api_keys::{self, NewApiKey};
use crate::access::roles::{self, NewRole};
use crate::access::testing::{World, address, allow_to, create_options, grant, node};
use crate::access::users::{self, NewUser};
use crate::access::{Authority, remove_expired};

async fn put_record(world: &World, at: &str) {
    let document = Document {
        reference: Reference::record(Pkid::random()),
        hierarchy: node(at),
        version: 0,
        body: "{}".to_owned(),
        keys: Vec::new(),
    };
    let changes = vec![Change::Put(document)];
    documents::commit(&world.parts, Vec::new(), changes)
        .await
        .unwrap();
}

async fn stored(world: &World) -> Vec<String> {
    let everywhere = documents::filter::<NodeBody>(&None, Vec::new());
    let nodes = documents::list_all::<NodeBody>(world.parts.store(), &everywhere).await;
    let nodes = nodes.unwrap().into_iter();
    let mut nodes: Vec<String> = nodes.map(|entry| entry.node.to_string()).collect();
    nodes.sort_unstable();
    nodes
}

#[tokio::test]
async fn nodes_of_an_earlier_release_are_stored_once() {
    let world = World::new();
    for number in 0..450 {
        put_record(&world, &format!("sys.P.C{number}")).await;
    }
    remove_expired(&world.parts).await.unwrap();
    assert_eq!(stored(&world).await.len(), 452);
    put_record(&world, "sys.Q").await;
    assert_eq!(index(&world.parts).await.unwrap(), 0);
    // A response that shows the record stores its node.
    let shown = [node("sys.Q"), node("sys.P.C1")];
    ensure(&world.parts, &shown).await.unwrap();
    assert_eq!(stored(&world).await.len(), 453);
    let pkid = NodeName::Pkid(node_pkid(&node("sys.Q")));
    assert_eq!(resolve(&world.parts, pkid).await.unwrap(), node("sys.Q"));
}

const URL: &str = "http://127.0.0.1:8400/";

fn create_store() -> Arc<dyn Store> {
    Arc::new(SqliteStore::in_memory().unwrap())
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A store that does other work between the last read and the commit of a change of one model.
struct WorkBeforeCommit {
    model: &'static str,
    work: Mutex<Option<Work>>,
}

impl StoreLayer for WorkBeforeCommit {
    async fn commit(&self, inner: &dyn Store, commit: Commit) -> Result<(), StoreError> {
        let is_meant = commit.changes.iter().any(|change| match change {
            Change::Put(document) => document.reference.model == self.model,
            Change::Delete(reference) => reference.model == self.model,
            _ => false,
        });
        let work = is_meant.then(|| self.work.lock().take()).flatten();
        if let Some(work) = work {
            work.await;
        }
        inner.commit(commit).await
    }
}

/// Two processes on one store. The work of the second one happens within the next commit of the first one.
struct Pair {
    store: Arc<dyn Store>,
    second: AccessParts,
}

impl Pair {
    fn new() -> Self {
        let store = create_store();
        let clock = World::new().clock;
        let second = AccessParts::new(Arc::clone(&store), clock, create_options(URL));
        Self { store, second }
    }

    fn first(
        &self,
        model: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> AccessParts {
        let layer = WorkBeforeCommit {
            model,
            work: Mutex::new(Some(Box::pin(work))),
        };
        let store = Layered::new(Arc::clone(&self.store), layer);
        AccessParts::new(Arc::new(store), World::new().clock, create_options(URL))
    }

    async fn delete(parts: AccessParts, at: Hierarchy) -> Result<(), WebError> {
        let allowed = allow_to(&[grant("provider-administrator", "sys")]);
        delete(&parts, &allowed, address(), &node_pkid(&at)).await
    }
}

#[tokio::test]
async fn node_deleted_during_an_add_exists_afterwards() {
    let at = node("sys.P.C");
    for model in ["host/User", "host/ApiKey", "host/Role"] {
        let pair = Pair::new();
        ensure(&pair.second, [&at]).await.unwrap();
        let deletion = Pair::delete(pair.second.clone(), at.clone());
        let first = pair.first(model, async { deletion.await.unwrap() });
        add_object(&first, model, &at).await.unwrap();
        for node in and_above(&at) {
            assert!(exists(&pair.second, &node).await.unwrap(), "{model} {node}");
        }
        let refused = Pair::delete(pair.second, at.clone()).await.unwrap_err();
        assert_eq!(refused.status, 409, "{model}");
    }
}

#[tokio::test]
async fn node_with_an_object_added_meanwhile_stays() {
    let at = node("sys.P.C");
    for model in ["host/User", "host/ApiKey", "host/Role"] {
        let pair = Pair::new();
        ensure(&pair.second, [&at]).await.unwrap();
        let (second, there) = (pair.second.clone(), at.clone());
        let work = async move { add_object(&second, model, &there).await.unwrap() };
        let first = pair.first(NodeBody::MODEL, work);
        let refused = Pair::delete(first, at.clone()).await.unwrap_err();
        assert_eq!(refused.status, 409, "{model}");
        assert!(exists(&pair.second, &at).await.unwrap());
    }
}

async fn add_object(parts: &AccessParts, model: &str, at: &Hierarchy) -> Result<(), WebError> {
    let (name, hierarchy) = ("ada".to_owned(), at.clone());
    let grants = vec![grant("operator", at.as_str())];
    match model {
        "host/User" => {
            let user = NewUser {
                name,
                hierarchy,
                grants,
                language: None,
            };
            users::add(parts, &Authority::Operator, user)
                .await
                .map(drop)
        }
        "host/ApiKey" => {
            let key = NewApiKey {
                name,
                hierarchy,
                grants,
                expires: None,
            };
            api_keys::add(parts, &Authority::Operator, key)
                .await
                .map(drop)
        }
        _ => {
            let role = NewRole {
                name,
                hierarchy,
                operations: vec![Operation::Read],
            };
            roles::add(parts, &Authority::Operator, role)
                .await
                .map(drop)
        }
    }
}

/// Returns a path as it is, without normalization.
fn raw(path: &str) -> Hierarchy {
    path.to_owned().try_into().unwrap()
}

#[tokio::test]
async fn node_is_found_in_any_spelling() {
    let parts = World::new().parts;
    let old = raw("sys.Zu\u{308}rich");
    ensure(&parts, [&old]).await.unwrap();
    assert_eq!("sys.Zu\u{308}rich".parse(), Ok(raw("sys.Zürich")));
    for (typed, expected) in [
        ("sys.Zürich", "sys.Zu\u{308}rich"),
        ("sys.Zu\u{308}rich", "sys.Zu\u{308}rich"),
        ("sys.Zu\u{308}rich.Köln", "sys.Zu\u{308}rich.Köln"),
        ("sys.Zürich.Ko\u{308}ln", "sys.Zu\u{308}rich.Köln"),
        ("sys.Ko\u{308}ln", "sys.Köln"),
        ("sys.A", "sys.A"),
    ] {
        let name = typed.parse::<NodeName>().unwrap();
        let found = resolve(&parts, name).await.unwrap();
        assert_eq!(found.as_str(), expected, "{typed}");
    }
    let allowed = allow_to(&[grant("provider-administrator", "sys")]);
    for name in ["Zürich", "Zu\u{308}rich"] {
        let twin = add(&parts, &allowed, address(), &node("sys"), name).await;
        assert_eq!(twin.unwrap_err().status, 409, "{name}");
        let wanted = NodeFilter {
            name: Some(name.to_owned()),
            children: false,
        };
        let range = (node("sys"), Scope::Subtree);
        let filter = find_filter(&parts, range, wanted).await.unwrap();
        assert_eq!(parts.store().count(&filter, 9).await.unwrap(), 1, "{name}");
    }
    let added = add(&parts, &allowed, address(), &node("sys"), "Ko\u{308}ln").await;
    assert_eq!(added.unwrap().hierarchy.as_str(), "sys.Köln");
}

#[tokio::test]
async fn new_node_has_single_spaces_only() {
    let world = World::new();
    let parts = &world.parts;
    let old = raw("sys.x  y");
    ensure(parts, [&old]).await.unwrap();
    let allowed = allow_to(&[grant("provider-administrator", "sys")]);
    for name in ["x\u{a0}y", "x\u{2009}y", "x\u{3000}y", "a  b", "a\u{fffc}"] {
        let refused = add(parts, &allowed, address(), &node("sys"), name).await;
        let errors = refused.unwrap_err().error.field_errors;
        assert_eq!(errors[0].field, "name", "{name:?}");
        let at = raw(&format!("sys.{name}"));
        for model in ["host/User", "host/ApiKey", "host/Role"] {
            let refused = add_object(parts, model, &at).await.unwrap_err();
            let errors = refused.error.field_errors;
            assert!(errors.iter().any(|error| error.field == "hierarchy"));
            let is_grant = |error: &FieldError| error.field == "grants[0]";
            assert_eq!(errors.iter().any(is_grant), model != "host/Role");
        }
    }
    // A node from before is used as before.
    add_object(parts, "host/User", &old).await.unwrap();
    add_object(parts, "host/Role", &node("sys.x y.Site"))
        .await
        .unwrap();
    add_object(parts, "host/Role", &raw("sys.x  y.Site"))
        .await
        .unwrap();
}

#[test]
fn pkid_of_a_node_does_not_change() {
    // Callers keep it.
    let pkid = node_pkid(&node("sys.Provider.Customer"));
    assert_eq!(pkid.as_str(), "88126dd492a2b9bc8f9f2389");
    assert_eq!(pkid.to_string().parse(), Ok(NodeName::Pkid(pkid)));
    let path = "sys.Provider".parse();
    assert_eq!(path, Ok(NodeName::Path(node("sys.Provider"))));
}

#[test]
fn nodes_above_are_listed_from_the_nearest() {
    let nodes: Vec<Hierarchy> = and_above(&node("sys.A.B")).collect();
    assert_eq!(nodes, [node("sys.A.B"), node("sys.A"), node("sys")]);
}
