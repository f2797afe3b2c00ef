//! Checks without running a component whether it is compatible with this host. Each import is
//! provided, missing or of another version; each required export is present or absent.

use serde::Serialize;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use super::CallState;
use super::cache::{ComponentCache, load_or_compile};
use super::identity::identity;

/// The availability of one import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum ImportStatus {
    /// The host provides it.
    Provided,
    /// The host provides an incompatible version of the interface.
    WrongVersion {
        /// The version that the host provides.
        offered: String,
    },
    /// The host does not know the interface.
    Missing,
}

/// One import of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Import {
    /// The import's name, such as `wasi:http/types@0.2.12`.
    pub name: String,
    /// The import's availability.
    #[serde(flatten)]
    pub status: ImportStatus,
}

/// One interface that the host calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Export {
    /// The export's name, such as `automate:spark-customer/workflows@0.1.0`.
    pub name: String,
    /// Whether the component exports it.
    pub present: bool,
}

/// The result of inspecting a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// The plugin's name and version.
    pub plugin: String,
    /// The component's imports, in its own order.
    pub imports: Vec<Import>,
    /// The exports that the host calls.
    pub exports: Vec<Export>,
    /// The linker's error, if it rejects the component although names and versions match.
    pub problem: Option<String>,
}

impl Inspection {
    /// Returns whether this host can run the component.
    pub fn is_compatible(&self) -> bool {
        self.problem.is_none()
            && self
                .imports
                .iter()
                .all(|import| import.status == ImportStatus::Provided)
            && self.exports.iter().all(|export| export.present)
    }
}

/// The reason why a file could not be inspected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// The file is a core module, not a component.
    #[error(
        "this is a core WebAssembly module, not a component: build it for wasm32-wasip2, or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    /// The file is not WebAssembly.
    #[error("this is not WebAssembly: it does not begin with \"\\0asm\"")]
    NotWasm,
    /// The file is not a valid component.
    #[error("this is not a valid WebAssembly component: {0}")]
    Invalid(String),
    /// The host's engine could not be created.
    #[error("the WebAssembly engine could not be started: {0}")]
    Engine(String),
}

/// The interface that the host calls.
pub(crate) const WORKFLOWS: &str = "automate:spark-customer/workflows@0.1.0";

impl InspectError {
    /// Determines why these bytes do not compile.
    pub(super) fn from_compile_error(bytes: &[u8], error: &wasmtime::Error) -> Self {
        if !bytes.starts_with(b"\0asm") {
            return Self::NotWasm;
        }
        if wasmparser::Parser::is_core_wasm(bytes) {
            return Self::CoreModule;
        }
        Self::Invalid(format!("{error:#}"))
    }
}

/// Inspects a component. Compiling it blocks for about a second.
///
/// # Errors
/// The bytes are not a component. An incompatible component is not an error but a result: see
/// [`Inspection`].
pub fn inspect(bytes: &[u8]) -> Result<Inspection, InspectError> {
    inspect_with(bytes, None)
}

/// Works like [`inspect`], but loads the compiled component from the cache if present.
///
/// # Errors
/// Errors of [`inspect`].
pub fn inspect_with(
    bytes: &[u8],
    cache: Option<&ComponentCache>,
) -> Result<Inspection, InspectError> {
    let limits = crate::limits::Limits::default();
    let no_engine = |error: wasmtime::Error| InspectError::Engine(format!("{error:#}"));
    let engine = super::engine::engine(&limits).map_err(no_engine)?;
    let linker = super::plugin::linker(&engine).map_err(no_engine)?;
    let (component, _) = load_or_compile(&engine, bytes, cache)
        .map_err(|error| InspectError::from_compile_error(bytes, &error))?;
    Ok(inspect_component(
        &engine,
        &linker,
        &component,
        identity(bytes),
    ))
}

/// Returns whether all imports of a component are part of the contract.
pub(crate) fn provides_imports(engine: &Engine, component: &Component) -> bool {
    let of_type = component.component_type();
    of_type
        .imports(engine)
        .all(|(name, _)| status(name) == ImportStatus::Provided)
}

/// Inspects a compiled component whose identity is `plugin`.
pub(super) fn inspect_component(
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
    if inspection.is_compatible()
        && let Err(error) = super::plugin::link(linker, component)
    {
        inspection.problem = Some(format!("{error:#}"));
    }
    inspection
}

/// All interfaces that the host's linker provides.
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

/// Matches versions like the linker: a pre-release only matches itself, `0.x.*` match each other,
/// and so do `n.*`.
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

    /// Provided interfaces without functions: types and resources only.
    const WITHOUT: &[&str] = &[
        "automate:platform/types@0.1.0",
        "wasi:cli/terminal-input@0.2.12",
        "wasi:cli/terminal-output@0.2.12",
    ];

    #[test]
    fn provided_interfaces_are_in_the_linker() {
        let limits = crate::limits::Limits::default();
        let engine = super::super::engine::engine(&limits).unwrap();
        let mut linker = super::super::plugin::linker(&engine).unwrap();
        // Defining a function twice fails.
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
    fn import_status_is_missing_or_wrong_version() {
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
    fn core_module_and_non_wasm_have_own_errors() {
        let module = b"\0asm\x01\0\0\0";
        assert!(matches!(inspect(module), Err(InspectError::CoreModule)));
        assert!(matches!(inspect(b"nonsense"), Err(InspectError::NotWasm)));
        let broken = b"\0asm\x0d\0\x01\0nonsense";
        assert!(matches!(inspect(broken), Err(InspectError::Invalid(_))));
    }
}
