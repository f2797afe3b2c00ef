//! axe-core, which finds obstacles in pages for people with disabilities. It is installed from npm for tests only, and
//! is part of no program.

use crate::optional_programs::report_skipped;
use crate::packages::{Package, REQUIRED, Registry};

const PACKAGE: Package = Package {
    registry: Registry::Npm,
    name: "axe-core",
    version: "4.14.1",
    others: &[],
};

/// Returns the script, which is cached in the target directory. Without it, reports that its checks are skipped and
/// returns `None`, or fails the test if `RELATION_REQUIRE_CLIENTS` is set.
pub fn load() -> Option<String> {
    match PACKAGE.install() {
        Ok(folder) => {
            let script = folder.join("node_modules/axe-core/axe.min.js");
            Some(std::fs::read_to_string(script).expect("the package has its script"))
        }
        Err(reason) => {
            report_skipped(&reason, REQUIRED);
            None
        }
    }
}
