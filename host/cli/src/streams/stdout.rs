//! Results on stdout: written and flushed, or an error.

use std::io::{self, Write};

use relation_app::{AppError, ErrorKind};

/// Writes `text`, and a line break if it has none.
///
/// # Errors
/// [`ErrorKind::BrokenPipe`] if the reader has closed the pipe, [`ErrorKind::Failed`] for any other reason.
pub fn write(text: &str) -> Result<(), AppError> {
    let end = match text.is_empty() || text.ends_with('\n') {
        true => "",
        false => "\n",
    };
    write_to(io::stdout().lock(), &[text, end])
}

/// Writes colored text. Colors are removed if stdout is not a terminal.
///
/// # Errors
/// Like [`write()`].
#[cfg(feature = "scenarios")]
pub fn write_colored(text: &str) -> Result<(), AppError> {
    write_to(anstream::stdout().lock(), &[text])
}

fn write_to(mut stdout: impl Write, texts: &[&str]) -> Result<(), AppError> {
    let mut each = texts.iter();
    each.try_for_each(|text| stdout.write_all(text.as_bytes()))
        .and_then(|()| stdout.flush())
        .map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => {
                AppError::new(ErrorKind::BrokenPipe, "stdout has no reader")
            }
            _ => AppError::new(
                ErrorKind::Failed,
                format!("cannot write to stdout: {error}"),
            )
            .hint("what the command did stays done; only its result was not shown"),
        })
}
