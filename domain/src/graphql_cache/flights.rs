//! Questions that are under way, so that equal ones are asked once. A question joins one that was sent when the log was known at
//! least as far as it is known to whoever asks now; where there is none, it is sent, and later ones join that.

use std::collections::HashMap;

use crate::log_position::Cursor;

/// Questions that are under way.
#[derive(Debug, Default)]
pub struct Flights {
    begun: u64,
    /// Of each question the one that was sent last.
    newest: HashMap<Box<str>, Flight>,
}

#[derive(Debug)]
struct Flight {
    number: u64,
    began: Cursor,
}

/// What becomes of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boarding {
    /// It is to be sent; others may join it by this number.
    Begins(u64),
    /// It joins the one of this number.
    Joins(u64),
}

impl Flights {
    /// Asks a question when the log is known up to `began`.
    pub fn board(&mut self, question: &str, began: &Cursor) -> Boarding {
        if let Some(flight) = self.newest.get(question)
            && flight.began.epoch == began.epoch
            && flight.began.seq >= began.seq
        {
            return Boarding::Joins(flight.number);
        }
        self.begun += 1;
        self.newest.insert(question.into(), Flight { number: self.begun, began: began.clone() });
        Boarding::Begins(self.begun)
    }

    /// A question is answered. One that was overtaken is joined by nobody already.
    pub fn land(&mut self, question: &str, number: u64) {
        if self.newest.get(question).is_some_and(|flight| flight.number == number) {
            self.newest.remove(question);
        }
    }

    /// Whether none is under way that may be joined.
    pub fn is_empty(&self) -> bool {
        self.newest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_position::Epoch;
    use proptest::prelude::*;

    fn cursor(epoch: u8, seq: u64) -> Cursor {
        Cursor { epoch: Epoch::from_random([epoch; 8]), seq }
    }

    #[test]
    fn equal_questions_are_one_until_it_is_answered() {
        let mut flights = Flights::default();
        assert_eq!(flights.board("a", &cursor(1, 5)), Boarding::Begins(1));
        assert_eq!(flights.board("a", &cursor(1, 5)), Boarding::Joins(1));
        assert_eq!(flights.board("a", &cursor(1, 4)), Boarding::Joins(1));
        assert_eq!(flights.board("b", &cursor(1, 5)), Boarding::Begins(2));
        assert_eq!(flights.board("a", &cursor(1, 6)), Boarding::Begins(3), "a purge may lie between");
        flights.land("a", 1);
        assert_eq!(flights.board("a", &cursor(1, 6)), Boarding::Joins(3));
        assert_eq!(flights.board("a", &cursor(2, 0)), Boarding::Begins(4), "another log");
        flights.land("a", 4);
        flights.land("b", 2);
        assert!(flights.is_empty());
    }

    proptest! {
        /// Nobody joins a question that was sent when less was known than they know.
        #[test]
        fn who_joins_hears_what_they_know_of(asked in prop::collection::vec((0u8..3, 1u8..3, 0u64..9, any::<bool>()), 0..80)) {
            let mut flights = Flights::default();
            let mut sent: Vec<(String, Cursor)> = Vec::new();
            for (question, epoch, seq, lands) in asked {
                let (question, began) = (question.to_string(), cursor(epoch, seq));
                match flights.board(&question, &began) {
                    Boarding::Begins(number) => {
                        prop_assert_eq!(number, sent.len() as u64 + 1);
                        sent.push((question.clone(), began));
                        if lands { flights.land(&question, number); }
                    }
                    Boarding::Joins(number) => {
                        let (of, since) = &sent[number as usize - 1];
                        prop_assert!(*of == question && since.epoch == began.epoch && since.seq >= began.seq);
                    }
                }
            }
        }
    }
}
