//! Builds the target's standard library from the compiler's sources, and installs it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::Sources;
use crate::step::{note, run};
use crate::toolchain::{TARGET, Toolchain};
use crate::workspace;

/// What linking needs besides Rust's own libraries; rustup's target has the same three.
pub const SELF_CONTAINED: [&str; 3] = ["libc.a", "crt1-command.o", "crt1-reactor.o"];

/// The crate whose build makes cargo build the standard library; it is not installed.
const EMPTY_CRATE: &str = "standard-library";

/// An error that says who can help, before anything is downloaded.
pub fn writable(toolchain: &Toolchain) -> Result<()> {
    let folder = rustlib(toolchain)?;
    let test = folder.join(format!(".write-test-{}", std::process::id()));
    let result = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&test, ""));
    // Best effort: an empty hidden file that rustc does not look at.
    let _ = std::fs::remove_file(&test);
    result.with_context(|| {
        format!(
            "the toolchain's folder {} cannot be written to: run this as the user who owns it",
            folder.display()
        )
    })
}

/// Builds in `work` and puts the result where rustc looks for it, all at once.
pub fn install(toolchain: &Toolchain, sources: &Sources, work: &Path) -> Result<()> {
    let built = build(toolchain, sources, work)?;
    let rustlib = rustlib(toolchain)?;
    let staged = rustlib.join(format!(".{TARGET}-{}", std::process::id()));
    let result = stage(&built, sources, &staged)
        .with_context(|| format!("filling {}", staged.display()))
        .and_then(|()| {
            exchange(&staged, &rustlib.join(TARGET))
                .with_context(|| format!("putting {TARGET} into {}", rustlib.display()))
        });
    if result.is_err() {
        // Best effort: rustc does not look at a folder of that name.
        let _ = std::fs::remove_dir_all(&staged);
    }
    result
}

/// `…/lib/rustlib`, which has a folder for every target.
fn rustlib(toolchain: &Toolchain) -> Result<&Path> {
    let place = &toolchain.target_libdir;
    place
        .parent()
        .filter(|target| target.ends_with(TARGET))
        .and_then(Path::parent)
        .with_context(|| {
            format!(
                "rustc keeps libraries in an unknown place: {}",
                place.display()
            )
        })
}

/// Returns the folder that has the libraries.
///
/// Cargo's own way of building std is not stable, hence `RUSTC_BOOTSTRAP`, for this one build only.
/// The few crates that std depends on come from the registry, locked by checksum in the sources'
/// own lock file: Debian's vendored copies lack the object file that one of them links.
fn build(toolchain: &Toolchain, sources: &Sources, work: &Path) -> Result<PathBuf> {
    let package = work.join("package");
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(package.join("src"))?;
        // A workspace of its own, although it lies in the folder of one.
        let manifest = format!(
            "[package]\nname = \"{EMPTY_CRATE}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
             [workspace]\n"
        );
        std::fs::write(package.join("Cargo.toml"), manifest)?;
        std::fs::write(package.join("src/lib.rs"), "")
    };
    write().with_context(|| format!("writing the package {}", package.display()))?;

    let _link = SourceLink::new(toolchain, &sources.rust)?;
    let target_directory = work.join("target");
    let mut cargo = workspace::cargo();
    for variable in ["CARGO_BUILD_TARGET", "CARGO_ENCODED_RUSTFLAGS"] {
        cargo.env_remove(variable);
    }
    // Components are optimised at link time, which needs the bitcode of std; cargo leaves it out.
    cargo.env("RUSTFLAGS", "-Cembed-bitcode=yes");
    run(cargo
        .args([
            "build",
            "--release",
            "-Zbuild-std=std,panic_abort,proc_macro,test",
        ])
        .args(["--target", TARGET])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", &target_directory)
        .current_dir(&package))?;
    Ok(target_directory.join(TARGET).join("release/deps"))
}

/// Cargo looks for std's sources in one place of the toolchain only. This puts a link there for the
/// time of the build, unless sources are there already.
struct SourceLink(Option<PathBuf>);

impl SourceLink {
    fn new(toolchain: &Toolchain, sources: &Path) -> Result<Self> {
        let place = toolchain.sysroot.join("lib/rustlib/src/rust");
        if place.join("library").is_dir() {
            return Ok(Self(None));
        }
        let link = || -> std::io::Result<()> {
            // One that leads nowhere was left by a run that was killed.
            if place.is_symlink() {
                std::fs::remove_file(&place)?;
            }
            if let Some(folder) = place.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::os::unix::fs::symlink(sources, &place)
        };
        link().with_context(|| format!("linking the sources to {}", place.display()))?;
        Ok(Self(Some(place)))
    }
}

impl Drop for SourceLink {
    fn drop(&mut self) {
        if let Some(place) = &self.0 {
            // Best effort: a link that leads nowhere is replaced by the next run.
            let _ = std::fs::remove_file(place);
            // Only if it is empty, so only if it was made for the link.
            let _ = place.parent().map(std::fs::remove_dir);
        }
    }
}

/// Makes the folder of a target as rustup would, with a word about where it came from.
fn stage(built: &Path, sources: &Sources, staged: &Path) -> Result<()> {
    let lib = staged.join("lib");
    let self_contained = lib.join("self-contained");
    std::fs::create_dir_all(&self_contained)?;
    let mut copied = 0_u32;
    for entry in std::fs::read_dir(built)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_library(&name.to_string_lossy()) {
            std::fs::copy(entry.path(), lib.join(&name))?;
            copied += 1;
        }
    }
    if copied == 0 {
        bail!("the build left no library in {}", built.display());
    }
    for file in SELF_CONTAINED {
        std::fs::copy(sources.libc.join(file), self_contained.join(file))?;
    }
    let origin = format!(
        "Built by `cargo xtask setup` from {}.\nRemove this folder to undo it.\n",
        sources.origin
    );
    std::fs::write(staged.join("ORIGIN"), origin)?;
    note(&format!("{copied} libraries"));
    Ok(())
}

fn is_library(file_name: &str) -> bool {
    let of_empty_crate = format!("lib{}-", EMPTY_CRATE.replace('-', "_"));
    file_name.starts_with("lib")
        && (file_name.ends_with(".rlib") || file_name.ends_with(".rmeta"))
        && !file_name.starts_with(&of_empty_crate)
}

/// Puts `new` in the place of `old`, if there is one, by renaming.
fn exchange(new: &Path, old: &Path) -> std::io::Result<()> {
    let aside = new.with_extension("old");
    let had_old = old.exists();
    if had_old {
        std::fs::rename(old, &aside)?;
    }
    if let Err(error) = std::fs::rename(new, old) {
        if had_old {
            std::fs::rename(&aside, old)?;
        }
        return Err(error);
    }
    if had_old {
        std::fs::remove_dir_all(&aside)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolchain(sysroot: &Path) -> Toolchain {
        Toolchain {
            release: "1.95.0".into(),
            sysroot: sysroot.into(),
            target_libdir: sysroot.join("lib/rustlib").join(TARGET).join("lib"),
        }
    }

    #[test]
    fn the_libraries_of_std_are_installed_and_nothing_else() {
        assert!(is_library("libstd-8bccc13bdbd01d97.rlib"));
        assert!(is_library("libstd-8bccc13bdbd01d97.rmeta"));
        assert!(!is_library("libstandard_library-6b4cdd27b2880230.rlib"));
        assert!(!is_library("std-8bccc13bdbd01d97.d"));
    }

    #[test]
    fn a_staged_target_has_libraries_c_library_and_origin() {
        let folder = tempfile::tempdir().unwrap();
        let built = folder.path().join("deps");
        let libc = folder.path().join("libc");
        std::fs::create_dir_all(&built).unwrap();
        std::fs::create_dir_all(&libc).unwrap();
        std::fs::write(built.join("libstd-1.rlib"), "std").unwrap();
        std::fs::write(built.join("std-1.d"), "").unwrap();
        for file in SELF_CONTAINED {
            std::fs::write(libc.join(file), file).unwrap();
        }
        let sources = Sources {
            rust: "/none".into(),
            libc,
            origin: "rust-src 1".into(),
        };
        let staged = folder.path().join("staged");

        stage(&built, &sources, &staged).unwrap();

        assert_eq!(
            std::fs::read(staged.join("lib/libstd-1.rlib")).unwrap(),
            b"std"
        );
        assert!(!staged.join("lib/std-1.d").exists());
        assert!(staged.join("lib/self-contained/crt1-reactor.o").is_file());
        assert!(
            std::fs::read_to_string(staged.join("ORIGIN"))
                .unwrap()
                .contains("rust-src 1")
        );
    }

    #[test]
    fn a_build_that_left_nothing_is_not_installed() {
        let folder = tempfile::tempdir().unwrap();
        let sources = Sources {
            rust: "/".into(),
            libc: "/".into(),
            origin: String::new(),
        };
        let error = stage(folder.path(), &sources, &folder.path().join("staged")).unwrap_err();
        assert!(error.to_string().contains("no library"), "{error}");
    }

    #[test]
    fn a_broken_target_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (new, old) = (folder.path().join(".new-1"), folder.path().join(TARGET));
        std::fs::create_dir(&new).unwrap();
        std::fs::create_dir(&old).unwrap();
        std::fs::write(new.join("fresh"), "").unwrap();
        std::fs::write(old.join("stale"), "").unwrap();

        exchange(&new, &old).unwrap();

        assert!(old.join("fresh").is_file() && !old.join("stale").exists());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_link_to_the_sources_is_there_for_the_build_only_and_replaces_a_dead_one() {
        let folder = tempfile::tempdir().unwrap();
        let toolchain = toolchain(folder.path());
        let sources = folder.path().join("sources");
        std::fs::create_dir_all(sources.join("library")).unwrap();
        let place = folder.path().join("lib/rustlib/src/rust");
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(folder.path().join("gone"), &place).unwrap();

        let link = SourceLink::new(&toolchain, &sources).unwrap();
        assert!(place.join("library").is_dir());
        drop(link);
        assert!(!place.is_symlink() && !place.parent().unwrap().exists());
    }

    #[test]
    fn sources_that_the_toolchain_has_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("lib/rustlib/src/rust");
        std::fs::create_dir_all(place.join("library")).unwrap();
        drop(SourceLink::new(&toolchain(folder.path()), Path::new("/none")).unwrap());
        assert!(place.join("library").is_dir());
    }

    #[test]
    fn a_toolchain_of_an_unknown_layout_is_refused() {
        let strange = Toolchain {
            target_libdir: "/lib".into(),
            ..toolchain(Path::new("/"))
        };
        assert!(rustlib(&strange).is_err());
        let known = toolchain(Path::new("/opt/rust"));
        assert_eq!(rustlib(&known).unwrap(), Path::new("/opt/rust/lib/rustlib"));
    }
}
