//! Parses `--log` and `RELATION_LOG`: a level, or a filter of targets with levels.

use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The target of the lines that tell how a call has ended.
pub const OUTCOME: &str = "relation_host::outcome";

/// A validated log filter: an unknown word is refused when parsed, so that it cannot silence the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// The level of this program.
    level: Option<LevelFilter>,
    /// Levels of targets, as `tracing` writes them.
    targets: Vec<String>,
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        for directive in directives(text) {
            match directive.rsplit_once('=') {
                // A `=` inside of `[span{field=value}]` separates no level.
                Some((target, level)) if !level.contains([']', '}']) => {
                    let target = target.trim();
                    if target.is_empty() || target.contains(char::is_whitespace) {
                        return Err(format!("{directive:?} names no target"));
                    }
                    filter
                        .targets
                        .push(format!("{target}={}", level_of(level)?));
                }
                _ if directive.contains('[') => filter.targets.push(directive.to_owned()),
                _ => filter.level = Some(level_of(directive)?),
            }
        }
        // Any other text that `tracing` would not understand.
        EnvFilter::try_new(filter.targets.join(",")).map_err(|error| error.to_string())?;
        Ok(filter)
    }
}

impl LogFilter {
    /// The filter for `tracing`, of a command that logs at `level` when nothing else is asked for.
    ///
    /// A level applies to this program. Its libraries log little that helps an operator, and may print the
    /// data they process at the finest levels. Only a library that the filter names logs below warnings.
    pub fn directives(&self, level: LevelFilter) -> String {
        let level = self.level.unwrap_or(level);
        let mut directives = match level {
            LevelFilter::OFF | LevelFilter::ERROR | LevelFilter::WARN => level.to_string(),
            _ => format!("warn,relation_host={level}"),
        };
        for target in &self.targets {
            directives.push(',');
            directives.push_str(target);
        }
        directives
    }

    /// Whether a level was named.
    pub fn has_level(&self) -> bool {
        self.level.is_some()
    }
}

/// Splits at the commas between directives; a span's fields may hold others.
fn directives(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    let directives = text.split(move |c| {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth <= 0
    });
    directives.map(str::trim).filter(|each| !each.is_empty())
}

fn level_of(word: &str) -> Result<LevelFilter, String> {
    let word = word.trim();
    let understood = match word.to_ascii_lowercase().as_str() {
        "warning" => Some(LevelFilter::WARN),
        "err" => Some(LevelFilter::ERROR),
        // `tracing` takes it as an error.
        "" => None,
        level => level.parse().ok(),
    };
    understood.ok_or_else(|| {
        format!(
            "{word:?} is no level: levels are off, error, warn, info, debug and trace; a target has one as in \
             relation_host=debug,hyper=info"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directives_of(text: &str) -> String {
        let filter: LogFilter = text.parse().unwrap();
        filter.directives(LevelFilter::WARN).to_ascii_lowercase()
    }

    #[test]
    fn a_bare_level_is_for_this_program_alone() {
        for (text, directives) in [
            ("TRACE", "warn,relation_host=trace"),
            ("info", "warn,relation_host=info"),
            ("4", "warn,relation_host=debug"),
            ("error", "error"),
            ("err", "error"),
            ("Warning", "warn"),
            ("off", "off"),
            ("", "warn"),
            (" , ", "warn"),
        ] {
            assert_eq!(directives_of(text), directives, "{text:?}");
        }
    }

    #[test]
    fn a_filter_adds_to_what_is_logged_without_it() {
        for (text, directives) in [
            ("hyper=trace", "warn,hyper=trace"),
            (
                "off,relation_host::audit=info",
                "off,relation_host::audit=info",
            ),
            (
                "info, hyper = warning ",
                "warn,relation_host=info,hyper=warn",
            ),
            (
                "relation_host[call{a=1}]=debug",
                "warn,relation_host[call{a=1}]=debug",
            ),
        ] {
            assert_eq!(directives_of(text), directives, "{text:?}");
        }
    }

    #[test]
    fn a_word_that_means_nothing_is_refused() {
        for text in [
            "verbose",
            "warnings",
            "relation_host",
            "hyper",
            "relation_host:debug",
            "relation_host=verbose",
            "relation_host=",
            "=debug",
            "relation host=debug",
            "info,chatty",
            "6",
            "-1",
            "[",
        ] {
            let refused = text.parse::<LogFilter>();
            assert!(refused.is_err(), "{text:?}: {refused:?}");
        }
    }
}
