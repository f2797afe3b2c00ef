//! A fixture's component: built already, or encoded from WebAssembly text.

use std::path::{Path, PathBuf};

use relation_e2e::artifacts;
use tempfile::TempDir;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Returns the file of a fixture's component, and its directory if that is removed when dropped.
pub fn component(fixture: &str) -> (PathBuf, Option<TempDir>) {
    let file = artifacts::fixture(fixture);
    if file.extension().is_none_or(|extension| extension != "wat") {
        return (file, None);
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("component.wasm");
    std::fs::write(&path, encoded(&file)).unwrap();
    (path, Some(folder))
}

/// Encodes a module as a component of our world.
fn encoded(text: &Path) -> Vec<u8> {
    let mut module = wat::parse_file(text).expect("it is WebAssembly");
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/spark-customer");
    let (package, _) = resolve.push_dir(wit).expect("the contract can be read");
    let world = resolve
        .select_world(&[package], Some("spark-customer"))
        .expect("it has the world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let mut encoder = ComponentEncoder::default();
    let encoder = encoder.module(&module).expect("it has the world's exports");
    encoder.encode().expect("it is a component")
}
