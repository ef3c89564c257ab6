/// Each program of `tests/compile_fail` is refused, for the reason that stands beside it. The reasons are the stable
/// compiler's words, without the component `rust-src`; `TRYBUILD=overwrite cargo test --test source_rules compiler` writes them
/// anew, to be read before they are kept. The first run compiles the dependencies once more, into `target/tests`.
#[test]
fn the_compiler_refuses_what_reaches_beyond_a_tenant() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
