use relation_host::types::Document;

use super::*;
use crate::access::remove_expired;
use crate::access::testing::{World, node};

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
