//! From a pattern to an automaton, and how it runs.

use super::characters::{CharacterSet, is_word};
use super::effort::Effort;
use super::parse::{PatternAnchor, PatternNode};
use crate::error::Invalid;

/// Most states: a repetition `{n,m}` becomes as many copies, and nested ones multiply.
const MAX_STATES: usize = 2_000;

/// A state. Where it goes on is the next one, but where it says otherwise.
#[derive(Debug, Clone)]
enum PatternState {
    /// A character of the set of this number goes on.
    One(usize),
    /// Where this is so, it goes on.
    At(PatternAnchor),
    Split(usize, usize),
    Jump(usize),
    Found,
}

/// The automaton of a pattern. It begins in state 0.
#[derive(Debug, Clone)]
pub struct PatternProgram {
    states: Vec<PatternState>,
    sets: Vec<CharacterSet>,
}

impl PatternProgram {
    /// Compiles a pattern; refused if it has too many states.
    pub fn compile(node: &PatternNode) -> Result<Self, Invalid> {
        let mut program = Self { states: Vec::new(), sets: Vec::new() };
        program.emit(node)?;
        program.push(PatternState::Found)?;
        Ok(program)
    }

    fn push(&mut self, state: PatternState) -> Result<usize, Invalid> {
        if self.states.len() >= MAX_STATES {
            let message = "has more than 2,000 states: use fewer or smaller repetitions";
            return Err(Invalid::new("too_complex", message));
        }
        self.states.push(state);
        Ok(self.states.len() - 1)
    }

    fn set(&mut self, at: usize, state: PatternState) {
        if let Some(place) = self.states.get_mut(at) {
            *place = state;
        }
    }

    fn emit(&mut self, node: &PatternNode) -> Result<(), Invalid> {
        match node {
            PatternNode::One(set) => {
                let known = self.sets.iter().position(|known| known == set);
                let number = known.unwrap_or(self.sets.len());
                if known.is_none() {
                    self.sets.push(set.clone());
                }
                self.push(PatternState::One(number)).map(drop)
            }
            PatternNode::At(position) => self.push(PatternState::At(*position)).map(drop),
            PatternNode::Sequence(parts) => parts.iter().try_for_each(|part| self.emit(part)),
            PatternNode::Either(branches) => self.emit_either(branches),
            PatternNode::Repeat(of, least, most) => self.emit_repeat(of, *least, *most),
        }
    }

    fn emit_either(&mut self, branches: &[PatternNode]) -> Result<(), Invalid> {
        let mut ends = Vec::new();
        for (i, branch) in branches.iter().enumerate() {
            if i + 1 == branches.len() {
                self.emit(branch)?;
                continue;
            }
            let split = self.push(PatternState::Found)?;
            self.emit(branch)?;
            ends.push(self.push(PatternState::Found)?);
            self.set(split, PatternState::Split(split + 1, self.states.len()));
        }
        let here = self.states.len();
        ends.into_iter().for_each(|end| self.set(end, PatternState::Jump(here)));
        Ok(())
    }

    fn emit_repeat(&mut self, of: &PatternNode, least: u32, most: Option<u32>) -> Result<(), Invalid> {
        let before = self.states.len();
        for _ in 0..least {
            self.emit(of)?;
            // What is empty is no more often.
            if self.states.len() == before {
                return Ok(());
            }
        }
        let Some(most) = most else {
            let split = self.push(PatternState::Found)?;
            self.emit(of)?;
            self.push(PatternState::Jump(split))?;
            self.set(split, PatternState::Split(split + 1, self.states.len()));
            return Ok(());
        };
        let mut splits = Vec::new();
        for _ in least..most {
            splits.push(self.push(PatternState::Found)?);
            self.emit(of)?;
        }
        let here = self.states.len();
        splits.into_iter().for_each(|split| self.set(split, PatternState::Split(split + 1, here)));
        Ok(())
    }

    /// Whether the pattern is found anywhere in a text.
    pub fn is_found_in(&self, text: &str, effort: &mut Effort) -> Result<bool, Invalid> {
        let mut run = PatternRun { seen: vec![0; self.states.len()], round: 0, open: Vec::new(), effort };
        let (mut here, mut next) = (Vec::new(), Vec::new());
        let is_anchored = matches!(self.states.first(), Some(PatternState::At(PatternAnchor::Start)));
        let mut before = None;
        let mut rest = text.chars();
        loop {
            let after = rest.next();
            let place = TextPlace { before, after };
            run.round += 1;
            let begins = if is_anchored && before.is_some() { None } else { Some(0) };
            // The states behind the last character lead on from here, and the pattern may begin anywhere.
            for state in next.drain(..).chain(begins) {
                if run.enter(self, state, &place, &mut here)? {
                    return Ok(true);
                }
            }
            let Some(c) = after.filter(|_| !here.is_empty() || !is_anchored) else { return Ok(false) };
            let goes_on = |state: &(usize, usize)| self.sets.get(state.1).is_some_and(|set| set.holds(c));
            next.extend(here.drain(..).filter(goes_on).map(|(state, _)| state + 1));
            before = Some(c);
        }
    }
}

/// A place in a text, by the characters around it.
struct TextPlace {
    before: Option<char>,
    after: Option<char>,
}

impl TextPlace {
    fn is(&self, position: PatternAnchor) -> bool {
        let is_edge = self.before.is_some_and(is_word) != self.after.is_some_and(is_word);
        match position {
            PatternAnchor::Start => self.before.is_none(),
            PatternAnchor::End => self.after.is_none(),
            PatternAnchor::WordEdge => is_edge,
            PatternAnchor::NoWordEdge => !is_edge,
        }
    }
}

/// What is remembered while a pattern runs over a text.
struct PatternRun<'e> {
    /// In which round a state was entered last.
    seen: Vec<usize>,
    round: usize,
    open: Vec<usize>,
    effort: &'e mut Effort,
}

impl PatternRun<'_> {
    /// Enters a state and all that follow from it without a character; notes in `here` those that wait for one, with the
    /// number of its set. Whether the pattern was found.
    fn enter(
        &mut self,
        program: &PatternProgram,
        state: usize,
        place: &TextPlace,
        here: &mut Vec<(usize, usize)>,
    ) -> Result<bool, Invalid> {
        self.open.push(state);
        while let Some(state) = self.open.pop() {
            match self.seen.get_mut(state) {
                Some(seen) if *seen != self.round => *seen = self.round,
                _ => continue,
            }
            self.effort.take()?;
            match program.states.get(state) {
                Some(PatternState::One(set)) => here.push((state, *set)),
                Some(PatternState::At(position)) if place.is(*position) => self.open.push(state + 1),
                Some(PatternState::At(_)) | None => {}
                Some(PatternState::Split(one, other)) => self.open.extend([*other, *one]),
                Some(PatternState::Jump(to)) => self.open.push(*to),
                Some(PatternState::Found) => return Ok(true),
            }
        }
        Ok(false)
    }
}
