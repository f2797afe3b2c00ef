//! Announces steps on stderr with their duration, and runs the programs that they consist of.

use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Runs `work`, telling before what it is for and after how long it took.
pub fn step<T>(name: &str, purpose: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {name}: {purpose}");
    let started = Instant::now();
    let result = work();
    let verdict = if result.is_ok() {
        "took"
    } else {
        "failed after"
    };
    eprintln!("    {name}: {verdict} {}", seconds(started.elapsed()));
    result
}

/// Tells something about the step that runs.
pub fn note(text: &str) {
    eprintln!("    {text}");
}

/// Runs a program that talks to the person itself; anything but success is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs a program that talks to the person itself and whose exit code is ours.
pub fn run_for_code(command: &mut Command) -> Result<ExitCode> {
    let status = status(command)?;
    // No code: ended by a signal. Codes above 255 exist on no platform that we build on.
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1);
    if !status.success() {
        note(&format!("`{}` ended with {status}", shown(command)));
    }
    Ok(ExitCode::from(code))
}

/// Runs a program in silence and returns what it wrote to stdout; where it fails, the end of what it
/// wrote to stderr is in the error.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting `{}`", shown(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` ended with {}: {}",
            shown(command),
            output.status,
            last_lines(&stderr)
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` wrote something other than UTF-8", shown(command)))
}

fn status(command: &mut Command) -> Result<ExitStatus> {
    note(&format!("$ {}", shown(command)));
    command
        .status()
        .with_context(|| format!("starting `{}`", shown(command)))
}

/// The command as a person would type it, without folders in front of the program.
pub fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let mut text = name.to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}

/// The lines of a program's stderr that usually say why it failed.
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

fn seconds(duration: Duration) -> String {
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
    fn durations_are_told_as_a_person_says_them() {
        assert_eq!(seconds(Duration::from_millis(1240)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(59)), "59.0 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 5 s");
    }

    #[test]
    fn a_command_is_shown_without_the_folder_of_its_program() {
        let mut command = Command::new("/somewhere/bin/cargo");
        command.args(["build", "--release"]);
        assert_eq!(shown(&command), "cargo build --release");
    }

    #[test]
    fn the_error_of_a_failed_program_keeps_the_end_of_its_stderr() {
        let text = "one\ntwo\n\nthree\nfour\nfive\nsix\n  seven\n";
        assert_eq!(last_lines(text), "two; three; four; five; six; seven");
        assert_eq!(last_lines(""), "");
    }
}
