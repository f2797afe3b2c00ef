//! Says of a component, without running it, whether it fits this host: each import as provided,
//! missing, or offered in another version; each export that the host calls as there or not.

use serde::Serialize;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use super::CallState;
use super::cache::{ComponentCache, compiled};
use super::identity::identity;

/// What this host thinks of one import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum ImportStatus {
    /// The host provides it.
    Provided,
    /// The host provides the interface in another, incompatible version.
    WrongVersion {
        /// What the host provides.
        offered: String,
    },
    /// The host knows no such interface.
    Missing,
}

/// One import of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Import {
    /// Its name, such as `wasi:http/types@0.2.12`.
    pub name: String,
    /// Whether the host has it.
    #[serde(flatten)]
    pub status: ImportStatus,
}

/// One interface that the host calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Export {
    /// Its name, such as `automate:spark-customer/workflows@0.1.0`.
    pub name: String,
    /// Whether the component exports it.
    pub present: bool,
}

/// What `inspect` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The plugin's name and version.
    pub plugin: String,
    /// Its imports, in its own order.
    pub imports: Vec<Import>,
    /// What the host calls.
    pub exports: Vec<Export>,
    /// What the linker says besides, when names and versions fit and it refuses all the same.
    pub problem: Option<String>,
}

impl Inspection {
    /// Whether this host can run the component.
    pub fn fits(&self) -> bool {
        self.problem.is_none()
            && self
                .imports
                .iter()
                .all(|import| import.status == ImportStatus::Provided)
            && self.exports.iter().all(|export| export.present)
    }
}

/// Why a file could not be inspected at all.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It is a core module, not a component.
    #[error(
        "this is a core WebAssembly module, not a component: build it for wasm32-wasip2, or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    /// It is something else altogether.
    #[error("this is no WebAssembly at all: it does not begin with \"\\0asm\"")]
    NoWasm,
    /// It is no valid component.
    #[error("this is not a valid WebAssembly component: {0}")]
    Invalid(String),
    /// The engine of the host could not be made.
    #[error("the WebAssembly engine could not be started: {0}")]
    Engine(String),
}

/// The interface that the host calls.
pub(crate) const WORKFLOWS: &str = "automate:spark-customer/workflows@0.1.0";

impl InspectError {
    /// Why these bytes, which do not compile, do not.
    pub(super) fn of(bytes: &[u8], error: &wasmtime::Error) -> Self {
        if !bytes.starts_with(b"\0asm") {
            return Self::NoWasm;
        }
        if wasmparser::Parser::is_core_wasm(bytes) {
            return Self::CoreModule;
        }
        Self::Invalid(format!("{error:#}"))
    }
}

/// Looks at a component. Compiles it, which blocks for about a second.
///
/// # Errors
/// It is no component at all; what does not fit is no error, but in the [`Inspection`].
pub fn inspect(bytes: &[u8]) -> Result<Inspection, InspectError> {
    inspect_with(bytes, None)
}

/// As [`inspect`], without compiling what is in the cache already.
///
/// # Errors
/// As those of [`inspect`].
pub fn inspect_with(
    bytes: &[u8],
    cache: Option<&ComponentCache>,
) -> Result<Inspection, InspectError> {
    let limits = crate::limits::Limits::default();
    let no_engine = |error: wasmtime::Error| InspectError::Engine(format!("{error:#}"));
    let engine = super::engine::engine(&limits).map_err(no_engine)?;
    let linker = super::plugin::linker(&engine).map_err(no_engine)?;
    let component =
        compiled(&engine, bytes, cache).map_err(|error| InspectError::of(bytes, &error))?;
    Ok(inspection(&engine, &linker, &component, identity(bytes)))
}

/// Whether everything that a component imports is part of the contract.
pub(crate) fn provides_imports(engine: &Engine, component: &Component) -> bool {
    let of_type = component.component_type();
    of_type
        .imports(engine)
        .all(|(name, _)| status(name) == ImportStatus::Provided)
}

/// What there is to say of a component that was compiled, and calls itself `plugin`.
pub(super) fn inspection(
    engine: &Engine,
    linker: &Linker<CallState>,
    component: &Component,
    plugin: String,
) -> Inspection {
    let of_type = component.component_type();
    let imports: Vec<Import> = of_type
        .imports(engine)
        .map(|(name, _)| Import {
            name: name.to_owned(),
            status: status(name),
        })
        .collect();
    let exports = vec![Export {
        name: WORKFLOWS.to_owned(),
        present: component.get_export_index(None, WORKFLOWS).is_some(),
    }];
    let mut inspection = Inspection {
        plugin,
        imports,
        exports,
        problem: None,
    };
    if inspection.fits()
        && let Err(error) = super::plugin::link(linker, component)
    {
        inspection.problem = Some(format!("{error:#}"));
    }
    inspection
}

/// Every interface that the linker of this host holds.
const PROVIDED: &[&str] = &[
    "automate:platform/egress@0.1.0",
    "automate:platform/scheduling@0.1.0",
    "automate:platform/secrets@0.1.0",
    "automate:platform/settings@0.1.0",
    "automate:platform/storage@0.1.0",
    "automate:platform/transactions@0.1.0",
    "automate:platform/types@0.1.0",
    "wasi:cli/environment@0.2.12",
    "wasi:cli/exit@0.2.12",
    "wasi:cli/stderr@0.2.12",
    "wasi:cli/stdin@0.2.12",
    "wasi:cli/stdout@0.2.12",
    "wasi:cli/terminal-input@0.2.12",
    "wasi:cli/terminal-output@0.2.12",
    "wasi:cli/terminal-stderr@0.2.12",
    "wasi:cli/terminal-stdin@0.2.12",
    "wasi:cli/terminal-stdout@0.2.12",
    "wasi:clocks/monotonic-clock@0.2.12",
    "wasi:clocks/wall-clock@0.2.12",
    "wasi:filesystem/preopens@0.2.12",
    "wasi:filesystem/types@0.2.12",
    "wasi:http/outgoing-handler@0.2.12",
    "wasi:http/types@0.2.12",
    "wasi:io/error@0.2.12",
    "wasi:io/poll@0.2.12",
    "wasi:io/streams@0.2.12",
    "wasi:random/insecure-seed@0.2.12",
    "wasi:random/insecure@0.2.12",
    "wasi:random/random@0.2.12",
];

fn status(name: &str) -> ImportStatus {
    let (interface, version) = split(name);
    let mut offered = PROVIDED
        .iter()
        .filter(|provided| split(provided).0 == interface);
    match offered.next() {
        None => ImportStatus::Missing,
        Some(provided) if compatible(version, split(provided).1) => ImportStatus::Provided,
        Some(provided) => ImportStatus::WrongVersion {
            offered: (*provided).to_owned(),
        },
    }
}

fn split(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, ""))
}

/// How the linker matches versions: a pre-release only itself, `0.x.*` among themselves, `n.*`
/// among themselves.
fn compatible(wanted: &str, offered: &str) -> bool {
    fn track(version: &str) -> Option<(&str, &str)> {
        let mut parts = version.split('.');
        match (parts.next()?, parts.next()?) {
            ("0", minor) => Some(("0", minor)),
            (major, _) => Some((major, "")),
        }
    }
    let fixed = |version: &str| version.contains('-') || version.starts_with("0.0.");
    if fixed(wanted) || fixed(offered) {
        wanted == offered
    } else {
        track(wanted) == track(offered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One function of each provided interface that has functions.
    const FUNCTIONS: &[&str] = &[
        "automate:platform/egress@0.1.0#use-proxies",
        "automate:platform/scheduling@0.1.0#wakeups",
        "automate:platform/secrets@0.1.0#reveal",
        "automate:platform/settings@0.1.0#get",
        "automate:platform/storage@0.1.0#commit",
        "automate:platform/transactions@0.1.0#log",
        "wasi:cli/environment@0.2.12#get-environment",
        "wasi:cli/exit@0.2.12#exit",
        "wasi:cli/stderr@0.2.12#get-stderr",
        "wasi:cli/stdin@0.2.12#get-stdin",
        "wasi:cli/stdout@0.2.12#get-stdout",
        "wasi:cli/terminal-stderr@0.2.12#get-terminal-stderr",
        "wasi:cli/terminal-stdin@0.2.12#get-terminal-stdin",
        "wasi:cli/terminal-stdout@0.2.12#get-terminal-stdout",
        "wasi:clocks/monotonic-clock@0.2.12#now",
        "wasi:clocks/wall-clock@0.2.12#now",
        "wasi:filesystem/preopens@0.2.12#get-directories",
        "wasi:filesystem/types@0.2.12#filesystem-error-code",
        "wasi:http/outgoing-handler@0.2.12#handle",
        "wasi:http/types@0.2.12#http-error-code",
        "wasi:io/error@0.2.12#[method]error.to-debug-string",
        "wasi:io/poll@0.2.12#poll",
        "wasi:io/streams@0.2.12#[method]input-stream.read",
        "wasi:random/insecure-seed@0.2.12#insecure-seed",
        "wasi:random/insecure@0.2.12#get-insecure-random-u64",
        "wasi:random/random@0.2.12#get-random-bytes",
    ];

    /// Provided, and without functions: types and resources only.
    const WITHOUT: &[&str] = &[
        "automate:platform/types@0.1.0",
        "wasi:cli/terminal-input@0.2.12",
        "wasi:cli/terminal-output@0.2.12",
    ];

    #[test]
    fn the_linker_holds_everything_that_is_called_provided() {
        let limits = crate::limits::Limits::default();
        let engine = super::super::engine::engine(&limits).unwrap();
        let mut linker = super::super::plugin::linker(&engine).unwrap();
        // What is defined already cannot be defined again.
        let mut free = |interface: &str, function: &str| {
            let mut instance = linker.instance(interface).unwrap();
            instance.func_wrap(function, |_, (): ()| Ok(())).is_ok()
        };
        let mut held: Vec<&str> = WITHOUT.to_vec();
        for function in FUNCTIONS {
            let (interface, function) = function.split_once('#').unwrap();
            assert!(!free(interface, function), "{interface} has no {function}");
            held.push(interface);
        }
        assert!(free("wasi:http/incoming-handler@0.2.12", "handle"));
        held.sort_unstable();
        assert_eq!(held, PROVIDED);
    }

    #[test]
    fn versions_match_as_the_linker_matches_them() {
        assert!(compatible("0.2.3", "0.2.12"));
        assert!(compatible("1.4.0", "1.2.0"));
        assert!(!compatible("0.3.0", "0.2.12"));
        assert!(!compatible("0.2.0-rc.2", "0.2.0-rc.1"));
        assert!(compatible("0.2.0-rc.1", "0.2.0-rc.1"));
    }

    #[test]
    fn an_unknown_import_is_missing_and_a_newer_one_is_the_wrong_version() {
        assert_eq!(
            status("automate:platform/queues@0.1.0"),
            ImportStatus::Missing
        );
        assert_eq!(
            status("automate:platform/storage@0.2.0"),
            ImportStatus::WrongVersion {
                offered: "automate:platform/storage@0.1.0".into()
            }
        );
    }

    #[test]
    fn a_core_module_and_what_is_no_webassembly_are_told_from_a_component() {
        let module = b"\0asm\x01\0\0\0";
        assert!(matches!(inspect(module), Err(InspectError::CoreModule)));
        assert!(matches!(inspect(b"nonsense"), Err(InspectError::NoWasm)));
        let broken = b"\0asm\x0d\0\x01\0nonsense";
        assert!(matches!(inspect(broken), Err(InspectError::Invalid(_))));
    }
}
