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
