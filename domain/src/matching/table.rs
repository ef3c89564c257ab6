//! From a Thompson automaton to a table that a text is held against byte by byte: what one text costs does not depend
//! on the expression.
//!
//! Invariants
//! - A row stands for a set of states, and every set is paid for in steps: an expression whose sets are too many is
//!   refused as they are found.
//! - Where the table stands, nothing is tried twice, and no byte is looked at twice.

use std::collections::HashMap;
use std::rc::Rc;

use super::nfa::Nfa;
use super::steps::Steps;
use crate::error::Invalid;

/// As many transitions are looked through one after the other; of more, the right one is searched by halves.
const FEW: usize = 8;

/// Where a row goes with the bytes from `first` to `last`. A row's transitions are in the order of their bytes.
#[derive(Debug, Clone, Copy)]
struct Transition {
    first: u8,
    last: u8,
    to: u16,
}

/// A place that a text can be at.
#[derive(Debug, Clone, Copy)]
struct TableRow {
    /// Where its transitions begin; they end where those of the next row begin.
    transitions: u16,
    /// Whether a text may end here.
    ends: bool,
}

/// A compiled automaton. It begins in row 0; the last row only ends the transitions of the one before it.
#[derive(Debug)]
pub struct TransitionTable {
    rows: Box<[TableRow]>,
    transitions: Box<[Transition]>,
}

impl TransitionTable {
    /// Compiles an automaton; refused if it takes too many steps.
    pub fn compile(nfa: &Nfa, steps: &mut Steps) -> Result<Self, Invalid> {
        let mut build =
            TableBuilder { nfa, steps, known: HashMap::new(), sets: Vec::new(), visited: vec![0; nfa.len()], round: 0 };
        let start = build.closure([0])?;
        build.row(start)?;
        let (mut rows, mut transitions) = (Vec::new(), Vec::new());
        while let Some(set) = build.sets.get(rows.len()).map(Rc::clone) {
            rows.push(TableRow {
                transitions: within(transitions.len())?,
                ends: set.iter().any(|state| nfa.ends(*state)),
            });
            build.transitions(&set, &mut transitions)?;
        }
        rows.push(TableRow { transitions: within(transitions.len())?, ends: false });
        Ok(Self { rows: rows.into(), transitions: transitions.into() })
    }

    /// Whether this is a whole text that the automaton takes. Looks at each byte once, until none can follow.
    pub fn takes(&self, text: impl IntoIterator<Item = u8>) -> bool {
        let mut at = 0;
        for byte in text {
            let transitions = self.transitions_of(at);
            // The shortest way where there are few, as nearly always.
            let next = match transitions.len() {
                0..=FEW => transitions.iter().find(|transition| transition.last >= byte),
                _ => transitions.get(transitions.partition_point(|transition| transition.last < byte)),
            };
            match next {
                Some(next) if next.first <= byte => at = usize::from(next.to),
                _ => return false,
            }
        }
        self.rows.get(at).is_some_and(|row| row.ends)
    }

    fn transitions_of(&self, at: usize) -> &[Transition] {
        match self.rows.get(at..at + 2) {
            Some([row, next]) => {
                self.transitions.get(row.transitions.into()..next.transitions.into()).unwrap_or_default()
            }
            _ => &[],
        }
    }

    /// Bytes that it takes in memory, itself aside.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.rows) + size_of_val(&*self.transitions)
    }
}

/// A number that the bound on steps keeps small.
fn within(number: usize) -> Result<u16, Invalid> {
    u16::try_from(number).map_err(|_| Invalid::new(Steps::EXCEEDED, "compiles to a table that is too large"))
}

struct TableBuilder<'n, 's> {
    nfa: &'n Nfa,
    steps: &'s mut Steps,
    /// The row of each set of states.
    known: HashMap<Rc<[usize]>, u16>,
    /// The set of each row.
    sets: Vec<Rc<[usize]>>,
    /// In which round a state was visited last.
    visited: Vec<u32>,
    round: u32,
}

impl TableBuilder<'_, '_> {
    /// Adds the transitions of a row.
    fn transitions(&mut self, set: &[usize], transitions: &mut Vec<Transition>) -> Result<(), Invalid> {
        let own = transitions.len();
        let mut rows: HashMap<Vec<usize>, u16> = HashMap::new();
        for (first, last) in self.pieces(set)? {
            self.steps.take(set.len())?;
            let taking: Vec<usize> = set.iter().filter(|state| self.nfa.takes(**state, first)).map(|s| s + 1).collect();
            if taking.is_empty() {
                continue;
            }
            let to = match rows.get(&taking) {
                Some(row) => *row,
                None => {
                    let set = self.closure(taking.iter().copied())?;
                    let row = self.row(set)?;
                    rows.insert(taking, row);
                    row
                }
            };
            match transitions.get_mut(own..).and_then(<[Transition]>::last_mut) {
                Some(before) if before.to == to && before.last.checked_add(1) == Some(first) => before.last = last,
                _ => {
                    self.steps.take(Steps::OF_ENTRY)?;
                    transitions.push(Transition { first, last, to });
                }
            }
        }
        Ok(())
    }

    /// The bytes in pieces, of each of which every state of the set takes all or none.
    fn pieces(&mut self, set: &[usize]) -> Result<Vec<(u8, u8)>, Invalid> {
        let mut starts = vec![0];
        set.iter().for_each(|state| self.nfa.cut(*state, &mut starts));
        self.steps.take(starts.len())?;
        starts.sort_unstable();
        starts.dedup();
        let ends = starts.iter().skip(1).map(|next| next - 1).chain([u8::MAX]);
        Ok(starts.iter().copied().zip(ends).collect())
    }

    /// The states in which a text can be that has come to these: those that take a byte, and the end.
    fn closure(&mut self, from: impl IntoIterator<Item = usize>) -> Result<Vec<usize>, Invalid> {
        self.round += 1;
        let mut set = Vec::new();
        let mut pending: Vec<usize> = from.into_iter().collect();
        while let Some(state) = pending.pop() {
            let Some(visited) = self.visited.get_mut(state) else { continue };
            if std::mem::replace(visited, self.round) == self.round {
                continue;
            }
            self.steps.take(1)?;
            match self.nfa.silent(state) {
                [None, None] => set.push(state),
                further => pending.extend(further.into_iter().flatten()),
            }
        }
        set.sort_unstable();
        Ok(set)
    }

    /// The row of a set, a new one if there is none yet.
    fn row(&mut self, set: Vec<usize>) -> Result<u16, Invalid> {
        if let Some(row) = self.known.get(&*set) {
            return Ok(*row);
        }
        self.steps.take(Steps::OF_ENTRY)?;
        let (row, set) = (within(self.sets.len())?, Rc::<[usize]>::from(set));
        self.known.insert(Rc::clone(&set), row);
        self.sets.push(set);
        Ok(row)
    }
}
