//! Keeps `wasi:cli` out of the component's imports.
//!
//! Rust's standard library links the C library's access to arguments, environment, terminal and standard streams,
//! although no workflow uses them. These definitions take the place of the imports. They are never called, because a
//! panic is logged and not written to standard error: see `panics.rs`.

/// Defines functions in place of imports of the C library, by the names that it gives them.
macro_rules! unused {
    ($($name:ident($($argument:ident: $kind:ty),*) $(-> $result:ty)?;)+) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name($(_: $kind),*) $(-> $result)? {
                core::arch::wasm32::unreachable()
            }
        )+
    };
}

unused! {
    __wasm_import_environment_get_arguments(list: i32);
    __wasm_import_environment_get_environment(list: i32);
    __wasm_import_environment_initial_cwd(path: i32);
    __wasm_import_exit_exit(status: i32);
    __wasm_import_stderr_get_stderr() -> i32;
    __wasm_import_stdin_get_stdin() -> i32;
    __wasm_import_stdout_get_stdout() -> i32;
    __wasm_import_terminal_input_terminal_input_drop(handle: i32);
    __wasm_import_terminal_output_terminal_output_drop(handle: i32);
    __wasm_import_terminal_stderr_get_terminal_stderr(terminal: i32);
    __wasm_import_terminal_stdin_get_terminal_stdin(terminal: i32);
    __wasm_import_terminal_stdout_get_terminal_stdout(terminal: i32);
}
