use std::collections::BTreeSet;

use carillon::records::definition::RESERVED;
use carillon::records::names::{RESERVED_IDS, record_id};
use carillon::routes::{self, Route};

use crate::none;

/// Every path of the route table, segment by segment.
fn paths() -> impl Iterator<Item = Vec<String>> {
    routes::all().flat_map(Route::paths).map(|path| path.split('/').skip(1).map(str::to_owned).collect())
}

/// What stands in the place of `{collection}`: in `/api/v1/<here>` and in `/api/<here>`.
fn instead_of_a_collection(path: &[String]) -> Vec<String> {
    let literal = |text: &&str| !text.starts_with('{');
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let names = match path.as_slice() {
        ["api", "v1", name, ..] => vec!["v1", name],
        ["api", name, ..] => vec![*name],
        _ => Vec::new(),
    };
    names.into_iter().filter(literal).map(str::to_owned).collect()
}

#[test]
fn no_collection_hides_a_path_or_is_hidden_by_one() {
    let taken: BTreeSet<String> = paths().flat_map(|path| instead_of_a_collection(&path)).collect();
    assert!(taken.contains("users") && taken.contains("collections"), "{taken:?}");
    let free = taken.into_iter().filter(|name| !RESERVED.contains(&name.as_str()));
    none("add these to RESERVED of src/records/definition.rs", &free.collect::<Vec<_>>());
}

#[test]
fn no_record_is_hidden_by_a_path() {
    let beside = |path: Vec<String>| match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["api", "v1", "{collection}", name, ..] | ["api", "{collection}", name, ..] => Some((*name).to_owned()),
        _ => None,
    };
    let taken: BTreeSet<String> = paths().filter_map(beside).filter(|name| !name.starts_with('{')).collect();
    assert_eq!(taken.into_iter().collect::<Vec<_>>(), RESERVED_IDS);
    assert!(RESERVED_IDS.iter().all(|id| record_id(id).is_err()));
}
