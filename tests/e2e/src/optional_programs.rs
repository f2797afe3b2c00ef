//! Third-party programs that some tests drive. Where one is not installed, the test reports that.

use std::io::Write as _;
use std::path::PathBuf;

/// Finds a program on the search path, or where Debian puts daemons.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// Reports that a test is skipped, and why. With the environment variable `required` set it fails
/// instead.
#[track_caller]
pub fn report_skipped(advice: &str, required: &str) {
    assert!(
        std::env::var_os(required).is_none(),
        "{advice}, and {required} is set"
    );
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    // Past the capture of the test's output: nobody should take this for a pass.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {name}: {advice}");
}
