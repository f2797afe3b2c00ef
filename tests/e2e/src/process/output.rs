//! The output and the exit code of a program that has ended.

use serde_json::Value;

/// A program that has ended.
#[derive(Debug)]
pub struct ProgramOutput {
    /// Its arguments.
    pub command: String,
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its stdout.
    pub stdout: String,
    /// Its stderr.
    pub stderr: String,
}

impl ProgramOutput {
    /// Asserts that it succeeded.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.exits(0)
    }

    /// Asserts its exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        let Self {
            command,
            stdout,
            stderr,
            ..
        } = &self;
        assert_eq!(
            self.code,
            Some(code),
            "`{command}`\n--- stdout\n{stdout}--- stderr\n{stderr}"
        );
        self
    }

    /// Asserts that stderr contains each of these texts.
    #[track_caller]
    pub fn reports(self, texts: &[&str]) -> Self {
        for text in texts {
            let Self {
                command, stderr, ..
            } = &self;
            assert!(
                stderr.contains(text),
                "`{command}` does not say {text:?}:\n{stderr}"
            );
        }
        self
    }

    /// Parses stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        let Self {
            command, stdout, ..
        } = self;
        serde_json::from_str(stdout)
            .unwrap_or_else(|error| panic!("`{command}` wrote no JSON: {error}\n{stdout}"))
    }

    /// Parses the error that `--json` writes to stderr.
    #[track_caller]
    pub fn error(&self) -> Value {
        let Self {
            command, stderr, ..
        } = self;
        let last = stderr.lines().last().unwrap_or_default();
        let mut object: Value = serde_json::from_str(last)
            .unwrap_or_else(|error| panic!("`{command}` wrote no JSON error: {error}\n{stderr}"));
        object["error"].take()
    }
}
