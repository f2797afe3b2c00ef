//! Pages of the documentation that are generated from results.

use std::path::Path;

/// Compares a page of `docs/`, or writes it if `INSTA_UPDATE` is `always`.
#[track_caller]
pub fn compare(name: &str, page: &str) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let file = docs.join(name);
    if std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
        std::fs::write(&file, page).unwrap();
        return;
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page,
        "docs/{name} is not what was found: run again with INSTA_UPDATE=always and look at the difference"
    );
}
