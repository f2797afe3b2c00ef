//! Help texts that are wrapped once: for the terminal.

use clap::Command;

/// Joins the lines of each paragraph in the texts after the options of every command. The width of the source's
/// lines is not that of a terminal.
pub fn join_lines(mut command: Command) -> Command {
    if let Some(text) = command.get_after_help().map(ToString::to_string) {
        command = command.after_help(join_paragraphs(&text));
    }
    if let Some(text) = command.get_after_long_help().map(ToString::to_string) {
        command = command.after_long_help(join_paragraphs(&text));
    }
    command.mut_subcommands(join_lines)
}

/// Replaces line breaks within paragraphs by spaces. Indented lines, such as those of a list, keep theirs.
fn join_paragraphs(text: &str) -> String {
    let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
    let mut joined = String::with_capacity(text.len());
    let mut last = "";
    for (index, line) in text.lines().enumerate() {
        match is_prose(last) && is_prose(line) {
            true => joined.push(' '),
            false if index > 0 => joined.push('\n'),
            false => {}
        }
        joined.push_str(line);
        last = line;
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_a_paragraph_are_joined() {
        let text = "A line\nand more:\n  0  one\n  1  two\n     of two\nAnother\nline\n\nAn end\n";
        assert_eq!(
            join_paragraphs(text),
            "A line and more:\n  0  one\n  1  two\n     of two\nAnother line\n\nAn end"
        );
    }
}
