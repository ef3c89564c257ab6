//! What an index seeks of a collection's records: the conditions that stand beside the LIMIT of what is read.
//!
//! Pure. Invariant: an index seeks by every condition here. One that it cannot seek by would be asked of rows that it leads
//! to, and the LIMIT counts only those that meet it.

use super::order::SortOrder;
use crate::storage::composed::SqlCondition;
use domain::filter::{Comparison, ComparisonOperator, Literal};

/// What an index seeks.
#[derive(Debug, Clone, Default)]
pub struct Seek {
    /// The records that are equal in what the index begins with; one such condition at most.
    equal: Option<SqlCondition>,
    /// Where the index begins, and where it ends, by the time that it is sorted by.
    from: Option<SqlCondition>,
    to: Option<SqlCondition>,
    is_of_one_record: bool,
}

impl Seek {
    /// Adds the condition by which the index of a field leads.
    pub fn add(&mut self, leads: SqlCondition) {
        self.equal = Some(leads);
    }

    /// Takes a comparison with a column, if the index of the order seeks by it.
    pub fn takes(&mut self, order: &SortOrder, comparison: &Comparison, condition: &SqlCondition) -> bool {
        use ComparisonOperator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
        let is_null = comparison.value == Literal::Null;
        let place = match (comparison.field.as_ref(), comparison.operator) {
            _ if self.is_of_one_record || !order.is_of_columns() => return false,
            ("id", Equal) if !is_null => {
                // There is one at most: everything else is asked of it.
                return self.takes_one_record(condition);
            }
            ("status", Equal) if order.is_by_creation() => &mut self.equal,
            (name, operator) if !is_null => {
                let is_sorted_by =
                    (name == "created_at" && order.is_by_creation()) || (name == "updated_at" && order.is_by_change());
                match operator {
                    Greater | GreaterOrEqual if is_sorted_by => &mut self.from,
                    Less | LessOrEqual if is_sorted_by => &mut self.to,
                    _ => return false,
                }
            }
            _ => return false,
        };
        let is_free = place.is_none();
        if is_free {
            *place = Some(condition.clone());
        }
        is_free
    }

    fn takes_one_record(&mut self, condition: &SqlCondition) -> bool {
        let is_free = self.equal.is_none() && self.from.is_none() && self.to.is_none();
        if is_free {
            self.is_of_one_record = true;
            self.equal = Some(condition.clone());
        }
        is_free
    }

    /// Whether it leads to one record.
    pub fn is_of_one_record(&self) -> bool {
        self.is_of_one_record
    }

    /// All of it.
    pub fn all(&self) -> SqlCondition {
        SqlCondition::All([&self.equal, &self.from, &self.to].into_iter().flatten().cloned().collect())
    }

    /// It behind a position. The position lies within it, so the side that it begins at is said already.
    pub fn behind(&self, order: &SortOrder, range: SqlCondition) -> SqlCondition {
        let end = if order.descends() { &self.from } else { &self.to };
        SqlCondition::All(self.equal.iter().chain(end).cloned().chain([range]).collect())
    }
}
