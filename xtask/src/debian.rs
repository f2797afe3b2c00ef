//! The second route to the component target: from Debian's packages, which are unpacked but never
//! installed. Debian ships the compiler's sources for each version, and a C library for the target;
//! no package has the finished standard library.

mod mirror;
mod packages;
mod standard_library;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::step::note;
use crate::toolchain::{TARGET, Toolchain};
use packages::{PrivateApt, Wanted};

/// What the standard library is built from.
struct Sources {
    /// Has the folder `library` of the compiler's own sources.
    rust: PathBuf,
    /// Has `libc.a` and the start-up objects of the target.
    libc: PathBuf,
    /// For a person who finds the result: where they came from.
    origin: String,
}

/// Builds the target's standard library and puts it into the toolchain's folder.
///
/// Works in a folder of its own under `scratch`, which is gone afterwards.
pub fn install(toolchain: &Toolchain, scratch: &Path) -> Result<()> {
    let work = scratch.join(format!("debian-{}", std::process::id()));
    let result = std::fs::create_dir_all(&work)
        .with_context(|| format!("making {}", work.display()))
        .and_then(|()| work.canonicalize().context("resolving the working folder"))
        .and_then(|work| {
            standard_library::writable(toolchain)?;
            let sources = find(toolchain, &work)?;
            standard_library::install(toolchain, &sources, &work)
        });
    // Best effort: what stays behind goes with the target directory.
    let _ = std::fs::remove_dir_all(&work);
    result
}

/// What is installed already is used; the rest is downloaded.
fn find(toolchain: &Toolchain, work: &Path) -> Result<Sources> {
    let release = &toolchain.release;
    let in_toolchain = toolchain.sysroot.join("lib/rustlib/src/rust");
    // Where the packages put them, below `/` or wherever they are unpacked.
    let rust_folder = format!("usr/src/rustc-{release}");
    let libc_folder = format!("usr/lib/{TARGET}");
    let rust = [in_toolchain, Path::new("/").join(&rust_folder)]
        .into_iter()
        .find(|folder| folder.join("library/std/Cargo.toml").is_file());
    let libc = Some(Path::new("/").join(&libc_folder)).filter(|folder| has_libc(folder));

    let mut wanted = Vec::new();
    if rust.is_none() {
        wanted.push(Wanted {
            package: "rust-src",
            upstream: Some(release),
            folder: format!("{rust_folder}/library"),
        });
    }
    if libc.is_none() {
        wanted.push(Wanted {
            package: "wasi-libc",
            upstream: None,
            folder: libc_folder.clone(),
        });
    }
    let installed = rust
        .iter()
        .chain(&libc)
        .map(|folder| folder.display().to_string());
    let mut origin: Vec<String> = installed.collect();
    let root = work.join("root");
    if !wanted.is_empty() {
        origin.extend(download(&wanted, &root, work)?);
    }
    let sources = Sources {
        rust: rust.unwrap_or_else(|| root.join(rust_folder)),
        libc: libc.unwrap_or_else(|| root.join(libc_folder)),
        origin: origin.join(", "),
    };
    anyhow::ensure!(
        sources.rust.join("library/std/Cargo.toml").is_file(),
        "rust-src has no sources in /usr/src/rustc-{release}/library: its layout has changed"
    );
    anyhow::ensure!(
        has_libc(&sources.libc),
        "wasi-libc has no libc.a in /usr/lib/{TARGET}: it is too old, or its layout has changed"
    );
    Ok(sources)
}

fn has_libc(folder: &Path) -> bool {
    standard_library::SELF_CONTAINED
        .iter()
        .all(|file| folder.join(file).is_file())
}

/// Downloads and unpacks from the first mirror and suite that has everything; tells which packages.
fn download(wanted: &[Wanted<'_>], root: &Path, work: &Path) -> Result<Vec<String>> {
    packages::present()?;
    let mirrors = mirror::of_this_machine()?;
    let mut refusals = Vec::new();
    for mirror in &mirrors {
        for suite in packages::SUITES {
            let apt = PrivateApt::new(&work.join("apt"), mirror, suite)?;
            match apt.download(wanted) {
                Ok(downloaded) => {
                    for package in &downloaded {
                        note(&format!("downloaded and verified: {package}"));
                        package.unpack(root)?;
                    }
                    return Ok(downloaded.iter().map(ToString::to_string).collect());
                }
                Err(error) => refusals.push(format!("{suite}: {error:#}")),
            }
        }
    }
    anyhow::bail!("no suite has what is needed ({})", refusals.join("; "))
}
