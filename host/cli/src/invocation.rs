//! The options of this command line that select an installation. A command in a hint must repeat them.

use std::borrow::Cow;
use std::sync::OnceLock;

use clap::ArgMatches;
use clap::parser::ValueSource;
use relation_app::{hide_password as hide, quote_for_shell};

use super::GlobalArgs;

/// The name of the program, as hints write it.
const PROGRAM: &str = "relation-host";

static COMMAND: OnceLock<String> = OnceLock::new();

/// Remembers the options of `global` that `matches` has from the command line. A variable of the environment also
/// applies to the next command, and is not repeated.
pub fn remember(global: &GlobalArgs, matches: &ArgMatches) {
    let path = |path: &Option<std::path::PathBuf>| {
        let path = path.as_deref()?;
        Some(path.to_string_lossy().into_owned())
    };
    let options = [
        ("config", path(&global.config)),
        (
            "store",
            global.store.as_deref().map(hide).map(Cow::into_owned),
        ),
        ("plugin", path(&global.plugin)),
    ];
    let given = options.into_iter().filter_map(|(option, value)| {
        let is_given = matches.value_source(option) == Some(ValueSource::CommandLine);
        value.filter(|_| is_given).map(|value| (option, value))
    });
    let _ = COMMAND.set(render_command(given));
}

fn render_command(options: impl Iterator<Item = (&'static str, String)>) -> String {
    let options = options.map(|(option, value)| format!(" --{option} {}", quote_for_shell(&value)));
    format!("{PROGRAM}{}", options.collect::<String>())
}

/// Adds the options to every command in `text` that begins with `` `relation-host ``.
pub fn complete(text: &str) -> Cow<'_, str> {
    let command = COMMAND.get().map_or(PROGRAM, String::as_str);
    replace_commands(text, command)
}

/// Completes commands like [`complete`] in one line of JSON.
pub fn complete_json(line: &str) -> Cow<'_, str> {
    let command = COMMAND.get().map_or(PROGRAM, String::as_str);
    let command = serde_json::Value::from(command).to_string();
    replace_commands(line, command.trim_matches('"'))
}

/// Replaces the program by `command`. A text that is complete already stays as it is.
fn replace_commands<'a>(text: &'a str, command: &str) -> Cow<'a, str> {
    let (bare, complete) = (format!("`{PROGRAM} "), format!("`{command} "));
    match command != PROGRAM && text.contains(&bare) {
        true => Cow::Owned(text.replace(&complete, &bare).replace(&bare, &complete)),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_repeat_the_options() {
        let config = ("config", "my etc/r.toml".to_owned());
        let command = render_command([config].into_iter());
        let text = "run `relation-host list` or `relation-host run`; relation-host is a word";
        let complete = "run `relation-host --config 'my etc/r.toml' list` or \
                        `relation-host --config 'my etc/r.toml' run`; relation-host is a word";
        assert_eq!(replace_commands(text, &command), complete);
        assert_eq!(replace_commands(complete, &command), complete);
        assert_eq!(replace_commands(text, PROGRAM), text);
    }
}
