//! Announces steps on stderr with their duration, and runs the programs that they consist of.

use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Runs `work`; prints its purpose before and its duration after it.
pub fn step<T>(name: &str, purpose: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {name}: {purpose}");
    let started = Instant::now();
    let result = work();
    let verb = if result.is_ok() {
        "took"
    } else {
        "failed after"
    };
    eprintln!("    {name}: {verb} {}", format_seconds(started.elapsed()));
    result
}

/// Prints a remark about the running step.
pub fn note(text: &str) {
    eprintln!("    {text}");
}

/// Runs a program with inherited output. A status other than success is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` ended with {status}", format_command(command));
    }
    Ok(())
}

/// Runs a program with inherited output and returns its exit code.
pub fn run_for_code(command: &mut Command) -> Result<ExitCode> {
    let status = status(command)?;
    // A program that a signal ended has no code. Supported platforms have no codes above 255.
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1);
    if !status.success() {
        note(&format!(
            "`{}` ended with {status}",
            format_command(command)
        ));
    }
    Ok(ExitCode::from(code))
}

/// Runs a program and returns its stdout. The error for a program that fails has the last lines of the program's
/// stderr.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting `{}`", format_command(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` ended with {}: {}",
            format_command(command),
            output.status,
            last_lines(&stderr)
        );
    }
    String::from_utf8(output.stdout).with_context(|| {
        format!(
            "`{}` wrote something other than UTF-8",
            format_command(command)
        )
    })
}

fn status(command: &mut Command) -> Result<ExitStatus> {
    note(&format!("$ {}", format_command(command)));
    command
        .status()
        .with_context(|| format!("starting `{}`", format_command(command)))
}

/// Formats the command as a person would type it, without the program's directory.
pub fn format_command(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let mut text = name.to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}

/// Returns the last lines of stderr, which usually have the reason for a failure.
fn last_lines(text: &str) -> String {
    const KEPT: usize = 6;
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let skipped = lines.len().saturating_sub(KEPT);
    lines
        .into_iter()
        .skip(skipped)
        .map(str::trim)
        .collect::<Vec<_>>()
        .join("; ")
}

fn format_seconds(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds >= 60 {
        format!("{} min {} s", seconds / 60, seconds % 60)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_formatted_for_people() {
        assert_eq!(format_seconds(Duration::from_millis(1240)), "1.2 s");
        assert_eq!(format_seconds(Duration::from_secs(59)), "59.0 s");
        assert_eq!(format_seconds(Duration::from_secs(125)), "2 min 5 s");
    }

    #[test]
    fn command_is_shown_without_its_programs_folder() {
        let mut command = Command::new("/somewhere/bin/cargo");
        command.args(["build", "--release"]);
        assert_eq!(format_command(&command), "cargo build --release");
    }

    #[test]
    fn error_of_a_program_has_the_end_of_stderr() {
        let text = "one\ntwo\n\nthree\nfour\nfive\nsix\n  seven\n";
        assert_eq!(last_lines(text), "two; three; four; five; six; seven");
        assert_eq!(last_lines(""), "");
    }
}
