use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use carillon::records::collection::Collection;
use carillon::records::page::PageReading;
use carillon::records::plan::ReadBounds;
use domain::clock::Timestamp;
use domain::filter::{Comparison, ComparisonOperator, Filter, Literal};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;
use serde_json::{Map, Value, json};

use crate::asking::{Asking, COLUMNS, TENANT, collection, fields};
use crate::listed::{Item, Items, TENANTS};

/// Values of each kind, few, so that they meet.
const TEXTS: [&str; 9] = ["", "a", "A", "ab", "Ab c", "é", "b a", "it's", "?1"];
const MOMENTS: [&str; 3] = ["2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.001Z", "2027-01-01T00:00:00.000Z"];
const WHOLE: [i64; 5] = [-1, 0, 1, 2, 9_007_199_254_740_991];
const ACTORS: [&str; 2] = ["user:a", "key:B"];
const STATUSES: [&str; 3] = ["new", "open", "done"];
const SORTS: [&str; 10] =
    ["id", "status", "version", "created_at", "updated_at", "text_i", "moment_i", "number_i", "integer_i", "flag_i"];

fn number() -> impl Strategy<Value = f64> {
    // Some have so many digits that a reader must take care.
    let many = [0.1 + 0.2, 0.3, 1.0 / 3.0, 2.0 / 3.0, 0.123_456_789_012_345_68, 1e-7 / 3.0, 2.2e22 / 3.0];
    prop_oneof![2 => select(vec![-1.0, 0.0, 0.5, 1.0, 2.0, 1e300]), 1 => select(many.to_vec()), 1 => 0.0..1.0]
}

fn scalar(kind: &str) -> BoxedStrategy<Value> {
    match kind {
        "moment" => select(&MOMENTS[..]).prop_map(Value::from).boxed(),
        "number" => number().prop_map(Value::from).boxed(),
        "integer" => select(&WHOLE[..]).prop_map(Value::from).boxed(),
        "flag" => any::<bool>().prop_map(Value::from).boxed(),
        _ => select(&TEXTS[..]).prop_map(Value::from).boxed(),
    }
}

/// A value of a field, or none.
fn value(field: &'static str) -> BoxedStrategy<Option<Value>> {
    let kind = field.trim_end_matches("_i");
    let value = match kind.strip_suffix('s') {
        Some(kind) => prop::collection::vec(scalar(kind), 0..3).prop_map(Value::from).boxed(),
        None => prop_oneof![6 => scalar(kind), 1 => Just(Value::Null)].boxed(),
    };
    prop::option::weighted(0.8, value).boxed()
}

fn item() -> impl Strategy<Value = Item> {
    let fields = fields().map(|field| value(field).prop_map(move |value| (field, value))).collect::<Vec<_>>();
    let kept = (prop::option::of(select(&STATUSES[..])), 1i64..3, 0i64..4, 0i64..4, select(&ACTORS[..]));
    (0u8..30, kept, prop::bool::weighted(0.15), fields).prop_map(
        |(id, (status, version, created_at, later, actor), deleted, fields)| Item {
            id: format!("{}{id}", if id % 2 == 0 { "r" } else { "R" }),
            status,
            version,
            created_at: MOMENT + created_at,
            updated_at: MOMENT + created_at + later,
            created_by: actor,
            updated_by: ACTORS[0],
            deleted,
            fields: fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
        },
    )
}

/// 2026-01-01.
const MOMENT: i64 = 1_767_225_600_000;

fn comparison(field: &'static str) -> BoxedStrategy<Filter> {
    use ComparisonOperator::{Contains, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotContains, NotEqual};
    let kind = match field.trim_end_matches("_i") {
        "version" => "integer",
        "created_at" | "updated_at" => "moment",
        kind => kind.trim_end_matches('s'),
    };
    let ordered = select(vec![Equal, NotEqual, Greater, GreaterOrEqual, Less, LessOrEqual]);
    let named = match field {
        "id" => select(vec!["r4", "R7", "r20"]).prop_map(Value::from).boxed(),
        "status" => select(&STATUSES[..]).prop_map(Value::from).boxed(),
        "created_by" | "updated_by" => select(&ACTORS[..]).prop_map(Value::from).boxed(),
        _ => scalar(kind),
    };
    let literal = prop_oneof![
        6 => named.prop_map(|value| match value {
            Value::Bool(flag) => Literal::Flag(flag),
            Value::String(text) => Literal::Text(text),
            Value::Number(number) => number.as_i64().map_or_else(|| Literal::Real(number.as_f64().unwrap()), Literal::Integer),
            _ => Literal::Null,
        }),
        1 => Just(Literal::Null),
    ];
    let compare = move |(operator, value)| Filter::Compare(Comparison { field: field.into(), operator, value });
    let by_order = (ordered, literal).prop_map(compare);
    if ["moment", "integer", "number", "flag"].contains(&kind) {
        return by_order.boxed();
    }
    let part = select(vec!["", "a", "B", "é", "er:", "'"]).prop_map(|part| Literal::Text(part.into()));
    prop_oneof![3 => by_order, 1 => (select(vec![Contains, NotContains]), part).prop_map(compare)].boxed()
}

fn filter() -> impl Strategy<Value = Filter> {
    let terms = fields().chain(COLUMNS).map(comparison);
    Union::new(terms).prop_recursive(2, 6, 3, |inner| {
        let parts = prop::collection::vec(inner, 2..4);
        prop_oneof![parts.clone().prop_map(Filter::All), parts.prop_map(Filter::Any)]
    })
}

/// A query's parameters, but for its page.
#[derive(Debug, Clone)]
struct Question {
    filter: Option<Filter>,
    words: Option<&'static str>,
    statuses: Vec<&'static str>,
    deleted: bool,
    sort: Vec<(&'static str, bool)>,
    limit: usize,
}

fn question() -> impl Strategy<Value = Question> {
    let sort = prop::collection::vec((select(&SORTS[..]), any::<bool>()), 0..4).prop_map(|keys| {
        let (mut seen, mut own) = (BTreeSet::new(), 0);
        let fits = |(name, _): &(&'static str, bool)| {
            own += usize::from(name.ends_with("_i"));
            seen.insert(*name) && (own <= 2 || !name.ends_with("_i"))
        };
        keys.into_iter().filter(fits).collect::<Vec<_>>()
    });
    let words = prop::option::weighted(0.2, select(vec!["a", "a*", "A b", "A b*", "ab", "c", "it's", "E", "'"]));
    let statuses = prop_oneof![4 => Just(vec![]), 1 => prop::collection::vec(select(&STATUSES[..]), 1..3)];
    let deleted = prop::bool::weighted(0.1);
    (prop::option::weighted(0.6, filter()), words, statuses, deleted, sort, 1usize..8).prop_map(
        |(filter, words, statuses, deleted, mut sort, limit)| {
            sort.retain(|(name, _)| !deleted || !name.ends_with("_i"));
            Question { filter, words, statuses, deleted, sort, limit }
        },
    )
}

impl Question {
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let key = |(name, down): &(&str, bool)| format!("{}{name}", if *down { "-" } else { "" });
        let mut parameters = vec![("limit", self.limit.to_string())];
        parameters.extend(self.filter.as_ref().map(|filter| ("filter", filter.to_string())));
        parameters.extend(self.words.map(|words| ("q", words.to_owned())));
        parameters.push(("status", self.statuses.join(",")));
        parameters.push(("deleted", self.deleted.to_string()));
        parameters.push(("sort", self.sort.iter().map(key).collect::<Vec<_>>().join(",")));
        parameters
    }

    /// Whether a record is asked for.
    fn admits(&self, filter: Option<&Filter>, item: &Item) -> bool {
        let shown = shown(item);
        item.deleted == self.deleted
            && filter.is_none_or(|filter| filter.admits(&shown))
            && self.words.is_none_or(|words| if self.deleted { mentions(&shown, words) } else { has(&shown, words) })
    }

    /// How two records stand in the order.
    fn order(&self, one: &Item, other: &Item) -> Ordering {
        let mut keys = self.sort.clone();
        let down = keys.last().is_none_or(|(_, down)| *down);
        if !keys.iter().any(|(name, _)| ["id", "created_at", "updated_at"].contains(name)) {
            keys.push(("created_at", down));
        }
        keys.push(("id", down));
        let by = |(name, down): &(&str, bool)| {
            let order = compare(&key(one, name), &key(other, name));
            if *down { order.reverse() } else { order }
        };
        keys.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

/// The record as it is shown.
fn shown(item: &Item) -> Map<String, Value> {
    let mut shown = item.fields.clone();
    let kept = json!({
        "id": item.id, "status": item.status, "version": item.version,
        "created_at": Timestamp::from_millis(item.created_at).to_string(),
        "updated_at": Timestamp::from_millis(item.updated_at).to_string(),
        "created_by": item.created_by, "updated_by": item.updated_by,
    });
    shown.extend(kept.as_object().unwrap().clone());
    shown
}

fn texts<'s>(shown: &'s Map<String, Value>, fields: &'s [&str]) -> impl Iterator<Item = &'s str> {
    fields.iter().filter_map(|name| shown.get(*name)).flat_map(|value| match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        value => Vec::from_iter(value.as_str()),
    })
}

/// Whether the searched fields have all words, the last of which may go on.
fn has(shown: &Map<String, Value>, words: &str) -> bool {
    let folded = |text: &str| text.to_lowercase().replace('é', "e");
    let tokens = |text: &str| {
        let folded = folded(text);
        folded.split(|c: char| !c.is_alphanumeric()).filter(|t| !t.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let said: Vec<String> = texts(shown, &["text_i", "texts_i"]).flat_map(tokens).collect();
    let wanted = tokens(words);
    let Some((last, before)) = wanted.split_last() else { return false };
    let goes_on = words.ends_with('*');
    let is_last = |word: &String| word == last || (goes_on && word.starts_with(last));
    before.iter().all(|word| said.contains(word)) && said.iter().any(is_last)
}

/// Whether some text of the record has this one somewhere.
fn mentions(shown: &Map<String, Value>, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let fields = ["text", "text_i", "moment", "moment_i", "texts", "texts_i"];
    texts(shown, &fields).any(|said| said.to_ascii_lowercase().contains(&text))
}

fn key(item: &Item, name: &str) -> Value {
    match name {
        "id" => item.id.as_str().into(),
        "status" => item.status.into(),
        "version" => item.version.into(),
        "created_at" => item.created_at.into(),
        "updated_at" => item.updated_at.into(),
        name => item.fields.get(name).cloned().unwrap_or_default(),
    }
}

/// As SQLite sorts: nothing, then numbers, then texts.
fn compare(one: &Value, other: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => (0, 0.0, ""),
        Value::Bool(flag) => (1, f64::from(*flag), ""),
        Value::Number(number) => (1, number.as_f64().unwrap(), ""),
        _ => (2, 0.0, ""),
    };
    let by_kind = rank(one).partial_cmp(&rank(other)).unwrap();
    by_kind.then_with(|| one.as_str().cmp(&other.as_str()))
}

/// What happens between two pages.
#[derive(Debug, Clone)]
enum Write {
    Put(Item),
    Remove(usize),
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![3 => item().prop_map(Write::Put), 1 => (0usize..30).prop_map(Write::Remove)]
}

/// The records of a tenant, by their ids.
type Records = BTreeMap<String, Item>;

/// Puts a record there for every tenant; what it was created with stays.
fn put(items: &Items, records: &mut Records, mut item: Item) {
    if let Some(old) = records.get(&item.id) {
        (item.created_at, item.created_by) = (old.created_at, old.created_by);
        item.updated_at = item.updated_at.max(item.created_at);
    }
    TENANTS.iter().for_each(|tenant| items.put(tenant, &item));
    records.insert(item.id.clone(), item);
}

/// The collection while some of its records do not carry their words yet.
fn among_both() -> Collection {
    let mut collection = collection();
    collection.has_words = false;
    collection
}

/// Runs a test among the records of two tenants, and nothing of another.
fn among(all: Vec<Item>, test: impl FnOnce(&Items, Records) -> Result<(), TestCaseError>) -> Result<(), TestCaseError> {
    thread_local! {
        static ITEMS: Items = Items::new();
    }
    ITEMS.with(|items| {
        if !items.db.is_autocommit() {
            items.db.execute_batch("ROLLBACK").unwrap();
        }
        items.db.execute_batch("BEGIN").unwrap();
        let mut records = Records::new();
        all.into_iter().for_each(|item| put(items, &mut records, item));
        test(items, records)
    })
}

/// What bounds the reading of a page.
#[derive(Debug, Clone, Copy)]
struct Bounded {
    bounds: ReadBounds,
    bytes: i64,
}

const UNBOUNDED: Bounded = Bounded { bounds: ReadBounds::MEMBER, bytes: 1 << 20 };

fn bounded() -> impl Strategy<Value = Bounded> {
    let few = (1i64..20, 1i64..9, 1i64..600).prop_map(|(records, index_values, bytes)| Bounded {
        bounds: ReadBounds { records, index_values: index_values.min(records) },
        bytes,
    });
    prop_oneof![1 => Just(UNBOUNDED), 3 => few]
}

/// Walks through all pages by their cursors; `between` happens between two. Whether one was said to show less than there is
/// and to lead nowhere.
fn visit(
    items: &Items,
    asking: &Asking,
    limit: usize,
    bounded: Bounded,
    mut between: impl FnMut(),
) -> (Vec<String>, bool) {
    let (mut shown, mut place, mut is_partial) = (Vec::new(), None, false);
    let in_order = asking.plan.is_read_in_order();
    let most = asking.plan.bounds(bounded.bounds).records;
    let reading = PageReading { per_page: limit, most, in_order };
    for _ in 0..500 {
        let mut page = items.rows(TENANT, &asking.page_within(bounded.bounds, bounded.bytes, place.as_ref()));
        let cut = reading.cut(&page.iter().map(|row| row.mark).collect::<Vec<_>>());
        is_partial |= cut.cause.is_some() && !in_order && page.iter().any(|row| row.mark.scanned >= most);
        // As a cursor carries it.
        let behind = cut.behind.map(|behind| asking.plan.order.position(&page[behind].placed()).to_string());
        page.truncate(cut.shown);
        shown.extend(page.iter().map(|row| row.id.clone()));
        let Some(behind) = behind else { return (shown, is_partial) };
        place = Some(serde_json::from_str::<Value>(&behind).unwrap());
        between();
    }
    panic!("the list has no end: {asking:?}", asking = asking.asked.sort)
}

fn pairs<'p>(parameters: &'p [(&'static str, String)]) -> Vec<(&'p str, &'p str)> {
    parameters.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_pages_of_a_list_are_one_sorted_scan(
        all in prop::collection::vec(item(), 0..25), question in question(), bounded in bounded()
    ) {
        let (collection, parameters) = (among_both(), question.parameters());
        let asking = Asking::new(&collection, &pairs(&parameters));
        among(all, |items, records| {
            let filter = asking.filter();
            let mut wanted: Vec<&Item> = records.values().filter(|item| question.admits(filter.as_ref(), item)).collect();
            wanted.sort_by(|one, other| question.order(one, other));
            let wanted: Vec<String> = wanted.into_iter().map(|item| item.id.clone()).collect();
            let (shown, is_partial) = visit(items, &asking, question.limit, bounded, || ());
            if is_partial {
                // Some of them, still in their order and each once.
                let mut rest = wanted.iter();
                prop_assert!(shown.iter().all(|id| rest.any(|wanted| wanted == id)), "{:?}: {:?}", parameters, shown);
            } else {
                prop_assert_eq!(&shown, &wanted, "{:?}", parameters);
            }
            let (total, is_cut) = items.total(TENANT, &asking.plan.count("items", bounded.bounds).unwrap());
            let total = usize::try_from(total).unwrap();
            prop_assert!(total == wanted.len() || (is_cut && total < wanted.len()), "{total} of {}", wanted.len());
            let by_number = [pairs(&parameters), vec![("page", "2")]].concat();
            let page = items.rows(TENANT, &Asking::new(&collection, &by_number).page(None));
            let page: Vec<&String> = page.iter().filter(|row| row.mark.matches).map(|row| &row.id).collect();
            prop_assert_eq!(page, wanted.iter().skip(question.limit).take(question.limit + 1).collect::<Vec<_>>());
            Ok(())
        })?;
    }

    #[test]
    fn what_stays_is_shown_once_whatever_is_written_meanwhile(
        all in prop::collection::vec(item(), 5..25), question in question(), writes in prop::collection::vec(write(), 1..20),
        bounded in bounded()
    ) {
        let (collection, parameters) = (among_both(), question.parameters());
        let asking = Asking::new(&collection, &pairs(&parameters));
        among(all, |items, mut records| {
            let (before, mut touched) = (records.clone(), BTreeSet::new());
            let mut writes = writes.into_iter();
            // What is sorted after reading is some of the records, another some each time.
            let bounded = if asking.plan.is_read_in_order() { bounded } else { UNBOUNDED };
            let (shown, _) = visit(items, &asking, question.limit, bounded, || {
                for write in writes.by_ref().take(2) {
                    match write {
                        Write::Put(item) => {
                            touched.insert(item.id.clone());
                            put(items, &mut records, item);
                        }
                        Write::Remove(at) => {
                            let Some(id) = records.keys().nth(at).cloned() else { continue };
                            TENANTS.iter().for_each(|tenant| items.remove(tenant, &id));
                            records.remove(&id);
                            touched.insert(id);
                        }
                    }
                }
            });
            let stayed = |id: &&String| before.contains_key(*id) && !touched.contains(*id);
            let shown: Vec<&Item> = shown.iter().filter(stayed).map(|id| &before[id]).collect();
            let filter = asking.filter();
            let wanted = before.values().filter(|item| stayed(&&item.id) && question.admits(filter.as_ref(), item));
            let mut wanted: Vec<&Item> = wanted.collect();
            wanted.sort_by(|one, other| question.order(one, other));
            let ids = |items: &[&Item]| items.iter().map(|item| item.id.clone()).collect::<Vec<_>>();
            prop_assert_eq!(ids(&shown), ids(&wanted), "{:?}", parameters);
            Ok(())
        })?;
    }
}
