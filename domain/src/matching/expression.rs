//! What templates and patterns are made of before they are compiled: texts, sets of characters, and their combinations.

/// A set of characters. Texts are looked at byte by byte, so of the characters beyond ASCII a set has all or none; URLs
/// have none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CharClass {
    ascii: u128,
    beyond: bool,
}

impl CharClass {
    /// The characters of these ranges, both ends included.
    pub fn of(ranges: &[(char, char)]) -> Self {
        let mut class = Self::default();
        for (first, last) in ranges {
            for c in '\0'..='\x7f' {
                class.ascii |= u128::from((first..=last).contains(&&c)) << u32::from(c);
            }
            class.beyond |= *first <= '\u{80}' && *last == char::MAX;
        }
        class
    }

    /// Every character but those of these ranges.
    pub fn but(ranges: &[(char, char)]) -> Self {
        Self::of(ranges).negate()
    }

    /// Every character but those of this set.
    pub fn negate(self) -> Self {
        Self { ascii: !self.ascii, beyond: !self.beyond }
    }

    /// Takes in the characters of another set.
    pub fn add(&mut self, other: Self) {
        self.ascii |= other.ascii;
        self.beyond |= other.beyond;
    }

    /// Takes out what another set does not have.
    pub fn keep(&mut self, other: Self) {
        self.ascii &= other.ascii;
        self.beyond &= other.beyond;
    }

    /// Whether this byte is a character of the set, or part of one.
    pub fn holds(&self, byte: u8) -> bool {
        if byte.is_ascii() { self.ascii >> byte & 1 == 1 } else { self.beyond }
    }

    /// The bytes that it holds and the byte before does not, or the other way round; the first byte is none of them.
    pub fn edges(self) -> impl Iterator<Item = u8> {
        let mut changes = (self.ascii ^ self.ascii << 1) & !1;
        let within = std::iter::from_fn(move || {
            let edge = u8::try_from(changes.trailing_zeros()).ok().filter(|edge| edge.is_ascii())?;
            changes &= changes - 1;
            Some(edge)
        });
        within.chain((self.holds(0x7f) != self.beyond).then_some(0x80))
    }
}

/// What a program is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// This text.
    Text(String),
    /// One character of the set.
    One(CharClass),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let mut class = CharClass::of(&[('a', 'c')]);
        class.add(CharClass::but(&[('\0', 'y'), ('{', char::MAX)]));
        assert!(class.holds(b'b') && class.holds(b'z') && !class.holds(b'd') && !class.holds(b'~'));
        assert!(!class.negate().holds(b'b') && class.negate().holds("é".as_bytes()[0]));
        let mut all = CharClass::of(&[]);
        all.add(CharClass::but(&[]));
        assert!((0..=u8::MAX).all(|byte| all.holds(byte)));
        for class in
            [class, class.negate(), all, CharClass::default(), CharClass::of(&[('\0', '\0'), ('\x7f', '\x7f')])]
        {
            let edges: Vec<u8> = (1..=u8::MAX).filter(|byte| class.holds(*byte) != class.holds(byte - 1)).collect();
            assert_eq!(class.edges().collect::<Vec<_>>(), edges, "{class:?}");
        }
        let some = CharClass::of(&[('x', 'é')]);
        assert!(some.holds(b'\x7f') && !some.holds(0x80) && CharClass::but(&[('é', 'é')]).holds(0xff));
    }
}
