use crate::rooms::{House, Reserved, Rule};

/// The rooms while `domain` is a folder of the Worker: four floors, whose rooms may import each other.
pub const HOUSE: House = House {
    order: &[
        &["domain"],
        &["storage", "hub", "http"],
        &["live", "rows", "tenant", "auth", "ops"],
        &["lib", "pipeline", "routes"],
    ],
    rules: &[Rule {
        room: "domain",
        touch: "any platform type",
        names: &["worker", "js_sys", "web_sys", "wasm_bindgen", "wasm_bindgen_futures"],
        but: &[],
    }],
    reserved: &[Reserved {
        room: "storage",
        owns: "the only code that speaks to D1, KV and R2",
        names: &[
            "worker::d1",
            "worker::kv",
            "D1Database",
            "D1PreparedStatement",
            "KvStore",
            ".d1(",
            ".kv(",
            ".bucket(",
            ".media(",
            ".prepare(",
        ],
    }],
    rows_are_knots: true,
};
