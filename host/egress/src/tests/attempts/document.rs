//! Generates `docs/egress.md` from the attempts.

use std::fmt::Write as _;
use std::path::Path;

use super::{ALLOW, Attempt, Outcome, Rule, sections};

/// The command that writes the file instead of comparing it, as for other pages and snapshots.
const COMMAND: &str = "INSTA_UPDATE=always cargo test --package relation-egress attempts";

fn document() -> String {
    let allowed = ALLOW.map(|entry| format!("\"{entry}\"")).join(", ");
    let mut text = format!(
        "<!-- Written by a test from host/egress/src/tests/attempts/*.toml. After a change there:\n     \
         {COMMAND} -->\n\
         # Requests that egress refuses\n\n\
         Attempts to bypass `[egress]` of the [configuration](configuration.md), and their \
         exact error texts. Every row is a test. No server outside the policy gets a \
         connection, and a request is only sent if the last column has a status.\n\n\
         Unless a row says otherwise, the operator allows\n\n\
         ```toml\n[egress]\nallow = [{allowed}]\n```\n\n\
         ## Rules\n\n| rule | setting | description |\n|---|---|---|\n"
    );
    for rule in Rule::ALL {
        let setting = setting(rule);
        writeln!(text, "| {} | {setting} | {} |", rule.name(), rule.text()).unwrap();
    }
    for section in sections() {
        let (title, about) = (section.title, section.about);
        write!(
            text,
            "\n## {title}\n{about}\n\
             | attempt | as written | rule | setting | outcome |\n|---|---|---|---|---|\n"
        )
        .unwrap();
        for attempt in &section.attempt {
            let cells = [
                attempt.description.clone(),
                as_written(attempt),
                attempt.rule.name().to_owned(),
                setting(attempt.rule),
                outcome(&attempt.outcome),
            ];
            writeln!(
                text,
                "| {} |",
                cells.map(|cell| cell.replace('|', "\\|")).join(" | ")
            )
            .unwrap();
        }
    }
    text
}

fn setting(rule: Rule) -> String {
    rule.setting()
        .map_or_else(String::new, |setting| format!("`{setting}`"))
}

/// Formats the attempt as code; control and non-ASCII characters are escaped.
fn as_written(attempt: &Attempt) -> String {
    let code = |text: &str| {
        let escaped = text.escape_default().to_string();
        format!("`{}`", escaped.replace("\\\"", "\"").replace("\\\\", "\\"))
    };
    let list = |entries: &[String]| {
        let entries: Vec<String> = entries.iter().map(|entry| format!("\"{entry}\"")).collect();
        format!("[{}]", entries.join(", "))
    };
    let mut lines = Vec::new();
    match &attempt.method {
        Some(method) => lines.push(code(&format!("{method} {}", attempt.url))),
        None => lines.push(code(&attempt.url)),
    }
    if let Some(path) = &attempt.path {
        lines.push(format!("path {}", code(path)));
    }
    if attempt.path_padding > 0 {
        lines.push(format!("and {} bytes of path", attempt.path_padding));
    }
    for (name, value) in &attempt.headers {
        lines.push(code(&format!("{name}: {value}")));
    }
    if attempt.header_padding > 0 {
        lines.push(format!("a field of {} bytes", attempt.header_padding));
    }
    if attempt.more_headers > 0 {
        lines.push(format!("{} fields", attempt.more_headers));
    }
    for (name, lookups) in &attempt.dns {
        let lookups: Vec<String> = lookups
            .iter()
            .map(|addresses| {
                let addresses: Vec<String> = addresses.iter().map(|one| code(one)).collect();
                addresses.join(", ")
            })
            .collect();
        lines.push(format!(
            "{} is at {}",
            code(name),
            lookups.join(", next time at ")
        ));
    }
    if let Some(proxy) = &attempt.proxy {
        lines.push(format!("proxy {}", code(proxy)));
    }
    if let Some(to) = &attempt.redirect {
        lines.push(format!("the response is 302 to {}", code(to)));
    }
    if let Some(allow) = &attempt.allow {
        lines.push(code(&format!("egress.allow = {}", list(allow))));
    }
    if !attempt.proxies.is_empty() {
        lines.push(code(&format!(
            "egress.proxies = {}",
            list(&attempt.proxies)
        )));
    }
    lines.join("<br>")
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::NotCreated(reason) => format!("the request cannot be created: {reason}"),
        Outcome::Error(error) => error.clone(),
        Outcome::Response(response) => format!("**{response}**"),
    }
}

#[test]
fn documentation_matches_the_attempts() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/egress.md");
    let document = document();
    if std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always") {
        std::fs::write(&file, &document).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = found
        .lines()
        .zip(document.lines())
        .find(|(found, expected)| found != expected);
    assert!(
        found == document,
        "docs/egress.md is not what the attempts say; run {COMMAND}\nfirst difference: {differs:#?}"
    );
}
