//! The static files of the page, with a hash of their content in the name.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

use crate::WebError;

/// A static file.
struct Asset {
    stem: &'static str,
    extension: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

const ASSETS: [Asset; 3] = [
    Asset {
        stem: "page",
        extension: "css",
        content_type: "text/css; charset=utf-8",
        bytes: include_bytes!("../../assets/page.css"),
    },
    Asset {
        stem: "page",
        extension: "js",
        content_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../assets/page.js"),
    },
    Asset {
        stem: "icon",
        extension: "svg",
        content_type: "image/svg+xml",
        bytes: include_bytes!("../../assets/icon.svg"),
    },
];

/// The names with hashes, in the order of [`ASSETS`].
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let names = ASSETS.iter().map(|asset| {
        let hash = Sha256::digest(asset.bytes);
        let hash: String = hash
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{}-{hash}.{}", asset.stem, asset.extension)
    });
    names.collect()
});

/// Returns the path of a file such as `page.css`.
pub(crate) fn path(name: &str) -> String {
    let mut all = ASSETS.iter().zip(NAMES.iter());
    let found = all.find(|(asset, _)| {
        name.strip_prefix(asset.stem)
            .and_then(|rest| rest.strip_prefix('.'))
            == Some(asset.extension)
    });
    found.map_or_else(String::new, |(_, name)| format!("/assets/{name}"))
}

/// Returns a file. Its name changes with its content, so browsers may keep it.
pub(crate) async fn get(Path(name): Path<String>) -> Result<Response, WebError> {
    let mut all = ASSETS.iter().zip(NAMES.iter());
    let (asset, _) = all
        .find(|(_, each)| **each == name)
        .ok_or_else(WebError::not_found)?;
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, asset.bytes).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_path_with_its_hash() {
        for asset in &ASSETS {
            let path = path(&format!("{}.{}", asset.stem, asset.extension));
            assert!(path.starts_with("/assets/") && path.len() > 20, "{path}");
        }
    }

    #[test]
    fn files_have_nothing_that_the_policy_forbids() {
        let script = include_str!("../../assets/page.js");
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "eval(",
            "document.write",
            ".style.",
        ] {
            assert!(!script.contains(forbidden), "{forbidden}");
        }
    }
}
