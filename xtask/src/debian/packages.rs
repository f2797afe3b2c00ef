//! Downloads packages by an apt configuration of their own: the machine's lists, its state and its
//! choice of suites stay as they are, its proxies and its key rings are used.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::mirror::Mirror;
use crate::step;

/// Suites that carry the sources of current stable compilers, the one nearest to a release first.
pub const SUITES: [&str; 3] = ["trixie-backports", "testing", "unstable"];

/// A package to download.
pub struct Wanted<'a> {
    /// Its name.
    pub package: &'static str,
    /// The upstream version that it must have exactly; `None` takes the suite's newest.
    pub upstream: Option<&'a str>,
    /// The one folder of it that is of use, without a slash in front.
    pub folder: String,
}

/// A package's file, its signature chain checked by apt.
#[derive(Debug)]
pub struct Downloaded {
    package: String,
    version: String,
    suite: &'static str,
    file: PathBuf,
    folder: String,
}

impl fmt::Display for Downloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {}", self.package, self.version, self.suite)
    }
}

impl Downloaded {
    /// Unpacks the folder that was wanted of it under `root`; runs none of the package's scripts.
    ///
    /// One folder only: rust-src has tens of thousands of files, of which std is a tenth.
    pub fn unpack(&self, root: &Path) -> Result<()> {
        std::fs::create_dir_all(root).with_context(|| format!("making {}", root.display()))?;
        let mut reader = Command::new("dpkg-deb")
            .arg("--fsys-tarfile")
            .arg(&self.file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting dpkg-deb")?;
        let archive = reader.stdout.take().context("dpkg-deb has no stdout")?;
        let unpacked = Command::new("tar")
            .args(["--extract", "--directory"])
            .arg(root)
            .arg(format!("./{}", self.folder))
            .stdin(archive)
            .output()
            .context("starting tar");
        let read = reader.wait().context("waiting for dpkg-deb")?;
        let unpacked = unpacked?;
        if !unpacked.status.success() {
            let reason = String::from_utf8_lossy(&unpacked.stderr);
            let reason = reason.lines().next().unwrap_or("tar said nothing");
            bail!("unpacking /{} of {self}: {reason}", self.folder);
        }
        if !read.success() {
            bail!("unpacking {self}: dpkg-deb ended with {read}");
        }
        Ok(())
    }
}

/// apt with one mirror and one suite, and folders of its own.
pub struct PrivateApt {
    folder: PathBuf,
    mirror: String,
    suite: &'static str,
}

impl PrivateApt {
    /// Lays out the folders anew; nothing is fetched yet.
    pub fn new(folder: &Path, mirror: &Mirror, suite: &'static str) -> Result<Self> {
        let apt = Self {
            folder: folder.to_owned(),
            mirror: mirror.to_string(),
            suite,
        };
        apt.lay_out(mirror)
            .with_context(|| format!("laying out {}", folder.display()))?;
        Ok(apt)
    }

    fn lay_out(&self, mirror: &Mirror) -> std::io::Result<()> {
        if self.folder.exists() {
            std::fs::remove_dir_all(&self.folder)?;
        }
        for part in ["state/lists/partial", "cache/archives/partial", "packages"] {
            std::fs::create_dir_all(self.folder.join(part))?;
        }
        std::fs::write(self.folder.join("status"), "")?;
        std::fs::write(
            self.folder.join("sources.list"),
            source_line(mirror, self.suite),
        )
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let at = |part: &str| self.folder.join(part).display().to_string();
        for option in [
            format!("Dir::Etc::sourcelist={}", at("sources.list")),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            "Dir::Etc::preferencesparts=/dev/null".to_owned(),
            format!("Dir::State={}", at("state")),
            format!("Dir::State::lists={}", at("state/lists")),
            format!("Dir::State::status={}", at("status")),
            format!("Dir::Cache={}", at("cache")),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Retries=2".to_owned(),
            // apt calls an update that got nothing a success otherwise.
            "APT::Update::Error-Mode=any".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        // Its answers are read by a program.
        command.env("LC_ALL", "C");
        command
    }

    /// All that is wanted, or the reason why this suite cannot give it.
    pub fn download(&self, wanted: &[Wanted<'_>]) -> Result<Vec<Downloaded>> {
        step::note(&format!("asking {} for {}", self.mirror, self.suite));
        quiet(
            self.command("apt-get").args(["update", "-q"]),
            "fetching its package lists",
        )?;
        let mut choices = Vec::new();
        for want in wanted {
            let listing = step::output(self.command("apt-cache").args(["madison", want.package]))?;
            let version = choose(&listing, want.upstream).with_context(|| {
                let of = want
                    .upstream
                    .map(|it| format!(" of version {it}"))
                    .unwrap_or_default();
                format!("it has no {}{of}", want.package)
            })?;
            choices.push((want, version.to_owned()));
        }
        choices
            .into_iter()
            .map(|(want, version)| self.fetch(want, version))
            .collect()
    }

    fn fetch(&self, wanted: &Wanted<'_>, version: String) -> Result<Downloaded> {
        let package = wanted.package;
        let folder = self.folder.join("packages").join(package);
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        quiet(
            self.command("apt-get")
                .args(["download", "-q", &format!("{package}={version}")])
                .current_dir(&folder),
            "downloading",
        )?;
        let file = std::fs::read_dir(&folder)
            .with_context(|| format!("reading {}", folder.display()))?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|ending| ending == "deb"));
        let Some(file) = file else {
            bail!("apt left no {package} in {}", folder.display())
        };
        Ok(Downloaded {
            package: package.to_owned(),
            version,
            suite: self.suite,
            file,
            folder: wanted.folder.clone(),
        })
    }
}

/// An error that says that this is no Debian, before anything else is tried.
pub fn present() -> Result<()> {
    for program in ["apt-get", "apt-cache", "dpkg-deb"] {
        step::output(Command::new(program).arg("--version"))
            .with_context(|| format!("this machine has no {program}"))?;
    }
    Ok(())
}

/// Runs apt without its chatter; the dozen options of the command line are left out of an error.
fn quiet(command: &mut Command, what: &str) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{what}: starting apt"))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let reason = stderr
        .lines()
        .find(|line| line.starts_with("E: "))
        .unwrap_or("apt failed");
    bail!("{what}: {}", reason.trim_start_matches("E: "))
}

fn source_line(mirror: &Mirror, suite: &str) -> String {
    let keys = mirror
        .signed_by
        .as_ref()
        .map(|path| format!("[signed-by={path}] "));
    format!(
        "deb {}{} {suite} main\n",
        keys.unwrap_or_default(),
        mirror.uri
    )
}

/// From the lines of `apt-cache madison`, newest first: the first version that is made from
/// `upstream`, or the first of all.
fn choose<'a>(listing: &'a str, upstream: Option<&str>) -> Option<&'a str> {
    listing
        .lines()
        .filter_map(|line| line.split('|').nth(1).map(str::trim))
        .find(|version| upstream.is_none_or(|wanted| upstream_of(version) == wanted))
}

/// The upstream part of a Debian version, `[epoch:]upstream[-revision]`, without what repackaging
/// (`+dfsg1`) and backporting (`~bpo13+1`) append. The revision never has the release in it.
fn upstream_of(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.split(['+', '~', '-']).next().unwrap_or(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "  \
  rust-src | 1.96.1+dfsg1-2~bpo13+1 | https://mirror.example/debian trixie-backports/main amd64 Packages
  rust-src | 1.95.0+dfsg1-3~bpo13+1 | https://mirror.example/debian trixie-backports/main amd64 Packages
  rust-src | 1.95.0+dfsg1-2~bpo13+1 | https://mirror.example/debian trixie-backports/main amd64 Packages
";

    #[test]
    fn the_version_of_the_compiler_is_chosen_in_its_newest_packaging() {
        assert_eq!(
            choose(LISTING, Some("1.95.0")),
            Some("1.95.0+dfsg1-3~bpo13+1")
        );
    }

    #[test]
    fn another_patch_release_or_a_nightly_is_never_a_substitute() {
        assert_eq!(choose(LISTING, Some("1.95.1")), None);
        assert_eq!(choose(LISTING, Some("1.95")), None);
        assert_eq!(choose(LISTING, Some("1.97.0-nightly")), None);
        assert_eq!(choose("", Some("1.95.0")), None);
    }

    #[test]
    fn without_a_version_the_newest_is_chosen() {
        assert_eq!(choose(LISTING, None), Some("1.96.1+dfsg1-2~bpo13+1"));
    }

    #[test]
    fn the_upstream_part_is_what_rustc_calls_its_release() {
        for (version, upstream) in [
            ("1.95.0+dfsg1-2~bpo13+1", "1.95.0"),
            ("1.95.0-1", "1.95.0"),
            ("2:1.95.0~beta.2+dfsg1-1~exp1", "1.95.0"),
            ("0.0~git20260129.ec0effd-3", "0.0"),
        ] {
            assert_eq!(upstream_of(version), upstream, "{version}");
        }
    }

    #[test]
    fn the_private_source_names_the_mirror_the_suite_and_the_keys() {
        let mut mirror = Mirror {
            uri: "https://mirror.example/debian".into(),
            signed_by: Some("/usr/share/keyrings/k.gpg".into()),
        };
        assert_eq!(
            source_line(&mirror, "sid"),
            "deb [signed-by=/usr/share/keyrings/k.gpg] https://mirror.example/debian sid main\n"
        );
        mirror.signed_by = None;
        assert_eq!(
            source_line(&mirror, "sid"),
            "deb https://mirror.example/debian sid main\n"
        );
    }
}
