//! The engine below templates and patterns: whether a whole text matches, in time linear in the text.
//!
//! An expression becomes an automaton (`nfa`), and that a table (`table`); nothing is remembered of what matched.
//! Literal text at either end of an expression is compared as text and takes no steps.

use super::expression::Expression;
use super::nfa::Nfa;
use super::steps::Steps;
use super::table::TransitionTable;
use crate::error::Invalid;

/// A compiled expression.
#[derive(Debug)]
pub struct Program {
    head: Box<str>,
    tail: Box<str>,
    /// What is between them; none where head and tail are all there is.
    table: Option<Box<TransitionTable>>,
}

impl Program {
    /// Compiles an expression; refused if it takes too many steps.
    pub fn compile(expression: Expression, steps: &mut Steps) -> Result<Self, Invalid> {
        let mut items = Vec::new();
        flatten(expression, &mut items);
        let texts = items.iter().take_while(|item| matches!(item, Expression::Text(_))).count();
        let head: String = items.drain(..texts).filter_map(into_text).collect();
        let texts = items.iter().rev().take_while(|item| matches!(item, Expression::Text(_))).count();
        let tail: String =
            items.split_off(items.len().saturating_sub(texts)).into_iter().filter_map(into_text).collect();
        let table = match items.is_empty() {
            true => None,
            false => Some(Box::new(TransitionTable::compile(&Nfa::build(&items, steps)?, steps)?)),
        };
        Ok(Self { head: head.into(), tail: tail.into(), table })
    }

    /// What every matching text begins with.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// The one text that matches, where there is only one.
    pub fn literal(&self) -> Option<&str> {
        self.table.is_none().then_some(&*self.head)
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        let rest = text.strip_prefix(&*self.head).and_then(|rest| rest.strip_suffix(&*self.tail));
        rest.is_some_and(|rest| self.table.as_ref().map_or(rest.is_empty(), |table| table.takes(rest.bytes())))
    }

    /// Bytes that it takes in memory, itself aside.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        let table = self.table.as_ref().map_or(0, |table| size_of::<TransitionTable>() + table.bytes());
        self.head.len() + self.tail.len() + table
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::expression::CharClass;
    use Expression::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn text(text: &str) -> Expression {
        Text(text.into())
    }

    fn program(expression: Expression) -> Program {
        compile(expression).unwrap()
    }

    fn compile(expression: Expression) -> Result<Program, Invalid> {
        Program::compile(expression, &mut Steps::default())
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
        let p = program(Sequence(vec![text("aba"), One(CharClass::but(&[])).any_number(), text("ba")]));
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
    fn what_repeats_too_much_is_refused() {
        let thousand = |of| Repeat(Box::new(of), 1000, Some(1000));
        assert!(compile(thousand(text("a"))).is_ok());
        assert_eq!(compile(thousand(thousand(text("a")))).unwrap_err().code, "too_complex");
        assert!(compile(Repeat(Box::new(text("a")), 0, Some(u32::MAX))).is_err());
        assert!(compile(Repeat(Box::new(text("")), u32::MAX, None)).is_ok());
    }

    #[test]
    fn time_is_linear_where_backtracking_explodes() {
        let nested = Repeat(Box::new(Either(vec![text("a"), text("aa"), text("a").any_number()])), 0, None);
        let p = program(Sequence(vec![nested, One(CharClass::of(&[('b', 'b')]))]));
        assert!(!p.matches(&"a".repeat(20_000)));
    }

    #[test]
    fn each_byte_of_a_text_is_looked_at_once() {
        let any = || One(CharClass::but(&[])).any_number();
        let looks = |expression: Expression, text: &str| {
            let mut looked = 0;
            let p = program(expression);
            let takes = p.table.unwrap().takes(text.bytes().inspect(|_| looked += 1));
            (takes, looked)
        };
        let letters = Repeat(Box::new(Either(vec![One(CharClass::of(&[('a', 'z')])), text("a")])), 0, Some(20));
        let text_of = |length| "a".repeat(length);
        assert_eq!(looks(Sequence(vec![any(), letters, any()]), &text_of(4_096)), (true, 4_096));
        assert_eq!(looks(Repeat(Box::new(text("ab")), 2, None), "ababc-------"), (false, 5), "it ends where it fails");
    }

    /// Where a match may end that begins at one of these places.
    fn ends(expression: &Expression, text: &[u8], from: &BTreeSet<usize>) -> BTreeSet<usize> {
        let again = |of: &Expression, from: &BTreeSet<usize>| ends(of, text, from);
        match expression {
            Text(wanted) => from
                .iter()
                .filter(|at| text[**at..].starts_with(wanted.as_bytes()))
                .map(|at| at + wanted.len())
                .collect(),
            One(class) => {
                from.iter().filter(|at| text.get(**at).is_some_and(|b| class.holds(*b))).map(|at| at + 1).collect()
            }
            Sequence(list) => list.iter().fold(from.clone(), |from, item| again(item, &from)),
            Either(list) => list.iter().flat_map(|item| again(item, from)).collect(),
            Repeat(of, least, most) => {
                let mut from = (0..*least).fold(from.clone(), |from, _| again(of, &from));
                for _ in *least..most.unwrap_or(*least + 99) {
                    from.extend(again(of, &from));
                }
                from
            }
            Subset(items, between) => {
                let mut all = BTreeSet::new();
                for (i, item) in items.iter().enumerate() {
                    let behind: BTreeSet<_> = all.clone();
                    let between = again(&Text((*between).into()), &behind);
                    all.extend(again(item, from));
                    if i > 0 {
                        all.extend(again(item, &between));
                    }
                }
                all
            }
        }
    }

    fn expressions(most: u32) -> impl Strategy<Value = Expression> {
        let class = prop_oneof![
            Just(CharClass::of(&[('a', 'b')])),
            Just(CharClass::of(&[('b', 'c'), ('e', 'z')])),
            Just(CharClass::but(&[('b', 'b')])),
        ];
        let leaf = prop_oneof!["[abcé]{0,3}".prop_map(Text), class.prop_map(One)];
        leaf.prop_recursive(5, 24, 4, move |inner| {
            let list = prop::collection::vec(inner.clone(), 1..4);
            prop_oneof![
                list.clone().prop_map(Sequence),
                list.clone().prop_map(Either),
                list.prop_map(|items| Subset(items, ",")),
                (inner, 0..most, prop::option::of(0..most)).prop_map(|(of, least, more)| Repeat(
                    Box::new(of),
                    least,
                    more.map(|more| least + more)
                )),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_program_takes_what_its_expression_means(
            expression in expressions(4),
            texts in prop::collection::vec("[abcé,]{0,9}", 9),
        ) {
            let Ok(p) = compile(expression.clone()) else { return Ok(()) };
            for text in texts {
                let meant = ends(&expression, text.as_bytes(), &BTreeSet::from([0])).contains(&text.len());
                prop_assert_eq!(p.matches(&text), meant, "{}", text);
            }
        }

        /// However repetitions are nested, a program is small and was made in few steps, or was given up in as few; and it
        /// looks at no byte of a text twice.
        #[test]
        fn no_expression_compiles_beyond_the_bound(expression in expressions(4_000), text in "[abcé,]{0,60}") {
            let mut steps = Steps::default();
            let compiled = Program::compile(expression, &mut steps);
            prop_assert!(steps.taken() <= Steps::MAX);
            match compiled {
                Ok(p) => {
                    let mut looked = 0;
                    let mut looks = |table: &TransitionTable| table.takes(text.bytes().inspect(|_| looked += 1));
                    p.table.as_deref().map(&mut looks);
                    prop_assert!(looked <= text.len());
                    prop_assert!(p.table.is_none_or(|table| table.bytes() <= 4 * steps.taken() / Steps::OF_ENTRY + 4));
                }
                Err(invalid) => prop_assert_eq!(invalid.code, Steps::EXCEEDED),
            }
        }
    }
}
