//! Finds the components to embed in the binary. A component that does not exist is not embedded.
//!
//! Each component is the file that its environment variable names. Without the variable, it is the file of
//! its name in `component/` of cargo's target directory, where `cargo xtask build` writes it.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Name, environment variable and `cfg` flag of each component.
const EMBEDDED: [(&str, &str, &str); 2] = [
    ("spark-customer", "RELATION_COMPONENT", "embedded_component"),
    (
        "host-conformance",
        "RELATION_CONFORMANCE",
        "embedded_conformance",
    ),
];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    for (name, variable, cfg) in EMBEDDED {
        println!("cargo::rerun-if-env-changed={variable}");
        println!("cargo::rustc-check-cfg=cfg({cfg})");
        let file = format!("{name}.wasm");
        let component = match env::var_os(variable).filter(|path| !path.is_empty()) {
            Some(path) => {
                println!("cargo::rerun-if-changed={}", Path::new(&path).display());
                Some(PathBuf::from(path))
            }
            None => find_built(&out, &file)?,
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

/// Returns the component in the target directory of this build, if it exists.
fn find_built(out: &Path, file: &str) -> io::Result<Option<PathBuf>> {
    let Some(target) = target_directory(out) else {
        return Ok(None);
    };
    let folder = target.join("component");
    let component = folder.join(file);
    if component.exists() {
        println!("cargo::rerun-if-changed={}", component.display());
        return Ok(Some(component));
    }
    // Cargo treats a watched file that does not exist as changed, and would compile this package again each
    // time. Until the file exists, its directory is watched.
    fs::create_dir_all(&folder)?;
    println!("cargo::rerun-if-changed={}", folder.display());
    Ok(None)
}

/// Returns the target directory of `OUT_DIR`, which is `<target
/// directory>/[triple/]profile/build/package-hash/out`.
fn target_directory(out: &Path) -> Option<&Path> {
    let directory = out.ancestors().nth(4)?;
    let triple = env::var_os("TARGET")?;
    if directory.file_name() == Some(&triple) {
        directory.parent()
    } else {
        Some(directory)
    }
}
