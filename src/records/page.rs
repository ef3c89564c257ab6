//! What a page of a list shows of the rows that its statement returned, and where the list goes on.
//!
//! Pure. Invariants
//! - A page that ends early says so: it has a cursor behind what it shows or behind the last record that was read, and where
//!   there is none, the list is said to be partial.
//! - A cursor comes further with each page, so a list that is walked ends.

use crate::http::response::CutCause;

/// What a row says of how it came about.
#[derive(Debug, Clone, Copy)]
pub struct RowMark {
    /// Whether it is shown. One that is not is the last record that was read.
    pub matches: bool,
    /// How many records were read: up to this one, or all together where they were sorted afterwards.
    pub scanned: i64,
    /// How many rows the page had before its bytes were counted.
    pub page_rows: i64,
}

/// How the rows of a page are read.
#[derive(Debug, Clone, Copy)]
pub struct PageReading {
    /// Most rows that it shows.
    pub per_page: usize,
    /// Most records that are read.
    pub most: i64,
    /// Whether the rows come in the order in which they were read.
    pub in_order: bool,
}

/// What a page shows.
#[derive(Debug, PartialEq, Eq)]
pub struct PageCut {
    /// How many of the rows.
    pub shown: usize,
    /// Whether the list goes on.
    pub has_next: bool,
    /// The row that it goes on behind.
    pub behind: Option<usize>,
    /// What bounds it, if it shows less than it would if nothing did: it ends early, or is the order of some records.
    pub cause: Option<CutCause>,
}

impl PageReading {
    /// What is shown of these rows.
    pub fn cut(self, rows: &[RowMark]) -> PageCut {
        let matching = rows.iter().take_while(|row| row.matches).count();
        let shown = matching.min(self.per_page);
        let is_cut_by_bytes =
            rows.first().is_some_and(|row| usize::try_from(row.page_rows).is_ok_and(|all| all > rows.len()));
        let goes_on = matching > self.per_page || is_cut_by_bytes;
        let is_cut = rows.last().is_some_and(|row| row.scanned >= self.most);
        let behind = match (goes_on, is_cut && self.in_order) {
            (true, _) => shown.checked_sub(1),
            (false, true) => rows.len().checked_sub(1),
            (false, false) => None,
        };
        let has_next = behind.is_some();
        let is_short = has_next && shown < self.per_page;
        let cause = match (is_cut && !self.in_order, is_short, goes_on) {
            (true, ..) | (false, true, false) => Some(CutCause::Records),
            (false, true, true) => Some(CutCause::Bytes),
            (false, false, _) => None,
        };
        PageCut { shown, has_next, behind, cause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READING: PageReading = PageReading { per_page: 3, most: 10, in_order: true };

    fn row(matches: bool, scanned: i64, page_rows: i64) -> RowMark {
        RowMark { matches, scanned, page_rows }
    }

    const BYTES: Option<CutCause> = Some(CutCause::Bytes);
    const RECORDS: Option<CutCause> = Some(CutCause::Records);

    fn cut(shown: usize, behind: Option<usize>, cause: Option<CutCause>) -> PageCut {
        PageCut { shown, has_next: behind.is_some(), behind, cause }
    }

    #[test]
    fn a_page_shows_what_it_holds_and_goes_on_behind_it() {
        let all: Vec<RowMark> = (1..=4).map(|i| row(true, i, 4)).collect();
        assert_eq!(READING.cut(&all), cut(3, Some(2), None));
        assert_eq!(
            READING.cut(&all[..3].iter().map(|r| RowMark { page_rows: 3, ..*r }).collect::<Vec<_>>()),
            cut(3, None, None)
        );
        assert_eq!(READING.cut(&[]), cut(0, None, None));
    }

    #[test]
    fn a_page_that_bytes_end_goes_on_behind_what_it_shows() {
        assert_eq!(READING.cut(&[row(true, 1, 4), row(true, 2, 4)]), cut(2, Some(1), BYTES));
        assert_eq!(READING.cut(&[row(true, 1, 4), row(true, 2, 4), row(true, 3, 4)]), cut(3, Some(2), None));
    }

    #[test]
    fn a_page_that_reading_ends_goes_on_behind_the_last_record_that_was_read() {
        assert_eq!(READING.cut(&[row(true, 4, 2), row(false, 10, 2)]), cut(1, Some(1), RECORDS));
        assert_eq!(READING.cut(&[row(false, 10, 1)]), cut(0, Some(0), RECORDS));
        assert_eq!(READING.cut(&[row(true, 4, 2), row(true, 10, 2)]), cut(2, Some(1), RECORDS));
    }

    #[test]
    fn records_that_were_sorted_after_reading_are_some_of_them() {
        let sorted = PageReading { in_order: false, ..READING };
        assert_eq!(sorted.cut(&[row(true, 10, 2), row(false, 10, 2)]), cut(1, None, RECORDS));
        assert_eq!(sorted.cut(&[row(true, 10, 4); 4]), cut(3, Some(2), RECORDS));
        assert_eq!(sorted.cut(&[row(true, 9, 1)]), cut(1, None, None));
    }
}
