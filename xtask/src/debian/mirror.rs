//! Which Debian mirror this machine uses, from apt's own sources, so that no address is built in.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Overrides what apt's sources say, such as on a derivative of Debian.
const OVERRIDE: &str = "RELATION_DEBIAN_MIRROR";

/// A Debian archive, and the key ring that its signatures are checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// As apt takes it.
    pub uri: String,
    /// The path of a key ring; `None` leaves the choice to apt's trusted keys.
    pub signed_by: Option<String>,
}

impl fmt::Display for Mirror {
    /// Without the user and the password that a private mirror's address may carry.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.uri.split_once("://"), self.uri.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, place))) => write!(f, "{scheme}://{place}"),
            _ => f.write_str(&self.uri),
        }
    }
}

/// The mirrors to try, at least one.
pub fn of_this_machine() -> Result<Vec<Mirror>> {
    let keyring = ["gpg", "pgp"]
        .map(|ending| format!("/usr/share/keyrings/debian-archive-keyring.{ending}"))
        .into_iter()
        .find(|path| Path::new(path).is_file());
    let mut mirrors = match std::env::var(OVERRIDE) {
        Ok(uri) if !uri.is_empty() => vec![Mirror {
            uri,
            signed_by: None,
        }],
        _ => in_sources(&source_files()),
    };
    for mirror in &mut mirrors {
        if mirror.signed_by.is_none() {
            mirror.signed_by.clone_from(&keyring);
        }
    }
    if mirrors.is_empty() {
        bail!("apt's sources name no Debian archive (set {OVERRIDE} to a mirror's address)");
    }
    Ok(mirrors)
}

/// apt's source files with their text; one that cannot be read is as good as absent.
fn source_files() -> Vec<(PathBuf, String)> {
    let mut paths = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = std::fs::read_dir("/etc/apt/sources.list.d") {
        let mut parts: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        parts.sort();
        paths.extend(parts);
    }
    paths
        .into_iter()
        .filter_map(|path| std::fs::read_to_string(&path).ok().map(|text| (path, text)))
        .collect()
}

/// The Debian archives among the sources, in their order, each once.
///
/// apt tells the two formats by the file's ending, so we do.
fn in_sources(files: &[(PathBuf, String)]) -> Vec<Mirror> {
    let mut mirrors: Vec<Mirror> = Vec::new();
    for (path, text) in files {
        let sources = match path.extension().and_then(|ending| ending.to_str()) {
            Some("list") => text.lines().filter_map(one_line).collect(),
            Some("sources") => stanzas(text),
            _ => Vec::new(),
        };
        for source in sources.iter().filter(|source| source.is_debian()) {
            for uri in &source.uris {
                let mirror = Mirror {
                    uri: uri.clone(),
                    signed_by: source.signed_by.clone(),
                };
                if !mirrors.iter().any(|known| known.uri == mirror.uri) {
                    mirrors.push(mirror);
                }
            }
        }
    }
    // Others publish for Debian's suites too, under folders of other names: Debian's own go first.
    mirrors.sort_by_key(|mirror| !mirror.uri.trim_end_matches('/').ends_with("/debian"));
    mirrors
}

/// One source, whichever format it was written in.
#[derive(Debug, Default)]
struct Source {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: Option<String>,
}

impl Source {
    /// A suite of Debian's own archive, from which the name of another suite of it can be made.
    /// The security archive is a separate one without backports.
    fn is_debian(&self) -> bool {
        const NAMES: [&str; 12] = [
            "bullseye",
            "bookworm",
            "trixie",
            "forky",
            "duke",
            "sid",
            "oldoldstable",
            "oldstable",
            "stable",
            "testing",
            "unstable",
            "experimental",
        ];
        let of_debian = |suite: &String| {
            suite
                .split_once('-')
                .map_or(suite.as_str(), |(name, _)| name)
                .to_owned()
        };
        self.components.iter().any(|component| component == "main")
            && self.suites.iter().any(|suite| {
                !suite.contains("security") && NAMES.contains(&of_debian(suite).as_str())
            })
    }
}

/// `deb [option=value …] uri suite component…`
fn one_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    let (options, rest) = match rest.trim_start().strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by: options
            .split_whitespace()
            .find_map(|option| {
                option
                    .strip_prefix("signed-by=")
                    .filter(|value| value.starts_with('/'))
            })
            .map(str::to_owned),
    })
}

/// The format of Debian's control files: fields, continued on indented lines, stanzas parted by
/// empty lines.
fn stanzas(text: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .chain([""])
    {
        if line.trim().is_empty() {
            found.extend(stanza(&fields));
            fields.clear();
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    found
}

fn stanza(fields: &[(String, String)]) -> Option<Source> {
    let field = |name: &str| {
        fields
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value.as_str())
    };
    let words = |name: &str| {
        field(name)
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let disabled = matches!(
        field("enabled").to_ascii_lowercase().as_str(),
        "no" | "false" | "off" | "0" | "without" | "disable"
    );
    if disabled || !words("types").iter().any(|kind| kind == "deb") {
        return None;
    }
    Some(Source {
        uris: words("uris"),
        suites: words("suites"),
        components: words("components"),
        // A key may be written out in place of a path; then apt's own trusted keys have to do.
        signed_by: Some(field("signed-by"))
            .filter(|value| value.starts_with('/') && !value.contains(char::is_whitespace))
            .map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirrors(name: &str, text: &str) -> Vec<Mirror> {
        in_sources(&[(PathBuf::from(name), text.to_owned())])
    }

    fn mirror(uri: &str, signed_by: Option<&str>) -> Mirror {
        Mirror {
            uri: uri.into(),
            signed_by: signed_by.map(str::to_owned),
        }
    }

    #[test]
    fn the_mirror_is_found_in_a_sources_list() {
        let text = "\
# deb http://commented.example/debian trixie main
deb-src http://source.example/debian trixie main
deb [ arch=amd64 signed-by=/usr/share/keyrings/a.gpg ] https://mirror.example/debian trixie main # x
deb https://mirror.example/debian trixie-updates main contrib
deb https://mirror.example/debian-security trixie-security main
";
        assert_eq!(
            mirrors("sources.list", text),
            [mirror(
                "https://mirror.example/debian",
                Some("/usr/share/keyrings/a.gpg")
            )]
        );
    }

    #[test]
    fn the_mirror_is_found_in_deb822_sources() {
        let text = "\
Types: deb deb-src
# a comment between fields
URIs: https://mirror.example/debian/
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://mirror.example/debian-security
Suites: bookworm-security
Components: main
";
        assert_eq!(
            mirrors("debian.sources", text),
            [mirror(
                "https://mirror.example/debian/",
                Some("/usr/share/keyrings/debian-archive-keyring.gpg")
            )]
        );
    }

    #[test]
    fn a_disabled_stanza_and_one_of_sources_only_are_passed_over() {
        let stanza = "URIs: https://mirror.example/debian\nSuites: sid\nComponents: main\n";
        assert_eq!(
            mirrors("a.sources", &format!("Types: deb\nEnabled: no\n{stanza}")),
            []
        );
        assert_eq!(
            mirrors("a.sources", &format!("Types: deb-src\n{stanza}")),
            []
        );
        assert_eq!(
            mirrors("a.sources", &format!("Types: deb\n{stanza}")).len(),
            1
        );
    }

    #[test]
    fn a_key_written_out_in_a_stanza_is_not_taken_for_a_path() {
        let text = "Types: deb\nURIs: https://mirror.example/debian\nSuites: stable\n\
                    Components: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ==\n";
        assert_eq!(
            mirrors("a.sources", text),
            [mirror("https://mirror.example/debian", None)]
        );
    }

    #[test]
    fn other_publishers_archives_are_not_debians() {
        let text = "\
deb https://editor.example/repos stable other
deb https://cloud.example/apt cloud-sdk-bookworm main
deb https://node.example/node nodistro main
deb https://ubuntu.example/ubuntu noble main
";
        assert_eq!(mirrors("sources.list", text), []);
    }

    #[test]
    fn debians_own_archive_goes_before_one_that_only_uses_its_suite_names() {
        let text = "\
deb https://a.example/tool trixie main
deb https://mirror.example/debian trixie main
";
        let uris: Vec<String> = mirrors("sources.list", text)
            .into_iter()
            .map(|mirror| mirror.uri)
            .collect();
        assert_eq!(
            uris,
            ["https://mirror.example/debian", "https://a.example/tool"]
        );
    }

    #[test]
    fn files_that_apt_would_not_read_are_not_read() {
        let text = "deb https://mirror.example/debian trixie main\n";
        assert_eq!(mirrors("debian.list.save", text), []);
    }

    #[test]
    fn the_password_of_a_private_mirror_is_not_shown() {
        let private = mirror("https://user:secret@mirror.example/debian", None);
        assert_eq!(private.to_string(), "https://mirror.example/debian");
        let public = mirror("https://mirror.example/debian", None);
        assert_eq!(public.to_string(), "https://mirror.example/debian");
    }
}
