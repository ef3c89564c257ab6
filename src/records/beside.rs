//! Records put beside those that refer to them, within what one answer may hold.
//!
//! Pure. Invariants
//! - What is put counts as often as it is put, not once for each different record.
//! - It is weighed before it is put: what is too much is never built.

use std::collections::HashMap;
use std::io;

use serde_json::{Map, Value};

/// Most records that are put beside those of one answer.
pub const MAX_RECORDS: usize = 5_000;
/// Most bytes that they take, in JSON.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;

/// More would be put beside the records of an answer than it may hold.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMuch;

/// What the fields of a collection's records refer to.
#[derive(Debug, Default)]
pub struct Beside(Vec<(String, Targets)>);

impl Beside {
    /// Adds what a field refers to.
    pub fn add(&mut self, field: &str, targets: Targets) {
        self.0.push((field.to_owned(), targets));
    }

    /// Puts under `expand` of each record what its fields refer to, and beside that what this refers to in turn.
    pub fn put(&self, shown: &mut [Map<String, Value>]) -> Result<(), TooMuch> {
        let weight = shown.iter().fold(Weight::default(), |sum, record| sum.plus(self.weight(record)));
        if weight.records > MAX_RECORDS || weight.bytes > MAX_BYTES {
            return Err(TooMuch);
        }
        shown.iter_mut().for_each(|record| self.place(record));
        Ok(())
    }

    /// What is put beside a record.
    fn weight(&self, record: &Map<String, Value>) -> Weight {
        let mut weight = Weight::default();
        for (field, targets) in &self.0 {
            let Some(value) = record.get(field) else { continue };
            let found = each(value).filter_map(Value::as_str).filter_map(|id| targets.find(id));
            let found = found.fold(Weight::default(), |sum, (_, weight)| sum.plus(weight));
            if found.records > 0 || value.is_array() {
                // `,"expand":{}` is written once, `"field":[],` for each field.
                weight = weight.plus(found).plus(Weight { records: 0, bytes: 12 + field.len() + 6 });
            }
        }
        weight
    }

    fn place(&self, record: &mut Map<String, Value>) {
        for (field, targets) in &self.0 {
            let of = |id: &Value| targets.tree(id.as_str()?);
            let beside = match record.get(field) {
                Some(Value::Array(ids)) => Some(ids.iter().filter_map(of).collect::<Vec<_>>().into()),
                Some(id) => of(id),
                None => None,
            };
            if let Some(beside) = beside {
                let expand = record.entry("expand").or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(expand) = expand {
                    expand.insert(field.clone(), beside);
                }
            }
        }
    }
}

/// The records that a field refers to, each once, and what is put beside each of them.
#[derive(Debug)]
pub struct Targets {
    places: HashMap<String, usize>,
    records: Vec<(Map<String, Value>, Weight)>,
    beside: Beside,
}

impl Targets {
    /// Of these records, and what they refer to in turn.
    pub fn new(records: Vec<Map<String, Value>>, beside: Beside) -> Self {
        let id = |record: &Map<String, Value>| record.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let places = records.iter().enumerate().map(|(place, record)| (id(record), place)).collect();
        let weigh = |record: Map<String, Value>| {
            let weight = Weight { records: 1, bytes: length(&record) + 1 }.plus(beside.weight(&record));
            (record, weight)
        };
        Self { places, records: records.into_iter().map(weigh).collect(), beside }
    }

    /// The record of an id, without what is put beside it, and what it weighs with that.
    fn find(&self, id: &str) -> Option<(&Map<String, Value>, Weight)> {
        self.places.get(id).and_then(|place| self.records.get(*place)).map(|(record, weight)| (record, *weight))
    }

    fn tree(&self, id: &str) -> Option<Value> {
        let mut record = self.find(id)?.0.clone();
        self.beside.place(&mut record);
        Some(Value::Object(record))
    }
}

/// How much is put.
#[derive(Debug, Default, Clone, Copy)]
struct Weight {
    records: usize,
    /// In JSON, a comma behind each record with it.
    bytes: usize,
}

impl Weight {
    fn plus(self, other: Self) -> Self {
        Self { records: self.records.saturating_add(other.records), bytes: self.bytes.saturating_add(other.bytes) }
    }
}

/// What stands in a field: the elements of a list, or the value itself.
pub fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter()
}

/// Bytes of a record in JSON.
fn length(record: &Map<String, Value>) -> usize {
    struct Counted(usize);
    impl io::Write for Counted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counted = Counted(0);
    match serde_json::to_writer(&mut counted, record) {
        Ok(()) => counted.0,
        Err(_) => MAX_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    type Record = Map<String, Value>;

    fn record(id: usize, one: Option<usize>, many: &[usize], text: usize) -> Record {
        let name = |id: &usize| format!("r{id}");
        let one = one.as_ref().map(name);
        let many: Vec<String> = many.iter().map(name).collect();
        let record = json!({"id": name(&id), "one": one, "many": many, "text": "x".repeat(text)});
        record.as_object().unwrap().clone()
    }

    /// Records that refer to each other, so many hops far.
    fn beside(records: &[Record], hops: usize) -> Beside {
        let mut all = Beside::default();
        if hops > 0 {
            all.add("one", Targets::new(records.to_vec(), beside(records, hops - 1)));
            all.add("many", Targets::new(records.to_vec(), beside(records, hops - 1)));
        }
        all
    }

    /// The same told plainly: what is put beside a record, and how many records that are, at most so many.
    fn told(records: &[Record], record: &Record, hops: usize, count: &mut usize) -> Option<Value> {
        let mut expand = Map::new();
        if hops == 0 {
            return None;
        }
        for field in ["one", "many"] {
            let mut found = Vec::new();
            for id in each(&record[field]).filter_map(Value::as_str) {
                let Some(target) = records.iter().find(|target| target["id"] == id) else { continue };
                *count += 1;
                if *count > MAX_RECORDS {
                    return None;
                }
                let mut target = target.clone();
                let inner = told(records, &target, hops - 1, count);
                inner.map(|inner| target.insert("expand".into(), inner));
                found.push(Value::Object(target));
            }
            if field == "many" {
                expand.insert(field.into(), found.into());
            } else if let Some(one) = found.pop() {
                expand.insert(field.into(), one);
            }
        }
        Some(expand.into())
    }

    fn bytes(shown: &[Record]) -> usize {
        serde_json::to_string(shown).unwrap().len()
    }

    #[test]
    fn what_records_refer_to_is_put_beside_them() {
        let records = [record(0, Some(1), &[1, 0, 7, 1], 0), record(1, None, &[], 0)];
        let mut shown = vec![records[0].clone()];
        beside(&records, 1).put(&mut shown).unwrap();
        let expand = &shown[0]["expand"];
        assert_eq!((&expand["one"]["id"], expand["many"].as_array().unwrap().len()), (&json!("r1"), 3));
        assert_eq!(expand["many"][1], Value::Object(records[0].clone()));
        beside(&records, 2).put(&mut shown).unwrap();
        assert_eq!(shown[0]["expand"]["many"][1]["expand"]["one"], Value::Object(records[1].clone()));
    }

    #[test]
    fn twenty_records_that_refer_to_each_other_are_too_much_in_three_hops() {
        let all: Vec<usize> = (0..20).collect();
        let records: Vec<Record> = all.iter().map(|id| record(*id, None, &all, 200)).collect();
        let put = |hops| {
            let mut shown = records.clone();
            beside(&records, hops).put(&mut shown).map(|()| bytes(&shown))
        };
        assert!(put(1).unwrap() < put(2).unwrap_or(MAX_BYTES));
        assert_eq!(put(3), Err(TooMuch));
    }

    #[test]
    fn a_record_counts_as_often_as_it_is_put() {
        let records = [record(0, None, &[0; MAX_RECORDS], 0), record(1, None, &[0], 0)];
        assert_eq!(beside(&records[1..], 1).put(&mut [records[0].clone()]), Ok(()), "none of them is there");
        assert_eq!(beside(&records, 1).put(&mut [records[1].clone(), records[1].clone()]), Ok(()));
        let small = [record(0, None, &[], 0)];
        assert_eq!(beside(&small, 1).put(&mut [records[0].clone()]), Ok(()));
        assert_eq!(beside(&small, 1).put(&mut [records[0].clone(), records[1].clone()]), Err(TooMuch));
        let large = [record(0, Some(0), &[], MAX_BYTES / 2)];
        assert_eq!(beside(&large, 1).put(&mut [large[0].clone()]), Ok(()));
        assert_eq!(beside(&large, 2).put(&mut [large[0].clone()]), Err(TooMuch));
    }

    #[test]
    fn a_list_of_a_hundred_with_two_hops_is_well_within_the_bounds() {
        let records: Vec<Record> =
            (0..100).map(|id| record(id, Some((id + 1) % 100), &[(id * 7) % 100, (id * 13) % 100], 300)).collect();
        let mut shown = records.clone();
        assert_eq!(beside(&records, 2).put(&mut shown), Ok(()));
    }

    fn graph() -> impl Strategy<Value = Vec<Record>> {
        let size = 1..24usize;
        size.prop_flat_map(|size| {
            let one = prop::option::of(0..size + 2);
            let many = prop::collection::vec(0..size + 2, 0..24);
            let text = prop_oneof![4 => 0..99usize, 1 => 0..20_000usize];
            prop::collection::vec((one, many, text), size).prop_map(|each| {
                let record = |(id, (one, many, text)): (usize, (_, Vec<usize>, _))| record(id, one, &many, text);
                each.into_iter().enumerate().map(record).collect()
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// What is put is what the references say and within the bounds, or it is said to be too much and it is.
        #[test]
        fn an_answer_stays_within_the_bounds(records in graph(), hops in 1..4usize) {
            let bare = bytes(&records);
            let mut told_all = records.clone();
            let mut count = 0;
            for record in &mut told_all {
                if let Some(expand) = told(&records, record, hops, &mut count)
                    && !expand.as_object().unwrap().is_empty()
                {
                    record.insert("expand".into(), expand);
                }
            }
            let mut shown = records.clone();
            match beside(&records, hops).put(&mut shown) {
                Ok(()) => {
                    prop_assert!(count <= MAX_RECORDS);
                    prop_assert!(bytes(&shown) - bare <= MAX_BYTES);
                    prop_assert_eq!(shown, told_all);
                }
                Err(TooMuch) => {
                    // Of each record and each list a few bytes are counted too many.
                    let slack = 64 * (count + records.len());
                    prop_assert!(count > MAX_RECORDS || bytes(&told_all) - bare + slack > MAX_BYTES);
                    prop_assert_eq!(shown, records, "nothing was put");
                }
            }
        }
    }
}
