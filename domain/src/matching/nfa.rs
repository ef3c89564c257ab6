//! From an expression to a Thompson automaton. It lives only while a program is compiled.
//!
//! A repetition `{n,m}` becomes as many copies, and nested ones multiply: every state is paid for before it is made.

use std::collections::HashMap;

use super::expression::{CharClass, Expression};
use super::steps::Steps;
use crate::error::Invalid;

/// A state; where it goes on is the next one, but where it says otherwise.
#[derive(Debug, Clone, Copy)]
enum NfaState {
    Byte(u8),
    One(usize),
    Split(usize, usize),
    Jump(usize),
    End,
}

/// An automaton. It begins in state 0.
#[derive(Debug)]
pub struct Nfa {
    states: Vec<NfaState>,
    classes: Vec<CharClass>,
}

impl Nfa {
    /// Builds the automaton of these expressions, one after the other.
    pub fn build(items: &[Expression], steps: &mut Steps) -> Result<Self, Invalid> {
        let nfa = Self { states: Vec::new(), classes: Vec::new() };
        let mut build = NfaBuilder { nfa, known: HashMap::new(), steps };
        items.iter().try_for_each(|item| build.emit(item))?;
        build.push(NfaState::End)?;
        Ok(build.nfa)
    }

    /// How many states there are.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether a state goes on to the next one with this byte.
    pub fn takes(&self, state: usize, byte: u8) -> bool {
        match self.states.get(state) {
            Some(NfaState::Byte(wanted)) => *wanted == byte,
            Some(NfaState::One(class)) => self.classes.get(*class).is_some_and(|class| class.holds(byte)),
            _ => false,
        }
    }

    /// Adds the bytes from which on a state takes what it does not take before, or the other way round.
    pub fn cut(&self, state: usize, starts: &mut Vec<u8>) {
        match self.states.get(state) {
            Some(NfaState::Byte(wanted)) => starts.extend([Some(*wanted), wanted.checked_add(1)].into_iter().flatten()),
            Some(NfaState::One(class)) => {
                starts.extend(self.classes.get(*class).into_iter().flat_map(|class| class.edges()))
            }
            _ => {}
        }
    }

    /// Whether a text may end in this state.
    pub fn ends(&self, state: usize) -> bool {
        matches!(self.states.get(state), Some(NfaState::End))
    }

    /// The states that follow from one without a byte.
    pub fn silent(&self, state: usize) -> [Option<usize>; 2] {
        match self.states.get(state) {
            Some(NfaState::Split(one, other)) => [Some(*one), Some(*other)],
            Some(NfaState::Jump(to)) => [Some(*to), None],
            _ => [None, None],
        }
    }
}

struct NfaBuilder<'s> {
    nfa: Nfa,
    known: HashMap<CharClass, usize>,
    steps: &'s mut Steps,
}

impl NfaBuilder<'_> {
    fn here(&self) -> usize {
        self.nfa.states.len()
    }

    fn push(&mut self, state: NfaState) -> Result<usize, Invalid> {
        self.steps.take(1)?;
        let at = self.here();
        self.nfa.states.push(state);
        Ok(at)
    }

    fn set(&mut self, at: usize, state: NfaState) {
        if let Some(place) = self.nfa.states.get_mut(at) {
            *place = state;
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Invalid> {
        text.bytes().try_for_each(|byte| self.push(NfaState::Byte(byte)).map(drop))
    }

    fn emit(&mut self, expression: &Expression) -> Result<(), Invalid> {
        match expression {
            Expression::Text(text) => self.text(text),
            Expression::One(class) => {
                let classes = &mut self.nfa.classes;
                let index = *self.known.entry(*class).or_insert_with(|| {
                    classes.push(*class);
                    classes.len() - 1
                });
                self.push(NfaState::One(index)).map(drop)
            }
            Expression::Sequence(list) => list.iter().try_for_each(|item| self.emit(item)),
            Expression::Either(list) => self.emit_either(list),
            Expression::Repeat(of, least, most) => self.emit_repeat(of, *least, *most),
            Expression::Subset(items, between) => self.emit_subset(items, between),
        }
    }

    fn emit_either(&mut self, list: &[Expression]) -> Result<(), Invalid> {
        let mut ends = Vec::new();
        for (i, item) in list.iter().enumerate() {
            if i + 1 == list.len() {
                self.emit(item)?;
            } else {
                let split = self.push(NfaState::End)?;
                self.emit(item)?;
                ends.push(self.push(NfaState::End)?);
                self.set(split, NfaState::Split(split + 1, self.here()));
            }
        }
        let here = self.here();
        ends.into_iter().for_each(|end| self.set(end, NfaState::Jump(here)));
        Ok(())
    }

    fn emit_repeat(&mut self, of: &Expression, least: u32, most: Option<u32>) -> Result<(), Invalid> {
        let before = self.here();
        for _ in 0..least {
            self.emit(of)?;
            if self.here() == before {
                return Ok(());
            }
        }
        let Some(most) = most else {
            let split = self.push(NfaState::End)?;
            self.emit(of)?;
            self.push(NfaState::Jump(split))?;
            self.set(split, NfaState::Split(split + 1, self.here()));
            return Ok(());
        };
        let mut splits = Vec::new();
        for _ in least..most {
            splits.push(self.push(NfaState::End)?);
            self.emit(of)?;
        }
        let here = self.here();
        splits.into_iter().for_each(|split| self.set(split, NfaState::Split(split + 1, here)));
        Ok(())
    }

    /// Two ways lead through the items: from the start, where one may begin with any of them, and from item to item.
    fn emit_subset(&mut self, items: &[Expression], between: &str) -> Result<(), Invalid> {
        let mut doors = Vec::new();
        for _ in items {
            doors.push(self.push(NfaState::End)?);
        }
        for (i, (item, door)) in items.iter().zip(&doors).enumerate() {
            let split = if i > 0 { Some(self.push(NfaState::End)?) } else { None };
            if split.is_some() {
                self.text(between)?;
            }
            let start = self.here();
            self.emit(item)?;
            self.set(*door, if i + 1 < items.len() { NfaState::Split(start, door + 1) } else { NfaState::Jump(start) });
            let here = self.here();
            if let Some(split) = split {
                self.set(split, NfaState::Split(split + 1, here));
            }
        }
        Ok(())
    }
}
