use std::collections::{BTreeMap, BTreeSet};

use carillon::records;
use carillon::records::collection::Collection;
use carillon::storage::composed::{ListHead, ListStatement, SqlPiece};
use domain::filter::{Comparison, ComparisonOperator, Filter, Literal};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::asking::{Asking, COLUMNS, bare, collection, definition, fields};
use crate::mutants::mutants;
use crate::none;
use crate::planner::{astray, steps};
use crate::source::{SourceFile, production_files};
use crate::statements::migrated;
use crate::tenant_lint::{faults, shard_tables};
use crate::tokens::Token;

/// A file, its heads and its pieces, by name.
type Module = (&'static str, &'static [(&'static str, ListHead)], &'static [(&'static str, SqlPiece)]);

/// What modules put statements together of.
const COMPOSED: &[Module] = &[
    ("src/records/condition.rs", records::condition::HEADS, records::condition::PIECES),
    ("src/records/order.rs", records::order::HEADS, records::order::PIECES),
    ("src/records/plan.rs", records::plan::HEADS, records::plan::PIECES),
];

/// The parameters of a query.
type Parameters = Vec<(&'static str, String)>;

/// A literal that a field can be compared with, by the field's name.
fn literal(field: &str) -> &'static str {
    match field.trim_end_matches("_i") {
        "moment" | "created_at" | "updated_at" => "'2026-01-01T00:00:00Z'",
        "number" | "numbers" => "1.5",
        "integer" | "version" => "3",
        "flag" | "flags" => "true",
        "status" => "'new'",
        _ => "'a'",
    }
}

/// Whether texts are looked for in a field.
fn is_text(field: &str) -> bool {
    matches!(literal(field), "'a'" | "'new'")
}

/// Every operator on every field and on what is kept of every record, with a value and with null.
fn comparisons() -> Vec<String> {
    let mut all = Vec::new();
    for field in fields().chain(COLUMNS) {
        for operator in ["=", "!=", ">", ">=", "<", "<="] {
            all.push(format!("{field} {operator} {}", literal(field)));
            all.push(format!("{field} {operator} null"));
        }
        if is_text(field) {
            all.extend(["~", "!~"].map(|operator| format!("{field} {operator} 'a'")));
        }
    }
    all
}

/// Every key that a list is sorted by, and every two of some, either way.
fn sorts() -> Vec<String> {
    let keys = ["id", "status", "version", "created_at", "updated_at", "text_i", "number_i"];
    let ways = |key: &str| [key.to_owned(), format!("-{key}")];
    let one = keys.iter().copied().chain(["moment_i", "integer_i", "flag_i"]).flat_map(ways);
    let two = keys.iter().flat_map(|first| keys.iter().filter(move |second| *second != first).map(move |s| (first, s)));
    let two = two.flat_map(|(first, second)| {
        ways(first).into_iter().flat_map(move |first| ways(second).map(|second| format!("{first},{second}")))
    });
    let more = ["status,-number_i,text_i,version", "-text_i,number_i,-status,updated_at"].map(str::to_owned);
    one.chain(two).chain(more).collect()
}

/// What is asked of the records beside the order.
fn conditions() -> Vec<Parameters> {
    let of = |parameters: &[(&'static str, &str)]| parameters.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
    vec![
        of(&[]),
        of(&[("q", "some words")]),
        of(&[("status", "new")]),
        of(&[("filter", "number_i = 1.5")]),
        of(&[("filter", "number_i = null && text !~ 'b'"), ("status", "new,done")]),
        of(&[("filter", "number_i = 1 || texts_i ~ 'a'")]),
        of(&[("q", "words"), ("filter", "number_i = 1.5"), ("created_after", "2026-01-01")]),
        of(&[("q", "***"), ("updated_before", "2026-01-01")]),
    ]
}

/// A grid of queries, each with the places that pages of it may begin behind.
fn queries() -> Vec<Parameters> {
    let mut all = conditions();
    all.extend(comparisons().into_iter().map(|filter| vec![("filter", filter)]));
    all.push(vec![("filter", "(text = 'a' || number_i > 1 && texts !~ 'b') && flag_i = true".into())]);
    for sort in sorts() {
        let (keys, has_field) = (sort.matches(',').count() + 1, sort.contains("_i"));
        for (i, mut query) in conditions().into_iter().enumerate() {
            if keys == 1 || i < 2 || i == 3 {
                query.push(("sort", sort.clone()));
                all.push(query);
            }
        }
        if !has_field {
            all.push(vec![("deleted", "true".into()), ("sort", sort)]);
        }
    }
    all.push(vec![("deleted", "true".into()), ("q", "words".into()), ("filter", "number_i = 1".into())]);
    all.push(vec![("deleted", "true".into()), ("page", "3".into())]);
    all
}

/// The statements of a query: its pages and its count.
fn statements(collection: &Collection, query: &Parameters) -> Vec<ListStatement> {
    let parameters: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let asking = Asking::new(collection, &parameters);
    let places = [asking.place(&json!(1.5), Some("new")), asking.place(&Value::Null, None)];
    let pages = std::iter::once(None).chain(places.iter().map(Some)).flat_map(|place| asking.page(place));
    pages.chain(asking.count()).collect()
}

/// Every different statement of the grid, with a query that comes to it.
fn compositions() -> BTreeMap<String, String> {
    let (collection, bare) = (collection(), bare());
    let mut all = BTreeMap::new();
    let mut add = |collection: &Collection, query: &Parameters| {
        for composed in statements(collection, query) {
            assert!(composed.args().len() < 100, "{query:?}: {}", composed.args().len());
            all.entry(composed.text().to_owned()).or_insert_with(|| format!("{query:?}"));
        }
    };
    queries().iter().for_each(|query| add(&collection, query));
    add(&bare, &vec![("q", "words".into())]);
    add(&bare, &vec![("sort", "-version".into()), ("q", "***".into())]);
    all
}

/// Some of them, which have every head and every piece between them.
fn covering() -> Vec<(String, String)> {
    let parts = COMPOSED.iter().flat_map(|(_, heads, pieces)| {
        heads.iter().map(|(_, head)| head.text()).chain(pieces.iter().map(|(_, piece)| piece.text()))
    });
    let mut missing: BTreeSet<&str> = parts.collect();
    let mut covering = Vec::new();
    for (i, (text, query)) in compositions().into_iter().enumerate() {
        let before = missing.len();
        missing.retain(|part| !text.contains(part));
        if missing.len() < before || i % 10 == 0 {
            covering.push((text, query));
        }
    }
    assert!(missing.is_empty(), "the grid has no statement with {missing:?}");
    covering
}

#[test]
fn every_composition_binds_its_tenant() {
    let tables = shard_tables();
    let all = compositions();
    assert!(all.len() > 300, "{}", all.len());
    let wrong = all.iter().flat_map(|(text, query)| {
        faults(text, &tables).into_iter().map(move |fault| format!("{query}: {fault}: {text}"))
    });
    none("each table of a list's statement is bound by tenant_id = ?1", &wrong.collect::<Vec<_>>());
}

#[test]
fn no_composition_survives_losing_its_tenant() {
    let tables = shard_tables();
    let mut survivors = Vec::new();
    for (text, query) in covering() {
        let mutants = mutants(&text);
        assert_eq!(mutants.len(), 3 * text.matches("tenant_id = ?1").count(), "{query}");
        let alive = mutants.into_iter().filter(|(_, text)| faults(text, &tables).is_empty());
        survivors.extend(alive.map(|(what, text)| format!("{query}, {what}: {text}")));
    }
    none("the lint lets these pass", &survivors);
}

#[test]
fn every_composition_searches_by_tenant() {
    let db = migrated("migrations/tenant");
    let wrong = compositions();
    let wrong = wrong
        .iter()
        .flat_map(|(text, query)| astray(&db, text).into_iter().map(move |step| format!("{query}: {step}: {text}")));
    none("SQLite does not search these by tenant_id", &wrong.collect::<Vec<_>>());
}

#[test]
fn a_list_that_most_ask_for_is_not_sorted() {
    let (db, collection) = (migrated("migrations/tenant"), collection());
    let sorts = ["", "created_at", "updated_at", "-updated_at", "id", "-id", "status", "-status"];
    let sorts = sorts.into_iter().chain(["text_i", "-number_i", "flag_i", "-moment_i"]).map(|sort| ("sort", sort));
    let equal = ["status = 'new'", "text_i = 'a'", "number_i = null && text ~ 'b'"].map(|filter| ("filter", filter));
    for query in sorts.chain(equal).chain([("status", "new")]) {
        let asking = Asking::new(&collection, &[query]);
        for place in [None, Some(asking.place(&json!(1.5), Some("new"))), Some(asking.place(&Value::Null, None))] {
            for page in asking.page(place.as_ref()) {
                let steps = steps(&db, page.text());
                let searched = steps.iter().filter(|step| step.starts_with("SEARCH ")).count();
                // Behind a place an index may be read in three ranges: what is equal, what follows, what has no value.
                assert!((1..=6).contains(&searched), "{query:?} behind {place:?}: {steps:?}");
                let sorted = steps.iter().any(|step| step.contains("B-TREE"));
                assert!(!sorted, "{query:?} behind {place:?}: {steps:?}");
            }
        }
    }
}

#[test]
fn a_search_leads_to_its_rows() {
    let (db, collection) = (migrated("migrations/tenant"), collection());
    for sort in ["", "-updated_at", "number_i", "text_i,-number_i"] {
        let asking = Asking::new(&collection, &[("q", "word"), ("sort", sort), ("filter", "flag_i = true")]);
        let place = asking.place(&json!(1.5), None);
        for composed in [asking.page(None), asking.page(Some(&place)), asking.count()].into_iter().flatten() {
            let steps = steps(&db, composed.text()).into_iter();
            let reads = |step: &String| step.starts_with("SEARCH ") || step.starts_with("SCAN record_search");
            let steps: Vec<String> = steps.filter(reads).collect();
            assert!(steps[0].starts_with("SCAN record_search VIRTUAL TABLE"), "{sort}: {steps:?}");
            assert_eq!(steps[1], "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)", "{sort}: {steps:?}");
        }
    }
}

/// What is said from outside: of each kind a value, and the prefix of every name.
#[derive(Debug, Clone)]
struct Said {
    text: String,
    words: String,
    number: f64,
    name: String,
}

fn said() -> impl Strategy<Value = Said> {
    const HOSTILE: [&str; 8] = ["'", "?1", "') OR 1 --", ";", "?", "\" OR scope : *", "/*", "r.tenant_id"];
    let hostile = || prop::collection::vec(prop::sample::select(&HOSTILE[..]), 1..4).prop_map(|parts| parts.concat());
    let text = prop_oneof![hostile(), "[^\0]{1,9}"];
    let number = any::<f64>().prop_filter("can be written", |number| number.abs() <= 1e308);
    (text, hostile(), number, "[A-Za-z_][A-Za-z0-9_]{0,20}").prop_map(|(text, words, number, name)| Said {
        text,
        words: format!("a {words}"),
        number,
        name,
    })
}

const OPERATORS: [ComparisonOperator; 8] = [
    ComparisonOperator::Equal,
    ComparisonOperator::NotEqual,
    ComparisonOperator::Greater,
    ComparisonOperator::GreaterOrEqual,
    ComparisonOperator::Less,
    ComparisonOperator::LessOrEqual,
    ComparisonOperator::Contains,
    ComparisonOperator::NotContains,
];

/// The statements of a filter with these terms, a field and an operator each, of a search and of an order by fields.
fn spoken(terms: &[(&'static str, ComparisonOperator)], said: &Said) -> Vec<String> {
    let named = |field: &str| if COLUMNS.contains(&field) { field.to_owned() } else { format!("{}{field}", said.name) };
    let slug = format!("s{}", said.name.to_lowercase());
    let collection = Collection::fresh(definition(&slug, named), None, 0).unwrap();
    // Another one than the collection has is refused; any text is looked for in a status, and comes before or behind it.
    let status = ["new", "open", "done"][said.text.len() % 3];
    let comparison = |(field, operator): &(&str, ComparisonOperator)| {
        let operator = if is_text(field) { *operator } else { OPERATORS[*operator as usize % 6] };
        let value = match field.trim_end_matches("_i") {
            "moment" | "created_at" | "updated_at" => Literal::Text("2026-01-01T00:00:00.000Z".into()),
            "number" | "numbers" | "integer" | "version" => Literal::Real(said.number),
            "flag" | "flags" => Literal::Flag(said.number > 0.0),
            "status" if matches!(operator, ComparisonOperator::Equal | ComparisonOperator::NotEqual) => {
                Literal::Text(status.into())
            }
            _ => Literal::Text(said.text.clone()),
        };
        Filter::Compare(Comparison { field: named(field).into(), operator, value }).to_string()
    };
    let filter = terms.iter().map(comparison).collect::<Vec<_>>().join(" && ");
    let sort = format!("-{},{},created_at", named("number_i"), named("text_i"));
    let queries: [&[(&str, &str)]; 4] = [
        &[("filter", &filter)],
        &[("filter", &filter), ("sort", &sort), ("q", &said.words)],
        &[("deleted", "true"), ("q", &said.words), ("status", status)],
        &[("status", status), ("sort", "status")],
    ];
    let mut texts = Vec::new();
    for query in queries {
        let asking = Asking::new(&collection, query);
        let place = asking.place(&Value::from(said.text.as_str()), Some(&said.text));
        let composed = [asking.page(None), asking.page(Some(&place)), asking.count()];
        texts.extend(composed.into_iter().flatten().map(|composed| composed.text().to_owned()));
    }
    texts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn nothing_from_outside_is_written(
        terms in prop::collection::vec(
            (prop::sample::select(fields().chain(COLUMNS).collect::<Vec<_>>()), prop::sample::select(&OPERATORS[..])), 1..5),
        said in said()
    ) {
        let plain = Said { text: "x".into(), words: "a x".into(), number: 1.5, name: "n".into() };
        prop_assert_eq!(spoken(&terms, &said), spoken(&terms, &plain));
    }
}

/// The names that the `composed!` block of a file declares; none if it has no block.
fn declared(file: &SourceFile) -> Option<Vec<&str>> {
    let (start, _) = *file.find(&["composed", "!", "{"]).first()?;
    let mut depth = 0_usize;
    let inside: Vec<&Token> = file.tokens[start + 2..]
        .iter()
        .map(|(token, _)| token)
        .take_while(|token| {
            depth = depth + usize::from(token.is("{")) - usize::from(token.is("}"));
            depth > 0
        })
        .collect();
    let names = inside.windows(3).filter_map(|three| match three {
        [Token::Word(name), Token::Mark('='), Token::Text(_)] => Some(name.as_str()),
        _ => None,
    });
    Some(names.collect())
}

fn uncollected(files: &[SourceFile]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| !file.path.starts_with("src/storage/")) {
        let known = COMPOSED.iter().filter(|(path, ..)| *path == file.path);
        let known = known.flat_map(|(_, heads, pieces)| {
            heads.iter().map(|(name, _)| *name).chain(pieces.iter().map(|(name, _)| *name))
        });
        let (known, declared) = (known.collect::<Vec<_>>(), declared(file).unwrap_or_default());
        if declared != known {
            faults.push(format!("{} declares {declared:?}, collected are {known:?}", file.path));
        }
    }
    faults
}

#[test]
fn every_head_and_piece_of_the_source_is_collected() {
    none("add the module's HEADS and PIECES to tests/source_rules/compositions.rs", &uncollected(&production_files()));
    let text = "composed! { heads { A = \"SELECT\"; } pieces { /// Doc.\n B = \"r.id\"; } }";
    assert_eq!(uncollected(&[SourceFile::of("src/records/feed.rs", text)]).len(), 1);
}
