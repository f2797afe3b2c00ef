//! Whether stdout was closed when the program was started (`>&-`).
//!
//! The runtime of Rust opens `/dev/null` in the place of a closed output before `main`, and every write
//! then succeeds. So it is looked at earlier, by a function that the loader calls.

#[cfg(target_os = "linux")]
mod linux {
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    static CLOSED: AtomicBool = AtomicBool::new(false);

    /// Runs before the runtime of Rust: it looks at two names in `/proc`, and must not do more.
    extern "C" fn look() {
        let is_there = |name: &str| Path::new(name).symlink_metadata().is_ok();
        let closed = is_there("/proc/self/fd") && !is_there("/proc/self/fd/1");
        CLOSED.store(closed, Ordering::Relaxed);
    }

    #[used]
    #[unsafe(link_section = ".init_array")]
    static LOOK: extern "C" fn() = look;

    pub fn stdout_was_closed() -> bool {
        CLOSED.load(Ordering::Relaxed)
    }
}

#[cfg(target_os = "linux")]
pub use linux::stdout_was_closed;

/// Not known here: what is written to a closed stdout is lost without a word.
#[cfg(not(target_os = "linux"))]
pub fn stdout_was_closed() -> bool {
    false
}
