//! Bindings that wasmtime generates from the contract. Bindings of WASI come from wasmtime's own
//! crates.

// Generated code has no docs and does not follow the project's lints; the contract documents the
// items.
#![allow(dead_code, missing_docs, clippy::all, clippy::pedantic)]

wasmtime::component::bindgen!({
    path: "wit/spark-customer",
    inline: r#"
        package automate:host;

        world plugin {
            import automate:platform/types@0.1.0;
            import automate:platform/storage@0.1.0;
            import automate:platform/scheduling@0.1.0;
            import automate:platform/settings@0.1.0;
            import automate:platform/secrets@0.1.0;
            import automate:platform/egress@0.1.0;
            import automate:platform/transactions@0.1.0;
            export automate:spark-customer/workflows@0.1.0;
        }
    "#,
    world: "automate:host/plugin",
    imports: { default: async | trappable },
    exports: { default: async },
});
