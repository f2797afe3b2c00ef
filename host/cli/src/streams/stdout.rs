//! Results on stdout: written and flushed, or a failure.

use std::io::{self, Write};

use crate::failure::{Failed, Kind};

/// Writes `text` and the end of its line, if it has none.
///
/// # Errors
/// [`Kind::BrokenPipe`] if the reader has gone, [`Kind::Failed`] for any other reason.
pub fn write(text: &str) -> Result<(), Failed> {
    let end = match text.is_empty() || text.ends_with('\n') {
        true => "",
        false => "\n",
    };
    write_to(io::stdout().lock(), &[text, end])
}

/// Writes coloured text as it is; without its colours where stdout is no terminal.
///
/// # Errors
/// As [`write()`].
#[cfg(feature = "scenarios")]
pub fn write_coloured(text: &str) -> Result<(), Failed> {
    write_to(anstream::stdout().lock(), &[text])
}

fn write_to(mut stdout: impl Write, texts: &[&str]) -> Result<(), Failed> {
    let mut each = texts.iter();
    each.try_for_each(|text| stdout.write_all(text.as_bytes()))
        .and_then(|()| stdout.flush())
        .map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failed::new(Kind::BrokenPipe, "nobody reads stdout"),
            _ => Failed::new(Kind::Failed, format!("cannot write to stdout: {error}"))
                .hint("what the command did stays done; only its result was not shown"),
        })
}
