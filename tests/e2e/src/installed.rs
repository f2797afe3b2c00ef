//! Programs of other makers that some tests drive: found where they are installed, and where not the
//! test says so.

use std::io::Write as _;
use std::path::PathBuf;

/// The program of this name on the search path, or where Debian puts daemons.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// Says that a test cannot do its work, and why. With the variable `required` set it fails instead.
#[track_caller]
pub fn skipped(advice: &str, required: &str) {
    assert!(
        std::env::var_os(required).is_none(),
        "{advice}, and {required} is set"
    );
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    // Past the capture of the test's output: nobody should take this for a pass.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {name}: {advice}");
}
