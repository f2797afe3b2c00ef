//! The page `docs/faults.md`, written from the tests' observations: each group's section is
//! compared like a golden copy, or rewritten when `INSTA_UPDATE` is `always`.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use crate::GROUPS;
use crate::case::Observation;
use crate::row::{Group, RefreshVariant, VARIANTS};

/// The page.
pub const PAGE: Page = Page;

/// The text before the first section.
const HEAD: &str = "\
# A refresh under each fault

The tests generate this page. Every row is a run of the real component against the Webex emulator, in each known refresh
behavior of Webex. The test moves the clock. Do not edit the page; after an intended change, generate it again:

```sh
INSTA_UPDATE=always cargo test -p relation-e2e --test faults
```

- **refresh**: Webex's refresh behavior, where it matters. With `extend-same`, the response has the same refresh token
  with a new lifetime; with `frozen-clock`, the same token, whose lifetime is not extended. With `omit-refresh-token`,
  it has no refresh token. With `rotate`, it has a new refresh token, and the old one is invalid; with *reuse
  detection*, using the old one revokes the whole grant. With `same-access-token`, a refresh soon after the last one
  changes nothing.
- **tokens**: the stored tokens after the call, compared with the last ones that Webex issued.
- **lifetimes**: the remaining lifetimes of access token and refresh token by the record; *assumed* where Webex did not
  report them. The tokens were issued 6 hours before, for 14 and 90 days.
- **next attempt**: the time until the next attempt, without jitter.
- **text**: the record's notes; without notes, the error of the call or the warnings of its transaction.
- **afterwards**: the result after the fault has ended. *A person connects again* means: no request was sent to Webex in
  the following 30 days, and new tokens ended the alert.
";

/// `docs/faults.md`.
pub struct Page;

impl Page {
    /// Fails unless the group's section matches the observations, or rewrites it.
    #[track_caller]
    pub fn compare(
        &self,
        group: &Group,
        rows: &[(&str, Vec<(RefreshVariant, &Observation)>)],
        responses: usize,
    ) {
        let section = section(group, rows, responses);
        let mut page = LockedFile::open();
        let text = page.read();
        let place = find(&text, group.title);
        let found = place.clone().map(|place| &text[place]);
        if found == Some(section.as_str()) {
            return;
        }
        if is_updating() {
            page.write(&with_section(&text, group.title, &section));
            return;
        }
        let found = found.unwrap_or("no such section\n");
        let differing: Vec<String> = diff(found, &section);
        panic!(
            "docs/faults.md differs from what was seen under \"{}\":\n{}\n\
             after an intended change: INSTA_UPDATE=always cargo test -p relation-e2e --test faults",
            group.title,
            differing.join("\n")
        );
    }

    /// Fails unless the page has exactly these sections, or removes the others.
    #[track_caller]
    pub fn has_exactly(&self, titles: &[&str]) {
        let mut page = LockedFile::open();
        let text = page.read();
        if is_updating() {
            page.write(&sort_sections(&text));
            return;
        }
        let found: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .collect();
        assert_eq!(found, titles, "the sections of docs/faults.md");
        assert_eq!(&text[..head_end(&text)], format!("{HEAD}\n"), "its head");
    }
}

fn is_updating() -> bool {
    std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always")
}

fn section(
    group: &Group,
    rows: &[(&str, Vec<(RefreshVariant, &Observation)>)],
    responses: usize,
) -> String {
    let mut text = format!("## {}\n{}", group.title, group.about);
    if responses > 0 {
        text.push_str(&format!(
            " Responses with tokens that arrived: {responses}, lost: 0."
        ));
    }
    text.push_str(
        "\n\n| fault | refresh | state | tokens | lifetimes | next attempt | alert | text | afterwards |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for (name, observation) in rows {
        for (variants, observation) in merge_variants(observation) {
            let cells = [
                name,
                variants.as_str(),
                &observation.state,
                &observation.tokens,
                &observation.lifetimes,
                &observation.next,
                &observation.alert,
                &observation.shown_text,
                &observation.afterwards,
            ];
            for cell in cells {
                text.push_str("| ");
                text.push_str(&escape_cell(cell));
                text.push(' ');
            }
            text.push_str("|\n");
        }
    }
    text
}

/// Merges the refresh variants with equal observations.
fn merge_variants<'a>(
    observation: &[(RefreshVariant, &'a Observation)],
) -> Vec<(String, &'a Observation)> {
    let mut lines: Vec<(Vec<&str>, &Observation)> = Vec::new();
    for (variant, observation) in observation {
        match lines.iter_mut().find(|(_, line)| line == observation) {
            Some((variants, _)) => variants.push(variant.name),
            None => lines.push((vec![variant.name], observation)),
        }
    }
    let named = |variants: Vec<&str>| {
        if variants.len() == VARIANTS.len() {
            "any".to_owned()
        } else {
            variants.join(", ")
        }
    };
    lines
        .into_iter()
        .map(|(variants, observation)| (named(variants), observation))
        .collect()
}

fn escape_cell(cell: &str) -> String {
    cell.replace('|', "\\|")
        .replace('*', "\\*")
        .replace('<', "&lt;")
}

/// Finds the section with this title, including its final newline.
fn find(text: &str, title: &str) -> Option<std::ops::Range<usize>> {
    let heading = format!("## {title}\n");
    let start = text
        .match_indices(&heading)
        .map(|(at, _)| at)
        .find(|at| *at == 0 || text[..*at].ends_with('\n'))?;
    let end = text[start..]
        .find("\n\n## ")
        .map_or(text.len(), |end| start + end + 1);
    Some(start..end)
}

fn head_end(text: &str) -> usize {
    text.find("\n## ").map_or(text.len(), |end| end + 1)
}

fn with_section(text: &str, title: &str, section: &str) -> String {
    sections(|each| {
        if each == title {
            Some(section.to_owned())
        } else {
            find(text, each).map(|place| text[place].to_owned())
        }
    })
}

fn sort_sections(text: &str) -> String {
    sections(|each| find(text, each).map(|place| text[place].to_owned()))
}

/// Returns the whole page, with the existing sections in the order of the groups.
fn sections(section: impl Fn(&str) -> Option<String>) -> String {
    let mut page = HEAD.to_owned();
    for group in GROUPS {
        if let Some(section) = section(group().title) {
            page.push('\n');
            page.push_str(&section);
        }
    }
    page
}

/// Returns the lines that only one of the two has.
fn diff(found: &str, observation: &str) -> Vec<String> {
    let only = |one: &str, other: &str, sign: char| -> Vec<String> {
        let other: Vec<&str> = other.lines().collect();
        one.lines()
            .filter(|line| !other.contains(line))
            .map(|line| format!("{sign} {line}"))
            .collect()
    };
    let mut lines = only(found, observation, '-');
    lines.extend(only(observation, found, '+'));
    lines
}

/// The file, locked against the other tests while it is read and written.
struct LockedFile(File);

impl LockedFile {
    fn open() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/faults.md");
        let file = OpenOptions::new()
            .read(true)
            .write(is_updating())
            .create(is_updating())
            .truncate(false)
            .open(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        file.lock().expect("the page can be locked");
        Self(file)
    }

    fn read(&mut self) -> String {
        let mut text = String::new();
        self.0.read_to_string(&mut text).expect("the page is text");
        text
    }

    fn write(&mut self, text: &str) {
        self.0.set_len(0).expect("the page can be written");
        self.0
            .seek(SeekFrom::Start(0))
            .expect("the page can be written");
        self.0
            .write_all(text.as_bytes())
            .expect("the page can be written");
    }
}
