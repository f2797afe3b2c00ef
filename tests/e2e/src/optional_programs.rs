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

/// Reports that a test is skipped, with the reason.
///
/// # Panics
/// If the environment variable `required_variable` is set.
#[track_caller]
pub fn report_skipped(advice: &str, required_variable: &str) {
    assert!(
        std::env::var_os(required_variable).is_none(),
        "{advice}, and {required_variable} is set"
    );
    report_left_out(advice);
}

/// Reports that a test is skipped on purpose, with the reason.
pub fn report_left_out(advice: &str) {
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    let line = format!("SKIPPED: {name}: {advice}\n");
    // Writes to stderr directly: the captured output of a test that passes is hidden.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
