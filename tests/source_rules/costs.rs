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
        [asking.page(None), asking.count().unwrap()].map(|composed| items.cost(TENANT, &composed))
    };
    let sorts = ["", "-updated_at", "number_i", "-text_i,number_i"];
    let few = sorts.map(of);
    fill(&items, 400, 1600);
    assert_eq!(sorts.map(of), few);
    assert!(few.iter().all(|[page, count]| page.1 == 3 && page.0 < 400 && count.0 < 100), "{few:?}");
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
