//! What the source promises of itself, on the host and without the runtime: rooms, statements, triggers, schemas, what
//! must not compile, the API reference.
//!
//! Each rule is a function from a source to its faults. Beside the test that holds the project to the rule stands one
//! that shows the rule finding a fault.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

/// The source, read by syn.
#[path = "source_rules/source.rs"]
mod source;

/// A file's tokens, in macros and attributes too.
#[path = "source_rules/tokens.rs"]
mod tokens;

/// What stands under `#[cfg(test)]`.
#[path = "source_rules/test_code.rs"]
mod test_code;

/// The paths that a file writes.
#[path = "source_rules/references.rs"]
mod references;

/// Which file imports which.
#[path = "source_rules/imports.rs"]
mod imports;

/// Who calls other servers.
#[path = "source_rules/calls.rs"]
mod calls;

/// The rooms: their order, and what each may not touch.
#[path = "source_rules/rooms.rs"]
mod rooms;

/// That it is so.
#[path = "source_rules/room_checks.rs"]
mod room_checks;

/// That docs/architecture.md and each room's opening say the same.
#[path = "source_rules/room_docs.rs"]
mod room_docs;

/// What a file declares.
#[path = "source_rules/declared.rs"]
mod declared;

/// One meaning for a type's name; and how large everything is.
#[path = "source_rules/structure.rs"]
mod structure;

/// Words that only this project ever used so.
#[path = "source_rules/retired_words.rs"]
mod retired_words;

/// What only a few files may do.
#[path = "source_rules/privileges.rs"]
mod privileges;

/// Every registered statement, and the databases they run on.
#[path = "source_rules/statements.rs"]
mod statements;

/// A statement on a shard binds its tenant.
#[path = "source_rules/tenant_lint.rs"]
mod tenant_lint;

/// A view gives each tenant its own rows.
#[path = "source_rules/views.rs"]
mod views;

/// A full-text index gives numbers of rows, and only beside the rows.
#[path = "source_rules/full_text.rs"]
mod full_text;

/// What that lint says of statements that were made not to.
#[path = "source_rules/mutants.rs"]
mod mutants;

/// What triggers do, they do to the rows of their tenant.
#[path = "source_rules/triggers.rs"]
mod triggers;

/// A statement across the tenants of a shard sees their ids alone.
#[path = "source_rules/shard_lint.rs"]
mod shard_lint;

/// A statement finds its rows by an index.
#[path = "source_rules/planner.rs"]
mod planner;

/// A statement that names rows reads no others.
#[path = "source_rules/seeks.rs"]
mod seeks;

/// What a query comes to in a collection that has a field of each kind.
#[path = "source_rules/asking.rs"]
mod asking;

/// A shard with such a collection, of two tenants.
#[path = "source_rules/listed.rs"]
mod listed;

/// Statements that are put together: every kind of list.
#[path = "source_rules/compositions.rs"]
mod compositions;

/// What such a statement costs.
#[path = "source_rules/costs.rs"]
mod costs;

/// Whatever is asked, a list's statements are within what D1 takes and have their LIMIT.
#[path = "source_rules/filter_bounds.rs"]
mod filter_bounds;

/// Pages are a scan in pieces, whatever is written meanwhile.
#[path = "source_rules/list_model.rs"]
mod list_model;

/// A shard's tables keep tenants apart by themselves.
#[path = "source_rules/schema.rs"]
mod schema;

/// A shard in memory with two tenants.
#[path = "source_rules/shard.rs"]
mod shard;

/// What a shard's triggers derive from records.
#[path = "source_rules/derivation.rs"]
mod derivation;

/// That it is what the records say, whatever is written.
#[path = "source_rules/derived_anew.rs"]
mod derived_anew;

/// A shard of before, after the migration that folds rows.
#[path = "source_rules/folded_rows.rs"]
mod folded_rows;

/// The bytes that a tenant stores, whatever is written while they are counted.
#[path = "source_rules/stored_bytes.rs"]
mod stored_bytes;

/// What triggers and rules make of files.
#[path = "source_rules/files.rs"]
mod files;

/// What a purge leaves.
#[path = "source_rules/purge.rs"]
mod purge;

/// Programs that the compiler refuses.
#[path = "source_rules/compile_fail.rs"]
mod compile_fail;

/// What paths leave for the names of collections and records.
#[path = "source_rules/paths.rs"]
mod paths;

/// What contracts say, for readers.
#[path = "source_rules/shapes.rs"]
mod shapes;

/// `docs/api.md`.
#[path = "source_rules/api_reference.rs"]
mod api_reference;

/// `docs/mercure.md`.
#[path = "source_rules/mercure_table.rs"]
mod mercure_table;

/// What goes in and out, and the OpenAPI documents that are made of it.
#[path = "source_rules/contracts.rs"]
mod contracts;

/// Versions and licences, wherever they stand.
#[path = "source_rules/manifests.rs"]
mod manifests;

/// The laws, and the tests that would notice their breach.
#[path = "source_rules/laws.rs"]
mod laws;

/// Which headers operations read and send, and that they say so.
#[path = "source_rules/header_names.rs"]
mod header_names;

/// What isolates, KV and the hub remember.
#[path = "source_rules/memories.rs"]
mod memories;

/// Fails with one fault per line.
fn none(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}:\n  {}\n", faults.join("\n  "));
}
