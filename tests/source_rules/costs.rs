use std::time::Instant;

use carillon::records::order::KeysetRow;
use carillon::records::plan::ReadBounds;
use carillon::storage::composed::ListStatement;
use carillon::storage::sql::Arg;
use carillon::storage::tenant_db::ReadStatement;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::asking::{Asking, TENANT, collection};
use crate::listed::{Item, Items};

/// Puts records there, from the number `from` to the number `to`: one in a hundred has the word `rare`.
fn fill(items: &Items, from: i64, to: i64) {
    for i in from..to {
        let text = if i % 100 == 50 && i < 300 { format!("common rare w{i}") } else { format!("common w{i}") };
        let number = if i % 5 == 0 { Value::Null } else { json!(i % 4) };
        let fields = json!({"text_i": text, "number_i": number, "flag_i": true, "integer_i": i, "texts_i": ["x"]});
        items.put(
            TENANT,
            &Item {
                id: format!("r{i}"),
                status: Some(if i % 2 == 0 { "new" } else { "open" }),
                version: 1,
                created_at: i,
                updated_at: i / 3,
                created_by: "user:a",
                updated_by: "user:a",
                deleted: false,
                fields: fields.as_object().unwrap().clone(),
            },
        );
    }
}

/// The steps of a query's first page and of one that begins behind the 60th row.
fn costs(items: &Items, query: &[(&str, &str)]) -> [i32; 2] {
    let collection = collection();
    let many = Asking::new(&collection, &[query, &[("limit", "60")]].concat());
    let few = Asking::new(&collection, &[query, &[("limit", "10")]].concat());
    let place = many.plan.order.position(&items.rows(TENANT, &many.page(None))[59].placed());
    [None, Some(&place)].map(|place| {
        let (steps, rows) = items.cost(TENANT, &few.page(place));
        assert_eq!(rows, 11, "{query:?}");
        steps
    })
}

#[test]
fn a_page_costs_as_much_among_few_records_as_among_many() {
    let queries: [&[(&str, &str)]; 12] = [
        &[],
        &[("sort", "created_at")],
        &[("sort", "-updated_at")],
        &[("sort", "id")],
        &[("sort", "status")],
        &[("status", "new")],
        &[("filter", "status = 'open'"), ("sort", "created_at")],
        &[("filter", "number_i = 3")],
        &[("filter", "flag_i = true && version = 1")],
        &[("sort", "number_i")],
        &[("sort", "integer_i")],
        &[("sort", "-integer_i")],
    ];
    let items = Items::new();
    fill(&items, 0, 400);
    let few = queries.map(|query| costs(&items, query));
    fill(&items, 400, 1600);
    for (query, few) in queries.into_iter().zip(few) {
        let many = costs(&items, query);
        let [first, later] = many;
        eprintln!("{query:?} {few:?} {many:?}");
        assert!(
            first < few[0] + 50 && later < few[1] + 50,
            "{query:?}: {few:?} steps among 400 records, {many:?} among 1600"
        );
    }
}

#[test]
fn a_search_costs_as_much_as_it_finds() {
    let (items, collection) = (Items::new(), collection());
    fill(&items, 0, 400);
    let of = |sort: &'static str| {
        let asking = Asking::new(&collection, &[("q", "rare"), ("sort", sort)]);
        [asking.page(None), asking.count()].map(|composed| items.cost(TENANT, &composed))
    };
    let sorts = ["", "-updated_at", "number_i", "-text_i,number_i"];
    let few = sorts.map(of);
    fill(&items, 400, 1600);
    assert_eq!(sorts.map(of), few);
    assert!(few.iter().all(|[page, count]| page.1 == 3 && page.0 < 1200 && count.0 < 500), "{few:?}");
}

/// Queries that many records meet, and few, and none; in orders that an index has, and others.
fn asked() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    const FILTERS: &[&str] = &[
        "",
        "text ~ 'x'",
        "text_i ~ 'rare'",
        "text_i ~ 'common'",
        "number_i > 1",
        "number_i != 1",
        "integer_i >= 0",
        "integer_i < 20 && flag_i = true",
        "texts_i = 'x'",
        "number_i = 3",
        "status = 'new' && status = 'open'",
        "created_at > '1970-01-01' && created_at > '2027-01-01'",
        "updated_at < '2027-01-01' || id = 'r7'",
        "id = 'r7'",
        "version = 2",
        "created_by ~ 'b'",
        "number_i = null || flag_i != true",
        "flag_i = true && text ~ 'y'",
        "texts_i = 'x' && integer_i != 3",
        "integer_i > 5 && integer_i > 9000",
    ];
    const SORTS: &[&str] = &[
        "",
        "created_at",
        "-updated_at",
        "updated_at",
        "id",
        "-id",
        "status",
        "-status",
        "version",
        "number_i",
        "-number_i",
        "-integer_i",
        "number_i,-integer_i",
        "-flag_i,number_i",
        "status,integer_i",
        "created_at,-id",
    ];
    let words = prop_oneof![4 => Just(""), 1 => Just("common"), 1 => Just("rare"), 1 => Just("w*")];
    (select(FILTERS), select(SORTS), words, select(&["", "new", "new,open"][..])).prop_map(
        |(filter, sort, words, status)| {
            vec![("filter", filter), ("sort", sort), ("q", words), ("status", status), ("limit", "5")]
        },
    )
}

/// Places deep in a list, and where values are missing.
fn places(asking: &Asking) -> Vec<Option<Value>> {
    [(json!(2), Some("open"), 350), (json!(null), None, 350), (json!(true), Some("new"), 10)]
        .into_iter()
        .map(|(value, status, at)| {
            let row = KeysetRow {
                id: "r350",
                status,
                version: 1,
                created_at: at,
                updated_at: at / 3,
                first: &value,
                second: &value,
            };
            Some(asking.plan.order.position(&row))
        })
        .chain([None])
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked_no_more_is_read_among_many_records_than_the_bound_says(asked in asked()) {
        const BOUNDS: ReadBounds = ReadBounds { records: 60, index_values: 20 };
        thread_local! {
            static ITEMS: [Items; 2] = {
                let both = [Items::new(), Items::new()];
                fill(&both[0], 0, 400);
                fill(&both[1], 0, 1600);
                both
            };
        }
        let collection = collection();
        let asking = Asking::new(&collection, &asked);
        ITEMS.with(|both| {
            for place in places(&asking) {
                let pages = asking.page_within(BOUNDS, 1 << 20, place.as_ref());
                let counts = asking.plan.count("items", BOUNDS).unwrap().into_iter();
                let counts: Vec<ListStatement> = counts.filter_map(|count| match count {
                    ReadStatement::List(composed) => Some(composed),
                    ReadStatement::Constant(..) => None,
                }).collect();
                for composed in [pages, counts] {
                    let [few, many] = [0, 1].map(|i| both[i].cost(TENANT, &composed).0);
                    // A search collects the numbers of all that it finds before one is read.
                    let found = if composed.iter().any(|one| one.text().contains("record_search")) { 20_000 } else { 0 };
                    // Sixty records take 8,000 steps at most, or as many as behind the same place among fewer.
                    let most = (few + few / 3 + 1_500).max(8_000) + found;
                    prop_assert!(many < most, "{asked:?} behind {place:?}: {few} and {many} steps");
                }
            }
            Ok(())
        })?;
    }
}

#[test]
fn a_search_for_a_beginning_costs_nothing_for_what_other_tenants_hold() {
    let items = Items::new();
    items.make("stranger", "fedcba9876543210fedcba9876543210");
    let put = |tenant: &str, id: i64, version: i64, text: String| {
        let fields = json!({"text_i": text}).as_object().unwrap().clone();
        let (created_at, updated_at) = (id, id);
        let (created_by, updated_by) = ("user:a", "user:a");
        let id = format!("r{id}");
        let item =
            Item { id, status: None, version, created_at, updated_at, created_by, updated_by, deleted: false, fields };
        items.put(tenant, &item);
    };
    let work = |tagged: bool| {
        let mut collection = collection();
        collection.has_words = tagged;
        items.work(TENANT, &Asking::new(&collection, &[("q", "zq*")]).page(None))
    };
    // Of odd versions are records with their words, of even ones those of before.
    put(TENANT, 1, 1, "zq0 own".into());
    let (few, found) = work(true);
    assert_eq!(found, ["r1"]);
    let fill = |from: i64, version: i64| {
        for i in from..from + 100 {
            put("stranger", i, version, (0..200).map(|word| format!("zq{} ", i * 200 + word)).collect());
        }
    };
    fill(100, 1);
    let (many, found) = work(true);
    assert_eq!(found, ["r1"]);
    assert!(many < few + 500, "{few} steps alone, {many} beside 20,000 such words of another tenant");
    // What the same costs among words without tags.
    fill(1000, 2);
    let (untagged, found) = work(false);
    assert_eq!(found, ["r1"]);
    assert!(untagged > 2 * many, "{untagged} steps among words without tags, {many} with: are they counted?");
}

/// Records that all have the word `all`, and each a word of its own that begins with `z`.
fn fill_with_words(items: &Items, records: i64) {
    items.db.execute_batch("BEGIN").unwrap();
    for at in 0..records {
        let fields = json!({"text_i": format!("z{at} all")}).as_object().unwrap().clone();
        let (created_at, updated_at, created_by, updated_by) = (at, at, "user:a", "user:a");
        let (id, status, version, deleted) = (format!("r{at}"), None, 1, false);
        items.put(
            TENANT,
            &Item { id, status, version, created_at, updated_at, created_by, updated_by, deleted, fields },
        );
    }
    items.db.execute_batch("COMMIT").unwrap();
}

const SEARCHES: [&str; 4] = ["z*", "al*", "all", "all z*"];

#[test]
fn a_search_for_what_every_record_has_reads_no_more_of_them_than_the_bound() {
    const BOUNDS: ReadBounds = ReadBounds { records: 60, index_values: 20 };
    let collection = collection();
    let works = [200, 2_000].map(|records| {
        let items = Items::new();
        fill_with_words(&items, records);
        SEARCHES.map(|words| {
            let asking = Asking::new(&collection, &[("q", words), ("limit", "5")]);
            let (steps, found) = items.work(TENANT, &asking.page_within(BOUNDS, 1 << 20, None));
            let total = items.total(TENANT, &asking.plan.count("items", BOUNDS).unwrap());
            assert_eq!((found.len(), total), (6, (60, true)), "{words}");
            steps
        })
    });
    for ((words, few), many) in SEARCHES.iter().zip(works[0]).zip(works[1]) {
        assert!(many < few + few / 10, "{words}: {few} steps among 200 records, {many} among 2,000");
    }
}

/// `cargo test --test source_rules costs::report -- --ignored --nocapture` prints how long a stranger's search takes, and
/// how long the full-text index alone before it gives its first number. It collects all that a beginning finds until then,
/// which no LIMIT shortens; a word is read as it goes.
#[test]
#[ignore = "a report, not a rule"]
fn report_of_searches() {
    let collection = collection();
    for records in [1_000, 10_000, 100_000] {
        let items = Items::new();
        fill_with_words(&items, records);
        for words in SEARCHES {
            let asking = Asking::new(&collection, &[("q", words), ("limit", "10")]);
            let page = asking.page_within(ReadBounds::STRANGER, 1 << 20, None);
            let steps = items.work(TENANT, &page).0;
            let begin = Instant::now();
            items.rows(TENANT, &page);
            let paged = begin.elapsed();
            let Some(Arg::Text(search)) = page[0].args().get(1) else { panic!("{page:?}") };
            let first = "SELECT rowid FROM record_search WHERE record_search MATCH ?1 LIMIT 1";
            let begin = Instant::now();
            items.db.query_row(first, [search], |row| row.get::<_, i64>(0)).unwrap();
            let found = begin.elapsed();
            println!(
                "{records:7} records, {words:7} {steps:8} steps, page in {paged:.1?}, the index's first in {found:.1?}"
            );
        }
    }
}
