use std::collections::BTreeSet;

use carillon::records::definition::RESERVED;
use carillon::records::names::{RESERVED_IDS, record_id};
use carillon::routes;

use crate::none;

/// Every path of the route table, segment by segment.
fn paths() -> impl Iterator<Item = Vec<&'static str>> {
    let all = routes::all().flat_map(|route| std::iter::once(&route.path).chain(route.aliases));
    all.map(|path| path.split('/').skip(1).collect())
}

/// What stands in the place of `{collection}`: in `/api/v1/<here>` and in `/api/<here>`.
fn instead_of_a_collection(path: &[&'static str]) -> Vec<&'static str> {
    let literal = |text: &&&str| !text.starts_with('{');
    match path {
        ["api", "v1", name, ..] => [&"v1", name].into_iter().filter(literal).copied().collect(),
        ["api", name, ..] => [name].into_iter().filter(literal).copied().collect(),
        _ => Vec::new(),
    }
}

#[test]
fn no_collection_hides_a_path_or_is_hidden_by_one() {
    let taken: BTreeSet<&str> = paths().flat_map(|path| instead_of_a_collection(&path)).collect();
    assert!(taken.contains("users") && taken.contains("collections"), "{taken:?}");
    let free = taken.into_iter().filter(|name| !RESERVED.contains(name)).map(str::to_owned);
    none("add these to RESERVED of src/records/definition.rs", &free.collect::<Vec<_>>());
}

#[test]
fn no_record_is_hidden_by_a_path() {
    let beside = |path: &Vec<&'static str>| match path.as_slice() {
        ["api", "v1", "{collection}", name, ..] | ["api", "{collection}", name, ..] => Some(*name),
        _ => None,
    };
    let taken: BTreeSet<&str> =
        paths().filter_map(|path| beside(&path)).filter(|name| !name.starts_with('{')).collect();
    assert_eq!(taken.into_iter().collect::<Vec<_>>(), RESERVED_IDS);
    assert!(RESERVED_IDS.iter().all(|id| record_id(id).is_err()));
}
