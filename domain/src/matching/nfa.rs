//! The engine below templates and patterns: whether a whole text matches, in time linear in the text.
//!
//! An expression becomes a Thompson automaton, run with the set of states it can be in; nothing is tried twice and
//! nothing is remembered of what matched. A program's states are bounded, and with them what one look at a text costs.
//! Literal text at either end of an expression is compared as text and takes no states.

use crate::error::Invalid;

/// Most states of a program.
const MAX_STATES: usize = 2_048;

/// A set of characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Class {
    ranges: Vec<(char, char)>,
    /// All but these ranges, for each of them.
    all_but: Vec<Vec<(char, char)>>,
    negated: bool,
}

impl Class {
    /// The characters of these ranges, both ends included.
    pub fn of(ranges: &[(char, char)]) -> Self {
        Self { ranges: ranges.to_vec(), ..Self::default() }
    }

    /// Every character but those of these ranges.
    pub fn but(ranges: &[(char, char)]) -> Self {
        Self { all_but: vec![ranges.to_vec()], ..Self::default() }
    }

    /// Every character but those of this set.
    pub fn negate(mut self) -> Self {
        self.negated = !self.negated;
        self
    }

    /// Takes in the characters of another set, which was not negated as a whole.
    pub fn add(&mut self, other: Class) {
        self.ranges.extend(other.ranges);
        self.all_but.extend(other.all_but);
    }

    /// The one character it was made of, if it was.
    pub fn single(&self) -> Option<char> {
        match *self.ranges {
            [(first, last)] if first == last && self.all_but.is_empty() && !self.negated => Some(first),
            _ => None,
        }
    }

    fn holds(&self, c: char) -> bool {
        let within = |ranges: &[(char, char)]| ranges.iter().any(|(first, last)| (*first..=*last).contains(&c));
        (within(&self.ranges) || self.all_but.iter().any(|ranges| !within(ranges))) != self.negated
    }
}

/// What a program is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// This text.
    Text(String),
    /// One character of the set.
    One(Class),
    /// One after the other.
    Sequence(Vec<Expression>),
    /// One of them.
    Either(Vec<Expression>),
    /// The same again and again: at least so often, and at most so often where there is a limit.
    Repeat(Box<Expression>, u32, Option<u32>),
    /// One or more of the items, each at most once, in their order, with the text in between.
    Subset(Vec<Expression>, &'static str),
}

impl Expression {
    /// It, or nothing.
    pub fn optional(self) -> Self {
        Self::Repeat(Box::new(self), 0, Some(1))
    }

    /// It, as often as wanted, also never.
    pub fn any_number(self) -> Self {
        Self::Repeat(Box::new(self), 0, None)
    }
}

#[derive(Debug, Clone, Copy)]
enum State {
    Char(char),
    One(u16),
    Split(u16, u16),
    Jump(u16),
    End,
}

/// A compiled expression.
#[derive(Debug)]
pub struct Program {
    head: Box<str>,
    tail: Box<str>,
    /// Empty where head and tail are all there is.
    states: Box<[State]>,
    classes: Box<[Class]>,
}

impl Program {
    /// Compiles an expression; refused if it takes too many states.
    pub fn compile(expression: Expression) -> Result<Self, Invalid> {
        let mut items = Vec::new();
        flatten(expression, &mut items);
        let texts = items.iter().take_while(|item| matches!(item, Expression::Text(_))).count();
        let head: String = items.drain(..texts).filter_map(into_text).collect();
        let texts = items.iter().rev().take_while(|item| matches!(item, Expression::Text(_))).count();
        let tail: String =
            items.split_off(items.len().saturating_sub(texts)).into_iter().filter_map(into_text).collect();
        let mut build = Build::default();
        if !items.is_empty() {
            build.emit(&Expression::Sequence(items))?;
            build.push(State::End)?;
        }
        Ok(Self { head: head.into(), tail: tail.into(), states: build.states.into(), classes: build.classes.into() })
    }

    /// What every matching text begins with.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// The one text that matches, where there is only one.
    pub fn literal(&self) -> Option<&str> {
        self.states.is_empty().then_some(&*self.head)
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        let rest = text.strip_prefix(&*self.head).and_then(|rest| rest.strip_suffix(&*self.tail));
        rest.is_some_and(|rest| if self.states.is_empty() { rest.is_empty() } else { self.runs(rest) })
    }

    fn runs(&self, text: &str) -> bool {
        let (mut now, mut next) = (Places::new(self.states.len()), Places::new(self.states.len()));
        let mut pending = Vec::new();
        self.enter(0, &mut now, &mut pending);
        for c in text.chars() {
            if now.list.is_empty() {
                return false;
            }
            for &at in &now.list {
                let goes_on = match self.states.get(usize::from(at)) {
                    Some(State::Char(wanted)) => *wanted == c,
                    Some(State::One(class)) => {
                        self.classes.get(usize::from(*class)).is_some_and(|class| class.holds(c))
                    }
                    _ => false,
                };
                if goes_on {
                    self.enter(at + 1, &mut next, &mut pending);
                }
            }
            std::mem::swap(&mut now, &mut next);
            next.clear();
        }
        now.list.iter().any(|at| matches!(self.states.get(usize::from(*at)), Some(State::End)))
    }

    /// Takes in a state and all that follow from it without a character.
    fn enter(&self, at: u16, places: &mut Places, pending: &mut Vec<u16>) {
        pending.push(at);
        while let Some(at) = pending.pop() {
            if !places.visit(at) {
                continue;
            }
            match self.states.get(usize::from(at)) {
                Some(State::Split(one, other)) => pending.extend([*one, *other]),
                Some(State::Jump(to)) => pending.push(*to),
                Some(_) => places.list.push(at),
                None => {}
            }
        }
    }
}

/// The states an automaton can be in.
struct Places {
    list: Vec<u16>,
    /// In which round a state was visited last.
    visited: Vec<u32>,
    round: u32,
}

impl Places {
    fn new(states: usize) -> Self {
        Self { list: Vec::new(), visited: vec![0; states], round: 1 }
    }

    fn clear(&mut self) {
        self.list.clear();
        self.round += 1;
    }

    fn visit(&mut self, at: u16) -> bool {
        let round = self.round;
        self.visited.get_mut(usize::from(at)).is_some_and(|seen| std::mem::replace(seen, round) != round)
    }
}

fn flatten(expression: Expression, items: &mut Vec<Expression>) {
    match expression {
        Expression::Sequence(list) => list.into_iter().for_each(|item| flatten(item, items)),
        Expression::Text(text) if text.is_empty() => {}
        other => items.push(other),
    }
}

fn into_text(expression: Expression) -> Option<String> {
    match expression {
        Expression::Text(text) => Some(text),
        _ => None,
    }
}

#[derive(Default)]
struct Build {
    states: Vec<State>,
    classes: Vec<Class>,
}

impl Build {
    fn here(&self) -> u16 {
        u16::try_from(self.states.len()).unwrap_or(u16::MAX)
    }

    fn push(&mut self, state: State) -> Result<u16, Invalid> {
        if self.states.len() >= MAX_STATES {
            return Err(Invalid::new("too_complex", "repeats too much to be matched"));
        }
        let at = self.here();
        self.states.push(state);
        Ok(at)
    }

    fn set(&mut self, at: u16, state: State) {
        if let Some(place) = self.states.get_mut(usize::from(at)) {
            *place = state;
        }
    }

    fn emit(&mut self, expression: &Expression) -> Result<(), Invalid> {
        match expression {
            Expression::Text(text) => text.chars().try_for_each(|c| self.push(State::Char(c)).map(drop)),
            Expression::One(class) => {
                let known = self.classes.iter().position(|known| known == class);
                let index = known.unwrap_or(self.classes.len());
                if known.is_none() {
                    self.classes.push(class.clone());
                }
                self.push(State::One(u16::try_from(index).unwrap_or(u16::MAX))).map(drop)
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
                let split = self.push(State::End)?;
                self.emit(item)?;
                ends.push(self.push(State::End)?);
                self.set(split, State::Split(split + 1, self.here()));
            }
        }
        let here = self.here();
        ends.into_iter().for_each(|end| self.set(end, State::Jump(here)));
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
            let split = self.push(State::End)?;
            self.emit(of)?;
            self.push(State::Jump(split))?;
            self.set(split, State::Split(split + 1, self.here()));
            return Ok(());
        };
        let mut splits = Vec::new();
        for _ in least..most {
            splits.push(self.push(State::End)?);
            self.emit(of)?;
        }
        let here = self.here();
        splits.into_iter().for_each(|split| self.set(split, State::Split(split + 1, here)));
        Ok(())
    }

    /// Two ways lead through the items: from the start, where one may begin with any of them, and from item to item.
    fn emit_subset(&mut self, items: &[Expression], between: &str) -> Result<(), Invalid> {
        let mut doors = Vec::new();
        for _ in items {
            doors.push(self.push(State::End)?);
        }
        for (i, (item, door)) in items.iter().zip(&doors).enumerate() {
            let split = if i > 0 { Some(self.push(State::End)?) } else { None };
            if split.is_some() {
                between.chars().try_for_each(|c| self.push(State::Char(c)).map(drop))?;
            }
            let start = self.here();
            self.emit(item)?;
            self.set(*door, if i + 1 < items.len() { State::Split(start, door + 1) } else { State::Jump(start) });
            let here = self.here();
            if let Some(split) = split {
                self.set(split, State::Split(split + 1, here));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Expression::*;

    fn text(text: &str) -> Expression {
        Text(text.into())
    }

    fn program(expression: Expression) -> Program {
        Program::compile(expression).unwrap()
    }

    #[test]
    fn the_whole_text_matches_or_none_of_it() {
        let p = program(Sequence(vec![text("a"), Either(vec![text("b"), text("cd"), Sequence(vec![])]), text("e")]));
        for yes in ["abe", "acde", "ae"] {
            assert!(p.matches(yes), "{yes}");
        }
        for no in ["", "a", "ab", "abce", "abee", "xabe", "abcde"] {
            assert!(!p.matches(no), "{no}");
        }
        assert_eq!((p.head(), p.literal()), ("a", None));
        let p = program(Sequence(vec![text("a"), Sequence(vec![text("b"), text("")])]));
        assert_eq!((p.head(), p.literal()), ("ab", Some("ab")));
        assert!(p.matches("ab") && !p.matches("abb") && !p.matches("a"));
    }

    #[test]
    fn head_and_tail_do_not_share_text() {
        let p = program(Sequence(vec![text("aba"), One(Class::but(&[])).any_number(), text("ba")]));
        assert!(!p.matches("aba") && p.matches("ababa") && p.matches("abaxxba"));
    }

    #[test]
    fn repetitions() {
        let repeat = |least, most| program(Repeat(Box::new(Either(vec![text("ab"), text("c")])), least, most));
        assert!(repeat(0, None).matches("") && repeat(0, None).matches("abcab") && !repeat(0, None).matches("aba"));
        assert!(!repeat(1, None).matches("") && repeat(1, None).matches("c"));
        let p = repeat(2, Some(3));
        assert_eq!(["c", "cc", "cabc", "cccc"].map(|t| p.matches(t)), [false, true, true, false]);
        assert!(repeat(0, Some(0)).matches("") && !repeat(0, Some(0)).matches("c"));
        let nothing_again = program(text("").any_number().any_number());
        assert!(nothing_again.matches("") && !nothing_again.matches("a"));
    }

    #[test]
    fn some_of_a_list_in_their_order() {
        let p = program(Subset(vec![text("a"), text("b"), text("c")], "&"));
        for yes in ["a", "b", "c", "a&b", "a&c", "b&c", "a&b&c"] {
            assert!(p.matches(yes), "{yes}");
        }
        for no in ["", "&", "a&", "&a", "b&a", "a&a", "a&b&c&", "ab", "a&&c"] {
            assert!(!p.matches(no), "{no}");
        }
    }

    #[test]
    fn classes() {
        let mut class = Class::of(&[('a', 'c')]);
        class.add(Class::but(&[('\0', 'y'), ('{', char::MAX)]));
        assert!(class.holds('b') && class.holds('z') && !class.holds('d') && !class.holds('~'));
        assert!(!class.clone().negate().holds('b') && class.negate().holds('é'));
        let mut all = Class::of(&[]);
        all.add(Class::but(&[]));
        assert!(all.holds('\0') && all.holds('a') && all.holds(char::MAX));
    }

    #[test]
    fn what_repeats_too_much_is_refused() {
        let thousand = |of| Repeat(Box::new(of), 1000, Some(1000));
        assert!(Program::compile(thousand(text("a"))).is_ok());
        assert_eq!(Program::compile(thousand(thousand(text("a")))).unwrap_err().code, "too_complex");
        assert!(Program::compile(Repeat(Box::new(text("a")), 0, Some(u32::MAX))).is_err());
        assert!(Program::compile(Repeat(Box::new(text("")), u32::MAX, None)).is_ok());
    }

    #[test]
    fn time_is_linear_where_backtracking_explodes() {
        let nested = Repeat(Box::new(Either(vec![text("a"), text("aa"), text("a").any_number()])), 0, None);
        let p = program(Sequence(vec![nested, One(Class::of(&[('b', 'b')]))]));
        assert!(!p.matches(&"a".repeat(20_000)));
    }
}
