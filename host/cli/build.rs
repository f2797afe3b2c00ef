//! Finds the components that the binary is to carry; without one the binary is built all the same.
//!
//! Each is the file that its environment variable names, otherwise the one of its name in `component/`
//! of cargo's target directory, where `cargo xtask build` leaves it.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Name, environment variable and `cfg` of each.
const CARRIED: [(&str, &str, &str); 2] = [
    ("spark-customer", "RELATION_COMPONENT", "carries_component"),
    (
        "host-conformance",
        "RELATION_CONFORMANCE",
        "carries_conformance",
    ),
];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    for (name, variable, cfg) in CARRIED {
        println!("cargo::rerun-if-env-changed={variable}");
        println!("cargo::rustc-check-cfg=cfg({cfg})");
        let file = format!("{name}.wasm");
        let component = match env::var_os(variable).filter(|path| !path.is_empty()) {
            Some(path) => {
                println!("cargo::rerun-if-changed={}", Path::new(&path).display());
                Some(PathBuf::from(path))
            }
            None => built(&out, &file)?,
        };
        if let Some(component) = component {
            let bytes = fs::read(&component).map_err(|error| {
                let path = component.display();
                io::Error::new(
                    error.kind(),
                    format!("cannot read the component {path}: {error}"),
                )
            })?;
            fs::write(out.join(&file), bytes)?;
            println!("cargo::rustc-cfg={cfg}");
        }
    }
    Ok(())
}

/// The component that was built into the target directory of this build, if one was.
fn built(out: &Path, file: &str) -> io::Result<Option<PathBuf>> {
    let Some(target) = target_directory(out) else {
        return Ok(None);
    };
    let folder = target.join("component");
    let component = folder.join(file);
    if component.exists() {
        println!("cargo::rerun-if-changed={}", component.display());
        return Ok(Some(component));
    }
    // Cargo takes a watched file that is not there for one that has changed, and would compile this
    // package anew each time: as long as it is not there, its folder is watched.
    fs::create_dir_all(&folder)?;
    println!("cargo::rerun-if-changed={}", folder.display());
    Ok(None)
}

/// `OUT_DIR` is `<target directory>/[triple/]profile/build/package-hash/out`.
fn target_directory(out: &Path) -> Option<&Path> {
    let directory = out.ancestors().nth(4)?;
    let triple = env::var_os("TARGET")?;
    if directory.file_name() == Some(&triple) {
        directory.parent()
    } else {
        Some(directory)
    }
}
