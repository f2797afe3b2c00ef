//! Parses `--log` and `RELATION_LOG`: a level, or a filter of targets with levels.

use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The log target of call outcomes.
pub const OUTCOME_TARGET: &str = "relation_host::outcome";

/// A validated log filter. Unknown words are refused at parsing, so that a typing error cannot silence the
/// log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// The level of this program.
    level: Option<LevelFilter>,
    /// Levels of targets, in the syntax of `tracing`.
    targets: Vec<String>,
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        for directive in split_directives(text) {
            match directive.rsplit_once('=') {
                // The `=` in `[span{field=value}]` does not introduce a level.
                Some((target, level)) if !level.contains([']', '}']) => {
                    let target = target.trim();
                    if target.is_empty() || target.contains(char::is_whitespace) {
                        return Err(format!("{directive:?} names no target"));
                    }
                    filter
                        .targets
                        .push(format!("{target}={}", parse_level(level)?));
                }
                _ if directive.contains('[') => filter.targets.push(directive.to_owned()),
                _ => filter.level = Some(parse_level(directive)?),
            }
        }
        // Let `tracing` refuse any other text.
        EnvFilter::try_new(filter.targets.join(",")).map_err(|error| error.to_string())?;
        Ok(filter)
    }
}

impl LogFilter {
    /// Returns the filter for `tracing`. `level` is the command's default.
    ///
    /// A level applies to this program only. Its libraries log little that helps an operator, and may print
    /// the data they process at the finest levels. A library logs below warnings only if the filter names it.
    pub fn directives(&self, level: LevelFilter) -> String {
        let level = self.level.unwrap_or(level);
        let mut directives = match level {
            LevelFilter::OFF | LevelFilter::ERROR | LevelFilter::WARN => level.to_string(),
            _ => format!("warn,relation={level}"),
        };
        for target in &self.targets {
            directives.push(',');
            directives.push_str(target);
        }
        directives
    }

    /// Returns whether the filter gives a level.
    pub fn has_level(&self) -> bool {
        self.level.is_some()
    }
}

/// Splits at the commas between directives, not at those inside span fields.
fn split_directives(text: &str) -> impl Iterator<Item = &str> {
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

fn parse_level(word: &str) -> Result<LevelFilter, String> {
    let word = word.trim();
    let understood = match word.to_ascii_lowercase().as_str() {
        "warning" => Some(LevelFilter::WARN),
        "err" => Some(LevelFilter::ERROR),
        // `tracing` would parse an empty level as `error`.
        "" => None,
        level => level.parse().ok(),
    };
    understood.ok_or_else(|| {
        format!(
            "{word:?} is not a level: levels are off, error, warn, info, debug and trace; a target has one as in \
             relation=debug,hyper=info"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default_directives(text: &str) -> String {
        let filter: LogFilter = text.parse().unwrap();
        filter.directives(LevelFilter::WARN).to_ascii_lowercase()
    }

    #[test]
    fn bare_level_applies_to_this_program_only() {
        for (text, directives) in [
            ("TRACE", "warn,relation=trace"),
            ("info", "warn,relation=info"),
            ("4", "warn,relation=debug"),
            ("error", "error"),
            ("err", "error"),
            ("Warning", "warn"),
            ("off", "off"),
            ("", "warn"),
            (" , ", "warn"),
        ] {
            assert_eq!(default_directives(text), directives, "{text:?}");
        }
    }

    #[test]
    fn filter_extends_the_defaults() {
        for (text, directives) in [
            ("hyper=trace", "warn,hyper=trace"),
            (
                "off,relation_host::audit=info",
                "off,relation_host::audit=info",
            ),
            ("info, hyper = warning ", "warn,relation=info,hyper=warn"),
            (
                "relation_host[call{a=1}]=debug",
                "warn,relation_host[call{a=1}]=debug",
            ),
        ] {
            assert_eq!(default_directives(text), directives, "{text:?}");
        }
    }

    #[test]
    fn unknown_level_or_target_is_refused() {
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
